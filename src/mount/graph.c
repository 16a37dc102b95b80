/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "base/text.h"

struct mount_graph *graph_new(struct arena *arena)
{
	struct mount_graph *graph = arena_new_object(arena, struct mount_graph);

	graph->arena = arena;
	return graph;
}

void graph_free(struct mount_graph *graph)
{
	if (!graph)
		return;
	array_each (&graph->trees, tree)
		array_free(&(*tree)->mounts);
	array_each (&graph->superblocks, superblock)
		array_free(&(*superblock)->providers);
	array_free(&graph->trees);
	array_free(&graph->superblocks);
	array_free(&graph->groups);
	hash_free(&graph->by_id);
	hash_free(&graph->by_short_id);
	hash_free(&graph->by_device);
	hash_free(&graph->by_group);
	hash_free(&graph->own_groups);
}

struct mount_tree *graph_add_tree(struct mount_graph *graph, uint32_t id)
{
	struct mount_tree *tree = arena_new_object(graph->arena, struct mount_tree);

	tree->id = id;
	*array_push(&graph->trees) = tree;
	return tree;
}

struct superblock *graph_superblock(struct mount_graph *graph, dev_t device, const char *type)
{
	struct superblock *first = hash_get(&graph->by_device, device), *superblock;

	for (superblock = first; superblock; superblock = superblock->next_of_device)
		if (strcmp(superblock->type, type) == 0)
			return superblock;
	superblock = arena_new_object(graph->arena, struct superblock);
	superblock->device = device;
	superblock->type = arena_strdup(graph->arena, type);
	superblock->options = "";
	superblock->fd = -1;
	superblock->next_of_device = first;
	*array_push(&graph->superblocks) = superblock;
	superblock->id = graph->superblocks.count;
	hash_put(&graph->by_device, device, superblock);
	return superblock;
}

struct peer_group *graph_group(struct mount_graph *graph, int id)
{
	struct peer_group *group;

	if (!id)
		return NULL;
	group = hash_get(&graph->by_group, id);
	if (group)
		return group;
	group = arena_new_object(graph->arena, struct peer_group);
	group->id = id;
	*array_push(&graph->groups) = group;
	hash_put(&graph->by_group, id, group);
	return group;
}

static void wrong(struct mount_tree *tree, const struct mount *mount, const char *why)
{
	if (tree->wrong)
		return;
	tree->wrong = mount;
	tree->why = why;
}

static void join_group(struct mount_tree *tree, struct mount *mount)
{
	struct peer_group *group = mount->group;

	if (!group)
		return;
	if (mount->unbindable)
		wrong(tree, mount, "it is shared and unbindable");
	if (!group->members)
		group->master = mount->master;
	else if (group->master != mount->master)
		wrong(tree, mount, "its peers have another master");
	mount->next_of_group = group->members;
	group->members = mount;
}

struct mount *graph_add_mount(struct mount_graph *graph, struct mount_tree *tree,
			      const struct mount *values, uint64_t parent)
{
	struct mount *mount = arena_copy(graph->arena, values, sizeof(*values));

	mount->tree = tree;
	mount->parent_id = parent;
	mount->fd = -1;
	if (!mount->superblock || !mount->root || (!mount->path && !mount->mountpoint))
		wrong(tree, mount, "it is incomplete");
	if (hash_put(&graph->by_id, mount->id, mount) ||
	    hash_put(&graph->by_short_id, mount->short_id, mount))
		wrong(tree, mount, "its id comes twice");
	if (mount->superblock) {
		mount->next_of_superblock = mount->superblock->mounts;
		mount->superblock->mounts = mount;
	}
	join_group(tree, mount);
	*array_push(&tree->mounts) = mount;
	return mount;
}

/* ---- finishing ---------------------------------------------------------------------------- */

static const char *shown_path(struct mount_graph *graph, const struct mount *mount)
{
	const char *path = mount->path ? mount->path : mount->mountpoint;

	return path ? path_escaped(graph->arena, path) : "?";
}

static int bad(struct mount_graph *graph, const char *what, const struct mount *mount,
	       const char *why)
{
	return FAIL(EBADMSG,
		    SUBJECT("%s, mount %u (%s)", what, mount->short_id, shown_path(graph, mount)),
		    NULL, "%s", why);
}

static int find_parents(struct mount_graph *graph, struct mount_tree *tree, const char *what)
{
	tree->root = NULL;
	array_each (&tree->mounts, item) {
		struct mount *mount = *item, *parent = hash_get(&graph->by_id, mount->parent_id);

		if (parent == mount || (parent && parent->tree != tree))
			parent = NULL;
		mount->parent = parent;
		mount->child_count = 0;
		if (!parent && tree->root)
			return bad(graph, what, mount, "its parent is not in the tree");
		if (!parent)
			tree->root = mount;
	}
	if (!tree->root)
		return FAIL(EBADMSG, SUBJECT("%s", what), NULL, "no mount is the root of the tree");
	return 0;
}

static void find_children(struct mount_graph *graph, struct mount_tree *tree)
{
	array_each (&tree->mounts, mount)
		if ((*mount)->parent)
			(*mount)->parent->child_count++;
	array_each (&tree->mounts, mount) {
		(*mount)->children =
			arena_new_array(graph->arena, struct mount *, (*mount)->child_count);
		(*mount)->child_count = 0;
	}
	array_each (&tree->mounts, mount) {
		struct mount *parent = (*mount)->parent;

		if (parent)
			parent->children[parent->child_count++] = *mount;
	}
}

/* Of path and mountpoint, the one that is missing; the parent has both. */
static int find_place(struct mount_graph *graph, struct mount *mount, const char *what)
{
	const char *above = mount->parent->path;

	if (!mount->path) {
		if (*mount->mountpoint == '/')
			return bad(graph, what, mount, "its place on its parent begins with a /");
		/* A pile of mounts has one path, however high it is. */
		mount->path = path_join(graph->arena, above, mount->mountpoint);
		return 0;
	}
	if (*mount->path != '/' || !path_contains(above, mount->path))
		return bad(graph, what, mount, "it is not below its parent");
	mount->mountpoint = path_below(above, mount->path);
	if (!*mount->mountpoint)
		mount->path = above;
	return 0;
}

static int by_mountpoint(const void *left, const void *right)
{
	return strcmp((*(struct mount *const *)left)->mountpoint,
		      (*(struct mount *const *)right)->mountpoint);
}

static int sort_children(struct mount_graph *graph, struct mount *mount, const char *what)
{
	struct mount **children = mount->children;
	size_t count = mount->child_count;

	for (size_t i = 0; i < count; i++) {
		int error = find_place(graph, children[i], what);

		if (error)
			return error;
	}
	if (count > 1)
		qsort(children, count, sizeof(*children), by_mountpoint);
	for (size_t i = 1; i < count; i++)
		if (strcmp(children[i - 1]->mountpoint, children[i]->mountpoint) == 0)
			return bad(graph, what, children[i], "another mount is at its place");
	return 0;
}

/*
 * The order is the queue of a walk from the root, in which each mount puts its children at the
 * end.  What the walk does not reach is in a cycle.
 */
static int find_order(struct mount_graph *graph, struct mount_tree *tree, const char *what)
{
	size_t count = tree->mounts.count, end = 0;
	struct mount **order = arena_new_array(graph->arena, struct mount *, count);

	tree->root->path = "/";
	tree->root->mountpoint = "";
	order[end++] = tree->root;
	for (size_t i = 0; i < end; i++) {
		struct mount *mount = order[i];
		int error = sort_children(graph, mount, what);

		if (error)
			return error;
		for (size_t c = 0; c < mount->child_count; c++)
			order[end++] = mount->children[c];
	}
	if (end < count)
		return FAIL(EBADMSG, SUBJECT("%s", what), NULL, "%zu mounts are their own parents",
			    count - end);
	memcpy(tree->mounts.items, order, count * sizeof(*order));
	return 0;
}

/*
 * Does a group receive from itself?  Each walk over masters ends where an earlier one of this tree
 * has been; if that was this walk itself, it went round.
 */
static int check_masters(struct mount_graph *graph, struct mount_tree *tree, const char *what)
{
	uint64_t before = graph->walks;

	array_each (&tree->mounts, mount) {
		struct peer_group *group = (*mount)->group ? (*mount)->group : (*mount)->master;
		uint64_t walk = ++graph->walks;

		for (; group && group->walk <= before; group = group->master)
			group->walk = walk;
		if (group && group->walk == walk)
			return bad(graph, what, *mount, "its group is its own master");
	}
	return 0;
}

int graph_finish(struct mount_graph *graph, struct mount_tree *tree, const char *what)
{
	int error;

	if (tree->wrong)
		return bad(graph, what, tree->wrong, tree->why);
	error = find_parents(graph, tree, what);
	if (error)
		return error;
	find_children(graph, tree);
	error = find_order(graph, tree, what);
	return error ? error : check_masters(graph, tree, what);
}

/* ---- paths -------------------------------------------------------------------------------- */

bool path_contains(const char *outer, const char *inner)
{
	size_t length = strlen(outer);

	if (strncmp(outer, inner, length) != 0)
		return false;
	return !inner[length] || inner[length] == '/' || (length && outer[length - 1] == '/');
}

const char *path_join(struct arena *arena, const char *outer, const char *below)
{
	size_t length = strlen(outer);
	bool slash = length && outer[length - 1] == '/';

	if (!*below)
		return outer;
	return arena_printf(arena, "%s%s%s", outer, slash ? "" : "/", below);
}

const char *path_below(const char *outer, const char *inner)
{
	inner += strlen(outer);
	return *inner == '/' ? inner + 1 : inner;
}

/* Spaces and backslashes as in mountinfo; controls (as 0xc2 0x80 to 0x9f are), and what is no text.
 */
static bool is_plain(const char *text, size_t size)
{
	unsigned char byte = *text, next = size > 1 ? text[1] : 0xff;

	return size && byte > ' ' && byte != '\\' && byte != 0x7f && (byte != 0xc2 || next >= 0xa0);
}

const char *path_escaped(struct arena *arena, const char *path)
{
	size_t left = strlen(path), size;
	char *escaped = arena_alloc(arena, 4 * left + 1), *to = escaped;

	for (; left; path += size, left -= size) {
		unsigned char byte = *path;

		size = text_character(path, left);
		if (is_plain(path, size)) {
			memcpy(to, path, size);
			to += size;
			continue;
		}
		size = 1;
		*to++ = '\\';
		*to++ = '0' + (byte >> 6);
		*to++ = '0' + (byte >> 3 & 7);
		*to++ = '0' + (byte & 7);
	}
	*to = 0;
	return escaped;
}
