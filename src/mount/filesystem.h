/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/report.h"
#include "images/mnt.pb-c.h"
#include "mount/graph.h"
#include "namespace/namespace.h"

struct checkpoint;

/* What is done with an option that the kernel shows of a filesystem. */
enum filesystem_option_use {
	OPTION_VALUE, /* name=value: given back */
	OPTION_FLAG,  /* name: given back */
	OPTION_SHOWN, /* follows from something else, and is no option or a forbidden one */
};

struct filesystem_option {
	const char *name;
	enum filesystem_option_use use;
};

/* A call of fsconfig(2): FSCONFIG_SET_STRING, or FSCONFIG_SET_FLAG without a value. */
struct filesystem_setting {
	const char *name, *value;
};
typedef ARRAY(struct filesystem_setting) filesystem_settings;

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
	enum namespace_kind namespace;           /* the kind of namespace it shows (proc: pid), or
						    NAMESPACE_NONE */
	const struct filesystem_option *options; /* up to one without a name; NULL: any */
	const char *const *names; /* files of the kernel's in its root, up to NULL: only their
				     attributes and the root's are stored; NULL: everything is */

	/* Dump, survey: can it be made again?  Refuses what can't; options are checked already. */
	int (*describe)(struct checkpoint *checkpoint, struct superblock *superblock);
	/* Dump, contents: writes what is in it, reached through superblock->fd. */
	int (*store)(struct checkpoint *checkpoint, struct superblock *superblock);
	/* Restore: fills the new, empty filesystem behind superblock->fd, a writable mount of all
	 * of it. */
	int (*fill)(struct checkpoint *checkpoint, struct superblock *superblock);
	/* Restore, when nothing is made on it any more. */
	int (*seal)(struct checkpoint *checkpoint, struct superblock *superblock);
};

/* The row of a type; NULL: unknown. */
const struct filesystem *filesystem_find(const char *type);
/* The first row with this number in the images; NULL: it names no type. */
const struct filesystem *filesystem_of_image(uint32_t number);

/*
 * Dump, survey, of a filesystem that will be made anew: finds its row, and refuses a type that is
 * neither known nor named by --enable-fs, options that are not understood, and contents that are
 * out of reach.  superblock->options stay as the kernel shows them.
 */
int filesystem_describe(struct checkpoint *checkpoint, struct superblock *superblock);
/* Dump: its contents, if they are part of a checkpoint. */
int filesystem_store(struct checkpoint *checkpoint, struct superblock *superblock);

/*
 * The options and flags of a superblock as calls of fsconfig(2), the source first; what is only
 * shown is left out, and SB_RDONLY if the filesystem has to be filled.  Strings are in the
 * checkpoint's arena; the caller frees the array.  -EOPNOTSUPP with a report: an option is not
 * understood.
 */
int filesystem_settings_of(struct checkpoint *checkpoint, const struct superblock *superblock,
			   filesystem_settings *settings);
/*
 * Do two filesystems of this type have the same options, but for what belongs to the machine
 * (options of a singleton, labels)?
 */
bool filesystem_same_options(const char *type, const char *left, const char *right);

/*
 * Restore: makes the filesystem anew with its options (fsopen, fsconfig, fsmount) and fills it:
 * superblock->fd is a detached mount of all of it.  A superblock that is read-only becomes so in
 * filesystem_seal(). Runs in the namespaces that the filesystem shows (but pid: that of a remote
 * task, see build.c), and where options are paths (overlay), where they lead to the right places.
 * The mount namespace has to be one to throw away: an option longer than the 255 bytes that
 * fsconfig(2) takes needs mount(2), which covers "/" there.
 */
int filesystem_make(struct checkpoint *checkpoint, struct superblock *superblock);
/* Restore: the second half, for a filesystem that others have made: fills superblock->fd. */
int filesystem_fill(struct checkpoint *checkpoint, struct superblock *superblock);
/* Restore, when all files on it are open: flags that would have been in the way (SB_RDONLY), times
 * of directories. */
int filesystem_seal(struct checkpoint *checkpoint, struct superblock *superblock);

/* "tmpfs at /run": for reports. */
struct subject superblock_subject(const struct superblock *superblock);

/*
 * contents_dump.c, contents_restore.c: trees of files in tmpfs and the like, see contents.h.
 *
 * Dump: marks the mounts that show the contents (has_files), so that mounts_reach() opens them; or
 * superblock->fd is opened, a mount of all of it.
 */
void contents_want(struct superblock *superblock);
/* Survey: refuses what is out of reach. */
int contents_describe(struct checkpoint *checkpoint, struct superblock *superblock);
/* Survey: refuses a filesystem that has anything in it but the kernel's own files. */
int contents_refuse(struct checkpoint *checkpoint, struct superblock *superblock);
int contents_store(struct checkpoint *checkpoint, struct superblock *superblock);

int contents_fill(struct checkpoint *checkpoint, struct superblock *superblock);
/*
 * The root of a mount whose root was deleted (root_deleted), by the mount's short id: O_PATH, good
 * until the filesystem is sealed; open_tree(2) clones it with AT_EMPTY_PATH.  -1: there is none.
 */
int contents_deleted(const struct superblock *superblock, uint32_t mount_id);
/* What could not be set before: times of directories, and inode flags. */
int contents_seal(struct checkpoint *checkpoint, struct superblock *superblock);
