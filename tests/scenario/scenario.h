/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A scenario is a program that makes one kind of state and can tell afterwards whether it is
 * still as it was.  It defines `scenario`; main() is in scenario.c: setup(), then it sleeps until
 * the runner (tests/run) has done with it whatever the mode says, then verify().
 *
 * What a scenario compares with is remembered in its own memory.  Its working directory is its
 * own and empty at the start.  SIGTERM belongs to main(); everything else is the scenario's.
 */
struct scenario {
	const char *about;
	void (*setup)(void);
	void (*verify)(void);
	/* Further options of stasis, separated by spaces. */
	const char *dump_options, *restore_options;
	/* Modes it can run in, separated by spaces; NULL: all but "refuse". */
	const char *modes;
	/* No snapshots (snapshot.h): there are too many processes, or they cannot be compared. */
	bool plain;
	/* The images of a dump take no more than so many bytes; 0: any number. */
	long images_limit;
	/* It is a job of the runner's session and terminal, not a session of its own. */
	bool terminal;
	/* It is the first process of a pid namespace that stasis is outside of. */
	bool pid_namespace;
	/* Must be refused; every regular expression must match in what stasis answers, one a line.
	 */
	const char *refused;
};

extern const struct scenario scenario;

/*
 * Records a difference between what is and what should be; verify() goes on.  Safe in threads
 * and in children made by child().
 */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define check(condition, ...)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail(__VA_ARGS__);                                                         \
	} while (0)

/* Integers, compared; `what` names the attribute. */
#define same(what, expected, actual) same_value((what), (long long)(expected), (long long)(actual))
void same_value(const char *what, long long expected, long long actual);
void same_string(const char *what, const char *expected, const char *actual);
void same_bytes(const char *what, const void *expected, const void *actual, size_t size);

/* The state cannot be made here: the scenario is skipped. */
_Noreturn void skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The state could not be made though it should: the scenario fails before it was frozen. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Value of a system call that has to succeed. */
#define must(call)                                                                                 \
	({                                                                                         \
		__auto_type must_value = (call);                                                   \
		if ((long)must_value == -1)                                                        \
			die("%s:%d: %s: %m", __FILE_NAME__, __LINE__, #call);                      \
		must_value;                                                                        \
	})

/*
 * Forks a child that runs setup(), sleeps, and runs verify() when it is told to, and returns when
 * the child's setup() is done.  main() tells the scenario's remaining children after verify() and
 * awaits their exit.  Either function may be NULL.
 */
pid_t child(void (*setup)(void *), void (*verify)(void *), void *argument);
/* Tells one child now and awaits its exit; its failures count. */
void child_verify(pid_t pid);
/* Sleeps until SIGTERM was received; for tasks not made by child(). */
void sleep_until_told(void);
/* Called in a task not made by child(), which exits by itself: its failures count. */
int exit_code(void);

/* Fills size bytes with a sequence that depends on the seed and has no zero pages. */
void pattern_fill(void *memory, size_t size, uint32_t seed);
/* Compares with pattern_fill() and reports the first differing offset. */
void pattern_check(const char *what, const void *memory, size_t size, uint32_t seed);

/* One line of /proc/self/FILE that begins with key, without the key; in a static buffer. */
const char *proc_line(const char *file, const char *key);
/* The vdso and the kernel's data in front of it: mappings of this process, in their order. */
enum { VDSO_MAPPINGS = 8 };
struct vdso_mapping {
	uintptr_t start, end;
	bool is_code;
};
int find_vdso(struct vdso_mapping mappings[VDSO_MAPPINGS]);
/* Contents of a small file as a string in a static buffer; of /proc too. */
const char *file_text(const char *path);
void write_text(const char *path, const char *text);
/* CLOCK_MONOTONIC in nanoseconds. */
int64_t now_ns(void);
/*
 * Waits until the condition holds; false if it does not after a time in which it would on the
 * slowest machine.  Nothing is asserted about time but by this.
 */
#define await(condition)                                                                           \
	({                                                                                         \
		int64_t await_end = now_ns() + 30 * 1000000000LL;                                  \
		bool await_met;                                                                    \
		while (!(await_met = (condition)) && now_ns() < await_end)                         \
			sleep_ms(1);                                                               \
		await_met;                                                                         \
	})
/* State of a process or thread as in /proc/PID/stat: 'R', 'S', 'T', ...; 0: there is none. */
char task_state(pid_t tid);
/* Waits until all other threads of this process sleep, in whatever call is next for them. */
void await_others_asleep(void);
/* Sleeps through signals and freezes until `ms` milliseconds have passed. */
void sleep_ms(int ms);

#ifndef __FILE_NAME__
#define __FILE_NAME__ __FILE__
#endif
