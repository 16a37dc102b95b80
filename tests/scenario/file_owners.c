/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Owners and signals of descriptions (F_SETOWN, F_SETOWN_EX, F_SETSIG). */
#include "scenario.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static int by_process, by_group, by_other, unowned;
static pid_t other;

static void setup(void)
{
	int pipes[4][2];
	other = child(NULL, NULL, NULL);
	for (int i = 0; i < 4; i++)
		must(pipe(pipes[i]));
	by_process = pipes[0][0];
	by_group = pipes[1][0];
	by_other = pipes[2][1];
	unowned = pipes[3][0];
	must(fcntl(by_process, F_SETOWN, getpid()));
	must(fcntl(by_process, F_SETSIG, SIGRTMIN + 3));
	must(fcntl(by_group, F_SETOWN, -getpgrp()));
	struct f_owner_ex owner = {F_OWNER_PID, other};
	must(fcntl(by_other, F_SETOWN_EX, &owner));
	must(fcntl(by_other, F_SETSIG, SIGUSR1));
}

static void expect(const char *what, int fd, int type, pid_t pid, int sig)
{
	struct f_owner_ex owner = {-1, -1};

	same(what, 0, fcntl(fd, F_GETOWN_EX, &owner));
	if (pid)
		same("type of owner", type, owner.type);
	same("owner", pid, owner.pid);
	same("signal", sig, fcntl(fd, F_GETSIG));
}

static void verify(void)
{
	expect("by process", by_process, F_OWNER_PID, getpid(), SIGRTMIN + 3);
	expect("by group", by_group, F_OWNER_PGRP, getpgrp(), 0);
	expect("by another", by_other, F_OWNER_PID, other, SIGUSR1);
	expect("by none", unowned, 0, 0, 0);
}

const struct scenario scenario = {
	.about = "owners of descriptions",
	.setup = setup,
	.verify = verify,
};
