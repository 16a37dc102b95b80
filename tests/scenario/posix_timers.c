/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POSIX timers: every clock, every way to tell, ids with gaps, armed, disarmed and expired ones,
 * overruns.
 */
#include "scenario.h"

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TIMERS = 24, FAR = 5000 };

/* Raw calls: libc's timer_t hides the kernel's ids. */
static struct timer {
	int id, clock, notify, sig;
	long value, interval; /* seconds */
	bool absolute;
} timers[TIMERS];
static int count;

static volatile int ticks, tick_value;

static void on_tick(int sig, siginfo_t *info, void *context)
{
	ticks++;
	tick_value = info->si_value.sival_int;
}

static int make(struct timer timer)
{
	struct sigevent event = {.sigev_notify = timer.notify, .sigev_signo = timer.sig};
	struct itimerspec setting = {{timer.interval, 0}, {timer.value, 0}};
	struct timespec now;

	event.sigev_value.sival_ptr = (void *)(0x123400000000 + count);
	if (timer.notify == SIGEV_THREAD_ID)
		event._sigev_un._tid = syscall(SYS_gettid);
	must(syscall(SYS_timer_create, timer.clock, &event, &timer.id));
	if (timer.absolute) {
		clock_gettime(timer.clock, &now);
		setting.it_value.tv_sec += now.tv_sec;
	}
	must(syscall(SYS_timer_settime, timer.id, timer.absolute ? TIMER_ABSTIME : 0, &setting,
		     NULL));
	timers[count++] = timer;
	return timer.id;
}

static void delete_last(void)
{
	must(syscall(SYS_timer_delete, timers[--count].id));
}

static int expired, fast;

static void setup(void)
{
	static const int clocks[] = {CLOCK_REALTIME,          CLOCK_MONOTONIC,
				     CLOCK_BOOTTIME,          CLOCK_PROCESS_CPUTIME_ID,
				     CLOCK_THREAD_CPUTIME_ID, CLOCK_TAI};
	struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO};
	sigset_t blocked;

	sigaction(SIGRTMIN + 3, &action, NULL);
	sigaction(SIGRTMIN + 4, &action, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	for (int i = 0; i < 6; i++) {
		make((struct timer){.clock = clocks[i],
				    .notify = SIGEV_SIGNAL,
				    .sig = SIGUSR1,
				    .value = FAR,
				    .interval = 3 + i});
		make((struct timer){.clock = clocks[i], .notify = SIGEV_NONE, .value = FAR + i});
		delete_last(); /* a gap among the ids */
		make((struct timer){.clock = clocks[i], .notify = SIGEV_NONE, .value = FAR + i});
	}
	make((struct timer){.clock = CLOCK_MONOTONIC,
			    .notify = SIGEV_THREAD_ID,
			    .sig = SIGUSR2,
			    .value = FAR,
			    .interval = 1});
	make((struct timer){.clock = CLOCK_MONOTONIC, .notify = SIGEV_SIGNAL, .sig = SIGUSR2});
	make((struct timer){.clock = CLOCK_REALTIME,
			    .notify = SIGEV_SIGNAL,
			    .sig = SIGUSR2,
			    .value = FAR,
			    .absolute = true});
	make((struct timer){.clock = CLOCK_MONOTONIC,
			    .notify = SIGEV_SIGNAL,
			    .sig = SIGUSR2,
			    .value = FAR,
			    .absolute = true,
			    .interval = 9});
	/* Expired many times while its signal is blocked. */
	struct itimerspec often = {{0, 1000000}, {0, 1000000}}, once = {{0, 0}, {0, 1}};
	fast = make((struct timer){
		.clock = CLOCK_MONOTONIC, .notify = SIGEV_SIGNAL, .sig = SIGRTMIN + 3});
	must(syscall(SYS_timer_settime, fast, 0, &often, NULL));
	sleep_ms(30);
	/* Expired for good. */
	expired = make((struct timer){.clock = CLOCK_MONOTONIC, .notify = SIGEV_NONE});
	must(syscall(SYS_timer_settime, expired, 0, &once, NULL));
}

static void verify(void)
{
	for (int i = 0; i < count; i++) {
		struct itimerspec now;
		if (syscall(SYS_timer_gettime, timers[i].id, &now) < 0) {
			fail("timer %d is gone", timers[i].id);
			continue;
		}
		if (timers[i].id == fast || timers[i].id == expired)
			continue;
		same("interval", timers[i].interval, now.it_interval.tv_sec);
		long left = now.it_value.tv_sec;
		check(timers[i].value ? left > timers[i].value - 300 && left <= timers[i].value
				      : left == 0,
		      "timer %d (clock %d) has %ld s left instead of nearly %ld", i,
		      timers[i].clock, left, timers[i].value);
	}
	sigset_t blocked;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGRTMIN + 3);
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
	check(ticks >= 1, "the timer that expired does not tell");
	int before = ticks;
	check(await(ticks >= before + 10), "a periodic timer fired %d times", ticks - before);
	same("value of a tick", count - 2, tick_value);
	/* A new timer gets a new id and works. */
	struct itimerspec soon = {{0, 0}, {0, 1000000}};
	int id = make((struct timer){
		.clock = CLOCK_MONOTONIC, .notify = SIGEV_SIGNAL, .sig = SIGRTMIN + 4});
	for (int i = 0; i < count - 1; i++)
		check(timers[i].id != id, "a new timer has the id %d of an old one", id);
	syscall(SYS_timer_delete, fast);
	before = ticks;
	syscall(SYS_timer_settime, id, 0, &soon, NULL);
	(void)await(ticks > before);
	same("ticks of a new timer", 1, ticks - before);
}

const struct scenario scenario = {
	.about = "POSIX timers of all clocks",
	.setup = setup,
	.verify = verify,
};
