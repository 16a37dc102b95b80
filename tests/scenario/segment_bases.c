/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bases of the fs and gs segments, per thread, one with a gs base and one without. */
#include "scenario.h"

#include <asm/prctl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_barrier_t made, go;
static uint64_t area[16];
static __thread uint64_t local = 1;

static uint64_t through_gs(void)
{
	uint64_t value;

	asm volatile("mov %%gs:8, %0" : "=r"(value));
	return value;
}

static void *thread_run(void *unused)
{
	unsigned long fs = 0, gs = 0, now = 0;

	must(syscall(SYS_arch_prctl, ARCH_SET_GS, &area[4]));
	syscall(SYS_arch_prctl, ARCH_GET_FS, &fs);
	syscall(SYS_arch_prctl, ARCH_GET_GS, &gs);
	local = 0x1234;
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&go);
	same("value through gs", 0xfeed, through_gs());
	syscall(SYS_arch_prctl, ARCH_GET_FS, &now);
	same("base of fs", fs, now);
	syscall(SYS_arch_prctl, ARCH_GET_GS, &now);
	same("base of gs", gs, now);
	same("thread-local memory", 0x1234, local);
	return NULL;
}

static pthread_t thread;

static void setup(void)
{
	area[5] = 0xfeed;
	pthread_barrier_init(&made, NULL, 2);
	pthread_barrier_init(&go, NULL, 2);
	if (pthread_create(&thread, NULL, thread_run, NULL))
		die("a thread cannot be made");
	pthread_barrier_wait(&made);
}

static void verify(void)
{
	unsigned long now = 1;

	syscall(SYS_arch_prctl, ARCH_GET_GS, &now);
	same("base of gs of the main thread", 0, now);
	same("thread-local memory of the main thread", 1, local);
	pthread_barrier_wait(&go);
	pthread_join(thread, NULL);
}

const struct scenario scenario = {
	.about = "fs and gs bases",
	.setup = setup,
	.verify = verify,
};
