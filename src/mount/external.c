/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What options give from outside: --external, --ext-mount-map and --root. */
#include "mount/external.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
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

static bool is_outside(const struct peer_group *group)
{
	return group && (group->outside || !group->members);
}

struct peer_group *mount_outside_group(const struct mount *mount)
{
	return is_outside(mount->group)    ? mount->group
	       : is_outside(mount->master) ? mount->master
					   : NULL;
}

static struct subject external_subject(const struct external *external)
{
	return SUBJECT("--external %s[%s]", external->kind, external->key);
}

int external_unknown(struct checkpoint *checkpoint, struct subject option, const char *what,
		     const char *(*next)(void *state), void *state)
{
	enum { MOST_SHOWN = 40 };
	autofree char *list = NULL;
	const char *each;
	size_t size, count = 0;
	FILE *text = open_memstream(&list, &size);

	if (!text)
		die_of_memory();
	while ((each = next(state)) && count++ < MOST_SHOWN)
		fprintf(text, "%s%s", count > 1 ? ", " : "", each);
	if (fclose(text))
		die_of_memory();
	return FAIL(ENOENT, option, count ? "name one that is there" : "leave the option out",
		    "matches no %s; there %s %s%s", what, count == 1 ? "is" : "are",
		    count ? list : "none", count > MOST_SHOWN ? ", ..." : "");
}

static void add_provider(struct superblock *superblock, struct provider provider)
{
	provider.home = -1;
	*array_push(&superblock->providers) = provider;
}

static bool is_kind(const struct external *external, const char *kind)
{
	return !strcmp(external->kind, kind);
}

/* ---- walks over what options could have named ---------------------------------------------- */

struct walk {
	struct mount_graph *graph;
	const char *(*name)(struct walk *walk, const struct mount *mount); /* NULL: not that one */
	size_t tree, mount;
};

static const char *next_name(void *state)
{
	struct walk *walk = state;

	for (; walk->tree < walk->graph->trees.count; walk->tree++, walk->mount = 0) {
		const struct mount_tree *tree = walk->graph->trees.items[walk->tree];

		while (walk->mount < tree->mounts.count) {
			const char *name = walk->name(walk, tree->mounts.items[walk->mount++]);

			if (name)
				return name;
		}
	}
	return NULL;
}

static const char *name_path(struct walk *walk, const struct mount *mount)
{
	return path_escaped(walk->graph->arena, mount->path);
}

static const char *name_key(struct walk *walk, const struct mount *mount)
{
	return mount->external;
}

static const char *name_device_number(struct walk *walk, const struct mount *mount)
{
	const struct superblock *superblock = mount->superblock;

	if (superblock->mounts != mount || !superblock->filesystem ||
	    !superblock->filesystem->outside || !major(superblock->device))
		return NULL;
	return arena_printf(walk->graph->arena, "%u/%u", major(superblock->device),
			    minor(superblock->device));
}

static const char *name_device_key(struct walk *walk, const struct mount *mount)
{
	return mount->superblock->mounts == mount ? mount->superblock->device_key : NULL;
}

static int matches_nothing(struct checkpoint *checkpoint, const struct external *external,
			   const char *what,
			   const char *(*name)(struct walk *walk, const struct mount *mount))
{
	return external_unknown(checkpoint, external_subject(external), what, next_name,
				&(struct walk){.graph = checkpoint->mounts.graph, .name = name});
}

/* Options that are about mounts, and no task has a mount namespace of its own. */
static int check_no_mounts(struct checkpoint *checkpoint)
{
	const struct options *options = checkpoint->options;
	struct subject subject;

	if (options->external.count)
		subject = external_subject(&options->external.items[0]);
	else if (options->skip_mounts.count)
		subject = SUBJECT("--skip-mnt %s", options->skip_mounts.items[0]);
	else
		return 0;
	return FAIL(ENOENT, subject, "leave the option out",
		    "matches nothing: all tasks are in the mount namespace of stasis");
}

/* ---- dump ----------------------------------------------------------------------------------- */

static int check_sharing(struct checkpoint *checkpoint, const struct mount *mount)
{
	const struct options *options = checkpoint->options;
	struct subject subject = mount_subject(checkpoint->arena, mount);
	int result = 0;

	if (is_outside(mount->group) && !options->external_sharing)
		result = REFUSE(subject, "dump with --enable-external-sharing, or make it private",
				"it is external, and in one peer group with mounts outside");
	if (is_outside(mount->master) && !options->external_masters)
		result = REFUSE(subject, "dump with --enable-external-masters, or make it private",
				"it is external, and the slave of mounts outside");
	return result;
}

static int mark_mounts(struct checkpoint *checkpoint, const struct external *external)
{
	bool found = false;
	int result = 0;

	array_each (&checkpoint->mounts.graph->trees, tree)
		array_each (&(*tree)->mounts, each) {
			struct mount *mount = *each;

			if (strcmp(mount->path, external->key) || mount->external)
				continue;
			found = true;
			mount->external = external->value;
			if (check_sharing(checkpoint, mount))
				result = -EOPNOTSUPP;
			add_provider(
				mount->superblock,
				(struct provider){.root = mount->root,
						  .name = arena_printf(checkpoint->arena, "mnt[%s]",
								       external->value),
						  .key = external->value,
						  .group = mount_outside_group(mount),
						  .fd = -1});
		}
	return found ? result : matches_nothing(checkpoint, external, "mount", name_path);
}

/* dev[MAJOR/MINOR]: its filesystem is mounted again from a device that the restore is given. */
static int mark_device(struct checkpoint *checkpoint, const struct external *external)
{
	unsigned int major_number, minor_number;
	char end;

	if (sscanf(external->key, "%u/%u%c", &major_number, &minor_number, &end) != 2 &&
	    sscanf(external->key, "%u:%u%c", &major_number, &minor_number, &end) != 2)
		return FAIL(EINVAL, external_subject(external), "write dev[MAJOR/MINOR]:NAME",
			    "its key is no device number");
	array_each (&checkpoint->mounts.graph->superblocks, each)
		if ((*each)->device == makedev(major_number, minor_number)) {
			(*each)->anew = true;
			(*each)->source = (*each)->device_key = external->value;
			return 0;
		}
	return matches_nothing(checkpoint, external, "filesystem", name_device_number);
}

static int mark_all(struct checkpoint *checkpoint)
{
	const struct external_list *list = &checkpoint->options->external;
	int result = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct external *external = &list->items[i];
		int error = is_kind(external, "mnt") ? mark_mounts(checkpoint, external)
						     : mark_device(checkpoint, external);

		if (error)
			result = error;
	}
	return result;
}

/* ---- the root ------------------------------------------------------------------------------- */

static struct mount *root_mount(struct checkpoint *checkpoint)
{
	struct namespace *namespace =
		namespace_of_task(checkpoint, checkpoint->tree.tasks[0], NAMESPACE_MNT);

	array_each (&checkpoint->mounts.graph->trees, tree)
		if (namespace && (*tree)->namespace == namespace)
			return (*tree)->root;
	return NULL;
}

/* The root of the first task's namespace, if a restore has to be given it. */
static struct mount *wanted_root(struct checkpoint *checkpoint)
{
	struct mount *root = root_mount(checkpoint);

	return root && !root->external && superblock_is_outside(root->superblock) ? root : NULL;
}

/* What --root will give, when the machine has nothing that would do. */
static void promise_root(struct checkpoint *checkpoint)
{
	struct mount *root = wanted_root(checkpoint);

	if (root)
		add_provider(root->superblock, (struct provider){.root = root->root,
								 .name = "--root",
								 .group = mount_outside_group(root),
								 .fd = -1});
}

int externals_describe(struct checkpoint *checkpoint)
{
	int error;

	if (!checkpoint->mounts.graph)
		return check_no_mounts(checkpoint);
	error = mounts_skip(checkpoint);
	array_each (&checkpoint->mounts.graph->superblocks, each)
		(*each)->filesystem = filesystem_find((*each)->type);
	if (!error)
		error = mark_all(checkpoint);
	if (error)
		return error;
	machine_describe(checkpoint);
	promise_root(checkpoint);
	return 0;
}

/* ---- restore --------------------------------------------------------------------------------- */

static const struct external *find_option(const struct options *options, const char *kind,
					  const char *key)
{
	for (size_t i = 0; i < options->external.count; i++)
		if (is_kind(&options->external.items[i], kind) &&
		    !strcmp(options->external.items[i].key, key))
			return &options->external.items[i];
	return NULL;
}

/*
 * Opens what an option gives for a mount: a clone that is still in the group of what is mounted at
 * `path`.  That stands for the mount's group outside, if it is shared at all.
 */
static int open_given(struct checkpoint *checkpoint, struct mount *mount, const char *path,
		      struct provider provider)
{
	autofd int place = open(path, O_PATH | O_CLOEXEC);
	const struct mount *own;

	provider.fd = place < 0 ? -1
				: open_tree(place, "",
					    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (provider.fd < 0)
		return FAIL(errno, mount_subject(checkpoint->arena, mount),
			    "give a path to something mounted that can be bound",
			    "what %s gives for it cannot be cloned: %s: %s", provider.name, path,
			    strerror(errno));
	own = hash_get(&mounts_own(checkpoint)->by_id, mount_id_of_fd(place));
	provider.root = mount->root;
	provider.group = own && own->group ? mount_outside_group(mount) : NULL;
	add_provider(mount->superblock, provider);
	return 0;
}

static int open_external(struct checkpoint *checkpoint, struct mount *mount)
{
	const struct external *option = find_option(checkpoint->options, "mnt", mount->external);
	const char *name = arena_printf(checkpoint->arena, "--external mnt[%s]", mount->external);

	if (!option)
		return FAIL(ENOENT, mount_subject(checkpoint->arena, mount),
			    arena_printf(checkpoint->arena, "give its place: %s:PATH", name),
			    "it is external, with the key %s", mount->external);
	return open_given(checkpoint, mount, option->value,
			  (struct provider){.name = name, .key = mount->external});
}

static int open_externals(struct checkpoint *checkpoint)
{
	int result = 0;

	array_each (&checkpoint->mounts.graph->trees, tree)
		array_each (&(*tree)->mounts, mount) {
			int error = (*mount)->external ? open_external(checkpoint, *mount) : 0;

			if (error)
				result = error;
		}
	return result;
}

static int open_device(struct checkpoint *checkpoint, struct superblock *superblock)
{
	const struct external *option =
		find_option(checkpoint->options, "dev", superblock->device_key);
	struct subject subject = superblock_subject(superblock);
	struct stat stat_;

	if (!option)
		return FAIL(ENOENT, subject,
			    arena_printf(checkpoint->arena,
					 "give the device: --external dev[%s]:/dev/PATH",
					 superblock->device_key),
			    "it is on an external device, with the key %s", superblock->device_key);
	if (stat(option->value, &stat_) < 0)
		return FAIL(errno, subject, "give another device",
			    "its external device %s cannot be found: %s", option->value,
			    strerror(errno));
	if (!S_ISBLK(stat_.st_mode))
		return FAIL(ENOTBLK, subject, "give another device",
			    "its external device %s is no block device", option->value);
	superblock->anew = true;
	superblock->source = option->value;
	return 0;
}

static int open_root(struct checkpoint *checkpoint)
{
	const char *path = checkpoint->options->root;
	struct mount *root = path ? wanted_root(checkpoint) : NULL;

	return root ? open_given(checkpoint, root, path,
				 (struct provider){.name = arena_printf(checkpoint->arena,
									"--root %s", path)})
		    : 0;
}

/* A key that is in no image. */
static int check_keys(struct checkpoint *checkpoint)
{
	const struct external_list *list = &checkpoint->options->external;
	int result = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct external *external = &list->items[i];
		bool device = is_kind(external, "dev");
		struct walk walk = {.graph = checkpoint->mounts.graph,
				    .name = device ? name_device_key : name_key};
		const char *name;

		while ((name = next_name(&walk)) && strcmp(name, external->key))
			;
		if (!name)
			result = matches_nothing(checkpoint, external,
						 device ? "external device" : "external mount",
						 walk.name);
	}
	return result;
}

static int check_source(struct checkpoint *checkpoint, struct superblock *superblock)
{
	const struct mount *mount = superblock->mounts;

	if (!mount || !superblock_is_outside(superblock) || superblock->providers.count)
		return 0;
	return FAIL(ENODEV, mount_subject(checkpoint->arena, mount),
		    mount == root_mount(checkpoint)
			    ? "give the new root with --root DIR"
			    : arena_printf(checkpoint->arena,
					   "restore where it is mounted, or dump with --external "
					   "mnt[%s]:KEY",
					   path_escaped(checkpoint->arena, mount->path)),
		    "its filesystem (%s, %s) is the machine's, and this machine does not have it "
		    "mounted",
		    superblock->type, superblock->source ?: "none");
}

int externals_read(struct checkpoint *checkpoint)
{
	int result;

	if (!checkpoint->mounts.graph)
		return check_no_mounts(checkpoint);
	result = check_keys(checkpoint);
	if (open_root(checkpoint))
		result = -ENOENT;
	if (open_externals(checkpoint))
		result = -ENOENT;
	array_each (&checkpoint->mounts.graph->superblocks, each)
		if ((*each)->device_key && open_device(checkpoint, *each))
			result = -ENOENT;
	machine_read(checkpoint);
	array_each (&checkpoint->mounts.graph->superblocks, each)
		if (!(*each)->device_key && check_source(checkpoint, *each))
			result = -ENODEV;
	return result;
}

static void close_own(struct mount_tree *tree)
{
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
	if (checkpoint->mounts.own) {
		array_each (&checkpoint->mounts.own->trees, tree)
			close_own(*tree);
		graph_free(checkpoint->mounts.own);
		checkpoint->mounts.own = NULL;
	}
}
