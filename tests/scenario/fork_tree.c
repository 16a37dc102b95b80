/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tree of processes: each level has several children, and each child knows its parent. */
#include "scenario.h"

#include <unistd.h>

enum { DEPTH = 3, WIDTH = 3 };

static int depth;
static pid_t pid, parent;
static char block[16 * 1024];

static void verify_task(void *unused)
{
	same("pid", pid, getpid());
	same("parent", parent, getppid());
	pattern_check("memory of a task", block, sizeof(block), pid);
}

static void setup_task(void *unused)
{
	depth++;
	pid = getpid();
	parent = getppid();
	pattern_fill(block, sizeof(block), pid);
	for (int i = 0; depth < DEPTH && i < WIDTH; i++)
		child(setup_task, verify_task, NULL);
}

static void setup(void)
{
	setup_task(NULL);
}

static void verify(void)
{
	same("pid", pid, getpid());
	pattern_check("memory of the root", block, sizeof(block), pid);
}

const struct scenario scenario = {
	.about = "a tree of 13 processes",
	.setup = setup,
	.verify = verify,
};
