/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Semaphore operations that are undone when processes end: small and large ones, of two sets. */
#include "scenario.h"

#include <sched.h>
#include <sys/sem.h>
#include <unistd.h>

enum { COUNT = 4 };

static int set, other;
static const uint16_t at_first[COUNT] = {1, 0, 32767, 500};
static uint16_t frozen[COUNT];
static pid_t holder, giver, both;

static void operate(int id, int number, int operation, int flags)
{
	struct sembuf one = {number, operation, flags | IPC_NOWAIT};

	must(semop(id, &one, 1));
}

static void values_are(const char *when, const int *expected)
{
	uint16_t now[COUNT];

	must(semctl(set, 0, GETALL, now));
	for (int i = 0; i < COUNT; i++)
		same(when, expected[i], now[i]);
}

/* A lock that is held. */
static void setup_holder(void *unused)
{
	operate(set, 0, -1, SEM_UNDO);
	operate(other, 0, -1, SEM_UNDO);
	operate(other, 0, 1, SEM_UNDO);
}

static void setup_giver(void *unused)
{
	operate(set, 1, 5, SEM_UNDO);
	operate(set, 3, 100, SEM_UNDO);
}

static void setup_both(void *unused)
{
	operate(set, 2, -32000, SEM_UNDO);
	operate(set, 3, -7, SEM_UNDO);
	operate(set, 1, 1, 0);
	operate(set, 1, -1, SEM_UNDO);
}

static void setup(void)
{
	must(unshare(CLONE_NEWIPC));
	set = must(semget(0x42, COUNT, IPC_CREAT | 0600));
	other = must(semget(IPC_PRIVATE, 1, 0600));
	must(semctl(set, 0, SETALL, at_first));
	must(semctl(other, 0, SETVAL, 16384));
	holder = child(setup_holder, NULL, NULL);
	giver = child(setup_giver, NULL, NULL);
	both = child(setup_both, NULL, NULL);
	must(semctl(set, 0, GETALL, frozen));
}

static void verify(void)
{
	values_are("value", (const int[]){frozen[0], frozen[1], frozen[2], frozen[3]});
	same("the other's value", 16384, semctl(other, 0, GETVAL));
	child_verify(holder);
	values_are("after the first", (const int[]){1, 5, 767, 593});
	child_verify(both);
	values_are("after the second", (const int[]){1, 6, 32767, 600});
	child_verify(giver);
	values_are("after all", (const int[]){1, 1, 32767, 500});
	same("the other's value", 16384, semctl(other, 0, GETVAL));
}

const struct scenario scenario = {
	.about = "semaphore operations to undo",
	.setup = setup,
	.verify = verify,
};
