/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "mount/graph.h"

/* A mount as a kernel tells it, on its way into the graph.  Strings are the reader's. */
struct mount_record {
	struct mount
		mount; /* ids, root, path, attributes, id maps (kept, not copied), unbindable */
	uint64_t parent;
	int group, master;
	dev_t device;
	const char *type, *subtype, *source; /* NULL: none */
	char *options;                       /* the filesystem's; can be changed */
	unsigned int flags;                  /* SB_* */
};

/* Adds it to the tree; copies what it keeps.  A root's "//deleted" becomes root_deleted. */
void record_add(struct mount_graph *graph, struct mount_tree *tree,
		const struct mount_record *record);

/* mountinfo.c: adds all lines of a mountinfo file; reports.  graph_finish() is left to the caller.
 */
int mountinfo_add(struct mount_graph *graph, struct mount_tree *tree, const char *text, size_t size,
		  const char *what);
