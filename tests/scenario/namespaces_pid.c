/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A container: the program is process 1 of a pid namespace, and stasis is outside.  Its mounts are
 * those of stasis; namespaces_container has its own.
 */
#include "scenario.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t first, second, zombie;
static pid_t thread_id;
static int owned[2], ready[2], told[2];

static void verify_child(void *unused)
{
	same("parent", 1, getppid());
	same("session", getpid(), getsid(0));
}

static void setup_session(void *unused)
{
	must(setsid());
	same("session", getpid(), getsid(0));
}

static void setup_group(void *unused)
{
	must(setpgid(0, 0));
}

static void verify_group(void *unused)
{
	same("group", getpid(), getpgid(0));
	same("session", 1, getsid(0));
}

/* The thread's id as the kernel tells it, for as long as it is asked. */
static void *thread(void *unused)
{
	char byte;

	thread_id = gettid();
	must(write(ready[1], "", 1));
	must(read(told[0], &byte, 1));
	same("id of the thread", thread_id, gettid());
	return NULL;
}

static pthread_t other;

static void setup(void)
{
	char byte;

	same("id", 1, getpid());
	first = child(setup_session, verify_child, NULL);
	second = child(setup_group, verify_group, NULL);
	zombie = must(fork());
	if (!zombie)
		_exit(7);
	must(waitid(P_PID, zombie, &(siginfo_t){0}, WEXITED | WNOWAIT));
	must(pipe(ready));
	must(pipe(told));
	must(pipe(owned));
	must(fcntl(owned[0], F_SETOWN, second));
	if (pthread_create(&other, NULL, thread, NULL))
		die("pthread_create");
	must(read(ready[0], &byte, 1));
}

static void verify(void)
{
	int status = 0;

	same("id", 1, getpid());
	same("id of the first thread", 1, gettid());
	same("parent", 0, getppid());
	same("group of a child", second, getpgid(second));
	same("session of a child", first, getsid(first));
	same("owner of a file", second, fcntl(owned[0], F_GETOWN));
	same("zombie", zombie, waitpid(zombie, &status, 0));
	same("its exit code", 7, WEXITSTATUS(status));
	must(write(told[1], "", 1));
	pthread_join(other, NULL);
}

const struct scenario scenario = {
	.about = "the first process of a pid namespace",
	.setup = setup,
	.verify = verify,
	.pid_namespace = true,
	.plain = true,
};
