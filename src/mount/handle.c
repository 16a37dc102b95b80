/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dump: files by their handles, as inotify tells of them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "mount/external.h"
#include "mount/reach.h"

struct search {
	const struct mount *mount;
	int fd;
	const char *name; /* of a file, when `file` is set */
	struct stat *file;
};

/* In the mount's namespace: a directory of the mount itself, for open_by_handle_at(). */
static int open_mount(void *argument)
{
	struct search *search = argument;
	uint64_t id;

	search->fd = open(search->mount->path, O_RDONLY | O_DIRECTORY | O_NOATIME | O_CLOEXEC);
	if (search->fd < 0)
		return -errno;
	id = mount_id_of_fd(search->fd);
	if (id == search->mount->id || id == search->mount->short_id)
		return 0;
	fd_close(&search->fd);
	return -ENOENT;
}

static int look_up(void *argument)
{
	struct search *search = argument;

	return fstatat(AT_FDCWD, search->name, search->file, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int in_namespace(const struct mount *mount, int (*function)(void *), struct search *search)
{
	const struct namespace *namespace = mount->tree->namespace;

	return namespace ? namespace_enter(&namespace->fd, 1, 0, function, search,
					   "the namespace of a watched file")
			 : function(search);
}

/* A name that was not removed has to lead to the file: what this mount does not show has a wrong
 * one. */
static bool is_seen(const struct mount *mount, int fd)
{
	char link[40], name[PATH_MAX];
	struct stat stat, there;
	struct search search = {.mount = mount, .name = name, .file = &there};
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, name, sizeof(name) - 1);
	if (length < 0 || fstat(fd, &stat) < 0)
		return false;
	name[length] = 0;
	if (!stat.st_nlink)
		return path_contains(mount->path, name);
	return in_namespace(mount, look_up, &search) == 0 && there.st_ino == stat.st_ino &&
	       there.st_dev == stat.st_dev;
}

static int open_on(const struct mount *mount, struct file_handle *handle)
{
	struct search search = {.mount = mount, .fd = -1};
	int error = in_namespace(mount, open_mount, &search), fd;
	autofd int directory = search.fd;

	if (error)
		return error;
	fd = open_by_handle_at(directory, handle, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (is_seen(mount, fd))
		return fd;
	close(fd);
	return -ENOENT;
}

static int open_in(struct mount_graph *graph, dev_t device, struct file_handle *handle)
{
	struct superblock *superblock = graph ? hash_get(&graph->by_device, device) : NULL;
	int error = -ENODEV;

	for (; superblock; superblock = superblock->next_of_device)
		for (struct mount *mount = superblock->mounts; mount;
		     mount = mount->next_of_superblock) {
			int fd = open_on(mount, handle);

			if (fd >= 0)
				return fd;
			error = fd;
		}
	return error;
}

int mount_open_handle(struct checkpoint *checkpoint, dev_t device, struct file_handle *handle)
{
	int fd = open_in(checkpoint->mounts.graph, device, handle);

	return fd < 0 ? open_in(mounts_own(checkpoint), device, handle) : fd;
}
