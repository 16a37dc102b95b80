/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The dump of mounts: which there are, what is on them, and whether they can be built again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/phase.h"
#include "checkpoint/checkpoint.h"
#include "mount/collect.h"
#include "mount/external.h"
#include "mount/filesystem.h"
#include "mount/reach.h"
#include "mount/superblock.h"

/* ---- collecting ----------------------------------------------------------------------------- */

static int collect_namespace(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct mount_state *state = &checkpoint->mounts;
	struct mount_tree *tree;
	int error;

	if (!state->graph)
		state->graph = graph_new(checkpoint->arena);
	error = mounts_collect(state->graph, namespace->id, namespace->fd, &tree);
	if (!error)
		tree->namespace = namespace;
	return error;
}

static int describe_bind(struct checkpoint *checkpoint, struct mount *mount, int file)
{
	enum namespace_kind kind;
	struct namespace *namespace = namespace_of_fd(checkpoint, file, &kind);

	if (kind == NAMESPACE_NONE || (!namespace && report_count()))
		return -EOPNOTSUPP;
	mount->shown_id = namespace ? namespace->id : (uint32_t)kind + 1;
	mount->shown_flag = namespace_flag(kind);
	return 0;
}

/* A bind of a namespace's file keeps the namespace alive: it is part of the checkpoint. */
static int collect_binds(struct checkpoint *checkpoint, struct mount_tree *tree)
{
	int result = 0;

	array_each (&tree->mounts, each) {
		struct mount *mount = *each;

		if (strcmp(mount->superblock->type, "nsfs"))
			continue;
		mount->has_files = true;
		if (mounts_reach(tree, -1) || mount->fd < 0) {
			result = REFUSE(mount_subject(checkpoint->arena, mount),
					"unmount what covers it",
					"a namespace is bound there, which cannot be reached");
			continue;
		}
		autofd int file = -1;
		char path[40];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", mount->fd);
		file = open(path, O_RDONLY | O_CLOEXEC);
		if (file < 0)
			result = FAIL(errno, mount_subject(checkpoint->arena, mount), NULL,
				      "the namespace bound there cannot be opened: %s",
				      strerror(errno));
		else
			result = describe_bind(checkpoint, mount, file);
	}
	return result;
}

/* By index: namespaces bound somewhere are found meanwhile. */
static int collect_all(struct checkpoint *checkpoint)
{
	int result = 0;

	for (size_t i = 0; i < checkpoint->namespaces.all.count; i++) {
		struct namespace *namespace = checkpoint->namespaces.all.items[i];
		struct mount_graph *graph;
		int error;

		if (namespace->kind != NAMESPACE_MNT)
			continue;
		error = collect_namespace(checkpoint, namespace);
		graph = checkpoint->mounts.graph;
		if (!error)
			error = collect_binds(checkpoint,
					      graph->trees.items[graph->trees.count - 1]);
		if (error)
			result = error;
	}
	return result;
}

/* ---- what is on them ------------------------------------------------------------------------ */

static bool is_made_anew(const struct superblock *superblock)
{
	return !superblock->providers.count;
}

/* The mount that shows most of its filesystem. */
static struct mount *widest(const struct superblock *superblock)
{
	struct mount *widest = NULL;

	for (struct mount *mount = superblock->mounts; mount; mount = mount->next_of_superblock)
		if (!mount->root_deleted && (!widest || strlen(mount->root) < strlen(widest->root)))
			widest = mount;
	return widest;
}

static int root_of_tree(struct mount_tree *tree)
{
	const struct task *task = tree->namespace->task;

	return task ? openat(task->proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
}

/*
 * In the tree's namespace, the only place where that can be done: what is to be read becomes a
 * clone, on which nothing is mounted and no time of access changes.
 */
static int clone_views(void *argument)
{
	struct mount_tree *tree = argument;

	array_each (&tree->mounts, each) {
		struct mount *mount = *each;
		int view;

		if (mount->fd < 0 || mount_id_of_fd(mount->fd) != mount->id)
			continue;
		view = mount_clone_view(mount, mount->fd);
		/* An unbindable mount has no clone; nothing is mounted on it. */
		if (view < 0 && !mount->uid_map)
			continue;
		fd_close(&mount->fd);
		mount->fd = view;
	}
	return 0;
}

/* Opens what has to be read: a mount of each filesystem that is made anew, and what was removed. */
static int reach_all(struct mount_graph *graph)
{
	int error = 0;

	array_each (&graph->superblocks, each) {
		struct mount *mount = widest(*each);

		if (!is_made_anew(*each) || !strcmp((*each)->type, "nsfs"))
			continue;
		contents_want(*each);
		if (mount)
			mount->has_files = true;
	}
	array_each (&graph->trees, tree) {
		autofd int root = root_of_tree(*tree);

		array_each (&(*tree)->mounts, mount)
			if ((*mount)->root_deleted)
				(*mount)->has_files = true;
		if (!error)
			error = mounts_reach(*tree, root);
		if (!error)
			error = namespace_enter(&(*tree)->namespace->fd, 1, 0, clone_views, *tree,
						"to read filesystems");
	}
	return error;
}

static int describe_filesystem(struct checkpoint *checkpoint, struct superblock *superblock)
{
	struct mount *mount = widest(superblock);

	if (mount && mount->fd >= 0 && !strcmp(mount->root, "/"))
		superblock->fd = fcntl(mount->fd, F_DUPFD_CLOEXEC, 0);
	int error = filesystem_describe(checkpoint, superblock);

	return error ? error : superblock_describe(checkpoint, superblock);
}

/* What a mount shows that has no name any more is stored by itself. */
static int describe_removed(struct checkpoint *checkpoint, struct mount *mount)
{
	struct subject subject = mount_subject(checkpoint->arena, mount);
	int fd = mount->fd < 0 ? -1 : fcntl(mount->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return REFUSE(subject, "unmount it, or what covers it",
			      "what it shows was removed and cannot be reached");
	return files_describe_removed(checkpoint, fd, subject, &mount->ghost_id);
}

/* By its root a mount is told from others: two that were removed cannot have had one name. */
static int check_removed(struct checkpoint *checkpoint, const struct mount *mount)
{
	struct stat here, there;

	if (mount->fd < 0 || fstat(mount->fd, &here) < 0)
		return 0;
	for (const struct mount *other = mount->superblock->mounts; other != mount;
	     other = other->next_of_superblock)
		if (other->root_deleted && !strcmp(other->root, mount->root) &&
		    fstat(other->fd, &there) == 0 && there.st_ino != here.st_ino)
			return REFUSE(
				mount_subject(checkpoint->arena, mount), "unmount one of them",
				"the mount %s shows another file that was removed and had the "
				"same name",
				path_escaped(checkpoint->arena, other->path));
	return 0;
}

/* What the kernel gives all mounts of a filesystem alike, and id maps that it does not tell. */
static int check_mount(struct checkpoint *checkpoint, const struct mount *mount)
{
	struct subject subject = mount_subject(checkpoint->arena, mount);
	const struct superblock *superblock = mount->superblock;

	if (mount->source && is_made_anew(superblock))
		return REFUSE(subject, "unmount it, and bind the other mount there instead",
			      "its source, %s, is not that of the mount %s of the same filesystem",
			      path_escaped(checkpoint->arena, mount->source),
			      path_escaped(checkpoint->arena, superblock->mounts->path));
	if (mount->uid_map && (!*mount->uid_map || !*mount->gid_map))
		return REFUSE(subject, "unmount it, or use Linux 6.15",
			      "it is id mapped, and the kernel does not tell how");
	return 0;
}

static int check_mounts(struct checkpoint *checkpoint)
{
	int result = 0;

	array_each (&checkpoint->mounts.graph->trees, tree)
		array_each (&(*tree)->mounts, mount)
			if (check_mount(checkpoint, *mount))
				result = -EOPNOTSUPP;
	return result;
}

static int describe_contents(struct checkpoint *checkpoint)
{
	struct mount_graph *graph = checkpoint->mounts.graph;
	int result = reach_all(graph);

	if (result)
		return FAIL(-result, SUBJECT("mounts"), NULL, "cannot be looked at: %s",
			    strerror(-result));
	array_each (&graph->superblocks, each) {
		int error = is_made_anew(*each) && strcmp((*each)->type, "nsfs")
				    ? describe_filesystem(checkpoint, *each)
				    : 0;

		if (error)
			result = error;
	}
	array_each (&graph->trees, tree)
		array_each (&(*tree)->mounts, mount)
			if ((*mount)->root_deleted && !(*mount)->external &&
			    !is_made_anew((*mount)->superblock)) {
				int error = describe_removed(checkpoint, *mount);

				if (error)
					result = error;
			}
	array_each (&graph->trees, tree)
		array_each (&(*tree)->mounts, mount)
			if ((*mount)->root_deleted && check_removed(checkpoint, *mount))
				result = -EOPNOTSUPP;
	return check_mounts(checkpoint) ?: result;
}

int mounts_describe(struct checkpoint *checkpoint)
{
	struct phase phase = phase_begin("mounts", NULL);
	int error = collect_all(checkpoint);

	if (!error)
		error = externals_describe(checkpoint);
	if (!error && checkpoint->mounts.graph)
		error = describe_contents(checkpoint);
	/* What could not be built is better known now. */
	if (!error && checkpoint->mounts.graph)
		error = plan_make(checkpoint->mounts.graph, &checkpoint->mounts.plan);
	phase_end(&phase);
	return error;
}

int mounts_store(struct checkpoint *checkpoint)
{
	struct mount_graph *graph = checkpoint->mounts.graph;
	int error = 0;

	if (!graph)
		return 0;
	array_each (&graph->superblocks, each)
		if (!error && is_made_anew(*each))
			error = filesystem_store(checkpoint, *each);
	return error;
}

int mounts_write(struct checkpoint *checkpoint)
{
	return checkpoint->mounts.graph ? mount_images_write(checkpoint, checkpoint->mounts.graph)
					: 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

struct mount *mount_of_fd(struct checkpoint *checkpoint, int fd)
{
	const struct mount_graph *graph = checkpoint->mounts.graph;
	uint64_t id = graph ? mount_id_of_fd(fd) : 0;
	struct mount *mount = id ? hash_get(&graph->by_id, id) : NULL;

	return mount;
}

bool mount_is_own(struct checkpoint *checkpoint, int fd)
{
	return hash_get(&mounts_own(checkpoint)->by_id, mount_id_of_fd(fd));
}

struct look {
	const char *name;
	const struct stat *file;
	uint64_t mount;
	bool same;
};

static int look(void *argument)
{
	struct look *look = argument;
	autofd int fd = open(look->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat stat;

	look->same = fd >= 0 && fstat(fd, &stat) == 0 && stat.st_ino == look->file->st_ino &&
		     stat.st_dev == look->file->st_dev && mount_id_of_fd(fd) == look->mount;
	return 0;
}

bool mount_looks_like(struct checkpoint *checkpoint, const struct mount *mount, const char *name,
		      const struct stat *file)
{
	struct look request = {.name = name, .file = file, .mount = mount->id};

	return namespace_enter(&mount->tree->namespace->fd, 1, 0, look, &request,
			       "the namespace of a removed file") == 0 &&
	       request.same;
}
