/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings that look like those of a process but belong to a thread: prctl(2), sigaltstack(2). */
#include "scenario.h"

#include <linux/prctl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

enum { THREADS = 8, AUTODISARM = 1u << 31 };

static pthread_t threads[THREADS];
static pthread_barrier_t made, go;
static char stack[64 * 1024];

struct settings {
	long mce_kill, no_new_privs, keepcaps, securebits, timerslack, speculation, io;
	int tsc, stack_flags;
};

static struct settings read_settings(void)
{
	struct settings now = {.tsc = -1};
	stack_t alternate = {0};

	now.mce_kill = prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
	now.no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	now.keepcaps = prctl(PR_GET_KEEPCAPS);
	now.securebits = prctl(PR_GET_SECUREBITS);
	now.timerslack = prctl(PR_GET_TIMERSLACK);
	now.speculation = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
	now.io = prctl(58 /* PR_GET_IO_FLUSHER */, 0, 0, 0, 0);
	prctl(PR_GET_TSC, &now.tsc);
	sigaltstack(NULL, &alternate);
	now.stack_flags = alternate.ss_flags;
	return now;
}

static void change(long i)
{
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack), .ss_flags = AUTODISARM};

	switch (i) {
	case 1:
		must(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
		break;
	case 2:
		must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		break;
	case 3:
		must(prctl(PR_SET_SECUREBITS, 1));
		must(prctl(PR_SET_KEEPCAPS, 1));
		break;
	case 4:
		must(prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
		break;
	case 5:
		prctl(57 /* PR_SET_IO_FLUSHER */, 1, 0, 0, 0); /* if we have CAP_SYS_RESOURCE */
		break;
	case 6:
		must(sigaltstack(&alternate, NULL));
		break;
	default:
		/* Where the processor needs no such thing, there is nothing to set. */
		prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0);
		break;
	}
}

static void *thread_run(void *argument)
{
	long i = (long)argument;
	struct settings before, now;

	change(i);
	before = read_settings();
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&go);
	now = read_settings();
	same("policy for machine checks", before.mce_kill, now.mce_kill);
	same("no_new_privs", before.no_new_privs, now.no_new_privs);
	same("keepcaps", before.keepcaps, now.keepcaps);
	same("secure bits", before.securebits, now.securebits);
	same("timer slack", before.timerslack, now.timerslack);
	same("speculation", before.speculation, now.speculation);
	same("I/O flusher", before.io, now.io);
	same("time stamp counter", before.tsc, now.tsc);
	same("flags of the alternate stack", before.stack_flags, now.stack_flags);
	prctl(PR_SET_TSC, PR_TSC_ENABLE);
	return NULL;
}

static void setup(void)
{
	pthread_barrier_init(&made, NULL, THREADS + 1);
	pthread_barrier_init(&go, NULL, THREADS + 1);
	for (long i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], NULL, thread_run, (void *)i))
			die("a thread cannot be made");
	}
	pthread_barrier_wait(&made);
}

static void verify(void)
{
	pthread_barrier_wait(&go);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

const struct scenario scenario = {
	.about = "settings of single threads",
	.setup = setup,
	.verify = verify,
};
