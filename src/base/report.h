/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <errno.h>
#include <stddef.h>

/*
 * The report: what stands between the user and the checkpoint or the restored application.
 * Each problem names the object, the reason and the remedy.  A problem is logged as an error
 * when it is found, and all problems are printed in words on standard error when the command
 * ends; a survey goes on after a problem, so that the user sees all of them in one answer.
 *
 *	return FAIL(errno, SUBJECT("pid %d, fd %d", pid, fd), "close it before the dump",
 *		    "io_uring cannot be checkpointed (%s)", strerror(errno));
 *
 * Thread-safe.  Report a failure once, where it is known best; callers pass the code on.
 */
struct subject {
	char text[256];
};

struct problem {
	int code;                        /* positive errno */
	char *subject, *reason, *remedy; /* remedy may be "" */
};

struct subject subject_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define SUBJECT(...) subject_printf(__VA_ARGS__)

/* Adds a problem and returns -code (-EIO when code is 0).  remedy may be NULL. */
int report_problem(const char *file, int line, int code, struct subject subject, const char *remedy,
		   const char *reason, ...) __attribute__((format(printf, 6, 7)));

/* Something went wrong: errno code (positive), object, remedy or NULL, reason as printf. */
#define FAIL(code, subject, remedy, ...)                                                           \
	report_problem(__FILE_NAME__, __LINE__, (code), (subject), (remedy), __VA_ARGS__)

/* A state that stasis does not carry over: refused by name, code EOPNOTSUPP. */
#define REFUSE(subject, remedy, ...) FAIL(EOPNOTSUPP, subject, remedy, __VA_ARGS__)

size_t report_count(void);
const struct problem *report_get(size_t index);
/* Prints all problems to standard error, as `stasis: subject: reason` and an indented remedy. */
void report_print(void);
void report_clear(void);
