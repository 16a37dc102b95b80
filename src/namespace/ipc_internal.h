/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <sys/ipc.h>

#include "base/array.h"
#include "base/hash.h"
#include "images/ipc-desc.pb-c.h"
#include "images/ipc-msg.pb-c.h"
#include "images/ipc-sem.pb-c.h"
#include "images/ipc-shm.pb-c.h"
#include "images/ipc-var.pb-c.h"
#include "namespace/internal.h"

/* Shared by the files about ipc namespaces: ipc.c, shm.c, sem.c, msg.c, mqueue.c. */

struct segment;
struct queue;

struct semaphores {
	IpcSemEntry *entry;
	uint16_t *values;
	bool waiters; /* dump: somebody who is not frozen waits */
};

/* namespace->state */
struct ipc_state {
	IpcVarEntry *limits;
	int sys;             /* while it is described, made or finished: see sysctl_open() */
	dev_t mqueue_device; /* dump: of the filesystem of POSIX message queues */
	ARRAY(struct segment *) segments;
	struct hash segment_by_id; /* plus 1 */
	ARRAY(struct semaphores *) semaphores;
	ARRAY(struct queue *) queues;
	ARRAY(struct task *) undoers; /* dump: who may have semaphore operations to undo */
};

/* A part is like the whole: functions may be missing. */
extern const struct namespace_content shm_part, sem_part, msg_part, mqueue_part;

static inline struct ipc_state *ipc_state(const struct namespace *namespace)
{
	return namespace->state;
}

/* "ipc namespace 9, shared memory 3 (key 0x1234)" */
struct subject ipc_subject(const struct namespace *namespace, const char *what,
			   const IpcDescEntry *desc);
/* Of the object with this id. */
IpcDescEntry *ipc_describe(struct checkpoint *checkpoint, int id, const struct ipc_perm *perm);

/*
 * Makes an object with its id, key and creator, by get(), which is given `object` and the flags for
 * shmget(2) and the like.  next_id: the sysctl that chooses the id.  Reports.
 */
int ipc_make(struct namespace *namespace, const char *what, const char *next_id,
	     const IpcDescEntry *desc, int (*get)(const void *object, int flags),
	     const void *object);
/* The owner and the permissions, for IPC_SET. */
void ipc_owner(const IpcDescEntry *desc, struct ipc_perm *perm);
/* Restore: is this a possible desc?  mode_flags: beside the permissions.  Reports. */
int ipc_check(const struct namespace *namespace, const char *what, const IpcDescEntry *desc,
	      uint32_t mode_flags);

/* ---- undo.c: semaphore operations to undo -------------------------------------------------- */

/* Dump: asks undoers, by remote calls. */
int undo_survey(struct checkpoint *checkpoint, struct namespace *namespace);
/* Restore: checks those of a set; then gives them to the tasks. */
int undo_read(struct checkpoint *checkpoint, const struct namespace *namespace,
	      const struct semaphores *set);
int undo_restore(struct checkpoint *checkpoint, struct namespace *namespace);
