/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

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
 * mm's brk and dumpable).  Refuses what cannot be carried over.  task_describe_zombie() needs
 * no batch.  The leader comes before the other threads.
 */
int thread_describe(struct checkpoint *checkpoint, struct thread *thread);
int task_describe_zombie(struct checkpoint *checkpoint, struct task *task);

/*
 * Restore, of a task whose memory, threads and descriptors are in place: first
 * task_restore_state() for what the process has, then thread_restore_state() for every thread.
 * Registers and the signal mask go into thread->remote.regs and .sigmask, which
 * remote_release() loads; extended registers are set at once.  After the last thread nothing that
 * needs privileges can be done in the task any more; memory_finish() comes before, and so do the
 * task's zombies (or their SIGCHLD would wait twice).
 */
int task_restore_state(struct checkpoint *checkpoint, struct task *task);
int thread_restore_state(struct checkpoint *checkpoint, struct thread *thread);
