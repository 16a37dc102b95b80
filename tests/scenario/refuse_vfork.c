/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A parent that waits for its vfork(2)ed child sleeps in a way that no tracer can interrupt: the
 * dump gives up after its time, and lets go of everything.
 */
#include "scenario.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t parent;

static void setup(void)
{
	parent = must(fork());
	if (parent == 0) {
		/* With memory of its own, the child may do what it likes. */
		pid_t pid = syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
		sleep_until_told();
		_exit(pid == 0 ? 0 : waitpid(pid, NULL, 0) != pid);
	}
	if (!await(task_state(parent) == 'D'))
		die("the parent does not wait");
}

static void verify(void)
{
	int status = -1;

	same("the whole group is told", 0, kill(0, SIGTERM));
	same("the parent ended", parent, waitpid(parent, &status, 0));
	same("its status", 0, status);
}

const struct scenario scenario = {
	.about = "a parent in vfork(), which cannot be frozen",
	.setup = setup,
	.verify = verify,
	.dump_options = "--timeout 1",
	.refused = "pid \\d+.*(stop|froze|freez)",
};
