/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/report.h"
#include "checkpoint/action.h"
#include "cli/options.h"

static char directory[64];

static int make_directory(void **state)
{
	strcpy(directory, "/tmp/stasis-action-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/script", directory);
	unlink(path);
	snprintf(path, sizeof(path), "%s/result", directory);
	unlink(path);
	return rmdir(directory);
}

/* Makes a script of these lines and runs it, given twice, as a stage. */
static int run_script(const char *text, mode_t mode, pid_t init)
{
	char path[128];
	const char *scripts[] = {path, path};
	struct options options;

	snprintf(path, sizeof(path), "%s/script", directory);
	unlink(path);

	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	options_init(&options);
	options.images_dir = options.work_dir = directory;
	options.action_scripts = (struct string_list){scripts, 2};
	report_clear();
	return action_run(&options, "pre-dump", init);
}

static void assert_result(const char *expected)
{
	autofree char *text = NULL;
	char path[128];

	snprintf(path, sizeof(path), "%s/result", directory);
	assert_int_equal(fd_read_file(AT_FDCWD, path, &text, NULL), 0);
	assert_string_equal(text, expected);
	unlink(path);
}

static void test_environment(void **state)
{
	char expected[512];

	setenv("CRTOOLS_INIT_PID", "stale", 1);
	assert_int_equal(run_script("#!/bin/sh\n"
				    "echo $CRTOOLS_SCRIPT_ACTION $CRTOOLS_IMAGE_DIR "
				    "$CRTOOLS_INIT_PID $PWD >>result\n",
				    0700, 42),
			 0);
	snprintf(expected, sizeof(expected), "pre-dump %s 42 %s\npre-dump %s 42 %s\n", directory,
		 directory, directory, directory);
	assert_result(expected);
	assert_int_equal(run_script("#!/bin/sh\necho ${CRTOOLS_INIT_PID-none} >>result\n", 0700, 0),
			 0);
	assert_result("none\nnone\n");
	unsetenv("CRTOOLS_INIT_PID");
}

/* Neither descriptors of ours nor the signals we hold back. */
static void test_inheritance(void **state)
{
	int fd = open("/dev/null", O_RDONLY);
	sigset_t all, before;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(
		run_script("#!/bin/sh\n"
			   "ls /proc/self/fd | head -3 | tr '\\n' ' ' >>result\n"
			   "test -e /proc/$$/fd/9 && echo 9 >>result\n"
			   "grep -E 'Sig(Blk|Ign)' /proc/$$/status | grep -o '....$' >>result\n",
			   0700, 0),
		0);
	assert_result("0 1 2 0000\n0000\n"
		      "0 1 2 0000\n0000\n");
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(fd);
}

/* The first that fails is the last that is run. */
static void test_failures(void **state)
{
	assert_int_not_equal(run_script("#!/bin/sh\necho x >>result; exit 3\n", 0700, 0), 0);
	assert_result("x\n");
	assert_int_equal(report_count(), 1);
	assert_string_equal(report_get(0)->reason, "ended with 3");
	assert_int_not_equal(run_script("#!/bin/sh\nkill -KILL $$\n", 0700, 0), 0);
	assert_string_equal(report_get(0)->reason, "was killed by signal 9");
	assert_int_not_equal(run_script("#!/bin/sh\n", 0600, 0), 0);
	assert_int_not_equal(run_script("#!/nowhere/sh\n", 0700, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_inheritance),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
