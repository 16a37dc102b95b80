/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A filesystem mounted twice under two names: the name is a mount's, and a new one has one. */
#include "scenario.h"

#include <sched.h>
#include <sys/mount.h>

#include "mounting.h"

static void setup(void)
{
	own_namespace();
	must(unshare(CLONE_NEWIPC));
	new_directory("one");
	new_directory("other");
	must(mount("one", "one", "mqueue", 0, NULL));
	must(mount("other", "other", "mqueue", 0, NULL));
}

static void verify(void)
{
}

const struct scenario scenario = {
	.about = "a filesystem with two sources",
	.setup = setup,
	.verify = verify,
	.refused = "other, is not that of the mount",
};
