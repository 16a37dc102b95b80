/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/progress.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"

enum { PATIENCE_US = 500000, INTERVAL_US = 100000 };

static struct {
	bool on;
	const char *what;
	uint64_t total, begin;
	_Atomic uint64_t done;
	_Atomic uint64_t next; /* when to draw */
	atomic_bool drawn;
} progress;

/* "3.2 GiB" */
static void write_size(char *text, size_t size, double bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned int unit = 0;

	for (; bytes >= 1024 && unit < 6; unit++)
		bytes /= 1024;
	snprintf(text, size, "%.*f %s", unit && bytes < 100 ? 1 : 0, bytes, units[unit]);
}

static void write_time(char *text, size_t size, uint64_t seconds)
{
	if (seconds < 60)
		snprintf(text, size, "%llu s", (unsigned long long)seconds);
	else
		snprintf(text, size, "%llu min %llu s", (unsigned long long)seconds / 60,
			 (unsigned long long)seconds % 60);
}

int progress_line(char line[PROGRESS_SIZE], const char *what, uint64_t done, uint64_t total,
		  uint64_t elapsed_us)
{
	double rate = elapsed_us ? done * 1e6 / elapsed_us : 0;
	char did[32], all[32], speed[32], left[48];
	int used;

	write_size(did, sizeof(did), done);
	write_size(speed, sizeof(speed), rate);
	if (!total)
		return snprintf(line, PROGRESS_SIZE, "%.80s   %s   %s/s", what, did, speed);
	if (done > total)
		done = total;
	write_size(did, sizeof(did), done);
	write_size(all, sizeof(all), total);
	used = snprintf(line, PROGRESS_SIZE, "%.80s   %s of %s   %u %%   %s/s", what, did, all,
			(unsigned int)((double)done / total * 100), speed);
	if (rate >= 1) {
		write_time(left, sizeof(left), (total - done) / rate + 0.999);
		used += snprintf(line + used, PROGRESS_SIZE - used, "   %s left", left);
	}
	return used;
}

static void draw(uint64_t now)
{
	char line[PROGRESS_SIZE], text[PROGRESS_SIZE + 8];
	struct winsize window = {0};
	int length = progress_line(line, progress.what, progress.done, progress.total,
				   now - progress.begin);

	/* A line that wraps could not be drawn over. */
	ioctl(STDERR_FILENO, TIOCGWINSZ, &window);
	if (window.ws_col && length >= window.ws_col)
		line[window.ws_col - 1] = '\0';
	length = snprintf(text, sizeof(text), "\r%s\033[K", line);
	(void)!write(STDERR_FILENO, text, length);
	progress.drawn = true;
}

/* A terminal to draw on; a job in the background does not write over the one in front. */
static bool has_terminal(void)
{
	pid_t front = isatty(STDERR_FILENO) ? tcgetpgrp(STDERR_FILENO) : 0;

	return front && (front < 0 || front == getpgrp()) && !(log_fd() >= 0 && isatty(log_fd()));
}

void progress_begin(const char *what, uint64_t total)
{
	uint64_t now = now_us();

	progress.on = has_terminal();
	progress.what = what;
	progress.total = total;
	progress.begin = now;
	progress.done = 0;
	progress.next = now + PATIENCE_US;
	progress.drawn = false;
}

void progress_add(uint64_t bytes)
{
	uint64_t now, next;

	if (!progress.on)
		return;
	atomic_fetch_add_explicit(&progress.done, bytes, memory_order_relaxed);
	now = now_us();
	next = atomic_load_explicit(&progress.next, memory_order_relaxed);
	if (now >= next && atomic_compare_exchange_strong(&progress.next, &next, now + INTERVAL_US))
		draw(now);
}

void progress_end(void)
{
	static const char wipe[] = "\r\033[K";

	if (progress.drawn)
		(void)!write(STDERR_FILENO, wipe, sizeof(wipe) - 1);
	progress.on = progress.drawn = false;
}
