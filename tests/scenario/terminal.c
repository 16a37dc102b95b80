/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A job of a shell: its standard descriptors and /dev/tty are a terminal from outside. */
#include "scenario.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

static int tty, copy;

static void verify_child(void *unused)
{
	same("terminal of the child", 1, isatty(0));
	same("process group of the child", getpgrp(), tcgetpgrp(0));
}

static void setup(void)
{
	tty = must(open("/dev/tty", O_RDWR | O_CLOEXEC));
	copy = must(dup2(1, 40));
	child(NULL, verify_child, NULL);
}

static void verify(void)
{
	for (int fd = 0; fd < 3; fd++)
		same("standard descriptor is a terminal", 1, isatty(fd));
	same("/dev/tty is a terminal", 1, isatty(tty));
	same("a copy is a terminal", 1, isatty(copy));
	same("session of the terminal", getsid(0), tcgetsid(0));
	same("foreground process group", getpgrp(), tcgetpgrp(tty));
	same("write to the terminal", 5, write(1, "text\n", 5));
}

const struct scenario scenario = {
	.about = "a job of a shell on its terminal (--shell-job)",
	.setup = setup,
	.verify = verify,
	.dump_options = "--shell-job",
	.restore_options = "--shell-job",
	.terminal = true,
	.plain = true, /* it joins the process group of stasis, to be in the foreground */
};
