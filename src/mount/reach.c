/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dump: descriptors of mounts, to read what is on them, also of mounts that are covered.  Most are
 * found by their path.  For the rest the namespace is copied, and in the copy what covers them is
 * unmounted.
 */
#include "mount/reach.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "namespace/namespace.h"

enum { STATX_MNT_ID_UNIQUE_ = 0x4000 }; /* Linux 6.8 */

uint64_t mount_id_of_fd(int fd)
{
	struct statx statx_;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID | STATX_MNT_ID_UNIQUE_, &statx_) < 0)
		return 0;
	return statx_.stx_mnt_id;
}

/* A path that begins elsewhere can lead to another file of the mount. */
static bool is_root_of(const struct mount *mount, int fd)
{
	struct statx statx_;

	return mount_id_of_fd(fd) == mount->id && statx(fd, "", AT_EMPTY_PATH, 0, &statx_) == 0 &&
	       statx_.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

static bool missing(const struct mount_tree *tree)
{
	array_each (&tree->mounts, mount)
		if ((*mount)->has_files && (*mount)->fd < 0)
			return true;
	return false;
}

/* ---- by path ------------------------------------------------------------------------------ */

struct search {
	struct mount_tree *tree;
	int root; /* a directory to begin from; -1: what is uppermost at "/" in the namespace */
};

static int find_by_path(void *argument)
{
	struct search *search = argument;

	if (search->root >= 0 && (fchdir(search->root) < 0 || chroot(".") < 0))
		return -errno;
	array_each (&search->tree->mounts, each) {
		struct mount *mount = *each;

		/* Of an unbindable mount there is no view without what is mounted on it but in a
		 * copy. */
		if (!mount->has_files || mount->fd >= 0 ||
		    (mount->unbindable && mount->child_count))
			continue;
		mount->fd = open(mount->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (mount->fd >= 0 && !is_root_of(mount, mount->fd))
			fd_close(&mount->fd);
	}
	return 0;
}

enum { CALL_OPEN_TREE_ATTR = 467 /* Linux 6.15 */ };

int mount_clone_view(const struct mount *mount, int fd)
{
	struct mount_attr attributes = {
		.attr_set = MOUNT_ATTR_NOATIME,
		.attr_clr = MOUNT_ATTR__ATIME | (mount->uid_map ? MOUNT_ATTR_IDMAP : 0),
	};
	unsigned int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
	int view;

	if (mount->uid_map)
		return syscall(CALL_OPEN_TREE_ATTR, fd, "", flags, &attributes, sizeof(attributes));
	view = open_tree(fd, "", flags);
	if (view >= 0)
		mount_setattr(view, "", AT_EMPTY_PATH, &attributes, sizeof(attributes));
	return view;
}

/* ---- in a copy of the namespace ------------------------------------------------------------- */

enum { MOST_NESTED = 2000 };

/* Where mounts are stacked: a path from a mount's root; base -1: the root of the namespace. */
struct place {
	int base;
	const char *path;
};

struct copy {
	struct mount_tree *tree;
	int proc;     /* stasis' own /proc */
	int root;     /* the root directory of a task, or -1 */
	bool private; /* the lowest root, and with it all, could be made so */
	int depth;
};

/* Those in front hide those behind: shallow mountpoints before deep ones. */
static int in_front(const void *a, const void *b)
{
	const struct mount *one = *(struct mount *const *)a, *other = *(struct mount *const *)b;

	return strcmp(one->mountpoint, other->mountpoint);
}

/* The root directory becomes again what is uppermost at the root of the namespace. */
static int go_to_root(const struct copy *copy)
{
	autofd int fd = openat(copy->proc, "thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);

	return fd < 0 || setns(fd, CLONE_NEWNS) < 0 ? -errno : 0;
}

static int open_place(const struct copy *copy, const struct place *place)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
	int fd;

	if (place->base < 0) {
		int error = go_to_root(copy);

		if (error)
			return error;
		fd = open("/", O_PATH | O_CLOEXEC);
	} else {
		fd = syscall(SYS_openat2, place->base, place->path, &how, sizeof(how));
	}
	return fd < 0 ? -errno : fd;
}

static int unmount(const struct place *place)
{
	if (place->base >= 0 && fchdir(place->base) < 0)
		return -errno;
	return umount2(place->base < 0 ? "/" : place->path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0
		       ? -errno
		       : 0;
}

/* From what is uppermost at the root down, all that is mounted below it. */
static int make_private(const struct copy *copy)
{
	int error = go_to_root(copy);

	return error ? error : mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

static int take_apart(struct copy *copy, struct mount *mount, const struct place *place);

/* Everything on a mount but what is stacked on its root. */
static int take_children(struct copy *copy, struct mount *mount, int fd)
{
	int error = 0;

	qsort(mount->children, mount->child_count, sizeof(*mount->children), in_front);
	for (size_t i = 0; i < mount->child_count && !error; i++)
		if (*mount->children[i]->mountpoint)
			error = take_apart(copy, mount->children[i],
					   &(struct place){fd, mount->children[i]->mountpoint});
	return error;
}

static struct mount *cover_of(const struct mount *mount)
{
	for (size_t i = 0; i < mount->child_count; i++)
		if (!*mount->children[i]->mountpoint)
			return mount->children[i];
	return NULL;
}

/*
 * Takes a stack of mounts and all that is mounted on them apart, from the front: each is looked at
 * when nothing is on it any more, and goes then, but for the lowest root.
 */
static int take_apart(struct copy *copy, struct mount *lowest, const struct place *place)
{
	struct mount *mount = lowest, *cover;
	int error = 0;

	if (copy->depth >= MOST_NESTED)
		return -ELOOP;
	copy->depth++;
	while ((cover = cover_of(mount)))
		mount = cover;
	for (bool last = false; !last && !error; mount = mount->parent) {
		autofd int fd = open_place(copy, place);

		last = mount == lowest;
		error = fd < 0 ? fd : take_children(copy, mount, fd);
		if (!error && mount->has_files && mount->fd < 0)
			mount->fd = mount_clone_view(mount, fd);
		/* A root below that is not private: what is unmounted there would be elsewhere too.
		 */
		if (!error && !last && place->base < 0 && mount->parent->group && !copy->private)
			error = -EBUSY;
		if (!error && mount->parent)
			error = unmount(place);
		/* What comes to light at the root may still be shared with the original. */
		if (!error && mount->parent && place->base < 0)
			error = make_private(copy);
	}
	copy->depth--;
	return error;
}

/*
 * Who copies a namespace while his root directory is on a mount has it on the copy of that mount
 * then: a task's root may be the lowest one, which no path leads to.
 */
static int find_in_copy(void *argument)
{
	struct copy *copy = argument;
	int error;

	if (copy->root >= 0 && (fchdir(copy->root) < 0 || chroot(".") < 0))
		return -errno;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	copy->private = copy->root >= 0;
	/* What is opened here can be cloned here only. */
	copy->tree->copy = openat(copy->proc, "thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (copy->tree->copy < 0)
		return -errno;
	error = make_private(copy);
	return error ? error : take_apart(copy, copy->tree->root, &(struct place){.base = -1});
}

int mounts_reach(struct mount_tree *tree, int root)
{
	const struct namespace *namespace = tree->namespace;
	struct search search = {.tree = tree, .root = -1};
	struct copy copy = {.tree = tree, .root = -1};
	int error;

	if (!missing(tree))
		return 0;
	error = namespace_enter(&namespace->fd, 1, 0, find_by_path, &search, "to look at mounts");
	if (!error && root >= 0 && missing(tree)) {
		search.root = root;
		error = namespace_enter(&namespace->fd, 1, 0, find_by_path, &search,
					"to look at mounts");
	}
	if (error || !missing(tree) || tree->copy)
		return error;
	if (root >= 0 && is_root_of(tree->root, root))
		copy.root = root;
	copy.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (copy.proc < 0)
		return -errno;
	error = namespace_enter(&namespace->fd, 1, 0, find_in_copy, &copy,
				"to look at covered mounts");
	close(copy.proc);
	if (error)
		log_debug("mount namespace %u: not everything that is covered can be reached: %s",
			  tree->id, strerror(-error));
	return 0;
}
