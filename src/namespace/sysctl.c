/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "namespace/internal.h"

/* procfs that is mounted nowhere. */
static int open_own_proc(void)
{
	autofd int context = fsopen("proc", FSOPEN_CLOEXEC);
	autofd int mount = -1;

	if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
	return mount < 0 ? -1 : openat(mount, "sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int sysctl_open(void)
{
	autofd int fd = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statvfs statvfs;

	if (fd < 0 || fstatvfs(fd, &statvfs) < 0 || statvfs.f_flag & ST_RDONLY) {
		int own = open_own_proc();

		if (own >= 0)
			return own;
	}
	return fd < 0 ? FAIL(errno, SUBJECT("/proc/sys"), "mount /proc", "cannot be opened: %s",
			     strerror(errno))
		      : fd_steal(&fd);
}

int sysctl_read(int sys, const char *name, char value[SYSCTL_MOST])
{
	autofd int fd = openat(sys, name, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, value, SYSCTL_MOST);

	if (size < 0)
		return -errno;
	if (size == SYSCTL_MOST)
		return -EOVERFLOW;
	value[size] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return 0;
}

int sysctl_write(int sys, const char *name, const char *value)
{
	autofd int fd = openat(sys, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_write_all(fd, value, strlen(value));
}

/* ---- all of a directory -------------------------------------------------------------------- */

struct walk {
	struct arena *arena;
	int sys;
	ARRAY(char *) names;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int walk(struct walk *walk_, const char *directory)
{
	int fd = openat(walk_->sys, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *found;
	struct stat stat;
	int error = 0;

	if (!stream)
		return -errno;
	while (!error && (found = readdir(stream))) {
		if (found->d_name[0] == '.')
			continue;

		char *name = arena_printf(walk_->arena, "%s/%s", directory, found->d_name);

		if (found->d_type == DT_DIR)
			error = walk(walk_, name);
		else if (fstatat(fd, found->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0 &&
			 S_ISREG(stat.st_mode) && stat.st_mode & 0444 && stat.st_mode & 0222)
			*array_push(&walk_->names) = name;
	}
	closedir(stream);
	return error;
}

int sysctl_collect(struct arena *arena, int sys, const char *directory, char ***names,
		   size_t *count)
{
	struct walk all = {.arena = arena, .sys = sys};
	int error = walk(&all, directory);

	if (all.names.count)
		qsort(all.names.items, all.names.count, sizeof(*all.names.items), by_name);
	*names = arena_copy(arena, all.names.items, all.names.count * sizeof(*all.names.items));
	*count = all.names.count;
	array_free(&all.names);
	return error;
}
