/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/record.h"

#include <string.h>

static const char *copy(struct mount_graph *graph, const char *text)
{
	return text ? arena_strdup(graph->arena, text) : NULL;
}

static const char *copy_root(struct mount_graph *graph, const char *root, bool *deleted)
{
	static const char suffix[] = "//deleted"; /* no name has a slash in it */
	size_t length = strlen(root), end = sizeof(suffix) - 1;

	if (strcmp(root, "/") == 0)
		return "/";
	if (length > end && strcmp(root + length - end, suffix) == 0) {
		*deleted = true;
		length -= end;
	}
	return strncpy(arena_alloc(graph->arena, length + 1), root, length);
}

/* btrfs shows there, behind its own options, which root the mount has. */
static const char *copy_options(struct mount_graph *graph, const struct mount_record *record)
{
	char *root =
		strcmp(record->type, "btrfs") == 0 ? strstr(record->options, "subvolid=") : NULL;

	if (root)
		root[root > record->options ? -1 : 0] = 0;
	return copy(graph, record->options);
}

void record_add(struct mount_graph *graph, struct mount_tree *tree,
		const struct mount_record *record)
{
	struct superblock *superblock = graph_superblock(graph, record->device, record->type);
	struct mount mount = record->mount;

	if (!superblock->mounts) {
		superblock->subtype = copy(graph, record->subtype);
		superblock->source = copy(graph, record->source);
		superblock->options = copy_options(graph, record);
		superblock->flags = record->flags;
	} else if (strcmp(record->source ?: "none", superblock->source ?: "none")) {
		mount.source = copy(graph, record->source ?: "none"); /* what mountinfo shows */
	}
	mount.superblock = superblock;
	mount.root = copy_root(graph, mount.root, &mount.root_deleted);
	mount.path = copy(graph, mount.path);
	mount.group = graph_group(graph, record->group);
	mount.master = graph_group(graph, record->master);
	graph_add_mount(graph, tree, &mount, record->parent);
}
