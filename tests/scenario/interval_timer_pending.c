/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An interval timer whose signal is blocked and pending: the kernel winds it up again only when
 * the signal is taken, so it stands still at the dump and must go on afterwards.
 */
#include "scenario.h"

#include <signal.h>
#include <sys/time.h>

static volatile int ticks;

static void on_signal(int sig)
{
	ticks++;
}

static void setup(void)
{
	struct itimerval often = {{0, 10000}, {0, 10000}};
	sigset_t set;

	signal(SIGALRM, on_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	must(setitimer(ITIMER_REAL, &often, NULL));
	sleep_ms(50);
}

static void verify(void)
{
	struct itimerval now;
	sigset_t set;

	getitimer(ITIMER_REAL, &now);
	same("interval", 10000, now.it_interval.tv_usec);
	same("ticks so far", 0, ticks);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	same("tick that was pending", 1, ticks > 0);
	check(await(ticks >= 10), "the timer ticked %d times", ticks);
}

const struct scenario scenario = {
	.about = "an interval timer whose signal is pending",
	.setup = setup,
	.verify = verify,
	.plain = true, /* it is disarmed until its signal is taken */
};
