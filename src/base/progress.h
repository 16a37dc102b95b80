/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdint.h>

/*
 * Progress, for a person who waits: on a terminal (standard error), a line that is drawn again at
 * most ten times a second and wiped at the end,
 *
 *	dump memory   1.2 GiB of 4.0 GiB   30 %   2.6 GiB/s   1 s left
 *
 * and nothing at all where standard error is no terminal, where the log goes there, or where the
 * work takes less than half a second.
 *
 * One thing at a time: what was begun is ended first.
 */

/* total: bytes to come; 0: unknown.  `what` is kept until progress_end(). */
void progress_begin(const char *what, uint64_t total);
/* So many more bytes are done.  Cheap, and safe from any thread between begin and end. */
void progress_add(uint64_t bytes);
void progress_end(void);

enum { PROGRESS_SIZE = 256 };

/* The line, without terminal codes, in a buffer of the caller's; returns its length. */
int progress_line(char line[PROGRESS_SIZE], const char *what, uint64_t done, uint64_t total,
		  uint64_t elapsed_us);
