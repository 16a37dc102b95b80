/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The signal of a periodic timer that waits at the freeze waits again, once, and the timer goes on.
 * (How often it has overrun by then, the kernel tells nobody: docs/state.md.)
 */
#include "scenario.h"

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int id;
static sigset_t set;

static void setup(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	struct itimerspec often = {{0, 1000000}, {0, 1000000}};

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	event.sigev_value.sival_int = 77;
	must(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
	must(syscall(SYS_timer_settime, id, 0, &often, NULL));
	sleep_ms(200);
}

static void verify(void)
{
	struct timespec none = {0};
	siginfo_t info;

	same("pending signal", SIGRTMIN, sigtimedwait(&set, &info, &none));
	same("value", 77, info.si_value.sival_int);
	same("timer", id, info.si_timerid);
	check(syscall(SYS_timer_getoverrun, id) == info.si_overrun, "overruns differ: %ld, %d",
	      syscall(SYS_timer_getoverrun, id), info.si_overrun);
	check(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_timerid == id,
	      "the timer does not go on");
}

const struct scenario scenario = {
	.about = "a waiting signal of a periodic timer",
	.setup = setup,
	.verify = verify,
};
