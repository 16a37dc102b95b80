/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pipe whose other end is in a process outside of the tree. */
#include "scenario.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends[2];

/* The reader is a grandchild whose parent has ended: it belongs to the runner now. */
static void setup(void)
{
	must(pipe(ends));
	pid_t outside = must(fork());
	if (outside == 0) {
		if (fork() != 0)
			_exit(0);
		close(ends[1]);
		char byte;
		_exit(read(ends[0], &byte, 1) < 0);
	}
	must(waitpid(outside, NULL, 0));
	close(ends[0]);
}

static void verify(void)
{
	signal(SIGPIPE, SIG_IGN);
	same("write to the other end", 1, write(ends[1], "x", 1));
}

const struct scenario scenario = {
	.about = "a pipe to a process outside of the tree",
	.setup = setup,
	.verify = verify,
	.refused = "fd 4.*pipe",
};
