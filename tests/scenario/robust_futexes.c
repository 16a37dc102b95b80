/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Robust mutexes: an owner that dies after the restore leaves them to the next one. */
#include "scenario.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

static struct shared {
	pthread_mutex_t of_child, of_thread;
} * shared;
static pthread_t thread;
static pthread_barrier_t made, go;

static void make(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(mutex, &attributes);
}

/* Dies with the mutex locked. */
static void setup_child(void *unused)
{
	pthread_mutex_lock(&shared->of_child);
}

static void *thread_run(void *unused)
{
	pthread_mutex_lock(&shared->of_thread);
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&go);
	return NULL;
}

static pid_t owner;

static void setup(void)
{
	shared = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	make(&shared->of_child);
	make(&shared->of_thread);
	pthread_barrier_init(&made, NULL, 2);
	pthread_barrier_init(&go, NULL, 2);
	owner = child(setup_child, NULL, NULL);
	if (pthread_create(&thread, NULL, thread_run, NULL))
		die("a thread cannot be made");
	pthread_barrier_wait(&made);
}

static void verify(void)
{
	same("trylock while the owner lives", EBUSY, pthread_mutex_trylock(&shared->of_child));
	same("trylock while the thread lives", EBUSY, pthread_mutex_trylock(&shared->of_thread));
	child_verify(owner);
	pthread_barrier_wait(&go);
	pthread_join(thread, NULL);
	same("lock after the owner died", EOWNERDEAD, pthread_mutex_lock(&shared->of_child));
	same("lock after the thread ended", EOWNERDEAD, pthread_mutex_lock(&shared->of_thread));
}

const struct scenario scenario = {
	.about = "robust mutexes",
	.setup = setup,
	.verify = verify,
};
