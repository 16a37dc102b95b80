/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ipc namespaces: the limits (ipcns-var-ID.img) and what all System V objects have; a file each for
 * the kinds of objects.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "image/image.h"
#include "namespace/ipc_internal.h"

static const struct namespace_content *const parts[] = {&shm_part, &sem_part, &msg_part,
							&mqueue_part};

enum { PARTS = sizeof(parts) / sizeof(*parts), SEM_CONTROLS = 4 };

/* ---- limits -------------------------------------------------------------------------------- */

/*
 * high: what a limit is while objects are made: they may be more and larger than the limit, which
 * can have been lowered since.  In a namespace of one's own that takes no capability.
 */
static const struct limit {
	const char *name;
	size_t offset, size;
	const char *high;
} limits[] = {
#define LIMIT(name, field, high)                                                                   \
	{                                                                                          \
		name, offsetof(IpcVarEntry, field), sizeof(((IpcVarEntry *)0)->field), high        \
	}
	LIMIT("kernel/msgmax", msg_ctlmax, "2147483647"),
	LIMIT("kernel/msgmnb", msg_ctlmnb, "2147483647"),
	LIMIT("kernel/msgmni", msg_ctlmni, "32768"),
	LIMIT("kernel/auto_msgmni", auto_msgmni, NULL),
	LIMIT("kernel/shmmax", shm_ctlmax, "18446744073692774399"),
	LIMIT("kernel/shmall", shm_ctlall, "18446744073692774399"),
	LIMIT("kernel/shmmni", shm_ctlmni, "32768"),
	LIMIT("kernel/shm_rmid_forced", shm_rmid_forced, "0"),
	LIMIT("fs/mqueue/queues_max", mq_queues_max, "1000000"),
	LIMIT("fs/mqueue/msg_max", mq_msg_max, "65536"),
	LIMIT("fs/mqueue/msgsize_max", mq_msgsize_max, "16777216"),
	LIMIT("fs/mqueue/msg_default", mq_msg_default, NULL),
	LIMIT("fs/mqueue/msgsize_default", mq_msgsize_default, NULL),
#undef LIMIT
};

enum { LIMITS = sizeof(limits) / sizeof(*limits) };

/* Ids that somebody has asked for and not yet used. */
static const struct next_id {
	const char *name;
	size_t offset, has;
} next_ids[] = {
#define NEXT(kind)                                                                                 \
	{                                                                                          \
		"kernel/" #kind "_next_id", offsetof(IpcVarEntry, kind##_next_id),                 \
			offsetof(IpcVarEntry, has_##kind##_next_id)                                \
	}
	NEXT(shm),
	NEXT(sem),
	NEXT(msg),
#undef NEXT
};

enum { NEXT_IDS = sizeof(next_ids) / sizeof(*next_ids) };

static int limit_failed(const struct namespace *namespace, const char *verb, const char *name,
			int error)
{
	return FAIL(-error, namespace_subject(namespace), NULL, "/proc/sys/%s cannot be %s: %s",
		    name, verb, strerror(-error));
}

static uint64_t get_limit(const IpcVarEntry *entry, const struct limit *limit)
{
	const void *field = (const char *)entry + limit->offset;

	return limit->size == sizeof(uint64_t) ? *(const uint64_t *)field
					       : *(const uint32_t *)field;
}

static int describe_limits(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct ipc_state *state = ipc_state(namespace);
	IpcVarEntry *entry = state->limits;
	char value[SYSCTL_MOST], *at = value;
	int error;

	for (size_t i = 0; i < LIMITS; i++) {
		void *field = (char *)entry + limits[i].offset;

		error = sysctl_read(state->sys, limits[i].name, value);
		if (error)
			return limit_failed(namespace, "read", limits[i].name, error);
		if (limits[i].size == sizeof(uint64_t))
			*(uint64_t *)field = strtoull(value, NULL, 10);
		else
			*(uint32_t *)field = strtoul(value, NULL, 10);
	}
	entry->has_mq_msg_default = entry->has_mq_msgsize_default = true;
	for (size_t i = 0; i < NEXT_IDS; i++) {
		error = sysctl_read(state->sys, next_ids[i].name, value);
		if (error)
			return limit_failed(namespace, "read", next_ids[i].name, error);
		*(uint32_t *)((char *)entry + next_ids[i].offset) = strtol(value, NULL, 10);
		*(protobuf_c_boolean *)((char *)entry + next_ids[i].has) =
			strtol(value, NULL, 10) >= 0;
	}
	error = sysctl_read(state->sys, "kernel/sem", value);
	if (error)
		return limit_failed(namespace, "read", "kernel/sem", error);
	entry->sem_ctls = arena_new_array(checkpoint->arena, uint32_t, SEM_CONTROLS);
	for (entry->n_sem_ctls = 0; entry->n_sem_ctls < SEM_CONTROLS; entry->n_sem_ctls++)
		entry->sem_ctls[entry->n_sem_ctls] = strtoul(at, &at, 10);
	return 0;
}

static int raise_limits(struct namespace *namespace)
{
	int sys = ipc_state(namespace)->sys;

	for (size_t i = 0; i < LIMITS; i++) {
		int error = limits[i].high ? sysctl_write(sys, limits[i].name, limits[i].high) : 0;

		if (error)
			return limit_failed(namespace, "raised", limits[i].name, error);
	}

	int error = sysctl_write(sys, "kernel/sem", "65536 2147483647 500 32768");

	return error ? limit_failed(namespace, "raised", "kernel/sem", error) : 0;
}

static int set_limits(struct namespace *namespace)
{
	const struct ipc_state *state = ipc_state(namespace);
	const IpcVarEntry *entry = state->limits;
	char value[128];
	int error;

	for (size_t i = 0; i < LIMITS; i++) {
		snprintf(value, sizeof(value), "%llu",
			 (unsigned long long)get_limit(entry, &limits[i]));
		error = sysctl_write(state->sys, limits[i].name, value);
		if (error)
			return limit_failed(namespace, "set", limits[i].name, error);
	}
	snprintf(value, sizeof(value), "%u %u %u %u", entry->sem_ctls[0], entry->sem_ctls[1],
		 entry->sem_ctls[2], entry->sem_ctls[3]);
	error = sysctl_write(state->sys, "kernel/sem", value);
	if (error)
		return limit_failed(namespace, "set", "kernel/sem", error);
	for (size_t i = 0; i < NEXT_IDS; i++) {
		if (!*(const protobuf_c_boolean *)((const char *)entry + next_ids[i].has))
			continue;
		snprintf(value, sizeof(value), "%d",
			 *(const int32_t *)((const char *)entry + next_ids[i].offset));
		error = sysctl_write(state->sys, next_ids[i].name, value);
		if (error)
			return limit_failed(namespace, "set", next_ids[i].name, error);
	}
	return 0;
}

/* ---- what all System V objects have -------------------------------------------------------- */

struct subject ipc_subject(const struct namespace *namespace, const char *what,
			   const IpcDescEntry *desc)
{
	return SUBJECT("%s, %s %u (key %#x)", namespace_subject(namespace).text, what, desc->id,
		       desc->key);
}

IpcDescEntry *ipc_describe(struct checkpoint *checkpoint, int id, const struct ipc_perm *perm)
{
	IpcDescEntry *desc = ARENA_MESSAGE(checkpoint->arena, ipc_desc_entry, IpcDescEntry);

	desc->id = id;
	desc->key = perm->__key;
	desc->uid = perm->uid;
	desc->gid = perm->gid;
	desc->cuid = perm->cuid;
	desc->cgid = perm->cgid;
	desc->mode = perm->mode;
	return desc;
}

int ipc_check(const struct namespace *namespace, const char *what, const IpcDescEntry *desc,
	      uint32_t mode_flags)
{
	if (desc->id <= INT_MAX && !(desc->mode & ~(0777 | mode_flags)))
		return 0;
	return FAIL(EBADMSG, ipc_subject(namespace, what, desc),
		    "the checkpoint is damaged: dump again", "no such object is possible");
}

void ipc_owner(const IpcDescEntry *desc, struct ipc_perm *perm)
{
	perm->uid = desc->uid;
	perm->gid = desc->gid;
	perm->mode = desc->mode & 0777;
}

/* By system calls: libc would change all threads of stasis. */
static int become(uid_t uid, gid_t gid)
{
	if (syscall(SYS_setresuid, -1, uid, -1) < 0 || syscall(SYS_setresgid, -1, gid, -1) < 0)
		return -errno;
	return 0;
}

/* The creator of an object is who makes it. */
static int get_as(const IpcDescEntry *desc, int (*get)(const void *object, int flags),
		  const void *object)
{
	int flags = (desc->mode & 0777) | IPC_CREAT | IPC_EXCL, dumpable, id, error;
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (desc->cuid == uid && desc->cgid == gid) {
		id = get(object, flags);
		return id < 0 ? -errno : id;
	}
	/* This is a property of memory, which is that of stasis. */
	dumpable = prctl(PR_GET_DUMPABLE);
	error = syscall(SYS_setresgid, -1, desc->cgid, -1) < 0 ||
				syscall(SYS_setresuid, -1, desc->cuid, -1) < 0
			? -errno
			: 0;
	id = error ? error : get(object, flags);
	if (!error && id < 0)
		id = -errno;
	error = become(uid, gid);
	prctl(PR_SET_DUMPABLE, dumpable);
	return error ? error : id;
}

int ipc_make(struct namespace *namespace, const char *what, const char *next_id,
	     const IpcDescEntry *desc, int (*get)(const void *object, int flags),
	     const void *object)
{
	struct subject subject = ipc_subject(namespace, what, desc);
	char value[16];
	int result;

	snprintf(value, sizeof(value), "%u", desc->id);
	result = sysctl_write(ipc_state(namespace)->sys, next_id, value);
	if (result < 0)
		return FAIL(-result, subject, "the kernel needs CONFIG_CHECKPOINT_RESTORE",
			    "its id cannot be chosen (/proc/sys/%s): %s", next_id,
			    strerror(-result));
	result = get_as(desc, get, object);
	if (result < 0)
		return FAIL(-result, subject, NULL, "cannot be made: %s", strerror(-result));
	if (result != (int)desc->id)
		return FAIL(EEXIST, subject, "the checkpoint is damaged: dump again",
			    "cannot be made with its id: it got %d", result);
	return 0;
}

/* ---- the whole ----------------------------------------------------------------------------- */

typedef int part_function(struct checkpoint *checkpoint, struct namespace *namespace);

static int each_part(struct checkpoint *checkpoint, struct namespace *namespace, size_t function)
{
	int error = 0;

	for (size_t i = 0; i < PARTS && !error; i++) {
		part_function *call = *(part_function *const *)((const char *)parts[i] + function);

		error = call ? call(checkpoint, namespace) : 0;
	}
	return error;
}

#define EACH(function)                                                                             \
	each_part(checkpoint, namespace, offsetof(struct namespace_content, function))

static struct ipc_state *new_state(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct ipc_state *state = arena_new_object(checkpoint->arena, struct ipc_state);

	state->sys = -1;
	return namespace->state = state;
}

static int describe(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct ipc_state *state = new_state(checkpoint, namespace);
	int error;

	state->limits = ARENA_MESSAGE(checkpoint->arena, ipc_var_entry, IpcVarEntry);
	state->sys = sysctl_open();
	error = state->sys < 0 ? state->sys : describe_limits(checkpoint, namespace);
	if (!error)
		error = EACH(describe);
	fd_close(&state->sys);
	return error;
}

static int check(struct checkpoint *checkpoint, struct namespace *namespace)
{
	return EACH(check);
}

static int store(struct checkpoint *checkpoint, struct namespace *namespace)
{
	return EACH(store);
}

static int write_images(struct checkpoint *checkpoint, struct namespace *namespace)
{
	int error = image_write_one(checkpoint->images, IMAGE_IPC_VAR, namespace->id,
				    ipc_state(namespace)->limits);

	return error ? error : EACH(write);
}

static int read_images(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct ipc_state *state = new_state(checkpoint, namespace);
	int error = namespace_read_one(checkpoint, namespace, IMAGE_IPC_VAR, &state->limits);

	if (!error && state->limits->n_sem_ctls != SEM_CONTROLS)
		error = FAIL(EBADMSG, namespace_subject(namespace),
			     "the checkpoint is damaged: dump again",
			     "its limits of semaphores are not four");
	return error ? error : EACH(read);
}

static int make(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct ipc_state *state = ipc_state(namespace);
	int error;

	state->sys = sysctl_open();
	error = state->sys < 0 ? state->sys : raise_limits(namespace);
	if (!error)
		error = EACH(make);
	fd_close(&state->sys);
	return error;
}

static int finish_tasks(struct checkpoint *checkpoint, struct namespace *namespace)
{
	return EACH(finish_tasks);
}

static int finish(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct ipc_state *state = ipc_state(namespace);
	int error;

	state->sys = sysctl_open();
	error = state->sys < 0 ? state->sys : EACH(finish);
	if (!error)
		error = set_limits(namespace);
	fd_close(&state->sys);
	return error;
}

const struct namespace_content ipc_content = {
	.describe = describe,
	.check = check,
	.store = store,
	.write = write_images,
	.read = read_images,
	.make = make,
	.finish_tasks = finish_tasks,
	.finish = finish,
};
