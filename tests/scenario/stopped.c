/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Children stopped by SIGSTOP and SIGTSTP, one of them reported to its parent already. */
#include "scenario.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOPPED = 4 };

static pid_t pids[STOPPED];
static const int signals[STOPPED] = {SIGSTOP, SIGTSTP, SIGSTOP, SIGTTIN};
static volatile sig_atomic_t continued;

static void on_continue(int sig)
{
	continued++;
}

static void setup_child(void *unused)
{
	/* The kernel's own stop signals do nothing in an orphaned process group. */
	must(setpgid(0, 0));
	signal(SIGCONT, on_continue);
}

static void verify_child(void *unused)
{
	same("times SIGCONT was handled", 1, continued);
}

static void setup(void)
{
	siginfo_t info;

	for (int i = 0; i < STOPPED; i++) {
		pids[i] = child(setup_child, verify_child, NULL);
		must(kill(pids[i], signals[i]));
		/* The third one's stop was reported, the others' waits to be. */
		must(waitid(P_PID, pids[i], &info, WSTOPPED | (i == 2 ? 0 : WNOWAIT)));
	}
}

static void verify(void)
{
	for (int i = 0; i < STOPPED; i++) {
		int status;

		check(task_state(pids[i]) == 'T', "child %d stopped by signal %d is in state %c", i,
		      signals[i], task_state(pids[i]));
		kill(pids[i], SIGCONT);
		pid_t got = waitpid(pids[i], &status, WCONTINUED);
		check(got == pids[i] && WIFCONTINUED(status), "child %d did not continue: %x", i,
		      status);
		check(await(task_state(pids[i]) == 'S'), "child %d is in state %c", i,
		      task_state(pids[i]));
	}
}

const struct scenario scenario = {
	.about = "stopped tasks stay stopped and continue when told",
	.setup = setup,
	.verify = verify,
};
