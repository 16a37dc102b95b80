/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads with ids, names, thread-local memory and masks of their own. */
#include "scenario.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 12 };

static pthread_t threads[THREADS];
static pthread_barrier_t made, verified;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go = PTHREAD_COND_INITIALIZER;
static bool going;
static __thread uint64_t local;

static void *thread_run(void *argument)
{
	long index = (long)argument;
	pid_t tid = syscall(SYS_gettid);
	char name[16], now[16];
	sigset_t mask, mask_now;

	local = index * 77 + tid;
	snprintf(name, sizeof(name), "thread-%ld", index);
	prctl(PR_SET_NAME, name);
	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN + index);
	sigaddset(&mask, SIGTERM);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	pthread_barrier_wait(&made);

	pthread_mutex_lock(&lock);
	while (!going)
		pthread_cond_wait(&go, &lock);
	pthread_mutex_unlock(&lock);

	same("thread id", tid, syscall(SYS_gettid));
	same("thread-local memory", index * 77 + tid, local);
	prctl(PR_GET_NAME, now);
	same_string("thread name", name, now);
	pthread_sigmask(SIG_SETMASK, NULL, &mask_now);
	for (int sig = 1; sig < 65; sig++) {
		if (sigismember(&mask, sig) != sigismember(&mask_now, sig))
			fail("thread %ld: signal %d blocked: %d", index, sig,
			     sigismember(&mask_now, sig));
	}
	pthread_barrier_wait(&verified);
	return (void *)(index + 1);
}

static void setup(void)
{
	pthread_barrier_init(&made, NULL, THREADS + 1);
	pthread_barrier_init(&verified, NULL, THREADS + 1);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, thread_run, (void *)i))
			die("a thread cannot be made");
	pthread_barrier_wait(&made);
}

static void verify(void)
{
	pthread_mutex_lock(&lock);
	going = true;
	pthread_cond_broadcast(&go);
	pthread_mutex_unlock(&lock);
	pthread_barrier_wait(&verified);
	for (long i = 0; i < THREADS; i++) {
		void *value = NULL;
		pthread_join(threads[i], &value);
		same("a thread's return value", i + 1, (long)value);
	}
}

const struct scenario scenario = {
	.about = "12 threads that wait for a condition",
	.setup = setup,
	.verify = verify,
};
