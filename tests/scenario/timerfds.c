/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Timerfds: all clocks, relative and absolute, disarmed, expired with ticks that wait. */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { FAR = 5000 };

static const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM,
			     CLOCK_BOOTTIME_ALARM};
enum { CLOCKS = sizeof(clocks) / sizeof(clocks[0]) };

static int relative[CLOCKS], absolute[CLOCKS], disarmed, expired, periodic, read_one;

static int make(int clock, int flags, int set_flags, long value, long interval_ns)
{
	struct itimerspec setting = {{interval_ns / 1000000000, interval_ns % 1000000000},
				     {value, value ? 0 : 1}};
	int fd = timerfd_create(clock, flags);

	if (fd < 0)
		return -1; /* alarm clocks are not everywhere */
	if (set_flags & TFD_TIMER_ABSTIME) {
		struct timespec now;
		/* The time of an alarm clock can be read only where there is a device for it. */
		clock_gettime(clock == CLOCK_REALTIME_ALARM   ? CLOCK_REALTIME
			      : clock == CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME
							      : clock,
			      &now);
		setting.it_value.tv_sec += now.tv_sec;
	}
	must(timerfd_settime(fd, set_flags, &setting, NULL));
	return fd;
}

static void setup(void)
{
	for (int i = 0; i < CLOCKS; i++) {
		relative[i] = make(clocks[i], TFD_CLOEXEC, 0, FAR + i, 0);
		absolute[i] = make(clocks[i], 0, TFD_TIMER_ABSTIME, FAR + i, 7000000000 + i);
	}
	disarmed = must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	expired = make(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, 0, 0);
	periodic = make(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, 0, 1000000);
	/* Expired and read: nothing is left to read. */
	read_one = make(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, 0, 0);
	sleep_ms(100);
	uint64_t ticks;
	must(read(read_one, &ticks, 8));
}

static void verify_far(int fd, int i, long interval)
{
	struct itimerspec now;

	if (fd < 0)
		return;
	same("gettime", 0, timerfd_gettime(fd, &now));
	check(now.it_value.tv_sec > FAR - 300 && now.it_value.tv_sec <= FAR + i,
	      "clock %d has %ld s left instead of nearly %d", clocks[i], now.it_value.tv_sec,
	      FAR + i);
	same("interval", interval, now.it_interval.tv_sec * 1000000000 + now.it_interval.tv_nsec);
}

static void verify(void)
{
	struct itimerspec now;
	uint64_t ticks = 0;

	for (int i = 0; i < CLOCKS; i++) {
		verify_far(relative[i], i, 0);
		verify_far(absolute[i], i, 7000000000 + i);
	}
	same("read of a disarmed timer", -1, read(disarmed, &ticks, 8));
	same("its error", EAGAIN, errno);
	same("read of an expired timer", 8, read(expired, &ticks, 8));
	same("its ticks", 1, ticks);
	timerfd_gettime(expired, &now);
	same("it is disarmed", 0, now.it_value.tv_sec + now.it_value.tv_nsec);
	same("read of one that was read", -1, read(read_one, &ticks, 8));
	same("read of a periodic timer", 8, read(periodic, &ticks, 8));
	check(ticks >= 95, "%lu ticks instead of 95 or more", ticks);
	struct pollfd fd = {.fd = periodic, .events = POLLIN};
	same("it goes on", 1, poll(&fd, 1, 30000));
	timerfd_gettime(periodic, &now);
	same("its interval", 1000000, now.it_interval.tv_nsec);
}

const struct scenario scenario = {
	.about = "timerfds of all clocks",
	.setup = setup,
	.verify = verify,
};
