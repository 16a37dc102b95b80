/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "mount/graph.h"
#include "mount/plan.h"

struct checkpoint;

/* A mount that the builder holds while the plan goes on. */
struct node {
	int fd;                    /* or -1 */
	int place;                 /* late mounts: the mountpoint, held open; or -1 */
	struct superblock *source; /* the first mount of it, or NULL */
	bool sealed;               /* the source's filesystem is complete */
	bool lent;                 /* the descriptor is the superblock's and stays with it */
	bool shares;               /* it may be shared, or a slave */
};

struct builder {
	struct checkpoint *checkpoint;
	const struct mount_plan *plan;
	struct node *nodes;        /* by number */
	int proc;                  /* /proc as stasis sees it, */
	pid_t host;                /* and stasis itself */
	int workshop;              /* the namespace that trees are copies of: one empty tmpfs */
	struct mount_tree *inside; /* the tree that the process is in; NULL: another namespace */
	ARRAY(char *) removed;     /* paths by which what was removed is to be seen meanwhile */
	const char *doing;         /* for the report: what is done and can fail */
	struct id_map *all_id_maps;
	struct hash id_maps; /* idmap.c's own: hash of the maps -> descriptor */
};

/* For the checkpoint's plan. */
struct builder *builder_new(struct checkpoint *checkpoint);
/*
 * Runs the steps of the plan from `first` to before `end`.  0 or a negative errno with a report:
 * then nothing is left of it when the descriptors are closed.
 */
int build_steps(struct builder *builder, size_t first, size_t end);
/* When all is attached: removes again what was made to be attached only.  Reports. */
int builder_remove(struct builder *builder);
/* Closes the descriptors that are not the mounts' or superblocks'. */
void builder_close(struct builder *builder);

/* ---- idmap.c ---- */

/*
 * Makes a user namespace with the id maps of the mount, once for all mounts that have the same; it
 * forks.  Reports.
 */
int id_map_prepare(struct builder *builder, const struct mount *mount);
/* Its descriptor, for MOUNT_ATTR_IDMAP. */
int id_map_of(const struct builder *builder, const struct mount *mount);
void id_maps_close(struct builder *builder);
