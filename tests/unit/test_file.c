/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of file/ that need no tasks: text of /proc, and the question to an eventfd. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "file/internal.h"

static void test_info(void **state)
{
	const char *text = "pos:\t5\nflags:\t02\neventfd-count:                3\nlock:\t1: x\n";

	assert_string_equal(file_info("pos:\t5", "pos:"), "\t5");
	assert_int_equal(strtoul(file_info(text, "eventfd-count:"), NULL, 16), 3);
	assert_non_null(file_info(text, "lock:"));
	/* Only at the beginning of a line. */
	assert_null(file_info(text, "count:"));
	assert_null(file_info(text, "sigmask:"));
	assert_null(file_info("", "pos:"));
}

static void test_lock_inode(void **state)
{
	assert_int_equal(lock_inode("1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 0 EOF"), 5678);
	assert_int_equal(lock_inode("12: FLOCK  ADVISORY  WRITE 1 00:1a:18446744073709551615 0 9"),
			 UINT64_MAX);
	assert_int_equal(lock_inode("3: -> OFDLCK ADVISORY  READ -1 08:02:77 1 EOF"), 77);
	assert_int_equal(lock_inode("4: LEASE  ACTIVE    READ 99 00:30:4 0 EOF"), 4);
	assert_int_equal(lock_inode(""), 0);
	assert_int_equal(lock_inode("5:"), 0);
	assert_int_equal(lock_inode("nonsense: more: nonsense"), 0);
}

/* Whatever it is asked, an eventfd has afterwards what it had before. */
static void ask(uint64_t count, int flags)
{
	int fd = eventfd(0, flags);
	uint64_t value = count;
	bool semaphore;

	assert_true(fd >= 0);
	if (count)
		assert_int_equal(write(fd, &value, sizeof(value)), sizeof(value));
	assert_int_equal(eventfd_ask_semaphore(fd, count, &semaphore), 0);
	assert_int_equal(semaphore, (flags & EFD_SEMAPHORE) != 0);

	/* Emptied by one read, or by `count` of them. */
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	for (uint64_t left = count; left; left -= semaphore ? 1 : count) {
		assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
		assert_int_equal(value, semaphore ? 1 : count);
	}
	assert_int_equal(read(fd, &value, sizeof(value)), -1);
	close(fd);
}

static void test_eventfd(void **state)
{
	for (uint64_t count = 0; count < 5; count++) {
		ask(count, 0);
		ask(count, EFD_SEMAPHORE);
	}
	ask(UINT64_MAX - 1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_lock_inode),
		cmocka_unit_test(test_eventfd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
