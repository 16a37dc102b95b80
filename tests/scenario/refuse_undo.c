/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process with threads, which may have semaphore operations to undo that cannot be learned. */
#include "scenario.h"

#include <pthread.h>
#include <sched.h>
#include <sys/sem.h>
#include <unistd.h>

static void *sleep_on(void *unused)
{
	sleep_until_told();
	return NULL;
}

static void setup(void)
{
	pthread_t thread;

	must(unshare(CLONE_NEWIPC));
	must(semget(IPC_PRIVATE, 1, 0600));
	pthread_create(&thread, NULL, sleep_on, NULL);
	await_others_asleep();
}

static void verify(void)
{
}

const struct scenario scenario = {
	.about = "threads and semaphores",
	.setup = setup,
	.verify = verify,
	.refused = "SEM_UNDO.*threads",
};
