/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include "mount/graph.h"
#include "mount/plan.h"

struct checkpoint;
struct task;

/* Mounts of a checkpoint: what dump.c and restore.c call. */
struct mount_state {
	struct mount_graph
		*own; /* dump: of stasis' own namespace, when handle.c has asked for it */
	struct mount_graph *
		graph; /* of all mount namespaces of the tree; NULL: all tasks are in stasis' own */
	struct mount_plan plan;  /* restore */
	struct builder *builder; /* restore: build.c's own */
};

/* ---- dump ---- */

/*
 * Survey, after namespaces_describe(): collects the mounts of all namespaces of the tree, marks
 * external ones, describes the filesystems, and plans the whole, so that what could not be built is
 * found now.  Reports.
 */
int mounts_describe(struct checkpoint *checkpoint);
/* Contents of filesystems. */
int mounts_store(struct checkpoint *checkpoint);
/* mountpoints-ID.img */
int mounts_write(struct checkpoint *checkpoint);

/* ---- restore ---- */

/* Reads the images and finds what comes from outside.  Reports all problems. */
int mounts_read(struct checkpoint *checkpoint);
/* Plans, when it is known which names will be opened (mount_want()).  Reports all problems. */
int mounts_plan(struct checkpoint *checkpoint);
/*
 * Makes the mount namespaces (but late mounts), when the root task, and with it the other
 * namespaces, exist. The namespaces' descriptors (struct namespace) are set.
 */
int mounts_build(struct checkpoint *checkpoint);
/* When all tasks exist: late mounts. */
int mounts_finish(struct checkpoint *checkpoint);
/* When all files are open: superblocks become read-only again, descriptors are closed; the mounts
 * are read back and compared. */
int mounts_verify(struct checkpoint *checkpoint);
void mounts_close(struct checkpoint *checkpoint);

/* ---- files on mounts (place.c) ---- */

/*
 * Dump: the mount that fd is on: NULL if it is in none of the tree's namespaces.  Restore: by the
 * images' id.
 */
struct mount *mount_of_fd(struct checkpoint *checkpoint, int fd);
/* Dump: is fd on a mount of stasis' own namespace? */
bool mount_is_own(struct checkpoint *checkpoint, int fd);
struct mount *mount_by_image_id(struct checkpoint *checkpoint, uint32_t id);
/*
 * Restore: a path by which stasis itself reaches `name` (as in the images: from the root of the
 * mount's namespace) on this very mount, even if it is covered; or, to change the filesystem
 * (ghosts, links), by a mount of the same filesystem that can be written to.  In the arena.  NULL
 * after a report.
 */
/* Restore, before mounts_build(): this name will be opened on the mount. */
void mount_want(struct checkpoint *checkpoint, struct mount *mount, const char *name);
/* Dump: does the name, from the root of the mount's namespace, lead to this file on this mount? */
bool mount_looks_like(struct checkpoint *checkpoint, const struct mount *mount, const char *name,
		      const struct stat *file);
const char *mount_reach(struct checkpoint *checkpoint, struct mount *mount, const char *name,
			bool to_change);

/*
 * Dump: opens (O_PATH) the file of this handle (name_to_handle_at(2)) on a filesystem of this
 * device number, on a mount of the tree or of stasis' own namespace from which it can be seen.  The
 * caller's descriptor, or a negative errno.
 */
int mount_open_handle(struct checkpoint *checkpoint, dev_t device, struct file_handle *handle);

/* ---- images.c ---- */

int mount_images_write(struct checkpoint *checkpoint, const struct mount_graph *graph);
/* Adds the tree of one namespace, from mountpoints-ID.img in the directory, to the graph. */
int mount_image_read(int directory, struct arena *arena, uint32_t id, struct mount_graph *graph);
