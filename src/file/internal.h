/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "checkpoint/checkpoint.h"
#include "file/file.h"
#include "image/image.h"

/* Shared by the files of file/ only. */

/* open() on a 64-bit kernel sets this flag, pipe() and the like do not; libc says it is 0. */
enum { KERNEL_O_LARGEFILE = 0100000 };
/* O_TMPFILE without the O_DIRECTORY that is part of it. */
#define KERNEL_O_TMPFILE (O_TMPFILE & ~O_DIRECTORY)
/* What F_SETFL can set. */
#define SETTABLE_FLAGS (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)

/* Dump: an inode that is open, with all descriptions of it. */
struct file_inode {
	dev_t device;
	ino_t number;
	struct file_inode *next;          /* with the same key in file_table.by_inode */
	void *order;                      /* tsearch() tree of descriptors' descriptions */
	bool unordered;                   /* kcmp failed */
	struct description *descriptions; /* all of them, linked by next */
	struct ghost *ghost;              /* ghost.c */
	struct ghost *shown;              /* the same, of a mount that shows it */
	struct link *link;                /* link.c */
	void *state;                      /* the kind's own */
	uint32_t pipe_id;                 /* pipe.c */
	bool checked, stored;
	bool unlocked; /* nobody has a lock of a process (fcntl) on it */
};

/* Several files of file/ keep what they know here; zero means nothing yet. */
struct file_state {
	uint32_t last_id, last_ghost_id, last_pipe_id;
	int links; /* /proc/self/fd */
	bool checked;
	struct description *spare; /* of the last look-up, not used */
	struct hash paths;         /* dump: files_describe_path(), by inode, name and flags */

	struct lock_table *locks;      /* lock.c */
	size_t lock_surveys;           /* descriptors that were asked for locks */
	struct remap_state *remaps;    /* remap.c */
	struct ghost_state *ghosts;    /* ghost.c */
	struct link_state *links_made; /* link.c */
	struct pipe_state *pipes;      /* pipe.c */
	struct pipe_state *fifos;      /* fifo.c */
	struct memfd_state *memfds;    /* memfd.c */
	struct tty_state *terminals;   /* tty.c */
};

/* The state, made when it is first asked for.  Reports. */
struct file_state *file_state(struct checkpoint *checkpoint);

/* "pid 42 (cat), fd 3 (/tmp/x)" (dump); "file 7 (/tmp/x)" (restore). */
struct subject description_subject(const struct description *description);
/* Does nothing and refuses: an error in an image, for `read`. */
int file_damaged(const struct description *description, const char *what);

extern const struct file_kind regular_kind, device_kind, pipe_kind, fifo_kind, eventfd_kind,
	epoll_kind, timerfd_kind, signalfd_kind, tty_kind, memfd_kind, mqueue_kind, nsfile_kind, inotify_kind;

/* The kind of what description->fd is, or NULL. */
const struct file_kind *file_recognize(const struct description *description);
/* Adds it to the table, with an id and an empty entry. */
struct description *file_add(struct checkpoint *checkpoint, struct description *description,
			     const struct file_kind *kind);

/* ---- dump ----------------------------------------------------------------------------------- */

/*
 * A new description in the table, with an id and an empty entry of the kind's type, of what
 * `same` is of: a FIFO's path, a link.
 */
struct description *description_new(struct checkpoint *checkpoint, const struct description *same,
				    const struct file_kind *kind);
/* The table's inode; what fd's link reads (NULL and errno), in the arena. */
struct file_inode *file_inode(struct checkpoint *checkpoint, const struct stat *stat);
char *file_link(struct checkpoint *checkpoint, int fd);
/* A descriptor of the description (the caller's to close), or a negative errno. */
int file_fetch(const struct description *description);
/* /proc/self/fdinfo/fd, in memory the caller frees. */
int file_read_info(int fd, char **text);
/* The value behind "key" at the beginning of a line of fdinfo; NULL. */
const char *file_info(const char *text, const char *key);

/* ---- restore -------------------------------------------------------------------------------- */

/* Another description of what fd is of, by /proc/self/fd; a descriptor or a negative errno. */
int file_reopen(int fd, unsigned int flags);
/* Flags that open() or pipe() did not set yet. */
int file_set_flags(const struct description *description);

/* ---- owner.c: who gets signals (F_SETOWN, F_SETSIG) -------------------------------------------
 */

/* The owner of what fd refers to, in the arena; NULL after a report. */
FownEntry *owner_describe(struct checkpoint *checkpoint, const struct description *description);
int owner_restore(struct checkpoint *checkpoint, struct description *description);

/* ---- lock.c: locks and leases ---------------------------------------------------------------- */

/*
 * Asks whether there are locks of processes on a new description's inode, while its descriptor is
 * open: where there are none, lock_survey() need not look at each process that has it.
 */
void lock_ask(const struct description *description);
/* Refuses a descriptor through which the task holds a lock or a lease. */
int lock_survey(struct checkpoint *checkpoint, struct task *task, int number,
		struct description *description);
void lock_close(struct checkpoint *checkpoint);
/* The number of the inode of a line of /proc/locks, or 0. */
uint64_t lock_inode(const char *line);

/* ---- refuse.c: what stasis does not carry over ------------------------------------------------
 */

/* Refuses by name; for descriptions that no kind recognizes. */
int refuse_description(const struct description *description);

/* ---- regular.c ------------------------------------------------------------------------------ */

/* Dump: fills in entry->reg; its name is only what the link says. */
void path_fill(struct checkpoint *checkpoint, struct description *description);
/* Dump: the same for kinds that are opened by a path, which has to lead to the file. */
int path_describe(struct checkpoint *checkpoint, struct description *description);
/* Restore: takes entry->reg in. */
int path_read(struct checkpoint *checkpoint, struct description *description);
/*
 * Restore: opens the path, never blocking (O_NONBLOCK is set) and never as a controlling terminal,
 * and checks that it is the file it was.  The new descriptor or, after a report, a negative errno.
 */
int path_open(struct checkpoint *checkpoint, struct description *description, unsigned int flags);

/*
 * A name on the mount that `from` is on, as a name on the mount that `to` is on: the same file of
 * the same filesystem.  In the arena; NULL: it is not to be seen there.
 */
const char *path_translate(struct checkpoint *checkpoint, const struct description *from,
			   const char *name, const struct description *to);
/*
 * Restore: a path by which stasis itself reaches a name on the description's mount, in the arena;
 * to_change: by way of a mount that can be written to (see mount_reach()).  NULL after a report.
 */
const char *path_reach(struct checkpoint *checkpoint, const struct description *description,
		       const char *name, bool to_change);

/* ---- remap.c: files whose name leads nowhere ------------------------------------------------- */

/*
 * Dump: carries the file itself over (a ghost) or has remap_store() make a new name for it (a
 * link).  entry->reg->name is where it was.
 */
int remap_describe(struct checkpoint *checkpoint, struct description *description);
int remap_store(struct checkpoint *checkpoint);
int remap_write(struct checkpoint *checkpoint);
/* Restore: reads remap-fpath.img, after files.img has been read. */
int remap_read(struct checkpoint *checkpoint);
/*
 * Restore: the path by which to open the file.  A ghost is made if need be and has this path only
 * until remap_unname(), which also fills it; all descriptions of it should be opened in between.
 * Takes flags away that do not go with the path.  NULL after a report.
 */
const char *remap_name(struct checkpoint *checkpoint, struct description *description,
		       unsigned int *flags);
/* Restore: the descriptor that making the ghost has opened for this very description, or -1. */
int remap_take(struct description *description);
int remap_unname(struct checkpoint *checkpoint, struct description *description);
/* Is the file a ghost, so made by us? */
bool remap_made(const struct description *description);
/* The next description of the same ghost after this one, around the ring; itself if there is none.
 */
struct description *remap_next(struct description *description);
void remap_close(struct checkpoint *checkpoint, bool failed);
void ghosts_close(struct checkpoint *checkpoint, bool failed);
void links_close(struct checkpoint *checkpoint, bool failed);

/* ---- pipe.c: the images of contents ------------------------------------------------------------
 */

int pipe_images_store(struct checkpoint *checkpoint);
int pipe_images_read(struct checkpoint *checkpoint);
void pipe_images_close(struct checkpoint *checkpoint, bool failed);

/* ---- fifo.c, memfd.c, tty.c: images beside files.img -------------------------------------------
 */

int fifos_read(struct checkpoint *checkpoint);
int memfds_write(struct checkpoint *checkpoint);
int memfds_read(struct checkpoint *checkpoint);
void memfds_close(struct checkpoint *checkpoint, bool failed);
int ttys_check(struct checkpoint *checkpoint);
int ttys_store(struct checkpoint *checkpoint);
int ttys_write(struct checkpoint *checkpoint);
int ttys_read(struct checkpoint *checkpoint);
void ttys_close(struct checkpoint *checkpoint, bool failed);

/* ---- eventfd.c ------------------------------------------------------------------------------ */

/* Asks an eventfd, by reading and writing it, whether it is a semaphore; count: what it holds. */
int eventfd_ask_semaphore(int fd, uint64_t count, bool *semaphore);
