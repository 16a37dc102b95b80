/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

enum { EARLY_SIZE = 16384, LINE_SIZE = 4096 };

static struct {
	int fd;
	enum log_level level;
	uint64_t start;
	char *early; /* lines written before the log was opened */
	size_t early_size;
} the_log = {.fd = -1, .level = LOG_WARN};

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

void log_open(int fd, enum log_level level)
{
	the_log.fd = fd;
	the_log.level = level;
	if (!the_log.start)
		the_log.start = now_us();
	if (fd >= 0 && the_log.early)
		fd_write_all(fd, the_log.early, the_log.early_size);
	free(the_log.early);
	the_log.early = NULL;
	the_log.early_size = 0;
}

void log_close(void)
{
	if (the_log.fd > STDERR_FILENO)
		fd_close(&the_log.fd);
	the_log.fd = -1;
}

enum log_level log_level(void)
{
	return the_log.level;
}

int log_fd(void)
{
	return the_log.fd;
}

void log_line(enum log_level level, const char *file, int line, const char *format, ...)
{
	static const char *const labels[] = {[LOG_ERROR] = "Error", [LOG_WARN] = "Warn "};
	char text[LINE_SIZE];
	va_list list;

	if (level > the_log.level)
		return;
	if (!the_log.start)
		the_log.start = now_us();

	uint64_t age = now_us() - the_log.start;
	size_t used =
		snprintf(text, sizeof(text), "(%02llu.%06llu) ", (unsigned long long)age / 1000000,
			 (unsigned long long)age % 1000000);

	if (level <= LOG_WARN)
		used += snprintf(text + used, sizeof(text) - used, "%s (%s:%d): ", labels[level],
				 file, line);
	va_start(list, format);
	used += vsnprintf(text + used, sizeof(text) - used, format, list);
	va_end(list);
	if (used > sizeof(text) - 2)
		used = sizeof(text) - 2;
	/* One line is one line, whatever names an application gives its files. */
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)text[i] < ' ' && text[i] != '\t')
			text[i] = '?';
	text[used++] = '\n';
	if (the_log.fd >= 0) {
		fd_write_all(the_log.fd, text, used);
	} else {
		if (!the_log.early)
			the_log.early = malloc(EARLY_SIZE);
		if (the_log.early && the_log.early_size + used <= EARLY_SIZE) {
			memcpy(the_log.early + the_log.early_size, text, used);
			the_log.early_size += used;
		}
	}
}

_Noreturn void die_of_memory(void)
{
	static const char text[] = "stasis: out of memory; nothing was changed\n";

	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(1);
}
