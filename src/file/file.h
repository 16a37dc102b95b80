/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/report.h"
#include "images/fdinfo.pb-c.h"

struct checkpoint;
struct task;
struct file_kind;
struct mount;

/*
 * Open files.  A *description* is what the kernel calls struct file: position, flags, owner; a
 * *descriptor* is a number in a task's table that refers to one.  Each description is described
 * once, by its kind (a row in the table of kinds, a file each in file/), and on restore opened
 * exactly once, by stasis itself, and handed to the tasks that have it.
 */
struct description {
	uint32_t id;
	const struct file_kind *kind;
	FileEntry *entry;
	FownEntry *owner;    /* part of the entry, or NULL */
	unsigned int flags;  /* F_GETFL */
	int fd;              /* ours: see file_fetch() (dump), files_open() (restore); or -1 */
	struct task *task;   /* a task that has it, */
	int number;          /* as this descriptor; -1: not as a descriptor (mapping, cwd, ...) */
	struct mount *mount; /* that it is on, in a namespace of the tree; NULL: in stasis' own */
	size_t users;        /* restore: descriptors that have not been handed out */
	void *state;         /* the kind's own */
	struct description *next; /* of the same inode (dump) or group (restore) */

	/* Dump only. */
	struct file_inode *inode;
	struct stat stat;
	char *link; /* what /proc/self/fd/N reads */
	int64_t position;
	const char *purpose; /* for messages, when it is no descriptor */
	bool described;      /* without a problem */
	bool lock_seen;      /* lock.c has looked at it */
};

/*
 * A kind of file.  Functions return 0 or a negative errno and report what went wrong; any but
 * type may be missing.
 */
struct file_kind {
	const char *name; /* as messages print it */
	FdTypes type;
	unsigned int flags; /* that only descriptions of this kind can have */

	/* Dump: is it one?  fd, flags, stat and link are set. */
	bool (*recognize)(const struct description *description);
	/* Dump: fills in the message of description->entry, or refuses. */
	int (*describe)(struct checkpoint *checkpoint, struct description *description);
	/* Dump, when all that is open in all tasks is known: what only the whole can tell. */
	int (*check)(struct checkpoint *checkpoint, struct description *description);
	/* Dump, after the survey: writes contents (pipe data, ghost files). */
	int (*store)(struct checkpoint *checkpoint, struct description *description);

	/* Restore: takes the entry in, sets flags and owner, and checks it. */
	int (*read)(struct checkpoint *checkpoint, struct description *description);
	/* Restore: opens it (and others, where they have to be made together): sets fd. */
	int (*make)(struct checkpoint *checkpoint, struct description *description);
	/* Restore, after every task has all its descriptors; may use remote calls. */
	int (*finish)(struct checkpoint *checkpoint, struct description *description);
};

struct file_table {
	ARRAY(struct description *) descriptions;
	struct hash by_id;                 /* id -> description */
	ARRAY(struct file_inode *) inodes; /* dump, */
	struct hash by_inode;              /* by device and number */
	struct file_state *state;          /* file/'s own: pipes, ghosts, links */
};

/*
 * Dump: which descriptors a task has; task->fdinfo has their numbers then, and gets their flags
 * when the task's leader is asked (task/state.h).
 */
int files_list(struct checkpoint *checkpoint, struct task *task);
/*
 * Dump: describes every descriptor of a task, cwd, root and umask; fills in the rest of
 * task->fdinfo, and task->fs.  Runs remote calls.
 */
int files_describe(struct checkpoint *checkpoint, struct task *task);
/*
 * Dump: the regular file, directory or memfd behind fd (any descriptor, O_PATH too; now owned), as
 * something that is not a descriptor: a mapping, cwd, root or executable.  flags: how it has to be
 * opened again (O_RDONLY, O_RDWR, O_PATH...).  Several uses of one inode by one name with the same
 * flags get the same id.  Reports, for `subject`.
 */
int files_describe_path(struct checkpoint *checkpoint, int fd, unsigned int flags,
			struct subject subject, uint32_t *id);
/*
 * Dump, before the mounts are looked at: finds the namespaces that descriptors of the task hold.
 * Reports.
 */
int files_find_namespaces(struct checkpoint *checkpoint, struct task *task);
/* Dump, the end of the survey: what can be told only when everything has been described. */
int files_check(struct checkpoint *checkpoint);
/* Dump, after the survey, while all is frozen: contents.  Then, at any time: files.img. */
int files_store(struct checkpoint *checkpoint);
int files_write(struct checkpoint *checkpoint);

/*
 * Dump: a file or directory without a name that a mount shows, to be stored by files_store() as a
 * ghost.  fd: any descriptor of it, now owned.  Restore: makes it by a path that is free, with all
 * it had.  Both report.
 */
int files_describe_removed(struct checkpoint *checkpoint, int fd, struct subject subject,
			   uint32_t *ghost_id);
int files_make_removed(struct checkpoint *checkpoint, uint32_t ghost_id, const char *path);

/* Restore: reads files.img and what belongs to it. */
int files_read(struct checkpoint *checkpoint);
/* Restore: opens what is not open yet. The descriptor stays the table's. */
int files_open(struct checkpoint *checkpoint, uint32_t id, int *fd);
/*
 * Restore: of the leader of a new session, before it has children of the session, which inherit it:
 * its controlling terminal, if that is one of the checkpoint's.  Runs remote calls.
 */
int files_control(struct checkpoint *checkpoint, struct task *task);
/* Restore: gives the task its descriptors (it holds none but the channel), cwd, root and umask. */
int files_restore(struct checkpoint *checkpoint, struct task *task);
/* Restore: after files_restore() of all tasks: epoll entries, timers, owners, seals. */
int files_finish(struct checkpoint *checkpoint);
/* Restore: when process groups are as they were: the terminal's settings and foreground group. */
int files_foreground(struct checkpoint *checkpoint);
/* Closes all that is open; on a failed restore removes what was created. */
void files_close(struct checkpoint *checkpoint, bool failed);
