/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One parent with 300 children, and one chain of 40 generations. */
#include "scenario.h"

#include <sys/wait.h>
#include <unistd.h>

enum { WIDTH = 300, DEPTH = 40 };

static pid_t children[WIDTH];
static pid_t pid, parent;
static int generation;

static void remember(void *unused)
{
	pid = getpid();
	parent = getppid();
}

static void verify_task(void *unused)
{
	same("pid", pid, getpid());
	same("parent", parent, getppid());
}

static void setup_chain(void *unused)
{
	remember(NULL);
	if (++generation < DEPTH)
		child(setup_chain, verify_task, NULL);
}

static void setup(void)
{
	for (int i = 0; i < WIDTH; i++)
		children[i] = child(remember, verify_task, NULL);
	child(setup_chain, verify_task, NULL);
}

static void verify(void)
{
	for (int i = 0; i < WIDTH; i++)
		child_verify(children[i]);
}

const struct scenario scenario = {
	.about = "300 children and 40 generations",
	.setup = setup,
	.verify = verify,
	.plain = true,
};
