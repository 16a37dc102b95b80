/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/report.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/log.h"

/* A hostile application must not make us print for ever. */
enum { MOST_PROBLEMS = 1000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ARRAY(struct problem) problems;
static size_t unlisted;

/* Names that applications chose must not break lines, or do things to a terminal. */
static void tame(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

struct subject subject_printf(const char *format, ...)
{
	struct subject subject;
	va_list list;

	va_start(list, format);
	vsnprintf(subject.text, sizeof(subject.text), format, list);
	va_end(list);
	tame(subject.text);
	return subject;
}

int report_problem(const char *file, int line, int code, struct subject subject, const char *remedy,
		   const char *reason, ...)
{
	char *text;
	va_list list;

	va_start(list, reason);
	if (vasprintf(&text, reason, list) < 0)
		die_of_memory();
	va_end(list);
	tame(text);
	if (code <= 0)
		code = EIO;

	pthread_mutex_lock(&lock);
	log_line(LOG_ERROR, file, line, "%s: %s%s%s", subject.text, text,
		 remedy && *remedy ? "; remedy: " : "", remedy ? remedy : "");
	if (problems.count < MOST_PROBLEMS) {
		struct problem *problem = array_push(&problems);

		problem->code = code;
		problem->subject = strdup(subject.text);
		problem->reason = text;
		problem->remedy = strdup(remedy ? remedy : "");
	} else {
		unlisted++;
		free(text);
	}
	pthread_mutex_unlock(&lock);
	return -code;
}

size_t report_count(void)
{
	return problems.count;
}

const struct problem *report_get(size_t index)
{
	return &problems.items[index];
}

void report_print(void)
{
	array_each (&problems, problem) {
		fprintf(stderr, "stasis: %s: %s\n", problem->subject, problem->reason);
		if (*problem->remedy)
			fprintf(stderr, "        %s\n", problem->remedy);
	}
	if (unlisted)
		fprintf(stderr, "stasis: and %zu more, see the log\n", unlisted);
}

void report_clear(void)
{
	array_each (&problems, problem) {
		free(problem->subject);
		free(problem->reason);
		free(problem->remedy);
	}
	array_free(&problems);
	unlisted = 0;
}
