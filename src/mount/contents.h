/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <limits.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/report.h"
#include "mount/graph.h"

/*
 * Contents of filesystems that have them in memory: a pax archive in tmpfs-dev-ID.tar.gz.img, which
 * contents_dump.c writes and contents_restore.c reads.  What pax has no word for is an extended
 * attribute whose name begins with "stasis.", which no filesystem takes:
 *
 *	stasis.type	"socket": tar has none, the entry is an empty file
 *	stasis.flags	flags of the inode as FS_IOC_GETFLAGS has them, in hexadecimal
 *	stasis.deleted	"12,34": it has no name any more, and is the root of these mounts
 *	stasis.x.HEX	an extended attribute whose name has bytes that pax does not take
 *
 * Files come in the order they were made, the deleted first.
 */
#define OWN_ATTRIBUTE     "stasis."
#define TYPE_ATTRIBUTE    OWN_ATTRIBUTE "type"
#define FLAGS_ATTRIBUTE   OWN_ATTRIBUTE "flags"
#define DELETED_ATTRIBUTE OWN_ATTRIBUTE "deleted"
#define NAME_ATTRIBUTE    OWN_ATTRIBUTE "x."

enum {
	CONTENTS_BUFFER = 1 << 20,
	/* chattr(1) flags that filesystems in memory keep. */
	CONTENTS_FLAGS =
		FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_CASEFOLD_FL,
};

/* A path from the root of a filesystem, without a first '/', that grows and shrinks at its end. */
struct path {
	char *text; /* NULL: nothing was ever added */
	size_t length, room;
};

void path_cut(struct path *path, size_t length);
/* Adds bytes, behind a '/' if there is something already. */
void path_add(struct path *path, const char *name, size_t size);
/* The length of what it has in common with another path, in whole names. */
size_t path_common(const struct path *path, const char *other, size_t length);

/* "/proc/self/fd/5/name"; NULL: without a name. */
typedef char fd_path[64 + NAME_MAX];
const char *path_of_fd(int fd, const char *name, fd_path path);

/* The kernel's own number of the device, by which CRIU names the image. */
unsigned long contents_id(const struct superblock *superblock);
/* "tmpfs at /run, file a/b" */
struct subject contents_subject(const struct superblock *superblock, const struct path *path);
/* Is it among names, which end with NULL? */
bool contents_listed(const char *const *names, const char *name);
