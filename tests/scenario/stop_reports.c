/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a parent can wait for: stops that were not reported yet, and which signal it was. */
#include "scenario.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static const int signals[] = {SIGSTOP, SIGTSTP, SIGTTOU};
enum { COUNT = 3 };
static pid_t waiting[COUNT], reported;

/* Stop signals from a terminal do nothing in an orphaned process group. */
static void setup_child(void *unused)
{
	must(setpgid(0, 0));
}

static pid_t stopped_child(int sig, int flags)
{
	siginfo_t info;
	pid_t pid = child(setup_child, NULL, NULL);

	must(kill(pid, sig));
	must(waitid(P_PID, pid, &info, WSTOPPED | flags));
	return pid;
}

static void setup(void)
{
	for (int i = 0; i < COUNT; i++)
		waiting[i] = stopped_child(signals[i], WNOWAIT);
	reported = stopped_child(SIGSTOP, 0);
}

static void verify(void)
{
	int status;

	for (int i = 0; i < COUNT; i++) {
		same("stop reported", waiting[i],
		     waitpid(waiting[i], &status, WUNTRACED | WNOHANG));
		check(WIFSTOPPED(status), "wait status %x is not a stop", status);
		same("stop signal", signals[i], WSTOPSIG(status));
		same("reported once", 0, waitpid(waiting[i], &status, WUNTRACED | WNOHANG));
	}
	same("reported before", 0, waitpid(reported, &status, WUNTRACED | WNOHANG));
	for (int i = 0; i < COUNT; i++)
		kill(waiting[i], SIGCONT);
	kill(reported, SIGCONT);
}

const struct scenario scenario = {
	.about = "stops that wait to be reported to the parent",
	.setup = setup,
	.verify = verify,
};
