/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes in namespaces of their own: every kind is named. */
#include "scenario.h"

#include <sched.h>
#include <unistd.h>

static void setup_child(void *argument)
{
	must(unshare((long)argument));
}

static void setup(void)
{
	static const long kinds[] = {CLONE_NEWCGROUP, CLONE_NEWUSER};

	for (int i = 0; i < 2; i++)
		child(setup_child, NULL, (void *)kinds[i]);
}

static void verify(void)
{
}

const struct scenario scenario = {
	.about = "namespaces of their own",
	.setup = setup,
	.verify = verify,
	.refused = "cgroup\nuser",
};
