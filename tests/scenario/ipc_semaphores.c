/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System V semaphores. */
#include "scenario.h"

#include <sched.h>
#include <sys/sem.h>
#include <unistd.h>

enum { COUNT = 5 };

static const uint16_t values[COUNT] = {1, 0, 32767, 7, 3};
static int plain, other;
static struct semid_ds before[2];

static void get(int id, struct semid_ds *settings)
{
	must(semctl(id, 0, IPC_STAT, settings));
}

static void setup(void)
{
	struct semid_ds settings = {.sem_perm = {.uid = 5, .gid = 6, .mode = 0640}};

	must(unshare(CLONE_NEWIPC));
	must(semctl(must(semget(IPC_PRIVATE, 1, 0600)), 0, IPC_RMID));
	plain = must(semget(0x42, COUNT, IPC_CREAT | 0600));
	must(semctl(plain, 0, SETALL, values));
	other = must(semget(IPC_PRIVATE, 1, 0600));
	must(semctl(other, 0, IPC_SET, &settings));
	get(plain, &before[0]);
	get(other, &before[1]);
	write_text("/proc/sys/kernel/sem", "100 200 300 400");
}

static void verify_set(int id, const struct semid_ds *then)
{
	struct semid_ds now;

	get(id, &now);
	same("key", then->sem_perm.__key, now.sem_perm.__key);
	same("mode", then->sem_perm.mode, now.sem_perm.mode);
	same("uid", then->sem_perm.uid, now.sem_perm.uid);
	same("gid", then->sem_perm.gid, now.sem_perm.gid);
	same("semaphores", then->sem_nsems, now.sem_nsems);
}

static void verify(void)
{
	uint16_t now[COUNT];

	verify_set(plain, &before[0]);
	verify_set(other, &before[1]);
	must(semctl(plain, 0, GETALL, now));
	same_bytes("values", values, now, sizeof(values));
	same("by its key", plain, semget(0x42, COUNT, 0));
	same_string("limits", "100\t200\t300\t400\n", file_text("/proc/sys/kernel/sem"));
}

const struct scenario scenario = {
	.about = "System V semaphores",
	.setup = setup,
	.verify = verify,
};
