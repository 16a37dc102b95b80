/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pipe with data in it, between a parent and its child. */
#include "scenario.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 10000 };

static int data[2], answer[2];
static pid_t reader;

static void verify_child(void *unused)
{
	char bytes[SIZE + 8];
	ssize_t size = read(data[0], bytes, sizeof(bytes));

	same("bytes in the pipe", SIZE, size);
	if (size > 0)
		pattern_check("data in the pipe", bytes, size, 1);
	same("end of file of the pipe", 0, read(data[0], bytes, sizeof(bytes)));
	same("answer written", 2, write(answer[1], "ok", 2));
}

static void setup_child(void *unused)
{
	must(close(data[1]));
	must(close(answer[0]));
}

static void setup(void)
{
	char bytes[SIZE];

	pattern_fill(bytes, SIZE, 1);
	must(pipe(data));
	must(pipe2(answer, O_NONBLOCK));
	reader = child(setup_child, verify_child, NULL);
	must(close(data[0]));
	must(close(answer[1]));
	same("bytes written", SIZE, write(data[1], bytes, SIZE));
}

static void verify(void)
{
	char bytes[8];

	same("flags of the answer's pipe", O_NONBLOCK, fcntl(answer[0], F_GETFL) & O_NONBLOCK);
	same("an empty pipe's answer", -1, read(answer[0], bytes, sizeof(bytes)));
	must(fcntl(answer[0], F_SETFL, 0));
	must(close(data[1]));
	/* The child reads what was there before, finds the end, and answers. */
	child_verify(reader);
	same("size of the answer", 2, read(answer[0], bytes, sizeof(bytes)));
	check(memcmp(bytes, "ok", 2) == 0, "the child's answer is wrong");
}

const struct scenario scenario = {
	.about = "a pipe with data between parent and child",
	.setup = setup,
	.verify = verify,
};
