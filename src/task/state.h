/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>

struct checkpoint;
struct task;
struct thread;

/*
 * Dump, right after a thread's stop and before anything runs in it: leaves a critical section of
 * rseq(2) as the kernel would, has a call made again that only our stop made answer EINTR (both in
 * thread->remote.regs), and refuses a thread in which no batch can run: 32-bit code, a shadow
 * stack, syscall user dispatch.  space.pid must be set.  Reports.
 */
int thread_settle(struct thread *thread);

/*
 * What a task and a thread are besides memory and files; one file of task/ per subject, both
 * directions in it.
 *
 * Dump: all of a thread in one batch; fills in thread->core (and, for a leader, tc, the timers,
 * mm's brk and dumpable).  Refuses what cannot be carried over, goes on with the next, and returns
 * the first error.  The leader comes before the other threads.  Several threads are asked at the
 * same time.  task_describe_zombie() needs no batch.
 */
int threads_describe(struct checkpoint *checkpoint, struct thread *const *threads, size_t count);
int task_describe_zombie(struct checkpoint *checkpoint, struct task *task);

/*
 * Restore, of tasks whose memory, threads and descriptors are in place, in the given order.
 * Registers and the signal mask go into thread->remote.regs and .sigmask, which
 * remote_release() loads; extended registers are set at once.  Afterwards nothing that
 * needs privileges can be done in the task any more; memory_finish() comes before, and so do the
 * task's zombies (or their SIGCHLD would wait twice).  The first error ends it.
 */
int tasks_restore_state(struct checkpoint *checkpoint, struct task *const *tasks, size_t count);
/* Whether a task can end as the zombie of the image did.  Reports. */
int zombie_check(const struct task *task);
/* Of a task that is to become a zombie: what of a zombie can be seen, but for how it ended. */
int zombie_restore_state(struct checkpoint *checkpoint, struct task *task);
