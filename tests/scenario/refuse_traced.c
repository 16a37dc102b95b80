/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process that is traced by another one of the tree, as under a debugger. */
#include "scenario.h"

#include <signal.h>
#include <sys/ptrace.h>

static pid_t traced;

static void setup_tracer(void *unused)
{
	must(ptrace(PTRACE_SEIZE, traced, 0, 0));
}

static void setup(void)
{
	traced = child(NULL, NULL, NULL);
	child(setup_tracer, NULL, NULL);
}

static void verify(void)
{
	same("the traced process lives", 0, kill(traced, 0));
}

const struct scenario scenario = {
	.about = "a process under a debugger",
	.setup = setup,
	.verify = verify,
	.refused = "pid 3\\b.*trac",
	.plain = true,
};
