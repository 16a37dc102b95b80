/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thousand threads, waiting on a futex, each with data of its own. */
#include "scenario.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 1000 };

static pthread_t threads[THREADS];
static atomic_int made;
static pthread_barrier_t go;

static void *thread_run(void *argument)
{
	volatile long index = (long)argument;
	volatile pid_t tid = syscall(SYS_gettid);

	atomic_fetch_add(&made, 1);
	pthread_barrier_wait(&go);
	same("argument", (long)argument, index);
	same("thread id", tid, syscall(SYS_gettid));
	return (void *)(index ^ 0x5a5a);
}

static void setup(void)
{
	pthread_attr_t attributes;

	pthread_barrier_init(&go, NULL, THREADS + 1);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 * 1024);
	for (long i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], &attributes, thread_run, (void *)i))
			die("thread %ld cannot be made", i);
	}
	while (atomic_load(&made) < THREADS)
		sleep_ms(1);
	await_others_asleep();
}

static void verify(void)
{
	pthread_barrier_wait(&go);
	for (long i = 0; i < THREADS; i++) {
		void *value = NULL;
		pthread_join(threads[i], &value);
		same("a thread's return value", i ^ 0x5a5a, (long)value);
	}
}

const struct scenario scenario = {
	.about = "1,000 threads",
	.setup = setup,
	.verify = verify,
};
