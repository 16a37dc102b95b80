/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/external.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "mount/collect.h"
#include "mount/filesystem.h"
#include "mount/reach.h"

struct subject mount_subject(struct arena *arena, const struct mount *mount)
{
	return SUBJECT("mount %s", path_escaped(arena, mount->path));
}

struct mount_graph *mounts_own(struct checkpoint *checkpoint)
{
	struct mount_state *state = &checkpoint->mounts;
	struct namespace *namespace;
	struct mount_tree *tree;

	if (state->own)
		return state->own;
	namespace = arena_new_object(checkpoint->arena, struct namespace);
	namespace->fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	state->own = graph_new(checkpoint->arena);
	if (namespace->fd >= 0 && mounts_collect(state->own, 0, namespace->fd, &tree) == 0)
		tree->namespace = namespace;
	return state->own;
}

/* The same filesystem in stasis' own namespace, or NULL. */
static struct superblock *own_superblock(struct checkpoint *checkpoint,
					 const struct superblock *superblock)
{
	struct superblock *own = hash_get(&mounts_own(checkpoint)->by_device, superblock->device);

	while (own && strcmp(own->type, superblock->type))
		own = own->next_of_device;
	return own;
}

static struct provider *add_provider(struct superblock *superblock, const struct provider *values)
{
	struct provider *provider = array_push(&superblock->providers);

	*provider = *values;
	return provider;
}

/* The group outside that a mount is in, or receives from; NULL: none. */
static struct peer_group *outside_group(const struct mount *mount)
{
	if (mount->group && mount->group->outside)
		return mount->group;
	return mount->master && !mount->master->members ? mount->master : NULL;
}

/* ---- dump: --skip-mnt ----------------------------------------------------------------------- */

/* What options have named and nothing was. */
static int nothing_matches(struct mount_graph *graph, const char *option, const char *key)
{
	autofree char *list = NULL;
	size_t size, count = 0;
	FILE *text = open_memstream(&list, &size);

	if (!text)
		die_of_memory();
	array_each (&graph->trees, tree)
		array_each (&(*tree)->mounts, mount)
			if (count++ < 40)
				fprintf(text, "%s%s", count > 1 ? ", " : "",
					path_escaped(graph->arena, (*mount)->path));
	fclose(text);
	return FAIL(ENOENT, SUBJECT("--%s %s", option, key), "name one that is there",
		    "matches no mount; there are: %s%s", list, count > 40 ? ", ..." : "");
}

static bool is_skipped(const struct mount *mount, const char *path)
{
	for (; mount; mount = mount->parent)
		if (!strcmp(mount->path, path))
			return true;
	return false;
}

static void take_out(struct mount **list, const struct mount *mount)
{
	while (*list && *list != mount)
		list = list == &(*list)->next_of_group ? &(*list)->next_of_group
						       : &(*list)->next_of_group;
	if (*list)
		*list = mount->next_of_group;
}

static void take_out_of_superblock(struct mount *mount)
{
	struct mount **list = &mount->superblock->mounts;

	while (*list != mount)
		list = &(*list)->next_of_superblock;
	*list = mount->next_of_superblock;
}

static size_t skip(struct mount_tree *tree, const char *path)
{
	size_t kept = 0, count = tree->mounts.count;

	for (size_t i = 0; i < count; i++) {
		struct mount *mount = tree->mounts.items[i], *parent = mount->parent;

		if (!parent || !is_skipped(mount, path)) {
			tree->mounts.items[kept++] = mount;
			continue;
		}
		take_out_of_superblock(mount);
		if (mount->group)
			take_out(&mount->group->members, mount);
		for (size_t k = 0, left = 0; k < parent->child_count; k++)
			if (parent->children[k] != mount)
				parent->children[left++] = parent->children[k];
		parent->child_count--;
	}
	tree->mounts.count = kept;
	return count - kept;
}

static int skip_all(struct checkpoint *checkpoint)
{
	const struct string_list *list = &checkpoint->options->skip_mounts;
	struct mount_graph *graph = checkpoint->mounts.graph;
	int result = 0;

	for (size_t i = 0; i < list->count; i++) {
		size_t skipped = 0;

		array_each (&graph->trees, tree)
			skipped += skip(*tree, list->items[i]);
		if (!skipped)
			result = nothing_matches(graph, "skip-mnt", list->items[i]);
	}
	return result;
}

/* ---- dump: --external ------------------------------------------------------------------------ */

static int mark_external(struct checkpoint *checkpoint, const struct external *external)
{
	const struct options *options = checkpoint->options;
	struct mount_graph *graph = checkpoint->mounts.graph;
	size_t marked = 0;

	array_each (&graph->trees, tree)
		array_each (&(*tree)->mounts, each) {
			struct mount *mount = *each;
			struct peer_group *group = outside_group(mount);
			bool allowed = group == mount->group ? options->external_sharing
							     : options->external_masters;

			if (strcmp(mount->path, external->key) || mount->external)
				continue;
			mount->external = external->value ? external->value : external->key;
			add_provider(
				mount->superblock,
				&(struct provider){.root = mount->root,
						   .name = arena_printf(checkpoint->arena,
									"mnt[%s]", mount->external),
						   .key = mount->external,
						   .group = allowed ? group : NULL,
						   .home = -1,
						   .fd = -1});
			marked++;
		}
	return marked ? 0 : nothing_matches(graph, "external", external->key);
}

/* dev[MAJOR/MINOR]: a filesystem on a device, which is mounted from that again. */
static int mark_device(struct checkpoint *checkpoint, const struct external *external)
{
	unsigned int major_number, minor_number;

	if (sscanf(external->key, "%u/%u", &major_number, &minor_number) != 2)
		return FAIL(EINVAL, SUBJECT("--external dev[%s]", external->key),
			    "write dev[MAJOR/MINOR]:NAME", "is no device number");
	array_each (&checkpoint->mounts.graph->superblocks, each)
		if ((*each)->device == makedev(major_number, minor_number)) {
			(*each)->anew = true;
			(*each)->source = external->value ? external->value : external->key;
			return 0;
		}
	return FAIL(ENOENT, SUBJECT("--external dev[%s]", external->key),
		    "look at `stasis mounts PID`", "no filesystem of the tree is on this device");
}

static int mark_all(struct checkpoint *checkpoint)
{
	const struct external_list *list = &checkpoint->options->external;
	int result = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct external *external = &list->items[i];
		int error = !strcmp(external->kind, "mnt") && external->key && *external->key
				    ? mark_external(checkpoint, external)
			    : !strcmp(external->kind, "dev") ? mark_device(checkpoint, external)
							     : 0;

		if (error)
			result = error;
	}
	return result;
}

/* ---- what the machine has -------------------------------------------------------------------- */

/*
 * The group of the tree that is outside and that a mount of stasis' own is in: at a dump the one
 * with its number, and at a restore, when numbers are others, the only one there can be.
 */
static struct peer_group *group_of_own(struct checkpoint *checkpoint, const struct mount *own,
				       const struct superblock *superblock, bool restore)
{
	struct peer_group *found = NULL;

	if (!own->group)
		return NULL;
	found = hash_get(&checkpoint->mounts.graph->by_group, own->group->id);
	if (found && (found->outside || !found->members))
		return found;
	if (!restore)
		return NULL;
	found = NULL;
	for (const struct mount *mount = superblock->mounts; mount;
	     mount = mount->next_of_superblock) {
		struct peer_group *group = outside_group(mount);

		if (group && found && group != found)
			return NULL;
		found = group ? group : found;
	}
	return found;
}

static int open_clone(const char *path)
{
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Opens the mounts of stasis' own that may be providers, all at once: covered ones take a copy of
 * the namespace. */
static void reach_own(struct checkpoint *checkpoint)
{
	array_each (&checkpoint->mounts.graph->superblocks, each) {
		struct superblock *own = own_superblock(checkpoint, *each);

		for (struct mount *mount = own ? own->mounts : NULL; mount;
		     mount = mount->next_of_superblock)
			mount->has_files = !mount->root_deleted;
	}
	array_each (&mounts_own(checkpoint)->trees, tree)
		if ((*tree)->namespace)
			mounts_reach(*tree, -1);
}

/* A clone of a mount of stasis' own, and where that can be cloned again; or -1. */
static int clone_own(struct mount *own, int *home)
{
	autofd int fd = fd_steal(&own->fd);

	*home = -1;
	if (fd < 0)
		return -1;
	if (mount_id_of_fd(fd) == own->id)
		return open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	/* It was covered: this is a clone already, in no group. */
	*home = own->tree->copy;
	return fd_steal(&fd);
}

static void add_machines(struct checkpoint *checkpoint, struct superblock *superblock, bool restore)
{
	struct superblock *own = own_superblock(checkpoint, superblock);

	for (struct mount *mount = own ? own->mounts : NULL; mount;
	     mount = mount->next_of_superblock) {
		int home, fd = clone_own(mount, &home);

		if (fd < 0)
			continue;
		add_provider(
			superblock,
			&(struct provider){.root = mount->root,
					   .name = arena_printf(checkpoint->arena,
								"the machine's %s", mount->path),
					   .group = home < 0 ? group_of_own(checkpoint, mount,
									    superblock, restore)
							     : NULL,
					   .home = home,
					   .fd = fd});
	}
}

/* A filesystem that stasis sees mounted itself is the machine's, and not the checkpoint's. */
static void find_machines(struct checkpoint *checkpoint)
{
	reach_own(checkpoint);
	array_each (&checkpoint->mounts.graph->superblocks, each) {
		struct superblock *superblock = *each;

		if (!strcmp(superblock->type, "nsfs") || !own_superblock(checkpoint, superblock))
			continue;
		superblock->machine = true;
		add_machines(checkpoint, superblock, false);
	}
}

static struct mount *root_mount(struct checkpoint *checkpoint)
{
	struct namespace *namespace =
		namespace_of_task(checkpoint, checkpoint->tree.tasks[0], NAMESPACE_MNT);

	array_each (&checkpoint->mounts.graph->trees, tree)
		if (namespace && (*tree)->namespace == namespace)
			return (*tree)->root;
	return NULL;
}

static bool is_outside(const struct superblock *superblock)
{
	const struct filesystem *filesystem = filesystem_find(superblock->type);

	return superblock->machine || (filesystem && filesystem->outside && !superblock->anew);
}

static void add_root(struct checkpoint *checkpoint, int fd)
{
	struct mount *root = root_mount(checkpoint);
	const char *path = checkpoint->options->root;

	if (!root || !is_outside(root->superblock))
		return;
	add_provider(
		root->superblock,
		&(struct provider){.root = root->root,
				   .name = path ? arena_printf(checkpoint->arena, "--root %s", path)
						: "--root",
				   .group = outside_group(root),
				   .fd = fd});
}

int externals_describe(struct checkpoint *checkpoint)
{
	int error = skip_all(checkpoint);

	array_each (&checkpoint->mounts.graph->superblocks, each)
		(*each)->filesystem = filesystem_find((*each)->type);
	if (!error)
		error = mark_all(checkpoint);
	if (error)
		return error;
	find_machines(checkpoint);
	add_root(checkpoint, -1);
	return 0;
}

/* ---- restore --------------------------------------------------------------------------------- */

static const struct external *find_option(const struct options *options, const char *kind,
					  const char *key)
{
	for (size_t i = 0; i < options->external.count; i++)
		if (!strcmp(options->external.items[i].kind, kind) &&
		    !strcmp(options->external.items[i].key ? options->external.items[i].key : "",
			    key))
			return &options->external.items[i];
	return NULL;
}

static int open_external(struct checkpoint *checkpoint, struct mount *mount)
{
	const struct options *options = checkpoint->options;
	const struct external *option = find_option(options, "mnt", mount->external);
	struct peer_group *group = outside_group(mount);
	int fd;

	if (!option || !option->value)
		return FAIL(ENOENT, mount_subject(checkpoint->arena, mount),
			    "give its place: --external mnt[KEY]:PATH",
			    "it is external, with the key %s", mount->external);
	fd = open_clone(option->value);
	if (fd < 0)
		return FAIL(-fd, mount_subject(checkpoint->arena, mount), "give another place",
			    "its source %s cannot be opened: %s", option->value, strerror(-fd));
	add_provider(mount->superblock,
		     &(struct provider){
			     .root = mount->root,
			     .name = arena_printf(checkpoint->arena, "mnt[%s]", mount->external),
			     .key = mount->external,
			     .group = group,
			     .fd = fd});
	return 0;
}

static int open_root(struct checkpoint *checkpoint)
{
	const char *path = checkpoint->options->root;
	int fd = path ? open_clone(path) : -1;

	if (!path)
		return 0;
	if (fd < 0)
		return FAIL(-fd, SUBJECT("--root %s", path), "give a directory that is there",
			    "cannot be opened: %s", strerror(-fd));
	add_root(checkpoint, fd);
	return 0;
}

static int check_source(struct checkpoint *checkpoint, struct superblock *superblock)
{
	if (!is_outside(superblock) || superblock->providers.count || !superblock->mounts)
		return 0;
	return FAIL(ENODEV, mount_subject(checkpoint->arena, superblock->mounts),
		    superblock->mounts == root_mount(checkpoint)
			    ? "give the new root with --root DIR"
			    : "restore where it was dumped, or make it external when it is dumped "
			      "(--external mnt[PATH]:KEY)",
		    "its filesystem (%s, device %u:%u) is the machine's, and this one does not "
		    "have it mounted",
		    superblock->type, major(superblock->device), minor(superblock->device));
}

static void name_device(struct checkpoint *checkpoint, struct superblock *superblock)
{
	const struct external *option =
		superblock->source ? find_option(checkpoint->options, "dev", superblock->source)
				   : NULL;

	if (option && option->value) {
		superblock->anew = true;
		superblock->source = option->value;
	}
}

int externals_read(struct checkpoint *checkpoint)
{
	struct mount_graph *graph = checkpoint->mounts.graph;
	int result = open_root(checkpoint);

	array_each (&graph->trees, tree)
		array_each (&(*tree)->mounts, mount)
			if ((*mount)->external && open_external(checkpoint, *mount))
				result = -ENOENT;
	reach_own(checkpoint);
	array_each (&graph->superblocks, each) {
		name_device(checkpoint, *each);
		if (is_outside(*each) && strcmp((*each)->type, "nsfs"))
			add_machines(checkpoint, *each, true);
		if (check_source(checkpoint, *each))
			result = -ENODEV;
	}
	return result;
}

static void close_own(struct mount_tree *tree)
{
	array_each (&tree->mounts, mount)
		fd_close(&(*mount)->fd);
	if (tree->namespace)
		fd_close(&tree->namespace->fd);
	if (tree->copy > 0)
		close(tree->copy);
	tree->copy = 0;
}

void externals_close(struct checkpoint *checkpoint)
{
	if (checkpoint->mounts.graph)
		array_each (&checkpoint->mounts.graph->superblocks, superblock)
			array_each (&(*superblock)->providers, provider)
				fd_close(&provider->fd);
	if (checkpoint->mounts.own)
		array_each (&checkpoint->mounts.own->trees, tree)
			close_own(*tree);
	graph_free(checkpoint->mounts.own);
	checkpoint->mounts.own = NULL;
}
