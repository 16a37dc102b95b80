/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that sleep for a while: they end neither with EINTR nor before their time; sleeps until
 * a moment end at that moment, and the time a sleep has left is no more than it was.
 */
#include "scenario.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * Longer than a dump and a restore take, or the test is about nothing.  The time between them does
 * not count for most sleeps, so nothing is known about when they end but that none has more left
 * than all of its time.  How late they may be is a matter of the machine.
 */
enum { SLEEP_MS = 3000, LATE_MS = 15000 };

static const struct timespec sleep_time = {SLEEP_MS / 1000, SLEEP_MS % 1000 * 1000000L};

static struct timespec moment(int clock)
{
	struct timespec then;

	clock_gettime(clock, &then);
	then.tv_sec += SLEEP_MS / 1000;
	return then;
}

static long call_nanosleep(void)
{
	return nanosleep(&sleep_time, NULL);
}

static long call_nanosleep_left(void)
{
	struct timespec left = {77, 77};
	return nanosleep(&sleep_time, &left);
}

static long call_clock_nanosleep(void)
{
	return -clock_nanosleep(CLOCK_BOOTTIME, 0, &sleep_time, NULL);
}

static long call_until(void)
{
	struct timespec then = moment(CLOCK_MONOTONIC);
	return -clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL);
}

static long call_until_realtime(void)
{
	struct timespec then = moment(CLOCK_REALTIME);
	return -clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &then, NULL);
}

static long call_poll(void)
{
	return poll(NULL, 0, SLEEP_MS);
}

static long call_ppoll(void)
{
	struct timespec timeout = sleep_time;
	return ppoll(NULL, 0, &timeout, NULL);
}

static long call_select(void)
{
	struct timeval timeout = {SLEEP_MS / 1000, 0};
	return select(0, NULL, NULL, NULL, &timeout);
}

static long call_epoll_wait(void)
{
	struct epoll_event got;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	long result = epoll_wait(epoll, &got, 1, SLEEP_MS);

	close(epoll);
	return result;
}

static long call_futex(void)
{
	int word = 0;
	long result = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &sleep_time, NULL, 0);

	return result < 0 && errno == ETIMEDOUT ? 0 : -1;
}

static long call_futex_until(void)
{
	struct timespec then = moment(CLOCK_MONOTONIC);
	int word = 0;
	long result = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &then, NULL, 1);

	return result < 0 && errno == ETIMEDOUT ? 0 : -1;
}

static long call_sigtimedwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	return sigtimedwait(&set, NULL, &sleep_time) < 0 && errno == EAGAIN ? 0 : -1;
}

static struct call {
	const char *name;
	long (*run)(void);
	pthread_t thread;
	long result;
	int error;
	int64_t begun_ns, ended_ns;
	atomic_bool begun, ended;
} calls[] = {
	{"nanosleep", call_nanosleep},
	{"nanosleep that tells what is left", call_nanosleep_left},
	{"clock_nanosleep", call_clock_nanosleep},
	{"clock_nanosleep until a time", call_until},
	{"clock_nanosleep until a real time", call_until_realtime},
	{"poll", call_poll},
	{"ppoll", call_ppoll},
	{"select", call_select},
	{"epoll_wait", call_epoll_wait},
	{"futex", call_futex},
	{"futex until a time", call_futex_until},
	{"sigtimedwait", call_sigtimedwait},
};
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

static void *thread_run(void *argument)
{
	struct call *call = argument;
	sigset_t mask;

	sigfillset(&mask);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	call->begun_ns = now_ns();
	call->begun = true;
	call->result = call->run();
	call->error = errno;
	call->ended_ns = now_ns();
	call->ended = true;
	return NULL;
}

static void setup(void)
{
	for (int i = 0; i < CALLS; i++) {
		if (pthread_create(&calls[i].thread, NULL, thread_run, &calls[i]))
			die("a thread cannot be made");
	}
	for (int i = 0; i < CALLS; i++) {
		while (!calls[i].begun)
			sleep_ms(1);
	}
}

static void verify(void)
{
	int64_t end = now_ns() + (SLEEP_MS + LATE_MS) * 1000000LL;

	for (int i = 0; i < CALLS; i++) {
		struct call *call = &calls[i];
		while (!call->ended && now_ns() < end)
			sleep_ms(1);
		if (!call->ended) {
			fail("%s: does not return", call->name);
			continue;
		}
		int64_t slept = (call->ended_ns - call->begun_ns) / 1000000;
		check(call->result == 0, "%s: returned %ld (errno %d)", call->name, call->result,
		      call->error);
		check(slept >= SLEEP_MS - 1, "%s: returned after %ld ms of %d", call->name,
		      (long)slept, SLEEP_MS);
		pthread_join(call->thread, NULL);
	}
}

const struct scenario scenario = {
	.about = "sleeps last as long as they should",
	.setup = setup,
	.verify = verify,
	.plain = true, /* threads end in between */
};
