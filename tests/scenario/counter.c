/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One process that counts; nothing else. */
#include "scenario.h"

#include <unistd.h>

static volatile uint64_t count = 1000000;
static char block[64 * 1024];
static pid_t pid, parent_group, session;

static void setup(void)
{
	uint64_t local = 0;

	for (int i = 0; i < 100000; i++)
		local = local * 6364136223846793005u + count++;
	pattern_fill(block, sizeof(block), (uint32_t)local);
	pid = getpid();
	parent_group = getpgrp();
	session = getsid(0);
}

static void verify(void)
{
	uint64_t local = 0;

	same("count", 1100000, count);
	count -= 100000;
	for (int i = 0; i < 100000; i++)
		local = local * 6364136223846793005u + count++;
	pattern_check("static memory", block, sizeof(block), (uint32_t)local);
	same("pid", pid, getpid());
	same("process group", parent_group, getpgrp());
	same("session", session, getsid(0));
}

const struct scenario scenario = {
	.about = "one process counting",
	.setup = setup,
	.verify = verify,
};
