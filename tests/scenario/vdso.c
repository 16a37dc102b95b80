/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clocks through the vdso, in a busy loop: they go on, never backwards, and agree with the calls.
 */
#include "scenario.h"

#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int stop;
static volatile uint64_t rounds;
static unsigned long base;
static pthread_t thread;

static int64_t read_clock(int clock, bool by_call)
{
	struct timespec now = {0};

	if (by_call)
		syscall(SYS_clock_gettime, clock, &now);
	else
		clock_gettime(clock, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void *thread_run(void *unused)
{
	int64_t last = read_clock(CLOCK_MONOTONIC, false);

	while (!stop) {
		int64_t now = read_clock(CLOCK_MONOTONIC, false);
		if (now < last)
			fail("the clock went back by %ld ns", (long)(last - now));
		last = now;
		time(NULL);
		rounds++;
	}
	return NULL;
}

static void setup(void)
{
	base = getauxval(AT_SYSINFO_EHDR);
	if (pthread_create(&thread, NULL, thread_run, NULL))
		die("a thread cannot be made");
	while (!rounds)
		sleep_ms(1);
}

static void verify(void)
{
	static const int clocks[] = {CLOCK_REALTIME,        CLOCK_MONOTONIC,     CLOCK_BOOTTIME,
				     CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_RAW, CLOCK_TAI};
	uint64_t before = rounds;
	unsigned cpu = 99;

	same("address of the vdso", base, getauxval(AT_SYSINFO_EHDR));
	for (int i = 0; i < 6; i++) {
		int64_t by_vdso = read_clock(clocks[i], false);
		int64_t by_call = read_clock(clocks[i], true);
		int64_t then = read_clock(clocks[i], false);
		check(by_call >= by_vdso - 20000000 && by_call <= then + 20000000,
		      "clock %d: %ld by vdso, %ld by call, %ld by vdso", clocks[i], (long)by_vdso,
		      (long)by_call, (long)then);
	}
	check(getcpu(&cpu, NULL) == 0 && cpu < 4096, "getcpu says %u", cpu);
	check(await(rounds != before), "the loop stands still");
	stop = 1;
	pthread_join(thread, NULL);
}

const struct scenario scenario = {
	.about = "clocks through the vdso",
	.setup = setup,
	.verify = verify,
};
