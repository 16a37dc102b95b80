/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <asm/termbits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/hash.h"
#include "images/tty.pb-c.h"

struct checkpoint;
struct description;
struct task;

/* Terminals; shared by tty.c, tty_outside.c, pty.c and pty_content.c only. */

/* Documentation/admin-guide/devices.txt */
enum { VT_MAJOR = 4, TTY_MAJOR = 5, PTS_MAJOR = 136, PTS_LAST_MAJOR = 143 };
enum { CTTY_MINOR = 0, PTMX_MINOR = 2, FIRST_SERIAL_MINOR = 64 };

/* A pseudo terminal whose master is in the tree. */
struct pair {
	TtyInfoEntry *master, *slave;
	TtyDataEntry *output, *input; /* what the master and the slave can read, or NULL */
	struct description *file;     /* the master's; restore: NULL until it is found */
	/* Restore: where it was: pairs are made in this order. */
	uint64_t place;
	ARRAY(uint32_t) without; /* dump: tasks of the session that have given it up */
	int held;                /* the slave, held by stasis until all is as it was, or -1 */
};

/* What description->state is of a terminal. */
struct terminal {
	TtyInfoEntry *info;
	struct pair *pair;        /* NULL: it comes from outside */
	struct description *path; /* of its name */
};

struct tty_state {
	ARRAY(TtyInfoEntry *) infos;
	struct hash by_id;
	ARRAY(struct pair *) pairs;
	struct hash by_place;   /* pairs by device and index */
	struct hash by_info;    /* restore: pairs by the ids of their entries */
	struct hash by_session; /* pairs by the session they control */
	dev_t outside;          /* dump: the one terminal from outside there may be; 0: none yet */
	int own;                /* restore: stasis' own terminal, */
	bool opened;            /* if it has been opened, */
	bool made;              /* and whether the pairs have been made */
};

/* ---- tty.c ---- */

struct tty_state *tty_state(struct checkpoint *checkpoint);
bool tty_is_pts(dev_t device);
bool tty_is_controlling(dev_t device);
/* Dump: a new entry of tty-info.img, with what fd tells; stat: the terminal's node.  Reports. */
TtyInfoEntry *tty_describe(struct checkpoint *checkpoint, const struct description *description,
			   const struct stat *stat);
/* Restore: the settings of an entry on top of those that fd has now.  0 or a negative errno. */
int tty_settings(int fd, const TermiosEntry *entry, struct termios2 *termios);

/* ---- tty_outside.c ---- */

/* Dump: refuses a terminal that is not the one a shell gave to the tree. */
int outside_describe(struct checkpoint *checkpoint, struct description *description);
int outside_read(struct checkpoint *checkpoint, struct description *description);
int outside_make(struct checkpoint *checkpoint, struct description *description);
int outside_foreground(struct checkpoint *checkpoint);

/* ---- pty.c ---- */

/* Dump: a master, which makes a pair known. */
int pair_describe(struct checkpoint *checkpoint, struct description *description);
/* Dump: the pair whose slave this is, or NULL. */
struct pair *pair_of(struct checkpoint *checkpoint, const struct description *description);
int pair_join(struct checkpoint *checkpoint, struct description *description, struct pair *pair);
/* Dump: controlling terminals; contents. */
int pairs_check(struct checkpoint *checkpoint);
int pairs_store(struct checkpoint *checkpoint);
/* Restore: makes pairs of the entries that belong together, with their contents. */
int pairs_read(struct checkpoint *checkpoint);
/* Restore: makes them all, and opens all that is open of them. */
int pairs_make(struct checkpoint *checkpoint);
int pairs_foreground(struct checkpoint *checkpoint);
void pairs_close(struct checkpoint *checkpoint);

/* ---- pty_content.c: what has not been read yet ---- */

enum { PTY_CONTENT_MOST = 16384, PTY_LINES_MOST = 4096, PTY_LINES_FULL = 3000 };

struct pty_content {
	size_t output_size, input_size, line_count;
	unsigned char output[PTY_CONTENT_MOST], input[PTY_CONTENT_MOST];
	uint32_t line_ends[PTY_LINES_MOST]; /* see images/tty.proto */
	int stopped;                        /* TTY_STOP__*, or 0 */
	int error;                          /* a negative errno */
};

/*
 * Nothing but reading tells what can be read of a terminal: takes it, and puts it back.  slave must
 * be non-blocking, nobody else may use the pair.  0 or a negative errno.
 */
int pty_take(int master, int slave, struct pty_content *content);
/* Puts it in; the pair, which was empty, has these settings afterwards. */
int pty_put(int master, int slave, const struct pty_content *content,
	    const struct termios2 *termios);
