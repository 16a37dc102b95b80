/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/syscall.h>

#include "base/array.h"
#include "base/report.h"
#include "checkpoint/checkpoint.h"
#include "task/proc.h"
#include "task/task.h"

/*
 * The parts of a thread's state, a file each, shared by the files of task/ only.  state.c has the
 * table of parts and the order.
 */

/* Dump: one thread on its way into its core image. */
struct inquiry {
	struct arena *arena;
	struct task *task;
	struct thread *thread;
	bool leader; /* what the process has is asked of its leader */
	struct proc_status status;
	struct proc_stat stat;
	struct batch *batch, own_batch; /* of all parts' questions */
	void **asked;                   /* what each part's ask() returned */
	int error;                      /* the first */
	uint64_t tid_address;
	TaskCoreEntry *tc; /* NULL but for the leader */
	ThreadCoreEntry *thread_core;
};

/* What a call is for, should it fail. */
struct wish {
	const char *purpose, *remedy;
};

/* Restore: one thread on its way out of it. */
struct revival {
	struct checkpoint *checkpoint;
	struct task *task;
	struct thread *thread;
	bool leader, last; /* last: the other threads have all they need */
	int error;
	TaskCoreEntry *tc; /* the leader's */
	ThreadCoreEntry *thread_core;
	struct batch batch;
	ARRAY(struct wish) wishes; /* one for each call of the batch */
};

/*
 * ask() adds calls to the batch; what it returns is handed to answer(), which fills in the image
 * or refuses.  restore_process() runs once per process, before restore_thread() of its threads.
 *
 * A zombie cannot be asked: describe_zombie() fills in what the kernel still tells of it.  Parts
 * that have it are restored in the task that is going to end like it; its image may lack any of
 * their fields (CRIU's have a name and an exit code).
 *
 * All may be NULL.
 */
struct part {
	void *(*ask)(struct inquiry *);
	int (*answer)(struct inquiry *, void *asked);
	int (*describe_zombie)(struct inquiry *);
	int (*restore_process)(struct revival *);
	int (*restore_thread)(struct revival *);
};

extern const struct part anchors_part, controls_part, creds_part, flags_part, identity_part,
	limits_part, memory_part, sched_part, signals_part, timers_part;

/* The thread in words, for reports. */
struct subject thread_subject(const struct thread *thread);

/*
 * Adds a call that has to succeed.  purpose completes "cannot set its ..."; remedy may be NULL.
 * Ask revival_room() before batch_input(), for the call and its data.
 */
void revive_(struct revival *revival, const char *purpose, const char *remedy, uint64_t nr,
	     const uint64_t args[6]);
#define revive(revival, purpose, remedy, nr, ...)                                                  \
	revive_((revival), (purpose), (remedy), (nr), (const uint64_t[6]){__VA_ARGS__})
/* Makes room in the batch, running what is there when it is full. */
int revival_room(struct revival *revival, size_t calls, size_t bytes);
/* Runs what is there; reports the first call that failed. */
int revival_run(struct revival *revival);

static inline uint64_t signal_bit(int signo)
{
	return 1ull << (signo - 1);
}

/* Does stasis itself (and so the task, before it is given its credentials) have the capability? */
bool have_capability(int capability);
