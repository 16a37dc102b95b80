/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "namespace/internal.h"

enum { STACK = 8 << 20 /* as much as programs have: what is not touched costs nothing */ };

struct visit {
	const int *fds;
	size_t count;
	int flags;
	int (*function)(void *argument);
	void *argument;
	const char *what;
	pid_t host;
	int result;
};

static int visit(void *argument)
{
	struct visit *visit = argument;

	/* Nothing is done behind the back of a stasis that is gone. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != visit->host)
		_exit(1);
	for (size_t i = 0; i < visit->count; i++)
		if (setns(visit->fds[i], 0) < 0) {
			visit->result = FAIL(errno, SUBJECT("%s", visit->what),
					     "run stasis as root, or with CAP_SYS_ADMIN",
					     "cannot be entered: %s", strerror(errno));
			_exit(1);
		}
	if (visit->flags && unshare(visit->flags) < 0)
		visit->result = FAIL(errno, SUBJECT("%s", visit->what),
				     errno == ENOSPC ? "raise the limit in /proc/sys/user"
						     : "run stasis as root, or with CAP_SYS_ADMIN",
				     "cannot be made: %s", strerror(errno));
	else
		visit->result = visit->function(visit->argument);
	_exit(0);
}

int namespace_enter(const int *fds, size_t count, int flags, int (*function)(void *argument),
		    void *argument, const char *what)
{
	struct visit visitor = {fds, count, flags, function, argument, what, getpid(), -EINTR};
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	int status = 0;
	pid_t pid;

	if (stack == MAP_FAILED)
		return FAIL(errno, SUBJECT("%s", what), NULL, "no stack for who enters it: %s",
			    strerror(errno));
	/* No exit signal: nobody but us is told of its end. */
	pid = clone(visit, stack + STACK, CLONE_VM | CLONE_FILES | CLONE_VFORK, &visitor);
	if (pid < 0)
		visitor.result = FAIL(errno, SUBJECT("%s", what), NULL,
				      "no process to enter it with: %s", strerror(errno));
	else
		while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
			;
	munmap(stack, STACK);
	if (WIFSIGNALED(status))
		return FAIL(EINTR, SUBJECT("%s", what), "try again",
			    "who entered it was killed by signal %d", WTERMSIG(status));
	return visitor.result;
}

void uninterrupted_begin(struct uninterrupted *state)
{
	sigset_t all;

	prctl(PR_GET_PDEATHSIG, &state->parent_death);
	prctl(PR_SET_PDEATHSIG, 0);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &state->signals);
}

void uninterrupted_end(const struct uninterrupted *state)
{
	sigprocmask(SIG_SETMASK, &state->signals, NULL);
	prctl(PR_SET_PDEATHSIG, state->parent_death);
}
