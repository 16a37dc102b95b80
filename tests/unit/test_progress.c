/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/progress.h"

static void test_line(void **state)
{
	static const struct {
		uint64_t done, total, elapsed;
		const char *line;
	} cases[] = {
		{0, 0, 0, "work   0 bytes   0 bytes/s"},
		{512, 0, 1000000, "work   512 bytes   512 bytes/s"},
		{0, 1 << 20, 500000, "work   0 bytes of 1.0 MiB   0 %   0 bytes/s"},
		{3 << 20, 4 << 20, 3000000,
		 "work   3.0 MiB of 4.0 MiB   75 %   1.0 MiB/s   1 s left"},
		{1ull << 30, 100ull << 30, 1000000,
		 "work   1.0 GiB of 100 GiB   1 %   1.0 GiB/s   1 min 39 s left"},
		/* More than was announced is all of it. */
		{9, 8, 1000000, "work   8 bytes of 8 bytes   100 %   9 bytes/s   0 s left"},
		{UINT64_MAX, UINT64_MAX, 1000000,
		 "work   16.0 EiB of 16.0 EiB   100 %   16.0 EiB/s   0 s left"},
	};
	char line[PROGRESS_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int length = progress_line(line, "work", cases[i].done, cases[i].total,
					   cases[i].elapsed);

		assert_int_equal(length, strlen(line));
		assert_string_equal(line, cases[i].line);
	}
}

/* Ten megabytes in 0.7 s or more, with standard error at `fd`; returns how long it took. */
static uint64_t work(int fd)
{
	int before = dup(STDERR_FILENO);
	uint64_t begun = now_us();

	dup2(fd, STDERR_FILENO);
	progress_begin("work", 20 << 20);
	for (int i = 0; i < 10; i++) {
		usleep(70000);
		progress_add(1 << 20);
	}
	progress_end();
	dup2(before, STDERR_FILENO);
	close(before);
	return now_us() - begun;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), wanted = strlen(end);

	return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

/* A terminal hands on what it is given when it comes to it: reads until that was `end`. */
static void read_until(int fd, const char *end, char *text, size_t size)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	size_t length = 0;

	do {
		text[length] = '\0';
		if (ends_with(text, end) || poll(&ready, 1, 10000) <= 0)
			return;
		ssize_t got = read(fd, text + length, size - 1 - length);
		length += got > 0 ? got : 0;
	} while (length < size - 1);
	text[length] = '\0';
}

static void test_terminal(void **state)
{
	struct winsize window = {.ws_row = 25, .ws_col = 20};
	autofd int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char text[4096];

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	autofd int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);

	assert_true(slave >= 0);
	assert_int_equal(ioctl(master, TIOCSWINSZ, &window), 0);
	uint64_t took = work(slave);

	read_until(master, "\r\033[K", text, sizeof(text));
	/* Drawn, at most once in each 0.1 s behind the first 0.5 s, within its columns; wiped. */
	assert_memory_equal(text, "\rwork   ", 8);
	assert_ptr_equal(strstr(text + 1, "\033[K") - 20, text);
	assert_in_range(strlen(text), 24 + 3, ((took - 500000) / 100000 + 1) * 23 + 4);
	assert_true(ends_with(text, "\r\033[K"));
}

static void test_no_terminal(void **state)
{
	int ends[2];
	char byte;

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	work(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), -1);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_no_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
