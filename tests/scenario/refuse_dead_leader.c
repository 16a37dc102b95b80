/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process whose first thread has ended while another one lives: refused or brought back. */
#include "scenario.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

static pid_t process;

static void *survivor(void *unused)
{
	pause();
	return NULL;
}

static void setup(void)
{
	process = must(fork());
	if (process == 0) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, survivor, NULL))
			_exit(1);
		syscall(SYS_exit, 0);
	}
	if (!await(task_state(process) == 'Z'))
		die("the main thread does not end");
}

static void verify(void)
{
	same("the process lives", 0, kill(process, SIGKILL));
}

const struct scenario scenario = {
	.about = "a process whose main thread has ended",
	.setup = setup,
	.verify = verify,
	.refused = "thread",
};
