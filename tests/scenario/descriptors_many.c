/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 10,000 descriptors: files, pipes, copies, in two processes. */
#include "scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FILES = 3000, COPIES = 5000, PIPES = 1000 };

static int files[FILES], copies[COPIES], pipes[PIPES][2];

static void verify_all(void)
{
	int wrong = 0;

	for (int i = 0; i < FILES; i++)
		wrong += lseek(files[i], 0, SEEK_CUR) != i;
	for (int i = 0; i < COPIES; i++)
		wrong += lseek(copies[i], 0, SEEK_CUR) != i % FILES;
	same("wrong positions", 0, wrong);
}

static void verify_child(void *unused)
{
	verify_all();
}

static pid_t other;

static void setup(void)
{
	struct rlimit limit;

	must(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	must(setrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_cur < 11000)
		skip("only %lu descriptors are allowed", limit.rlim_cur);
	for (int i = 0; i < FILES; i++) {
		char name[32];
		snprintf(name, sizeof(name), "file-%d", i % 200);
		files[i] = must(open(name, O_RDWR | O_CREAT, 0600));
		must(lseek(files[i], i, SEEK_SET));
	}
	for (int i = 0; i < COPIES; i++)
		copies[i] = must(dup(files[i % FILES]));
	for (int i = 0; i < PIPES; i++) {
		must(pipe(pipes[i]));
		must(write(pipes[i][1], &i, sizeof(i)));
	}
	other = child(NULL, verify_child, NULL);
}

static void verify(void)
{
	verify_all();
	for (int i = 0; i < PIPES; i++) {
		int value = -1;
		if (read(pipes[i][0], &value, sizeof(value)) != sizeof(value) || value != i)
			fail("pipe %d has %d", i, value);
	}
}

const struct scenario scenario = {
	.about = "10,000 descriptors",
	.setup = setup,
	.verify = verify,
};
