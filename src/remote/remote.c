/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "remote/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/report.h"
#include "remote/internal.h"

#define SIGNAL_BIT(signo) (1ull << ((signo)-1))

/* The tail of a vdso that holds a loop ends with this, so that a later stasis knows it for one. */
static const char loop_magic[16] = "stasis loop 1\n";

enum { PAGE = 4096, VDSO_MOST = 16 * PAGE };

/* ---- seizing ------------------------------------------------------------------------------ */

int remote_seize(struct remote *remote, pid_t tid, unsigned long options)
{
	*remote = (struct remote){.tid = tid, .own = tid};
	if (ptrace(PTRACE_SEIZE, tid, 0, options | PTRACE_O_TRACESYSGOOD) < 0)
		return -errno;
	remote->seized = true;
	return ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0 ? -errno : 0;
}

static time_t deadline; /* CLOCK_MONOTONIC; 0: none */

static time_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

void remote_deadline(unsigned int seconds)
{
	deadline = seconds ? now() + seconds : 0;
}

bool remote_late(void)
{
	return deadline && now() >= deadline;
}

static void on_alarm(int signo)
{
	(void)signo; /* it only interrupts waitpid() */
}

/* Turns a clock on whose ticks interrupt a wait; off, no other call of stasis ever sees EINTR. */
static void tick(bool on)
{
	/* Again and again: one may come just before a wait begins. */
	struct itimerval timer = {0};
	static bool handled;

	if (!handled)
		sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
	handled = true;
	if (on)
		timer.it_value.tv_usec = timer.it_interval.tv_usec = 100000;
	setitimer(ITIMER_REAL, &timer, NULL);
}

char remote_state(pid_t tid)
{
	autofree char *text = NULL;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	if (fd_read_file(AT_FDCWD, path, &text, NULL))
		return 0;
	const char *end = strrchr(text, ')');

	return end && end[1] ? end[2] : 'R';
}

bool remote_is_dead(pid_t tid)
{
	char state = remote_state(tid);

	return !state || state == 'Z' || state == 'X';
}

/*
 * A leader that ended, or was killed, before its threads is not reported until its tracer, who
 * waits here, has waited for all of them: look at it from time to time.
 */
static int wait_long(pid_t tid, int *status)
{
	pid_t got = 0;
	int error = 0;

	tick(true);
	while (!error && (got = waitpid(tid, status, __WALL)) < 0) {
		if (errno != EINTR)
			error = -errno;
		else if (remote_late())
			error = -ETIMEDOUT;
		else if (remote_is_dead(tid))
			break;
	}
	tick(false);
	if (!error && got < 0 && waitpid(tid, status, __WALL | WNOHANG) != tid)
		error = -ESRCH;
	return error;
}

int remote_wait(pid_t tid, int *status)
{
	pid_t got = waitpid(tid, status, __WALL | WNOHANG);
	int error = got < 0 ? -errno : got ? 0 : wait_long(tid, status);

	return error ? error : WIFSTOPPED(*status) ? 0 : -ESRCH;
}

int remote_wait_stop(struct remote *remote)
{
	int status, error;

	for (;;) {
		error = remote_wait(remote->tid, &status);
		if (error)
			return error;
		if (status >> 16 == PTRACE_EVENT_STOP)
			break;
		/*
		 * It was about to take a signal.  Let it: the stop that was asked for comes before
		 * the first instruction of the handler.  An event of another kind is passed over.
		 */
		int signo = status >> 16 ? 0 : WSTOPSIG(status);

		if (ptrace(PTRACE_CONT, remote->tid, 0, signo) < 0)
			return -errno;
	}
	remote->group_stop = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
	error = arch_get_regs(remote->tid, &remote->regs);
	if (!error &&
	    ptrace(PTRACE_GETSIGMASK, remote->tid, sizeof(remote->sigmask), &remote->sigmask) < 0)
		error = -errno;
	return error;
}

int remote_adopt(struct remote *remote, pid_t tid)
{
	int error;

	*remote = (struct remote){.tid = tid, .own = tid, .seized = true};
	error = remote_wait_stop(remote);
	remote->moved = true;
	return error;
}

/* Gives the thread its own mask and registers, in an order that is right wherever we are killed. */
int remote_correct(struct remote *remote)
{
	int error;

	if (ptrace(PTRACE_SETSIGMASK, remote->tid, sizeof(remote->sigmask), &remote->sigmask) < 0)
		return -errno;
	error = arch_set_regs(remote->tid, &remote->regs);
	if (!error)
		remote->moved = false;
	return error;
}

static int put_back(struct remote *remote)
{
	return remote->moved ? remote_correct(remote) : 0;
}

int remote_release(struct remote *remote)
{
	int error;

	if (!remote->seized)
		return 0;
	error = put_back(remote);
	if (ptrace(PTRACE_DETACH, remote->tid, 0, 0) < 0 && !error)
		error = -errno;
	remote->seized = false;
	return error;
}

enum { MOST_FAILURES = 1000 };

bool remote_reap_now(struct remote *remote)
{
	int status = 0;
	pid_t got = 0;

	while (remote->seized &&
	       (got = waitpid(remote->tid, &status, __WALL | WNOHANG)) == remote->tid &&
	       WIFSTOPPED(status))
		ptrace(PTRACE_CONT, remote->tid, 0, 0);
	/* Who is still there and could not be waited for is waited for again: others wait for that.
	 */
	if (got < 0)
		remote->seized =
			remote_state(remote->tid) != 0 && ++remote->failures < MOST_FAILURES;
	else
		remote->seized = remote->seized && got == 0;
	return !remote->seized;
}

void remote_reap(struct remote *remote)
{
	int status;

	while (remote->seized && !remote_wait(remote->tid, &status))
		ptrace(PTRACE_CONT, remote->tid, 0, 0);
	remote->seized = false;
}

/* ---- memory ------------------------------------------------------------------------------- */

int remote_read(const struct remote_space *space, uint64_t address, void *data, size_t size)
{
	while (size) {
		struct iovec here = {data, size}, there = {(void *)address, size};
		ssize_t done = process_vm_readv(space->pid, &here, 1, &there, 1, 0);

		if (done <= 0)
			return done ? -errno : -EFAULT;
		data = (char *)data + done;
		address += done;
		size -= done;
	}
	return 0;
}

int remote_write(const struct remote_space *space, uint64_t address, const void *data, size_t size)
{
	while (size) {
		struct iovec here = {(void *)data, size}, there = {(void *)address, size};
		ssize_t done = process_vm_writev(space->pid, &here, 1, &there, 1, 0);

		if (done <= 0)
			return done ? -errno : -EFAULT;
		data = (const char *)data + done;
		address += done;
		size -= done;
	}
	return 0;
}

/* Also where the application itself may not write. */
static int force_write(const struct remote_space *space, uint64_t address, const void *data,
		       size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", space->pid);
	autofd int mem = open(path, O_WRONLY | O_CLOEXEC);

	return mem < 0 ? -errno : fd_pwrite_all(mem, data, size, address);
}

/* ---- the area ----------------------------------------------------------------------------- */

/* Header and slots; a born task's area has one more page, for the loop. */
static uint64_t slots_size(size_t threads)
{
	return REMOTE_LEADER_SLOT + (uint64_t)(threads ? threads - 1 : 0) * REMOTE_SLOT;
}

uint64_t remote_area_size(size_t threads)
{
	return slots_size(threads) + PAGE;
}

uint64_t remote_area_code(size_t threads)
{
	return slots_size(threads);
}

void remote_fill_area(void *area, size_t threads)
{
	memcpy(area, REMOTE_AREA_MAGIC, REMOTE_AREA_HEADER);
	memcpy((char *)area + remote_area_code(threads), arch_loop, arch_loop_size());
}

void remote_use_slot(struct remote *remote, struct remote_space *space, size_t index)
{
	remote->space = space;
	if (index == 0) {
		remote->slot = space->area + REMOTE_AREA_HEADER;
		remote->slot_size = REMOTE_LEADER_SLOT - REMOTE_AREA_HEADER;
	} else {
		remote->slot = space->area + slots_size(index);
		remote->slot_size = REMOTE_SLOT;
	}
}

/* ---- the loop in the vdso ----------------------------------------------------------------- */

/* What goes to the end of the vdso: resume block, loop, magic. */
static size_t tail_size(void)
{
	return ((arch_resume_size() + arch_loop_size() + 15) & ~15ul) + sizeof(loop_magic);
}

/*
 * The end of the vdso must be unused: zeros, or what a killed stasis left.  (The vdso is the same
 * in all processes of a kernel and its last page is never full by accident: seen on 6.1 to 7.2.)
 */
static int check_tail(const struct remote_space *space)
{
	unsigned char tail[PAGE];
	size_t size = tail_size();

	if (space->vdso_end - space->vdso > VDSO_MOST || space->vdso_end - space->vdso < PAGE)
		return -EOPNOTSUPP;

	int error = remote_read(space, space->vdso_end - size, tail, size);

	if (error)
		return error;
	if (!memcmp(tail + size - sizeof(loop_magic), loop_magic, sizeof(loop_magic)))
		return 0;
	for (size_t i = 0; i < size; i++)
		if (tail[i])
			return -EOPNOTSUPP;
	return 0;
}

/* A thread whose stasis was killed a moment ago may still be on its way out of the loop. */
static int leave_old_loop(const struct remote_space *space, struct remote *remote)
{
	for (int tries = 0; tries < 1000; tries++) {
		uint64_t ip = arch_ip(&remote->regs);

		if (ip < space->vdso_end - tail_size() || ip >= space->vdso_end)
			return 0;
		if (ptrace(PTRACE_CONT, remote->tid, 0, 0) < 0)
			return -errno;
		usleep(100);
		if (ptrace(PTRACE_INTERRUPT, remote->tid, 0, 0) < 0)
			return -errno;
		int error = remote_wait_stop(remote);

		if (error)
			return error;
	}
	return -EBUSY;
}

static int write_loop(struct remote_space *space, const struct remote *leader)
{
	unsigned char tail[PAGE] = {0};
	size_t size = tail_size();
	uint64_t at = space->vdso_end - size;

	arch_resume(tail, &leader->regs, leader->sigmask);
	memcpy(tail + arch_resume_size(), arch_loop, arch_loop_size());
	memcpy(tail + size - sizeof(loop_magic), loop_magic, sizeof(loop_magic));
	space->first_resume = at;
	space->code = at + arch_resume_size();
	space->code_in_vdso = true;
	return force_write(space, at, tail, size);
}

static int erase_loop(struct remote_space *space)
{
	static const unsigned char zeros[PAGE];

	space->code = 0;
	return force_write(space, space->vdso_end - tail_size(), zeros, tail_size());
}

/* ---- the bell ----------------------------------------------------------------------------- */

/*
 * A signal that does nothing to this process when no tracer is there to see it, and whose arrival
 * cannot hide one of the application's own: not caught, not pending, and best not blocked (a
 * blocked one may be read from a signalfd).
 */
static void choose_bell(struct remote *remote)
{
	static const int harmless[] = {SIGURG, SIGWINCH, SIGCHLD, SIGCONT};
	const struct remote_space *space = remote->space;

	remote->bell = 0;
	for (size_t i = 0; i < sizeof(harmless) / sizeof(*harmless) && !remote->bell; i++) {
		uint64_t bit = SIGNAL_BIT(harmless[i]);

		/* SIGCONT would continue a stopped task. */
		if (harmless[i] == SIGCONT && remote->group_stop)
			continue;
		if (!((space->caught | remote->sigmask | space->pending) & bit))
			remote->bell = harmless[i];
	}
	for (int signo = 1; signo <= 64 && !remote->bell; signo++)
		if (signo != SIGCONT && signo != SIGSTOP && signo != SIGKILL &&
		    (space->ignored & ~remote->sigmask & ~space->pending & SIGNAL_BIT(signo)))
			remote->bell = signo;
}

/* ---- opening and closing ------------------------------------------------------------------ */

static struct arch_loop_start first_start(const struct remote *leader)
{
	const struct remote_space *space = leader->space;

	return (struct arch_loop_start){.code = space->code,
					.resume = space->first_resume,
					.pid = space->own,
					.tid = leader->own,
					.bell = leader->bell};
}

/* One call that needs no memory but the tail of the vdso. */
static int first_call(struct remote *leader, const struct remote_call *call, int64_t *result)
{
	struct arch_loop_start start = first_start(leader);
	struct arch_regs regs = arch_start_first(&leader->regs, &start, call);
	int error = loop_run(leader, &regs);

	if (!error)
		error = arch_get_regs(leader->tid, &regs);
	if (!error)
		*result = arch_first_result(&regs);
	return error;
}

int remote_open(struct remote_space *space, struct remote *const *threads, size_t count)
{
	struct subject subject = SUBJECT("pid %d", space->pid);
	struct remote *leader = threads[0];
	int64_t area = 0;
	int error = space->vdso ? check_tail(space) : -EOPNOTSUPP;

	if (error == -EOPNOTSUPP)
		return REFUSE(subject, "start the program on a kernel with an ordinary vdso",
			      "its vdso is missing or has no room for the loop of system calls");
	for (size_t i = 0; i < count && !error; i++) {
		threads[i]->space = space;
		error = leave_old_loop(space, threads[i]);
		choose_bell(threads[i]);
	}
	if (!error)
		error = write_loop(space, leader);
	space->area_size = slots_size(count);
	/* Shared memory has a file of its own: it never becomes one mapping with its neighbours. */
	if (!error)
		error = first_call(
			leader,
			&(struct remote_call){SYS_mmap,
					      {0, space->area_size, PROT_READ | PROT_WRITE,
					       MAP_SHARED | MAP_ANONYMOUS, -1, 0}},
			&area);
	if (!error && area < 0)
		error = area;
	if (!error) {
		space->area = area;
		error = remote_write(space, space->area, REMOTE_AREA_MAGIC, REMOTE_AREA_HEADER);
	}
	if (error) {
		space->area_size = 0;
		return FAIL(-error, subject,
			    "is it being killed, or out of address space (ulimit -v)?",
			    "cannot make it issue system calls: %s", strerror(-error));
	}
	for (size_t i = 0; i < count; i++)
		remote_use_slot(threads[i], space, i);
	return 0;
}

/* Makes one call at the vdso's own instruction, for a task that has no loop any more. */
static int vdso_call(struct remote *leader, const struct remote_call *call, int64_t *result)
{
	const struct remote_space *space = leader->space;
	/* The kernel maps the same into every task, and so into us. */
	const unsigned char *vdso = (const unsigned char *)getauxval(AT_SYSINFO_EHDR);
	ssize_t offset = vdso ? arch_find_syscall(vdso, space->vdso_end - space->vdso) : -1;

	if (offset < 0)
		return -EOPNOTSUPP;

	struct arch_regs regs = arch_start_call(&leader->regs, space->vdso + offset, call);
	int error = arch_set_regs(leader->tid, &regs);

	for (int entry_and_exit = 0; entry_and_exit < 2 && !error; entry_and_exit++) {
		int status = 0;

		do
			error = loop_go_on(leader, PTRACE_SYSCALL, &status);
		while (!error && WSTOPSIG(status) != (SIGTRAP | 0x80));
	}
	if (!error)
		error = arch_get_regs(leader->tid, &regs);
	if (!error)
		*result = arch_result(&regs);
	return error;
}

int remote_close(struct remote_space *space, struct remote *const *threads, size_t count)
{
	struct remote *leader = threads[0];
	struct remote_call unmap = {SYS_munmap, {space->area, space->area_size}};
	int64_t result = 0;
	int error = 0;

	/* Nothing may lean on the area when it goes. */
	for (size_t i = 1; i < count && !error; i++)
		error = put_back(threads[i]);
	if (!error && space->area_size)
		error = space->code_in_vdso ? first_call(leader, &unmap, &result)
					    : vdso_call(leader, &unmap, &result);
	if (!error)
		error = result;
	if (!error)
		error = put_back(leader);
	if (!error && space->code_in_vdso && space->code)
		error = erase_loop(space);
	if (error == -ESRCH)
		return error; /* it is gone, and the loop with it */
	if (error)
		return FAIL(-error, SUBJECT("pid %d", space->pid), NULL,
			    "cannot take the loop of system calls back: %s", strerror(-error));
	space->area_size = 0;
	return 0;
}
