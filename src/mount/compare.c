/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/compare.h"

#include <stdlib.h>
#include <string.h>

#include "mount/filesystem.h"
#include "mount/text.h"

struct comparison {
	struct arena *arena;
	mount_differences *differences;
	/* What a superblock, group or namespace of one graph is in the other. */
	struct hash right_of, left_of;
	const struct mount *left, *right; /* the two that are looked at */
};

static void differ(struct comparison *comparison, const char *text)
{
	*array_push(comparison->differences) =
		(struct mount_difference){comparison->left, comparison->right, text};
}

/* A text that should be the same; NULL is none. */
static void compare_text(struct comparison *comparison, const char *what, const char *left,
			 const char *right)
{
	struct arena *arena = comparison->arena;

	left = left ? left : "none";
	right = right ? right : "none";
	if (strcmp(left, right) != 0)
		differ(comparison, arena_printf(arena, "%s: %s instead of %s", what,
						*right ? path_escaped(arena, right) : "nothing",
						*left ? path_escaped(arena, left) : "nothing"));
}

/* Is this the pair that it was before?  *first: there was neither before; now they are one. */
static bool corresponds(struct comparison *comparison, uintptr_t left, uintptr_t right, bool *first)
{
	uintptr_t before = (uintptr_t)hash_get(&comparison->right_of, left);

	*first = !before && !hash_get(&comparison->left_of, right);
	if (!*first)
		return before == right;
	hash_put(&comparison->right_of, left, (void *)right);
	hash_put(&comparison->left_of, right, (void *)left);
	return true;
}

/* ---- a mount ------------------------------------------------------------------------------ */

/* Roots such as "net:[4026531840]".  Namespaces that are made again have other numbers. */
static void compare_namespaces(struct comparison *comparison)
{
	const char *left = comparison->left->root, *right = comparison->right->root;
	size_t kind = strcspn(left, "[");
	bool first;

	if (!left[kind] || strncmp(left, right, kind + 1) != 0)
		compare_text(comparison, "root", left, right);
	else if (!corresponds(comparison, strtoull(left + kind + 1, NULL, 10),
			      strtoull(right + kind + 1, NULL, 10), &first))
		differ(comparison, "root: not the namespace that it is elsewhere");
}

static void compare_root(struct comparison *comparison)
{
	const struct mount *left = comparison->left, *right = comparison->right;

	if (strcmp(left->superblock->type, "nsfs") == 0)
		return compare_namespaces(comparison);
	compare_text(comparison, "root", left->root, right->root);
	if (left->root_deleted != right->root_deleted)
		differ(comparison,
		       right->root_deleted ? "root: it is deleted" : "root: it is not deleted");
}

static void compare_superblocks(struct comparison *comparison)
{
	struct superblock *left = comparison->left->superblock,
			  *right = comparison->right->superblock;
	struct arena *arena = comparison->arena;
	struct superblock same = *right;
	bool first;

	if (!corresponds(comparison, (uintptr_t)left, (uintptr_t)right, &first))
		return differ(comparison, "filesystem: not the one that it is elsewhere");
	if (!first)
		return;
	compare_text(comparison, "filesystem", superblock_type_text(arena, left),
		     superblock_type_text(arena, right));
	if (filesystem_same_options(left->type, left->options, right->options))
		same.options = left->options;
	compare_text(comparison, "options", superblock_options_text(arena, left),
		     superblock_options_text(arena, &same));
}

/* Groups that have members here are compared by who is in them. */
static void compare_group(struct comparison *comparison, const char *what,
			  const struct peer_group *left, const struct peer_group *right)
{
	bool first;

	if (!left && !right)
		return;
	if (!left || !right)
		return differ(comparison, arena_printf(comparison->arena, "%s: %s", what,
						       right ? "it has one" : "it has none"));
	if (!left->members && !right->members)
		return;
	if (!corresponds(comparison, (uintptr_t)left, (uintptr_t)right, &first))
		differ(comparison,
		       arena_printf(comparison->arena, "%s: other mounts are in it", what));
	else if (first && left->outside != right->outside)
		differ(comparison, arena_printf(comparison->arena,
						"%s: %s mounts outside of the tree are in it", what,
						right->outside ? "also" : "no"));
}

static void compare_mounts(struct comparison *comparison)
{
	const struct mount *left = comparison->left, *right = comparison->right;
	struct arena *arena = comparison->arena;

	/* What is given from outside may be another filesystem now. */
	if (!left->superblock->providers.count) {
		compare_root(comparison);
		compare_superblocks(comparison);
		compare_text(comparison, "source", mount_source_text(left),
			     mount_source_text(right));
	}
	compare_text(comparison, "attributes", mount_attributes_text(arena, left),
		     mount_attributes_text(arena, right));
	compare_text(comparison, "user ids", left->uid_map, right->uid_map);
	compare_text(comparison, "group ids", left->gid_map, right->gid_map);
	compare_group(comparison, "peer group", left->group, right->group);
	compare_group(comparison, "master", left->master, right->master);
	if (left->unbindable != right->unbindable)
		differ(comparison, right->unbindable ? "it is unbindable" : "it is not unbindable");
}

/* ---- trees -------------------------------------------------------------------------------- */

struct pair {
	const struct mount *left, *right;
};
typedef ARRAY(struct pair) pairs;

static size_t count_below(const struct mount *mount)
{
	ARRAY(const struct mount *) mounts = {0};
	size_t count = 0;

	for (;;) {
		for (size_t i = 0; i < mount->child_count; i++)
			*array_push(&mounts) = mount->children[i];
		if (count == mounts.count)
			break;
		mount = mounts.items[count++];
	}
	array_free(&mounts);
	return count;
}

static void only_one(struct comparison *comparison, const struct mount *left,
		     const struct mount *right)
{
	size_t below = count_below(left ? left : right);
	const char *what = left ? "it is missing" : "it is one too many";

	comparison->left = left;
	comparison->right = right;
	differ(comparison,
	       below ? arena_printf(comparison->arena, "%s, with %zu below it", what, below)
		     : what);
}

/* Children are sorted: those at the same place are pairs. */
static void pair_children(struct comparison *comparison, struct pair parents, pairs *queue)
{
	size_t l = 0, r = 0;

	while (l < parents.left->child_count || r < parents.right->child_count) {
		const struct mount *left = NULL, *right = NULL;
		int order = 0;

		if (l < parents.left->child_count)
			left = parents.left->children[l];
		if (r < parents.right->child_count)
			right = parents.right->children[r];
		if (left && right)
			order = strcmp(left->mountpoint, right->mountpoint);
		if (order < 0 || !right)
			only_one(comparison, left, NULL);
		else if (order > 0 || !left)
			only_one(comparison, NULL, right);
		else
			*array_push(queue) = (struct pair){left, right};
		l += left && order <= 0;
		r += right && order >= 0;
	}
}

static void compare_trees(struct comparison *comparison, const struct mount_tree *left,
			  const struct mount_tree *right)
{
	pairs queue = {0};

	*array_push(&queue) = (struct pair){left->root, right->root};
	for (size_t i = 0; i < queue.count; i++) {
		struct pair pair = queue.items[i];

		comparison->left = pair.left;
		comparison->right = pair.right;
		compare_mounts(comparison);
		pair_children(comparison, pair, &queue);
	}
	array_free(&queue);
}

void graphs_compare(const struct mount_graph *left, const struct mount_graph *right,
		    mount_differences *differences)
{
	struct comparison comparison = {.arena = left->arena, .differences = differences};

	for (size_t i = 0; i < left->trees.count || i < right->trees.count; i++) {
		if (i >= right->trees.count)
			only_one(&comparison, left->trees.items[i]->root, NULL);
		else if (i >= left->trees.count)
			only_one(&comparison, NULL, right->trees.items[i]->root);
		else
			compare_trees(&comparison, left->trees.items[i], right->trees.items[i]);
	}
	hash_free(&comparison.right_of);
	hash_free(&comparison.left_of);
}
