/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "mount/graph.h"

/*
 * The plan: how a mount graph is built, as a list of steps on numbered *nodes*.  A node is a mount
 * that the builder holds by a descriptor: one of the graph, or a helper that goes away (a source
 * of clones, the first member of a peer group).  Planning is pure: no kernel, no root, and the same
 * graph always gives the same plan.
 *
 * Rules of the kernel that the order of steps follows (measured in
 * shared/experiments/mount_assembly.c):
 * - A clone of a shared mount is its peer, a clone of a slave has its master.
 * - Attaching to a shared mount is propagated: a mount joins its group only when all its children
 * are attached.
 * - Siblings are attached deepest mountpoint first, so that no path to a mountpoint strays into a
 * sibling.
 * - MOVE_MOUNT_SET_GROUP gives a private mount all the sharing of another (group and master), if
 * both are of one superblock and the root of the other contains that of the mount.
 * - A mount made slave leaves its group, and receives from it; the group must have another member.
 * - A mount can't be unbindable and shared or a slave.
 *
 * The order that comes out: the roots of all trees, in the graph's order (a bind of a mount
 * namespace's file must be in an older namespace), then trees from the top down.  A mount is done,
 * and closed, when its last child is attached; of its children the largest subtree is built last,
 * when it is closed already.  So, of n mounts, few more than 2 log2(n) are open at once, and those
 * that others still have to join or to be cloned from.
 */
enum plan_step_kind {
	PLAN_SOURCE, /* node: a private mount of the whole superblock, made anew, with its contents
		      */
	PLAN_CLONE,  /* node: a clone of node `other`, or of the provider, with the root `path`;
			private, if it was not.  nsfs: of neither, path is the root: "net:[...]" */
	PLAN_CLONE_PEER, /* the same, but it keeps the sharing of what it is cloned from */
	PLAN_ATTRIBUTES, /* the node gets its mount's attributes and id map; it is in no tree yet */
	PLAN_ROOT,       /* the node becomes the root of its mount's tree, a new namespace */
	PLAN_MOUNTPOINT, /* mounts of a later phase: node: the place where its mount will be
			    attached on node `other` at `path`, held open */
	PLAN_ATTACH,     /* the node is attached on node `other` at `path`, or on the mountpoint
			    that is held for it */
	PLAN_JOIN,       /* the node, private until now, gets the sharing of node `other` */
	PLAN_SLAVE,      /* the node becomes a slave of the group it is in */
	PLAN_SHARE, /* the node becomes shared: the first of a new group; it keeps its master */
	PLAN_UNBINDABLE, /* the node becomes unbindable */
	PLAN_KEEP,       /* the node's descriptor becomes its mount's (has_files) */
	PLAN_CLOSE, /* the node's descriptor is closed: a helper that is attached nowhere is gone */
};

struct plan_step {
	enum plan_step_kind kind;
	uint32_t node, other; /* other: 0: none (nodes count from 1) */
	bool deleted; /* PLAN_CLONE: there is no such path any more: it is what contents_deleted()
			 has of the mount, or made, cloned, and deleted again */
	struct superblock *superblock;   /* PLAN_SOURCE, PLAN_CLONE* */
	const struct provider *provider; /* PLAN_CLONE*: instead of other; or NULL */
	struct mount *mount;             /* which the node is, or NULL: a helper */
	const char *path; /* PLAN_CLONE*: the root, from the root of what is cloned; PLAN_ATTACH,
			     PLAN_MOUNTPOINT; without leading '/' */
};

struct mount_plan {
	ARRAY(struct plan_step) steps;
	size_t late;    /* steps from this one on wait until all tasks exist */
	uint32_t nodes; /* the highest number */
};

/*
 * Plans the whole graph.  Each superblock is made anew unless it has providers.  Reports every
 * mount that cannot be built, with the reason and the option that would help; 0 or a negative
 * errno.  Linear.  Paths are those of the graph.
 */
int plan_make(struct mount_graph *graph, struct mount_plan *plan);
void plan_free(struct mount_plan *plan);
/* One line for one step, as `stasis mounts --plan` prints it; in the arena. */
const char *plan_step_text(struct arena *arena, const struct plan_step *step);
