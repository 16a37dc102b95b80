/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process whose children are in another pid namespace. */
#include "scenario.h"

#include <sched.h>
#include <unistd.h>

static void setup_child(void *unused)
{
	must(unshare(CLONE_NEWPID));
	child(NULL, NULL, NULL);
}

static void setup(void)
{
	child(setup_child, NULL, NULL);
}

static void verify(void)
{
}

const struct scenario scenario = {
	.about = "a pid namespace of its own",
	.setup = setup,
	.verify = verify,
	.refused = "pid.*namespace",
	.plain = true,
};
