/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "task/calls.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "task/part.h"

/* Results that the kernel gives a call which a signal or a stop interrupts (linux/errno.h). */
enum { ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514, ERESTART_RESTARTBLOCK = 516 };
enum { SIGNALS = 64, NANOSECONDS = 1000000000 };

/*
 * Calls that answer EINTR also when they are interrupted by a stop without a handler, see
 * signal(7); those of sockets do when the socket has a timeout.  None has done anything then, and
 * each may be made again.  (close(2) may not.)
 */
static const long interruptible[] = {
	SYS_epoll_wait,     SYS_epoll_pwait, SYS_epoll_pwait2, SYS_rt_sigtimedwait,
	SYS_semop,          SYS_semtimedop,  SYS_io_getevents, SYS_io_pgetevents,
	SYS_io_uring_enter, SYS_accept,      SYS_accept4,      SYS_connect,
	SYS_recvfrom,       SYS_recvmsg,     SYS_recvmmsg,     SYS_sendto,
	SYS_sendmsg,        SYS_sendmmsg,    SYS_read,         SYS_readv,
	SYS_write,          SYS_writev,
};

/* Calls that the kernel continues with restart_syscall(2) and the rest of their time. */
static const long continued[] = {SYS_nanosleep, SYS_clock_nanosleep, SYS_poll, SYS_futex};

static bool is_one_of(long nr, const long *calls, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (calls[i] == nr)
			return true;
	return false;
}

#define IS_ONE_OF(nr, calls) is_one_of((nr), (calls), sizeof(calls) / sizeof(*(calls)))

int calls_settle(struct thread *thread)
{
	struct arch_regs *regs = &thread->remote.regs;
	struct proc_status status;
	int error, again;

	if (arch_result(regs) != -EINTR || !IS_ONE_OF(arch_syscall_nr(regs), interruptible))
		return 0;
	error = proc_status_read(thread, &status);
	if (error)
		return FAIL(-error, thread_subject(thread), NULL, "cannot read its status: %s",
			    strerror(-error));
	/* With a handler about to run, EINTR is the truth. */
	again = !((status.pending | status.shared_pending) & ~status.blocked & status.caught);
	proc_status_free(&status);
	if (!again)
		return 0;
	arch_restart_syscall(regs);
	/* At once: when we are killed before the thread runs a batch, it goes on from here. */
	error = arch_set_regs(thread->remote.tid, regs);
	return error ? FAIL(-error, thread_subject(thread), NULL, "cannot set its registers: %s",
			    strerror(-error))
		     : 0;
}

/* ---- for the image ------------------------------------------------------------------------ */

enum call_fate call_fate(int64_t result, bool handler, uint64_t handler_flags)
{
	switch (-result) {
	case ERESTARTNOINTR:
		return CALL_AGAIN;
	case ERESTARTSYS:
		return handler && !(handler_flags & SA_RESTART) ? CALL_EINTR : CALL_AGAIN;
	case ERESTARTNOHAND:
	case ERESTART_RESTARTBLOCK:
		return handler ? CALL_EINTR : CALL_AGAIN;
	default:
		return CALL_AS_IT_IS;
	}
}

/*
 * The handler that will run first when the task goes on: of the lowest signal, with those that an
 * instruction caused first.  NULL: none.
 */
static const SaEntry *first_handler(const struct inquiry *inquiry)
{
	const TaskCoreEntry *tc = inquiry->task->threads[0].core->tc;
	const struct proc_status *status = &inquiry->status;
	uint64_t synchronous = signal_bit(SIGSEGV) | signal_bit(SIGBUS) | signal_bit(SIGILL) |
			       signal_bit(SIGTRAP) | signal_bit(SIGFPE) | signal_bit(SIGSYS);
	uint64_t waiting = (status->pending | status->shared_pending) &
			   ~inquiry->thread->remote.sigmask & status->caught;
	size_t index = 0;

	if (!waiting || !tc)
		return NULL;
	if (waiting & synchronous)
		waiting &= synchronous;
	for (int signo = 1; signo <= SIGNALS; signo++) {
		if (waiting & signal_bit(signo))
			return index < tc->n_sigactions ? tc->sigactions[index] : NULL;
		index += signo != SIGKILL && signo != SIGSTOP;
	}
	return NULL;
}

/*
 * The number of the call.  One that was interrupted before goes on as restart_syscall(2), and only
 * the code knows what it was.
 */
static long call_number(const struct thread *thread, const struct arch_regs *regs)
{
	unsigned char code[ARCH_CODE_BEFORE];
	long nr = arch_syscall_nr(regs);

	if (nr != SYS_restart_syscall)
		return nr;
	if (remote_read(thread->remote.space, arch_ip(regs) - sizeof(code), code, sizeof(code)))
		return -1;
	nr = arch_loaded_syscall(code);
	return IS_ONE_OF(nr, continued) ? nr : -1;
}

/* The argument that says where the kernel writes what remains of a relative sleep; 0: none. */
static uint64_t remainder_address(long nr, const uint64_t args[6])
{
	if (nr == SYS_nanosleep)
		return args[1];
	if (nr == SYS_clock_nanosleep && !(args[1] & TIMER_ABSTIME))
		return args[3];
	return 0;
}

/*
 * The kernel has written the rest of an interrupted sleep where the program asked for it.  (It
 * tells nobody the rest of a sleep that did not ask, of poll or of futex: those begin anew.)
 */
static void store_sleep(struct inquiry *inquiry, long nr, const struct arch_regs *regs)
{
	struct timespec rest;
	uint64_t args[6], address;

	arch_syscall_args(regs, args);
	address = remainder_address(nr, args);
	if (!address || remote_read(inquiry->thread->remote.space, address, &rest, sizeof(rest)) ||
	    rest.tv_sec < 0 || rest.tv_sec > INT32_MAX || rest.tv_nsec < 0 ||
	    rest.tv_nsec >= NANOSECONDS)
		return;
	inquiry->thread_core->has_sleep_remaining_ns = true;
	inquiry->thread_core->sleep_remaining_ns =
		(uint64_t)rest.tv_sec * NANOSECONDS + rest.tv_nsec;
}

void calls_prepare(struct inquiry *inquiry, struct arch_regs *regs)
{
	const SaEntry *handler;
	enum call_fate fate;
	long nr;

	if (arch_syscall_nr(regs) < 0)
		return;
	handler = first_handler(inquiry);
	fate = call_fate(arch_result(regs), handler, handler ? handler->flags : 0);
	if (fate == CALL_AS_IT_IS)
		return;
	nr = call_number(inquiry->thread, regs);
	if (fate == CALL_EINTR || nr < 0) {
		arch_set_result(regs, -EINTR);
		return;
	}
	if (arch_result(regs) == -ERESTART_RESTARTBLOCK)
		store_sleep(inquiry, nr, regs);
	arch_set_syscall_nr(regs, nr);
	arch_restart_syscall(regs);
}

/* ---- the rest of a sleep ------------------------------------------------------------------ */

static int next_stop(pid_t tid, int request, int *status)
{
	if (ptrace(request, tid, 0, 0) < 0)
		return -errno;
	while (waitpid(tid, status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSTOPPED(*status) ? 0 : -ESRCH;
}

/*
 * Starts the sleep for the rest of its time and interrupts it at once, so that the kernel knows the
 * thread as a sleeper that has been interrupted: restart_syscall(2) then goes on with it, with the
 * program's own registers.
 */
static int start_sleep(struct remote *remote, const struct arch_regs *own,
		       const struct remote_call *call, int64_t *result)
{
	ssize_t offset = arch_find_syscall(arch_loop, arch_loop_size());
	struct arch_regs regs = arch_start_call(own, remote->space->code + offset, call);
	int status, error = arch_set_regs(remote->tid, &regs);

	if (!error)
		error = next_stop(remote->tid, PTRACE_SYSCALL, &status);
	if (!error && ptrace(PTRACE_INTERRUPT, remote->tid, 0, 0) < 0)
		error = -errno;
	/* Not to the exit of the call: that stop would take the interruption back. */
	if (!error)
		error = next_stop(remote->tid, PTRACE_CONT, &status);
	if (!error)
		error = arch_get_regs(remote->tid, &regs);
	*result = arch_result(&regs);
	return !error && status >> 16 != PTRACE_EVENT_STOP ? -EINTR : error;
}

int calls_resume(struct revival *revival, struct arch_regs *regs)
{
	const ThreadCoreEntry *core = revival->thread_core;
	struct remote *remote = &revival->thread->remote;
	struct timespec rest = {core->sleep_remaining_ns / NANOSECONDS,
				core->sleep_remaining_ns % NANOSECONDS};
	struct remote_call call = {.nr = arch_result(regs)};
	int64_t result = 0;
	int error;

	if (!core->has_sleep_remaining_ns)
		return 0;
	arch_syscall_args(regs, call.args);
	if (!remainder_address(call.nr, call.args))
		return FAIL(EINVAL, thread_subject(revival->thread), "the image is damaged",
			    "its image has the rest of a sleep, but the thread does not sleep");
	call.args[call.nr == SYS_nanosleep ? 0 : 2] = remote->slot;
	error = remote_write(remote->space, remote->slot, &rest, sizeof(rest));
	if (!error)
		error = start_sleep(remote, &remote->regs, &call, &result);
	if (error)
		return FAIL(-error, thread_subject(revival->thread), NULL,
			    "cannot make it go on with its sleep: %s", strerror(-error));
	if (result == -ERESTART_RESTARTBLOCK)
		arch_continue_sleep(regs);
	else /* it was nearly over */
		arch_finish_syscall(regs, result);
	return 0;
}
