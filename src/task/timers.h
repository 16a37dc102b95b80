/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A timer of timer_create(2), as /proc/PID/timers shows it. */
struct proc_timer {
	uint32_t id;
	int signo;
	uint64_t value; /* of the signal: si_value */
	int notify;     /* SIGEV_* */
	pid_t target;   /* process, or thread with SIGEV_THREAD_ID */
	int clock;
};

/*
 * The timer at *text, which moves behind it.  1: there is one; 0: the end; -EINVAL: not
 * understood.
 */
int proc_timer_parse(const char **text, struct proc_timer *timer);

struct TaskCoreEntry;
/* Restore: puts the timers of an image in the order of their numbers, for what follows. */
void timers_sort(struct TaskCoreEntry *tc);
/*
 * Does restoring the timers make this signal wait again?  The kernel does it, and counts on, for a
 * timer with an interval.
 */
bool timers_send(const struct TaskCoreEntry *tc, const siginfo_t *info);
