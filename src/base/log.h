/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * The log: one per program, as CRIU's clients expect it.  A line is `(SS.UUUUUU) text`, seconds
 * and microseconds since log_open(); errors are `(SS.UUUUUU) Error (file:line): text`, warnings
 * `Warn  (file:line): text`.  Errors are logged by base/report, which also tells the user.
 */
enum log_level { LOG_ERROR = 1, LOG_WARN, LOG_INFO, LOG_DEBUG };

/*
 * Lines above the level are dropped.  fd is -1 (nothing is written but kept in memory until
 * log_open() is called), or a descriptor the log now owns.
 */
void log_open(int fd, enum log_level level);
void log_close(void);
enum log_level log_level(void);
/* The descriptor lines go to, or -1. */
int log_fd(void);

void log_line(enum log_level level, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#define log_warn(...)  log_line(LOG_WARN, __FILE_NAME__, __LINE__, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __FILE_NAME__, __LINE__, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __FILE_NAME__, __LINE__, __VA_ARGS__)

/* Out of memory: says so and exits.  Safe at any moment, see arena.h. */
_Noreturn void die_of_memory(void);

/* CLOCK_MONOTONIC in microseconds. */
uint64_t now_us(void);

#ifndef __FILE_NAME__
#define __FILE_NAME__ __FILE__
#endif
