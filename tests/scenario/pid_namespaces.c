/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pid namespaces below that of the root: one in another, one that a process was put into, one that
 * will be made with the next child.  Every process keeps its numbers on every level, and its
 * parent, group and session as its own namespace shows them.
 */
#include "scenario.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINES = 5, LINE = 128 };
static const char *const keys[LINES] = {"NStgid:", "NSpid:", "NSpgid:", "NSsid:", "PPid:"};

/* Numbers on all levels, outermost first, and how the process itself sees its family. */
struct numbers {
	char lines[LINES][LINE];
	pid_t own, parent, group, session;
};

static void read_numbers(struct numbers *numbers)
{
	memset(numbers, 0, sizeof(*numbers));
	for (int i = 0; i < LINES; i++)
		snprintf(numbers->lines[i], LINE, "%s", proc_line("status", keys[i]));
	numbers->own = getpid();
	numbers->parent = getppid();
	numbers->group = getpgrp();
	numbers->session = getsid(0);
}

static struct numbers before;

static void remember(void *unused)
{
	(void)unused;
	read_numbers(&before);
}

static void compare(void *unused)
{
	struct numbers now;

	(void)unused;
	read_numbers(&now);
	for (int i = 0; i < LINES; i++)
		same_string(keys[i], before.lines[i], now.lines[i]);
	same("own pid", before.own, now.own);
	same("parent", before.parent, now.parent);
	same("group", before.group, now.group);
	same("session", before.session, now.session);
}

/* ---- the processes -------------------------------------------------------------------------- */

static timer_t timer;
static volatile sig_atomic_t rung;

static void ring(int signo)
{
	(void)signo;
	rung++;
}

/* A timer and an owner that name the process by a number of its own namespace. */
static int owned[2];

static void setup_named(void *unused)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2};

	remember(unused);
	event._sigev_un._tid = syscall(SYS_gettid);
	must(signal(SIGUSR2, ring) == SIG_ERR ? -1 : 0);
	must(timer_create(CLOCK_MONOTONIC, &event, &timer));
	must(pipe2(owned, O_CLOEXEC | O_NONBLOCK));
	must(fcntl(owned[0], F_SETOWN, getpid()));
}

static void verify_named(void *unused)
{
	struct itimerspec soon = {.it_value = {.tv_nsec = 1000000}};

	compare(unused);
	must(timer_settime(timer, 0, &soon, NULL));
	check(await(rung), "the timer does not signal its thread");
	same("owner of a file", getpid(), fcntl(owned[0], F_GETOWN));
}

/* A group and a session of its own, in a namespace that others are in. */
static void setup_leader(void *unused)
{
	must(setsid());
	remember(unused);
	child(remember, compare, NULL);
}

static void setup_group(void *unused)
{
	must(setpgid(0, 0));
	remember(unused);
	child(remember, compare, NULL);
}

static pid_t zombie;

static pid_t end_child(int code)
{
	siginfo_t info;
	pid_t pid = must(fork());

	if (pid == 0)
		_exit(code);
	must(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	return pid;
}

/* The first process of the innermost namespace. */
static void setup_inner(void *unused)
{
	remember(unused);
	child(setup_named, verify_named, NULL);
	child(setup_leader, compare, NULL);
	child(setup_group, compare, NULL);
	zombie = end_child(7);
}

static void verify_inner(void *unused)
{
	int status = 0;

	compare(unused);
	same("pid of a zombie", zombie, waitpid(zombie, &status, 0));
	same("its exit code", 7, WEXITSTATUS(status));
}

/* Of a namespace: its first process, as its maker sees it, and the number given out last. */
static struct space {
	pid_t first;
	int last;
} * spaces;

static int exit_code_of(pid_t pid)
{
	int status = 0;

	must(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The number that the next child has in its own namespace. */
static int next_number(void)
{
	pid_t pid = must(fork());

	if (pid == 0)
		_exit(getpid());
	return exit_code_of(pid);
}

static void choose(pid_t member)
{
	int pidfd = must(syscall(SYS_pidfd_open, member, 0));

	must(setns(pidfd, CLONE_NEWPID));
	close(pidfd);
}

/* Its children are in a namespace of their own: the first one, and more. */
static void setup_maker(void *space_)
{
	struct space *space = space_;

	must(unshare(CLONE_NEWPID));
	remember(NULL);
	space->first = child(setup_inner, verify_inner, NULL);
	child(setup_leader, compare, NULL);
	space->last = next_number();
}

static void verify_maker(void *space)
{
	compare(NULL);
	same("next number", ((struct space *)space)->last + 1, next_number());
}

/* A process group that namespaces further in have no number for. */
static void setup_job(void *space)
{
	must(setpgid(0, 0));
	setup_maker(space);
}

/* One namespace in another. */
static void setup_nested(void *unused)
{
	must(unshare(CLONE_NEWPID));
	remember(unused);
	child(setup_job, verify_maker, &spaces[1]);
}

static void setup_unborn(void *unused)
{
	must(unshare(CLONE_NEWPID));
	remember(unused);
}

static void verify_unborn(void *unused)
{
	compare(unused);
	same("number of the first child", 1, next_number());
}

/* Puts a child into a namespace that it has nothing to do with, and forgets it. */
static void setup_visitor(void *unused)
{
	remember(unused);
	choose(spaces->first);
	child(remember, compare, NULL);
	spaces->last = next_number();
	choose(getpid());
}

static void verify_visitor(void *unused)
{
	compare(unused);
	check(next_number() > 1, "its children are elsewhere");
}

/* The first process of a namespace has ended, and with it the namespace. */
static void setup_ended(void *unused)
{
	must(unshare(CLONE_NEWPID));
	remember(unused);
	zombie = end_child(5);
	choose(getpid());
}

static void verify_ended(void *unused)
{
	compare(unused);
	same("exit code of a first process", 5, exit_code_of(zombie));
}

static void setup(void)
{
	spaces = must(mmap(NULL, 2 * sizeof(*spaces), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	remember(NULL);
	child(setup_unborn, verify_unborn, NULL);
	child(setup_ended, verify_ended, NULL);
	child(setup_job, verify_maker, &spaces[0]);
	child(setup_visitor, verify_visitor, NULL);
	child(setup_nested, compare, NULL);
}

static void verify(void)
{
	compare(NULL);
}

const struct scenario scenario = {
	.about = "nested pid namespaces",
	.setup = setup,
	.verify = verify,
	.modes = "once twice running again contained",
	.plain = true,
};
