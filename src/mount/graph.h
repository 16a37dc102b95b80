/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/hash.h"

struct filesystem;
struct namespace;
struct place;

/*
 * The mount graph: what the kernel knows of mounts, as a plain data model.  It is collected from a
 * kernel (collect.c) or read from images (images.c), planned (plan.c), built (build.c) and compared
 * (compare.c).  Everything in it is in the graph's arena; paths are raw bytes without escapes.
 */

/* A filesystem instance; several mounts can show it. */
struct superblock {
	uint32_t id; /* 1, 2, ... in the graph */
	dev_t device;
	const char *type, *subtype; /* "fuse", "sshfs"; subtype: NULL mostly */
	const char *source;         /* what was mounted: "/dev/vda", "tmpfs"; NULL: nothing */
	const char *options;  /* the filesystem's own, comma separated as mountinfo has them; "" */
	unsigned int flags;   /* SB_*: the bits of mount(2) that are the superblock's */
	uint64_t fsid;        /* statfs(2)'s f_fsid; 0: none, or not known */
	struct mount *mounts; /* by next_of_superblock */

	const struct filesystem
		*filesystem;              /* its type's row in filesystem.c; NULL: unknown type */
	ARRAY(struct provider) providers; /* where it is taken from when it is not made anew */
	bool machine; /* it is the machine's: stasis' own namespace has it mounted, too */
	bool anew;    /* an option lets it be made anew though its content is outside (--external
			 dev[],
			 --enable-fs) */
	bool late;    /* restore: it can be made only when all tasks exist (proc of an inner pid
			 namespace) */
	const char *device_key; /* --external dev[]: the name that a restore gives the device by */
	uint32_t pid_namespace; /* proc: the id of the one it shows; 0: stasis' own */
	unsigned int phase; /* restore: it can be made only when the mounts of lower phases are in
			       place (1: overlayfs whose layers are on such of phase 0) */
	int fd; /* dump: a directory or file on it; restore: a mount of all of it, see build.c; or
		   -1 */
	void *state;                       /* the filesystem's own */
	struct superblock *next_of_device; /* of the same device; two types: only in a bad image */
};

/*
 * Something outside of the tree that a mount can be cloned from: external mounts, the new root.
 * A mount with a key (mount->external) is a clone of the provider of its superblock with that key,
 * as a whole; any other mount of any provider whose root contains its own.
 */
struct provider {
	const char *root; /* its root in the filesystem, as the graph has it: an external mount's is
			     that mount's */
	const char *name; /* for messages and plans: "--root /srv/x", "mnt[key]" */
	const char *key;  /* of the external mount; or NULL */
	struct peer_group *group; /* the outside group that it is a member of; or NULL */
	int home; /* restore: the mount namespace in which that can be cloned again; or -1: stasis'
		     own */
	int fd;   /* restore: a detached clone of it that is still in its group; or -1 */
};

/*
 * Mounts that tell each other of what is mounted on them.  A group whose members are all outside
 * of the graph is there as a master only.
 */
struct peer_group {
	int id;                    /* as mountinfo has it; image and kernel differ */
	struct peer_group *master; /* the group it receives from; or NULL */
	struct mount *members;     /* by next_of_group */
	bool outside;              /* has members that are not in the graph */
	bool visited;              /* for walks of the planner and others; false between them */
	uint64_t walk;             /* graph_finish()'s own */
};

struct mount {
	uint64_t id;       /* the 64-bit unique id where the kernel has it, else short_id */
	uint32_t short_id; /* as in mountinfo, fdinfo and the images; can be used again */
	struct mount_tree *tree;
	uint64_t parent_id;   /* may be of a mount that is in no tree */
	struct mount *parent; /* NULL: the tree's root */
	struct superblock *superblock;
	const char *source; /* what was mounted, if not the superblock's source; or NULL */
	const char *root;   /* in the filesystem: "/", "/a/b"; nsfs: "net:[4026531840]" */
	bool root_deleted;  /* there is no such name any more; root is what it was */
	const char
		*mountpoint; /* on the parent, from the parent's root: "a/b"; "": the root itself */
	const char *path;    /* from the root of the namespace: "/x/a/b"; what messages print */
	unsigned int attributes;       /* MOUNT_ATTR_* but MOUNT_ATTR_IDMAP */
	const char *uid_map, *gid_map; /* id mapped: "0 1000 1\n..." as in /proc/PID/uid_map; "":
					  the kernel does not tell (before 6.15); or NULL */
	struct peer_group *group;      /* shared: its peers; or NULL */
	struct peer_group
		*master; /* slave: who it receives from; the group's master if it is shared */
	bool unbindable;
	const char *external; /* key by which it is given from outside; or NULL */
	bool skipped;         /* dump: --skip-mnt leaves it out */
	uint32_t shown_id;    /* nsfs: the id of the namespace, */
	int shown_flag;       /* and its kind, CLONE_NEW* */
	uint32_t ghost_id;    /* root_deleted: what it shows, in ghost-file-ID.img; 0: not stored */
	struct place *places; /* restore: place.c's own */
	bool has_files;       /* restore: its descriptor is kept for what is open on it */
	int fd;               /* restore: its root, O_PATH, if has_files and it is built; or -1 */

	struct mount **children; /* by mountpoint, as strcmp() orders */
	size_t child_count;
	struct mount *next_of_superblock, *next_of_group;
	void *state; /* the planner's own while it plans */
};

/* A mount namespace. */
struct mount_tree {
	uint32_t id;                 /* of the namespace in the images */
	struct namespace *namespace; /* or NULL: collected for `stasis mounts` */
	struct mount *root;
	ARRAY(struct mount *) mounts; /* parents before children, siblings in their order */
	int copy;                     /* reach.c: the copy of the namespace that covered mounts were
					 opened in; 0: none */
	const struct mount *wrong;    /* graph_add_mount()'s own: what graph_finish() reports, */
	const char *why;              /* and why */
};

struct mount_graph {
	struct arena *arena;
	ARRAY(struct mount_tree *) trees;
	ARRAY(struct superblock *) superblocks;
	ARRAY(struct peer_group *) groups;
	struct hash by_id;       /* mount.id -> mount */
	struct hash by_short_id; /* mount.short_id -> mount */
	struct hash by_device;   /* superblock */
	struct hash by_group;    /* peer_group.id -> peer_group */
	struct hash own_groups;  /* collect.c: by id, those that stasis' own namespace is in */
	bool own_groups_known;
	uint64_t walks; /* graph_finish()'s own */
};

/* An empty graph; frees: graph_free() its tables, the arena the rest. */
struct mount_graph *graph_new(struct arena *arena);
void graph_free(struct mount_graph *graph);

struct mount_tree *graph_add_tree(struct mount_graph *graph, uint32_t id);
/* The superblock of this device and type, added if it is new (then with nothing else set). */
struct superblock *graph_superblock(struct mount_graph *graph, dev_t device, const char *type);
/* The group of this id, added if it is new; NULL for 0. */
struct peer_group *graph_group(struct mount_graph *graph, int id);
/*
 * Adds a copy of the values: all but tree, parent and what graph_finish() sets.  Of path and
 * mountpoint one is set, graph_finish() computes the other.  It is linked to its superblock and
 * groups; a shared mount's master becomes its group's.  parent: an id, not a short one.  Strings
 * have to live as long as the graph.
 */
struct mount *graph_add_mount(struct mount_graph *graph, struct mount_tree *tree,
			      const struct mount *values, uint64_t parent);
/*
 * When all mounts of a tree are added: parents, children, the order, paths.  A mount whose parent
 * is not in the tree is its root: there must be one.  Checks what a hostile image could have
 * wrong: cycles of mounts or masters, ids and places that come twice, peers with different
 * masters.  0 or -EBADMSG with a report about `what`.
 */
int graph_finish(struct mount_graph *graph, struct mount_tree *tree, const char *what);

/* Does the directory `outer` contain `inner` (both from "/"), or are they the same? */
bool path_contains(const char *outer, const char *inner);
/* outer and below as one path; below: without leading '/', "" for nothing. */
const char *path_join(struct arena *arena, const char *outer, const char *below);
/* What is left of inner below outer, without a leading '/'; "" if they are the same.  outer
 * contains inner. */
const char *path_below(const char *outer, const char *inner);
/* A path or name as mountinfo and messages print it, in the arena: \040 and the like for odd bytes.
 */
const char *path_escaped(struct arena *arena, const char *path);
