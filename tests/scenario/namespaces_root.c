/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The root of the tree is in a uts namespace of its own. */
#include "scenario.h"

#include <sched.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void names_are(void)
{
	struct utsname names;

	must(uname(&names));
	same_string("host", "container", names.nodename);
}

static void verify_child(void *unused)
{
	names_are();
}

static void setup(void)
{
	must(unshare(CLONE_NEWUTS));
	must(sethostname("container", strlen("container")));
	child(NULL, verify_child, NULL);
}

static void verify(void)
{
	names_are();
}

const struct scenario scenario = {
	.about = "a root in namespaces of its own",
	.setup = setup,
	.verify = verify,
};
