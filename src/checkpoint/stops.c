/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checkpoint/stops.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/report.h"
#include "checkpoint/checkpoint.h"

enum { STOP_UNREPORTED = 1, CONTINUE_UNREPORTED = 2 }; /* task_core_entry.unreported */

/* ---- dump --------------------------------------------------------------------------------- */

/* The answers for children from `first` on; returns how many one batch could hold. */
static int ask_parent(struct task *parent, struct batch *batch, size_t first, size_t *asked)
{
	const siginfo_t *answers[parent->child_count];
	size_t count = 0;
	int error;

	for (size_t i = first; i < parent->child_count && batch_fits(batch, 1, sizeof(siginfo_t));
	     i++) {
		uint64_t address;

		answers[count++] = batch_data(batch, sizeof(siginfo_t), &address);
		batch_call(batch, SYS_waitid, P_PID,
			   task_numbers(parent->children[i], parent->depth).id, address,
			   WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT | __WALL);
	}
	error = batch_run(batch);
	for (size_t i = 0; i < count && !error; i++) {
		TaskCoreEntry *core = parent->children[first + i]->threads[0].core->tc;

		if (!core || batch_result(batch, i) < 0 || !answers[i]->si_pid)
			continue;
		core->has_unreported = true;
		core->unreported = answers[i]->si_code == CLD_CONTINUED ? CONTINUE_UNREPORTED
									: STOP_UNREPORTED;
	}
	batch_reset(batch);
	*asked = count;
	return error;
}

int stops_describe(struct checkpoint *checkpoint)
{
	int error = 0;

	tree_each_task (&checkpoint->tree, task) {
		struct batch batch;
		size_t asked = 0;

		if (!task->child_count || !task->space.area_size)
			continue;
		batch_begin(&batch, task_leader(task));
		for (size_t i = 0; i < task->child_count && !error; i += asked)
			error = ask_parent(task, &batch, i, &asked);
		batch_end(&batch);
		if (error)
			return FAIL(-error, task_subject(task), NULL,
				    "cannot be asked for its children: %s", strerror(-error));
	}
	return 0;
}

/* ---- restore ------------------------------------------------------------------------------ */

/* Until the next stop. */
static int go_on(struct remote *remote, int signo, int *status)
{
	if (ptrace(PTRACE_CONT, remote->tid, 0, signo) < 0)
		return -errno;
	while (waitpid(remote->tid, status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSTOPPED(*status) ? 0 : -ESRCH;
}

/*
 * The same, with a stop asked for first: it comes at the latest before the thread runs an
 * instruction of its own.
 */
static int go_on_nowhere(struct remote *remote, int signo, int *status)
{
	return ptrace(PTRACE_INTERRUPT, remote->tid, 0, 0) < 0 ? -errno
							       : go_on(remote, signo, status);
}

/* The leader takes the signal; *stopped: that began a stop of the process. */
static int take_signal(struct task *task, int signo, bool *stopped)
{
	struct remote *leader = task_leader(task);
	uint64_t before, all_but_signo = ~(1ull << (signo - 1));
	int status = 0, error;

	if (ptrace(PTRACE_GETSIGMASK, leader->tid, sizeof(before), &before) < 0 ||
	    ptrace(PTRACE_SETSIGMASK, leader->tid, sizeof(before), &all_but_signo) < 0 ||
	    syscall(SYS_tgkill, task->pid, leader->tid, signo) < 0)
		return -errno;
	/* The signal is pending: it stops the thread where it is, then is let through. */
	do
		error = go_on(leader, 0, &status);
	while (!error && status >> 16);
	if (!error && WSTOPSIG(status) != signo)
		error = -EIO;
	if (!error)
		error = go_on_nowhere(leader, signo, &status);
	*stopped = !error && WSTOPSIG(status) == signo;
	if (!error && ptrace(PTRACE_SETSIGMASK, leader->tid, sizeof(before), &before) < 0)
		error = -errno;
	return error;
}

static int stop_process(struct task *task, int signo)
{
	bool stopped = false;
	int error = take_signal(task, signo, &stopped), status;

	/* SIGTSTP and its like do nothing in a process group that is an orphan now. */
	if (!error && !stopped && signo != SIGSTOP)
		error = take_signal(task, SIGSTOP, &stopped);
	if (!error && !stopped)
		error = -EIO;
	/* The stop is complete when every thread has joined it. */
	for (size_t i = 1; i < task->thread_count && !error; i++)
		error = go_on_nowhere(&task->threads[i].remote, 0, &status);
	return error;
}

static int let_parent_hear(struct checkpoint *checkpoint, struct task *task)
{
	struct task *parent = task->parent;
	pid_t id = parent ? task_numbers(task, parent->depth).id : task->pid;
	int64_t heard = id; /* or whose child it is, will */

	if (parent)
		heard = remote_syscall(task_leader(parent), SYS_wait4, id, 0,
				       WUNTRACED | WNOHANG | __WALL);
	else if (checkpoint->root_is_child)
		heard = waitpid(id, NULL, WUNTRACED | WNOHANG | __WALL);
	return heard == id ? 0 : -ECHILD;
}

static int restore_stop(struct checkpoint *checkpoint, struct task *task)
{
	const TaskCoreEntry *core = task->threads[0].core->tc;
	bool unreported = core->has_unreported && core->unreported == STOP_UNREPORTED;
	bool continued = core->has_unreported && core->unreported == CONTINUE_UNREPORTED;
	int signo = core->has_stop_signo ? core->stop_signo : SIGSTOP, error;

	if (task->state != TASK_STOPPED && !continued)
		return 0;
	if (signo != SIGTSTP && signo != SIGTTIN && signo != SIGTTOU)
		signo = SIGSTOP;
	error = stop_process(task, signo);
	if (!error && task->state != TASK_STOPPED) {
		/* Its pending SIGCONT goes with all others, when it gets its signal actions. */
		if (kill(task->pid, SIGCONT) < 0)
			error = -errno;
	} else if (!error && !unreported) {
		error = let_parent_hear(checkpoint, task);
	}
	return error ? FAIL(-error, task_subject(task), NULL, "cannot be stopped as it was: %s",
			    strerror(-error))
		     : 0;
}

int stops_restore(struct checkpoint *checkpoint)
{
	tree_each_task (&checkpoint->tree, task) {
		int error = task->state == TASK_DEAD ? 0 : restore_stop(checkpoint, task);

		if (error)
			return error;
	}
	return 0;
}
