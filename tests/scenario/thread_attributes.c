/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What threads of one process may have of their own: credentials, nice value, policy, affinity,
 * alternate stack, timer slack, signal that tells of the parent's death, name.
 */
#include "scenario.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 4 };

static pthread_t threads[THREADS];
static pthread_barrier_t made, go;
static char stacks[THREADS][64 * 1024];

/* Raw calls: libc would change all threads at once. */
static void *thread_run(void *argument)
{
	long i = (long)argument;
	stack_t stack = {.ss_sp = stacks[i], .ss_size = sizeof(stacks[i]) - i * 4096}, now;
	struct sched_param param = {0};
	cpu_set_t cpus, cpus_now;
	int policy = i == 1 ? SCHED_BATCH : i == 2 ? SCHED_IDLE : SCHED_OTHER, sig = 0;
	uid_t real, effective, saved;

	prctl(PR_SET_TIMERSLACK, 100000 + i);
	prctl(PR_SET_PDEATHSIG, i == 3 ? SIGUSR2 : 0);
	sigaltstack(&stack, NULL);
	CPU_ZERO(&cpus);
	CPU_SET(i % sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	must(sched_setaffinity(0, sizeof(cpus), &cpus));
	must(sched_setscheduler(0, policy, &param));
	must(setpriority(PRIO_PROCESS, 0, 3 + i));
	if (i == 0) {
		gid_t groups[] = {1001, 1002, 4};
		must(syscall(SYS_setgroups, 3, groups));
		must(syscall(SYS_setresgid, 2001, 2002, 2003));
		must(syscall(SYS_setresuid, 1001, 1002, 1003));
		prctl(PR_SET_DUMPABLE, 1);
	}
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&go);

	same("timer slack", 100000 + i, prctl(PR_GET_TIMERSLACK));
	prctl(PR_GET_PDEATHSIG, &sig);
	same("parent's death signal", i == 3 ? SIGUSR2 : 0, sig);
	sigaltstack(NULL, &now);
	same("alternate stack", (long)stack.ss_sp, (long)now.ss_sp);
	same("size of the alternate stack", stack.ss_size, now.ss_size);
	sched_getaffinity(0, sizeof(cpus_now), &cpus_now);
	check(CPU_EQUAL(&cpus, &cpus_now), "the affinity of thread %ld changed", i);
	same("policy", policy, sched_getscheduler(0));
	same("nice value", 3 + i, getpriority(PRIO_PROCESS, 0));
	syscall(SYS_getresuid, &real, &effective, &saved);
	same("real user", i == 0 ? 1001 : 0, real);
	same("effective user", i == 0 ? 1002 : 0, effective);
	same("saved user", i == 0 ? 1003 : 0, saved);
	syscall(SYS_getresgid, &real, &effective, &saved);
	same("saved group", i == 0 ? 2003 : 0, saved);
	same("groups", i == 0 ? 3 : 0, syscall(SYS_getgroups, 0, NULL));
	return NULL;
}

static void setup(void)
{
	must(syscall(SYS_setgroups, 0, NULL));
	pthread_barrier_init(&made, NULL, THREADS + 1);
	pthread_barrier_init(&go, NULL, THREADS + 1);
	for (long i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], NULL, thread_run, (void *)i))
			die("thread %ld cannot be made", i);
	}
	pthread_barrier_wait(&made);
	await_others_asleep();
}

static void verify(void)
{
	pthread_barrier_wait(&go);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

const struct scenario scenario = {
	.about = "credentials, scheduling and stacks of single threads",
	.setup = setup,
	.verify = verify,
};
