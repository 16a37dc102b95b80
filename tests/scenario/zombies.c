/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Children that have ended and were not waited for yet, by exit and by signal, and their names. */
#include "scenario.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
	int code, signal;
} ends[] = {{0, 0}, {1, 0}, {42, 0}, {255, 0}, {0, SIGKILL}, {0, SIGTERM}, {0, SIGUSR1}, {0, 40}};

enum { ENDS = sizeof(ends) / sizeof(ends[0]) };

static pid_t pids[ENDS], leader, member;

static void end(int index)
{
	prctl(PR_SET_NAME, "a zombie");
	if (ends[index].signal == 0)
		_exit(ends[index].code);
	signal(ends[index].signal, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	raise(ends[index].signal);
	_exit(99);
}

static void await_end(pid_t pid)
{
	siginfo_t info;

	must(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
}

static void setup_member(void *unused)
{
	must(setpgid(0, leader));
}

static void setup(void)
{
	for (int i = 0; i < ENDS; i++) {
		pids[i] = must(fork());
		if (pids[i] == 0)
			end(i);
	}
	for (int i = 0; i < ENDS; i++)
		await_end(pids[i]);
	/* A group whose leader is a zombie and whose member lives. */
	leader = must(fork());
	if (leader == 0) {
		setpgid(0, 0);
		sleep_until_told();
		_exit(7);
	}
	while (getpgid(leader) != leader)
		sleep_ms(1);
	member = child(setup_member, NULL, NULL);
	must(kill(leader, SIGTERM));
	await_end(leader);
}

static void verify(void)
{
	int status;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", pids[0]);
	same_string("name of a zombie", "a zombie\n", file_text(path));
	for (int i = 0; i < ENDS; i++) {
		same("zombie waited for", pids[i], waitpid(pids[i], &status, WNOHANG));
		same("wait status of a zombie", ends[i].code << 8 | ends[i].signal, status);
	}
	same("group of the member", leader, getpgid(member));
	same("group of the leader", leader, getpgid(leader));
	same("leader waited for", leader, waitpid(leader, &status, WNOHANG));
	same("wait status of the leader", 7 << 8, status);
}

const struct scenario scenario = {
	.about = "zombies with exit codes and signals",
	.setup = setup,
	.verify = verify,
};
