/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The three interval timers: they go on with what was left, at their rate, and the time in between
 * does not count.
 */
#include "scenario.h"

#include <signal.h>
#include <sys/time.h>

static volatile int alarms, virtuals, profs;

static void on_signal(int sig)
{
	if (sig == SIGALRM)
		alarms++;
	else if (sig == SIGVTALRM)
		virtuals++;
	else
		profs++;
}

static void setup(void)
{
	/* Far away; verify() looks at what is left. */
	struct itimerval real = {{7, 250000}, {1000, 500000}}, virtual = {{0, 20000}, {0, 200000}},
			 prof = {{0, 0}, {600, 0}};

	signal(SIGALRM, on_signal);
	signal(SIGVTALRM, on_signal);
	signal(SIGPROF, on_signal);
	must(setitimer(ITIMER_REAL, &real, NULL));
	must(setitimer(ITIMER_VIRTUAL, &virtual, NULL));
	must(setitimer(ITIMER_PROF, &prof, NULL));
}

static void verify(void)
{
	struct itimerval now;

	getitimer(ITIMER_REAL, &now);
	same("interval of the real timer", 7250000,
	     now.it_interval.tv_sec * 1000000 + now.it_interval.tv_usec);
	check(now.it_value.tv_sec >= 700 && now.it_value.tv_sec <= 1000,
	      "the real timer has %ld s left instead of nearly 1000", now.it_value.tv_sec);
	getitimer(ITIMER_PROF, &now);
	same("interval of the profiling timer", 0, now.it_interval.tv_sec);
	check(now.it_value.tv_sec >= 590 && now.it_value.tv_sec <= 600,
	      "the profiling timer has %ld s left instead of nearly 600", now.it_value.tv_sec);
	same("signals so far", 0, alarms + profs);
	/* The virtual timer fires by itself. */
	int64_t end = now_ns() + 30 * 1000000000LL;
	while (virtuals < 3 && now_ns() < end)
		for (volatile int i = 0; i < 100000; i++)
			;
	check(virtuals >= 3, "the virtual timer fired %d times", virtuals);
	struct itimerval soon = {{0, 0}, {0, 1000}};
	setitimer(ITIMER_REAL, &soon, NULL);
	(void)await(alarms);
	same("alarms", 1, alarms);
}

const struct scenario scenario = {
	.about = "interval timers",
	.setup = setup,
	.verify = verify,
};
