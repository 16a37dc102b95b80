/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads frozen inside signal handlers, one of them on the alternate stack, one in a handler
 * within a handler: they return into what they interrupted.
 */
#include "scenario.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 3 };

static atomic_int inside, leave;
static pthread_t threads[THREADS];
static _Alignas(16) char stack[64 * 1024];
static __thread volatile int depth;

static void wait_inside(void)
{
	atomic_fetch_add(&inside, 1);
	while (!atomic_load(&leave))
		;
}

static void on_outer(int sig)
{
	char here;

	depth++;
	if (sig == SIGUSR1) {
		if ((char *)&here < stack || &here >= stack + sizeof(stack))
			fail("the handler does not run on the alternate stack");
		wait_inside();
		stack_t now;
		sigaltstack(NULL, &now);
		same("alternate stack in use", SS_ONSTACK, now.ss_flags);
	} else if (sig == SIGUSR2) {
		pthread_kill(pthread_self(), SIGRTMIN);
	} else {
		wait_inside();
	}
	depth--;
}

static void *thread_run(void *argument)
{
	long i = (long)argument;
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	volatile double x = 1.5;
	sigset_t before, after;

	if (i == 0)
		sigaltstack(&alternate, NULL);
	sigemptyset(&before);
	sigaddset(&before, SIGRTMIN + 5 + i);
	pthread_sigmask(SIG_BLOCK, &before, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	pthread_kill(pthread_self(), i == 0 ? SIGUSR1 : i == 1 ? SIGUSR2 : SIGRTMIN);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	same_bytes("mask after the handler", &before, &after, 8);
	same("handlers left", 0, depth);
	same("a floating point number", 3, x * 2);
	return NULL;
}

static void setup(void)
{
	struct sigaction action = {.sa_handler = on_outer};

	sigaction(SIGUSR2, &action, NULL);
	sigaction(SIGRTMIN, &action, NULL);
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR1, &action, NULL);
	for (long i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], NULL, thread_run, (void *)i))
			die("a thread cannot be made");
	}
	while (atomic_load(&inside) < THREADS)
		sleep_ms(1);
}

static void verify(void)
{
	atomic_store(&leave, 1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

const struct scenario scenario = {
	.about = "frozen inside signal handlers",
	.setup = setup,
	.verify = verify,
};
