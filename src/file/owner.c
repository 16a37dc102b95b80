/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The owner of an open file: who gets SIGIO, SIGURG and the like (F_SETOWN_EX, F_SETSIG). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "file/internal.h"
#include "task/proc.h"

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif

/* The owner as the images call it, who is `number` to stasis; 0: it is not in the tree. */
static pid_t id_of(const struct checkpoint *checkpoint, int type, pid_t number)
{
	tree_each_task (&checkpoint->tree, task) {
		if (type == F_OWNER_PGRP ? task->stat->pgrp == number : task->pid == number)
			return type == F_OWNER_PGRP ? task->pgid : task->id;
		for (size_t i = 0; type == F_OWNER_TID && i < task->thread_count; i++)
			if (task->threads[i].tid == number)
				return task->threads[i].id;
	}
	return 0;
}

/* And the other way round, of tasks that are born; their groups may not be made yet. */
static pid_t number_of(const struct checkpoint *checkpoint, int type, pid_t id)
{
	tree_each_task (&checkpoint->tree, task) {
		if (task->id == id)
			return task->pid;
		for (size_t i = 0; type == F_OWNER_TID && i < task->thread_count; i++)
			if (task->threads[i].id == id)
				return task->threads[i].tid;
	}
	return 0;
}

FownEntry *owner_describe(struct checkpoint *checkpoint, const struct description *description)
{
	FownEntry *entry = ARENA_MESSAGE(checkpoint->arena, fown_entry, FownEntry);
	struct f_owner_ex owner = {0};
	uint32_t ids[2];
	int signo = fcntl(description->fd, F_GETSIG);

	if (signo < 0 || fcntl(description->fd, F_GETOWN_EX, &owner) < 0) {
		FAIL(errno, description_subject(description), NULL, "its owner cannot be read: %s",
		     strerror(errno));
		return NULL;
	}
	entry->signum = signo;
	if (!owner.pid)
		return entry;
	if (fcntl(description->fd, F_GETOWNER_UIDS, ids) < 0) {
		FAIL(errno, description_subject(description),
		     "use a kernel that is built with CONFIG_CHECKPOINT_RESTORE",
		     "the user ids of its owner cannot be read: %s", strerror(errno));
		return NULL;
	}
	entry->pid = id_of(checkpoint, owner.type, owner.pid);
	if (!entry->pid) {
		REFUSE(description_subject(description),
		       "dump the owner too, or take the owner away (F_SETOWN 0)",
		       "its signals go to process or group %d, which is not dumped", owner.pid);
		return NULL;
	}
	entry->uid = ids[0];
	entry->euid = ids[1];
	entry->pid_type = owner.type;
	return entry;
}

/* The kernel notes who sets an owner, and lets later signals pass as if they were theirs. */
static int set_owner(const struct checkpoint *checkpoint, int fd, const FownEntry *entry)
{
	struct f_owner_ex owner = {.type = entry->pid_type,
				   .pid = number_of(checkpoint, entry->pid_type, entry->pid)};
	uid_t real, effective, saved;
	int result = 0;

	if (owner.pid <= 0)
		return -ESRCH;
	if (getresuid(&real, &effective, &saved) < 0)
		return -errno;
	/* Of this thread only, which the C library's function would not do. */
	bool other = entry->uid != real || entry->euid != effective;

	if (other && syscall(SYS_setresuid, entry->uid, entry->euid, effective) < 0)
		return -errno;
	if (fcntl(fd, F_SETOWN_EX, &owner) < 0)
		result = -errno;
	if (other && syscall(SYS_setresuid, real, effective, saved) < 0)
		return -errno;
	return result;
}

int owner_restore(struct checkpoint *checkpoint, struct description *description)
{
	const FownEntry *entry = description->owner;
	int error = 0;

	if (!entry->signum && !entry->pid)
		return 0;

	autofd int fd = description->fd >= 0 ? fcntl(description->fd, F_DUPFD_CLOEXEC, 0)
					     : file_fetch(description);

	if (fd < 0)
		error = fd;
	else if (entry->signum && fcntl(fd, F_SETSIG, entry->signum) < 0)
		error = -errno;
	else if (entry->pid)
		error = set_owner(checkpoint, fd, entry);
	return error ? FAIL(-error, description_subject(description), NULL,
			    "its owner (%u) cannot be set: %s", entry->pid, strerror(-error))
		     : 0;
}
