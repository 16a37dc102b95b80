/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "images/mnt.pb-c.h"
#include "mount/graph.h"
#include "namespace/namespace.h"

struct checkpoint;

/*
 * A type of filesystem: a row of the table in filesystem.c.  What a type needs beyond options is a
 * file of its own beside it.  Functions return 0 or a negative errno and report what went wrong;
 * any may be missing.
 */
struct filesystem {
	const char *type;
	Fstype image;   /* its number in the images; UNSUPPORTED: by name only (fsname) */
	bool singleton; /* the kernel has one per machine or namespace: mounting it again gives the
			   same */
	bool outside; /* its content is on a device or server: never made anew without an option */
	enum namespace_kind namespace; /* the kind of namespace it shows (proc: pid), or
					  NAMESPACE_NONE */

	/*
	 * Dump, survey: can it be made again?  Refuses what can't (options that are not understood,
	 * state that is out of reach); takes out of superblock->options what the kernel shows but
	 * does not take.
	 */
	int (*describe)(struct checkpoint *checkpoint, struct superblock *superblock);
	/* Dump, contents: writes what is in it, reached through superblock->fd. */
	int (*store)(struct checkpoint *checkpoint, struct superblock *superblock);
	/* Restore: fills the new, empty filesystem behind superblock->fd, a writable mount of all
	 * of it. */
	int (*fill)(struct checkpoint *checkpoint, struct superblock *superblock);
};

/* The row of a type; NULL: unknown. */
const struct filesystem *filesystem_find(const char *type);

/*
 * Restore: makes the filesystem anew with its options (fsopen, fsconfig, fsmount) and fills it:
 * superblock->fd is a detached mount of all of it.  A superblock that is read-only becomes so in
 * filesystem_seal(). Runs in the namespaces that the filesystem shows (but pid: that of a remote
 * task, see build.c).
 */
int filesystem_make(struct checkpoint *checkpoint, struct superblock *superblock);
/* Restore, when all files on it are open: flags that would have been in the way (SB_RDONLY), times
 * of directories. */
int filesystem_seal(struct checkpoint *checkpoint, struct superblock *superblock);

/* contents.c: trees of files in tmpfs and the like: tmpfs-dev-ID.tar.gz.img. */
int contents_store(struct checkpoint *checkpoint, struct superblock *superblock);
int contents_fill(struct checkpoint *checkpoint, struct superblock *superblock);
