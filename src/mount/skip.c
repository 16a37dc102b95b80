/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --skip-mnt: mounts that are left out of a dump. */
#include <errno.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "mount/external.h"

/* Whether an option names the mount; *used[] are those that named any. */
static bool is_named(const struct string_list *list, const struct mount *mount, bool *used)
{
	bool named = false;

	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->items[i], mount->path))
			used[i] = named = true;
	return named;
}

/* Parents come first: what is on a mount that is skipped is skipped with it. */
static void mark(struct mount_graph *graph, const struct string_list *list, bool *used)
{
	array_each (&graph->trees, tree)
		array_each (&(*tree)->mounts, each) {
			struct mount *mount = *each;

			mount->skipped = mount->parent &&
					 (mount->parent->skipped || is_named(list, mount, used));
		}
}

static size_t keep(struct mount **mounts, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (!mounts[i]->skipped)
			mounts[kept++] = mounts[i];
	return kept;
}

static void take_out(struct mount_graph *graph)
{
	size_t kept = 0;

	array_each (&graph->trees, tree) {
		array_each (&(*tree)->mounts, mount)
			(*mount)->child_count = keep((*mount)->children, (*mount)->child_count);
		(*tree)->mounts.count = keep((*tree)->mounts.items, (*tree)->mounts.count);
	}
	array_each (&graph->groups, group)
		for (struct mount **list = &(*group)->members; *list;)
			if ((*list)->skipped)
				*list = (*list)->next_of_group;
			else
				list = &(*list)->next_of_group;
	array_each (&graph->superblocks, superblock) {
		for (struct mount **list = &(*superblock)->mounts; *list;)
			if ((*list)->skipped)
				*list = (*list)->next_of_superblock;
			else
				list = &(*list)->next_of_superblock;
		if ((*superblock)->mounts)
			graph->superblocks.items[kept++] = *superblock;
	}
	graph->superblocks.count = kept;
}

/* Paths of mounts that can be skipped, one after the other. */
struct paths {
	struct mount_graph *graph;
	size_t tree, mount;
};

static const char *next_path(void *state)
{
	struct paths *paths = state;

	for (; paths->tree < paths->graph->trees.count; paths->tree++, paths->mount = 0) {
		struct mount_tree *tree = paths->graph->trees.items[paths->tree];

		while (paths->mount < tree->mounts.count) {
			struct mount *mount = tree->mounts.items[paths->mount++];

			if (mount->parent)
				return path_escaped(paths->graph->arena, mount->path);
		}
	}
	return NULL;
}

int mounts_skip(struct checkpoint *checkpoint)
{
	const struct string_list *list = &checkpoint->options->skip_mounts;
	struct mount_graph *graph = checkpoint->mounts.graph;
	bool *used = arena_new_array(checkpoint->arena, bool, list->count);
	int result = 0;

	if (!list->count)
		return 0;
	mark(graph, list, used);
	for (size_t i = 0; i < list->count; i++)
		if (!used[i])
			result = external_unknown(checkpoint,
						  SUBJECT("--skip-mnt %s", list->items[i]), "mount",
						  next_path, &(struct paths){.graph = graph});
	take_out(graph);
	return result;
}
