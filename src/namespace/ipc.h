/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/report.h"

struct checkpoint;
struct namespace;
struct task;

/*
 * System V shared memory, for memory/: a mapping of it is of a segment of the ipc namespace that
 * the task is in, by the segment's id.
 */

/*
 * Dump: the task has a mapping of the segment; fd is a descriptor of its file, with its content.
 * Refuses, for `subject`, what is no segment of an ipc namespace of the tree.
 */
int shm_mapped(struct checkpoint *checkpoint, struct task *task, uint32_t id, int fd,
	       struct subject subject);
/* Restore: is there such a segment, of at least so many bytes, in the task's namespace? */
bool shm_has(struct checkpoint *checkpoint, const struct task *task, uint64_t id, uint64_t size);
/* Its size, in whole pages. */
uint64_t shm_size(struct checkpoint *checkpoint, const struct task *task, uint64_t id);

/* Dump, after namespaces_survey(): semaphore operations that the task has to undo (SEM_UNDO). */
int undo_describe(struct checkpoint *checkpoint, struct task *task);

/* Dump: the namespace of the tree whose POSIX message queues are on this device; NULL: none. */
struct namespace *mqueue_namespace(struct checkpoint *checkpoint, dev_t device);
/* Restore: has it such a queue?  A descriptor of it, as mq_open(3) gives it, or a negative errno.
 */
bool mqueue_has(const struct namespace *namespace, const char *name);
int mqueue_open(const struct namespace *namespace, const char *name, int flags);
