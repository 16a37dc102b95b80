/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sessions and process groups: children born before and after their parent made a session, groups
 * with leaders elsewhere, and groups joined late.
 */
#include "scenario.h"

#include <unistd.h>

struct identity {
	pid_t pid, parent, group, session;
};

static struct identity mine;
static pid_t join; /* group to join, or 0 */

static void remember(void)
{
	mine = (struct identity){getpid(), getppid(), getpgrp(), getsid(0)};
}

static void verify_task(void *unused)
{
	same("pid", mine.pid, getpid());
	same("parent", mine.parent, getppid());
	same("process group", mine.group, getpgrp());
	same("session", mine.session, getsid(0));
}

static void setup_plain(void *unused)
{
	remember();
}

static void setup_group(void *unused)
{
	must(setpgid(0, join));
	remember();
}

static void setup_session(void *unused)
{
	must(setsid());
	remember();
}

/* Its children are in three sessions: the root's, its own, and one of their own. */
static void setup_mixed(void *unused)
{
	child(setup_plain, verify_task, NULL); /* stays in the session its parent leaves */
	must(setsid());
	remember();
	child(setup_plain, verify_task, NULL);
	child(setup_session, verify_task, NULL);
	join = 0;
	join = child(setup_group, verify_task, NULL);
	child(setup_group, verify_task, NULL); /* a group whose leader is its sibling */
}

/* A session leader whose child made a session and whose grandchild is in the first one. */
static void setup_crossed(void *unused)
{
	child(setup_plain, verify_task, NULL);
	remember();
	child(setup_mixed, verify_task, NULL);
}

static void setup(void)
{
	remember();
	child(setup_crossed, verify_task, NULL);
	child(setup_session, verify_task, NULL);
	join = 0;
	join = child(setup_group, verify_task, NULL);
	child(setup_group, verify_task, NULL);
	child(setup_mixed, verify_task, NULL);
}

static void verify(void)
{
	verify_task(NULL);
}

const struct scenario scenario = {
	.about = "sessions and groups, made before and after children",
	.setup = setup,
	.verify = verify,
};
