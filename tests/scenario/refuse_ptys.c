/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pseudo terminals that cannot be brought back: each is named, with the reason. */
#include "scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* A master at number, and its slave, if it is wanted, at the next. */
static int make(int number, bool with_slave)
{
	int master = must(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	char path[32];
	int slave, index;

	must(ioctl(master, TIOCGPTN, &index));
	must(ioctl(master, TIOCSPTLCK, &(int){0}));
	must(dup2(master, number));
	close(master);
	if (!with_slave)
		return number;
	snprintf(path, sizeof(path), "/dev/pts/%d", index);
	slave = must(open(path, O_RDWR | O_NOCTTY));
	must(dup2(slave, number + 1));
	close(slave);
	return number;
}

static void setup(void)
{
	int master, count = 0;

	/* A change of state waits. */
	master = make(100, true);
	must(ioctl(master, TIOCPKT, &(int){1}));
	must(ioctl(master + 1, TCFLSH, TCIFLUSH));
	/* The master is gone. */
	master = make(110, true);
	close(master);
	/* Another line discipline: N_NULL. */
	master = make(120, true);
	if (ioctl(master + 1, TIOCSETD, &(int){27}) < 0)
		skip("no line discipline N_NULL");
	/* An echo, of a slave that has never been opened. */
	master = make(130, false);
	must(write(master, "echo\n", 5));
	check(await(ioctl(master, FIONREAD, &count) == 0 && count == 6), "no echo");
}

static void verify(void)
{
	int count = 0;

	must(ioctl(130, FIONREAD, &count));
	same("an echo", 6, count);
}

const struct scenario scenario = {
	.about = "pseudo terminals that are not carried over",
	.setup = setup,
	.verify = verify,
	.refused = "fd 100\\b.*TIOCPKT\nfd 111\\b\nfd 120\\b.*line discipline 27\n"
		   "fd 130\\b.*6 bytes",
};
