/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A job of a shell, dumped without --shell-job: the answer names the option. */
#include "scenario.h"

#include <unistd.h>

static void setup(void)
{
}

static void verify(void)
{
	same("standard input is a terminal", 1, isatty(0));
}

const struct scenario scenario = {
	.about = "a job of a shell without --shell-job",
	.setup = setup,
	.verify = verify,
	.refused = "--shell-job",
	.terminal = true,
};
