/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/report.h"
#include "remote/internal.h"
#include "remote/remote.h"

/* ---- running the loop --------------------------------------------------------------------- */

int loop_start(struct remote *remote, const struct arch_regs *regs)
{
	/* All signals wait, but the bell; SIGKILL and SIGSTOP can't. */
	uint64_t mask = ~0ull;
	bool first = !remote->moved;
	int error;

	if (remote->bell)
		mask &= ~(1ull << (remote->bell - 1));
	/*
	 * Registers before the mask: a thread that loses us in between goes through the loop and
	 * takes its own mask back; the other way round it would keep ours.
	 */
	remote->moved = true;
	error = arch_set_regs(remote->tid, regs);
	if (error)
		return error;
	if (first && ptrace(PTRACE_SETSIGMASK, remote->tid, sizeof(mask), &mask) < 0)
		return -errno;
	return ptrace(remote->bell ? PTRACE_CONT : PTRACE_SYSCALL, remote->tid, 0, 0) < 0 ? -errno
											  : 0;
}

/*
 * A SIGSTOP from outside takes effect, so that a SIGCONT may follow it: the process is stopped, and
 * its threads that are ours go on nevertheless, as those of a process that was found stopped.
 */
int loop_go_on(struct remote *remote, int request, int *status)
{
	int signo = *status >> 16 == 0 && WSTOPSIG(*status) == SIGSTOP ? SIGSTOP : 0;

	if (ptrace(request, remote->tid, 0, signo) < 0)
		return -errno;
	return remote_wait(remote->tid, status);
}

/*
 * No signal could be the bell: after the last call, and tgkill with signal 0, the thread stands at
 * the exit of a system call.  Move it to a stop like any other, where the kernel still looks at an
 * interrupted system call when it goes on.
 */
static int settle(struct remote *remote)
{
	int status = 0, error = 0;

	if (ptrace(PTRACE_INTERRUPT, remote->tid, 0, 0) < 0)
		return -errno;
	do
		error = loop_go_on(remote, PTRACE_CONT, &status);
	while (!error && status >> 16 != PTRACE_EVENT_STOP);
	return error;
}

int loop_wait(struct remote *remote)
{
	int request = remote->bell ? PTRACE_CONT : PTRACE_SYSCALL;
	struct arch_regs regs;
	int status, error = remote_wait(remote->tid, &status);

	for (; !error; error = loop_go_on(remote, request, &status)) {
		int signo = WSTOPSIG(status), event = status >> 16;

		if (!event && (signo == remote->bell || signo == (SIGTRAP | 0x80))) {
			error = arch_get_regs(remote->tid, &regs);
			if (error)
				return error;
			if (arch_loop_done(&regs, remote->space->code) &&
			    (remote->bell || arch_result(&regs) == 0))
				return remote->bell ? 0 : settle(remote);
			/* The bell, rung by somebody else: it is ignored here in any case. */
		} else if (!event && signo != SIGSTOP) {
			log_warn("thread %d: signal %d in the loop of system calls at %#lx",
				 remote->tid, signo, (unsigned long)arch_ip(&remote->regs));
			return -EFAULT;
		}
	}
	return error;
}

int loop_run(struct remote *remote, const struct arch_regs *regs)
{
	int error = loop_start(remote, regs);

	return error ? error : loop_wait(remote);
}

/* ---- batches ------------------------------------------------------------------------------ */

/*
 * The mirror is laid out as the slot is: calls from the bottom, data from the top, the resume
 * block above the data.
 */
static size_t data_top(const struct remote *remote)
{
	return (remote->slot_size - arch_resume_size()) & ~15ul;
}

void batch_begin(struct batch *batch, struct remote *remote)
{
	*batch = (struct batch){.remote = remote, .mirror = malloc(remote->slot_size)};
	if (!batch->mirror)
		die_of_memory();
	batch_reset(batch);
}

void batch_reset(struct batch *batch)
{
	batch->count = 0;
	batch->data = data_top(batch->remote);
}

void batch_end(struct batch *batch)
{
	free(batch->mirror);
	batch->mirror = NULL;
}

bool batch_fits(const struct batch *batch, size_t calls, size_t bytes)
{
	size_t used = (batch->count + calls) * sizeof(struct remote_call);

	/* Each piece of data may lose 15 bytes to alignment. */
	return used < batch->data && batch->data - used >= bytes + 16;
}

void *batch_data(struct batch *batch, size_t size, uint64_t *address)
{
	size_t used = batch->count * sizeof(struct remote_call);

	if (size > batch->data - used) {
		log_warn("a batch of %zu calls has no room for %zu more bytes", batch->count, size);
		abort(); /* a caller did not ask batch_fits(); the application runs on */
	}
	batch->data = (batch->data - size) & ~15ul;
	memset(batch->mirror + batch->data, 0, size);
	if (address)
		*address = batch->remote->slot + batch->data;
	return batch->mirror + batch->data;
}

uint64_t batch_input(struct batch *batch, const void *data, size_t size)
{
	uint64_t address;
	void *copy = batch_data(batch, size, &address);

	if (size)
		memcpy(copy, data, size);
	return address;
}

static struct remote_call *calls_of(const struct batch *batch)
{
	return (struct remote_call *)batch->mirror;
}

size_t batch_call_(struct batch *batch, uint64_t nr, const uint64_t args[6])
{
	struct remote_call *call = &calls_of(batch)[batch->count];

	if (!batch_fits(batch, 1, 0)) {
		log_warn("a batch has no room for more than %zu calls", batch->count);
		abort();
	}
	call->nr = nr;
	memcpy(call->args, args, sizeof(call->args));
	call->ret = -ENOSYS;
	return batch->count++;
}

int64_t batch_result(const struct batch *batch, size_t index)
{
	return calls_of(batch)[index].ret;
}

int batch_check(const struct batch *batch, const char *purpose)
{
	for (size_t i = 0; i < batch->count; i++) {
		int64_t result = batch_result(batch, i);

		if (result < 0 && result > -4096)
			return FAIL(-result, SUBJECT("thread %d", batch->remote->tid), NULL,
				    "cannot restore %s: system call %lu: %s", purpose,
				    (unsigned long)calls_of(batch)[i].nr, strerror(-result));
	}
	return 0;
}

int batch_start(struct batch *batch)
{
	struct remote *remote = batch->remote;
	size_t calls = batch->count * sizeof(struct remote_call), top = data_top(remote);
	struct arch_loop_start start = {.code = remote->space->code,
					.resume = remote->slot + top,
					.pid = remote->space->own,
					.tid = remote->own,
					.bell = remote->bell};
	struct arch_regs regs = arch_start_loop(&remote->regs, &start, remote->slot, batch->count);
	size_t above = top + arch_resume_size() - batch->data;
	int error;

	arch_resume(batch->mirror + top, &remote->regs, remote->sigmask);

	struct iovec here[] = {{batch->mirror, calls}, {batch->mirror + batch->data, above}};
	struct iovec there[] = {{(void *)remote->slot, calls},
				{(void *)(remote->slot + batch->data), above}};

	if (process_vm_writev(remote->space->pid, here, 2, there, 2, 0) != (ssize_t)(calls + above))
		return errno ? -errno : -EFAULT;
	error = loop_start(remote, &regs);
	batch->running = !error;
	return error;
}

int batch_wait(struct batch *batch)
{
	struct remote *remote = batch->remote;
	size_t calls = batch->count * sizeof(struct remote_call),
	       above = data_top(remote) - batch->data;
	int error = batch->running ? loop_wait(remote) : -EINVAL;

	batch->running = false;
	if (error)
		return error;

	struct iovec here[] = {{batch->mirror, calls}, {batch->mirror + batch->data, above}};
	struct iovec there[] = {{(void *)remote->slot, calls},
				{(void *)(remote->slot + batch->data), above}};

	if (process_vm_readv(remote->space->pid, here, 2, there, 2, 0) != (ssize_t)(calls + above))
		return errno ? -errno : -EFAULT;
	return 0;
}

int batch_run(struct batch *batch)
{
	int error = batch_start(batch);

	return error ? error : batch_wait(batch);
}

int64_t remote_syscall_(struct remote *remote, uint64_t nr, const uint64_t args[6])
{
	struct batch batch;
	int64_t result;

	batch_begin(&batch, remote);
	batch_call_(&batch, nr, args);
	result = batch_run(&batch);
	if (!result)
		result = batch_result(&batch, 0);
	batch_end(&batch);
	return result;
}
