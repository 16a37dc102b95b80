/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors of namespaces: what open("/proc/PID/ns/KIND") gives.  They keep a namespace alive. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "file/internal.h"
#include "namespace/namespace.h"
#include "task/task.h"

static bool recognize(const struct description *description)
{
	struct statfs statfs;

	return S_ISREG(description->stat.st_mode) && *description->link != '/' &&
	       !(description->flags & O_PATH) && fstatfs(description->fd, &statfs) == 0 &&
	       statfs.f_type == NSFS_MAGIC;
}

static int describe(struct checkpoint *checkpoint, struct description *description)
{
	NsFileEntry *entry = ARENA_MESSAGE(checkpoint->arena, ns_file_entry, NsFileEntry);
	enum namespace_kind kind = NAMESPACE_NONE;
	struct namespace *namespace = namespace_of_fd(checkpoint, description->fd, &kind);

	description->entry->nsf = entry;
	if (kind == NAMESPACE_NONE)
		return -EOPNOTSUPP;
	entry->id = description->id;
	entry->ns_id = namespace ? namespace->id : (uint32_t)kind + 1;
	entry->ns_cflag = namespace_flag(kind);
	entry->flags = description->flags;
	return 0;
}

/* Their links tell them apart: only they are opened. */
int files_find_namespaces(struct checkpoint *checkpoint, struct task *task)
{
	autofd int fd = openat(task->proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int result = 0;

	while (directory && (entry = readdir(directory))) {
		char link[16] = "";

		if (readlinkat(fd, entry->d_name, link, sizeof(link) - 1) < 0 ||
		    (strncmp(link, "mnt:[", 5) && strncmp(link, "ipc:[", 5)))
			continue;
		autofd int file = syscall(SYS_pidfd_getfd, task->pidfd, atoi(entry->d_name), 0);
		enum namespace_kind kind;

		if (file >= 0 && !namespace_of_fd(checkpoint, file, &kind) &&
		    kind == NAMESPACE_NONE)
			result = -EOPNOTSUPP;
	}
	fd = directory ? -1 : fd; /* the directory's */
	if (directory)
		closedir(directory);
	return result;
}

static int take(struct checkpoint *checkpoint, struct description *description)
{
	const NsFileEntry *entry = description->entry->nsf;
	enum namespace_kind kind;

	if (!entry || entry->id != description->id)
		return file_damaged(description, "it is no namespace, or another file's");
	kind = namespace_kind_of_flag(entry->ns_cflag);
	if (kind == NAMESPACE_NONE ||
	    (entry->ns_id > NAMESPACE_KINDS && !namespace_by_id(checkpoint, kind, entry->ns_id)))
		return file_damaged(description, "the checkpoint does not have its namespace");
	description->flags = entry->flags;
	return 0;
}

static int make(struct checkpoint *checkpoint, struct description *description)
{
	const NsFileEntry *entry = description->entry->nsf;
	enum namespace_kind kind = namespace_kind_of_flag(entry->ns_cflag);
	autofd int fd = namespace_open(namespace_by_id(checkpoint, kind, entry->ns_id), kind);

	if (fd >= 0)
		description->fd = file_reopen(fd, description->flags & ~O_ACCMODE);
	if (fd < 0 || description->fd < 0)
		return FAIL(fd < 0 ? -fd : -description->fd, description_subject(description), NULL,
			    "the namespace cannot be opened: %s",
			    strerror(fd < 0 ? -fd : -description->fd));
	return 0;
}

const struct file_kind nsfile_kind = {
	.name = "namespace",
	.type = FD_TYPES__NS,
	.recognize = recognize,
	.describe = describe,
	.read = take,
	.make = make,
};
