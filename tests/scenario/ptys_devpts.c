/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pseudo terminals of two instances of devpts in a mount namespace of its own: the same indexes in
 * both, one of the instances covered since, a session whose terminal is on one of them.
 */
#include "scenario.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "mounting.h"

enum { PAIRS = 3 };
static int masters[2][PAIRS], slaves[2][PAIRS];
static pid_t leader;
static int ready[2];

static void make(int which, const char *directory)
{
	char path[64];

	for (int i = 0; i < PAIRS; i++) {
		int index = -1;

		snprintf(path, sizeof(path), "%s/ptmx", directory);
		masters[which][i] = must(open(path, O_RDWR | O_NOCTTY));
		must(ioctl(masters[which][i], TIOCGPTN, &index));
		must(ioctl(masters[which][i], TIOCSPTLCK, &(int){0}));
		snprintf(path, sizeof(path), "%s/%d", directory, index);
		slaves[which][i] = must(open(path, O_RDWR | O_NOCTTY));
	}
	/* The lowest index is free again. */
	close(masters[which][0]);
	close(slaves[which][0]);
}

static pid_t foreground;

/* Its group has the terminal, and ends with it. */
static void leader_setup(void *unused)
{
	must(setsid());
	must(ioctl(slaves[1][2], TIOCSCTTY, 0));
	foreground = must(fork());
	if (!foreground) {
		pause();
		_exit(1);
	}
	must(setpgid(foreground, 0));
	must(tcsetpgrp(slaves[1][2], foreground));
	must(kill(foreground, SIGKILL));
	must(waitpid(foreground, NULL, 0));
	same("ready", 1, write(ready[1], "", 1));
}

static void leader_verify(void *unused)
{
	int tty = must(open("/dev/tty", O_RDWR));

	same("a group that is gone has the foreground", foreground, tcgetpgrp(tty));
	same("written to /dev/tty", 4, write(tty, "from", 4));
}

static void setup(void)
{
	char byte;

	own_namespace();
	new_directory("one");
	new_directory("two");
	must(mount("devpts", "one", "devpts", MS_NOSUID, "newinstance,ptmxmode=666,mode=620"));
	must(mount("devpts", "two", "devpts", MS_NOSUID, "newinstance,ptmxmode=600,max=10"));
	make(0, "one");
	make(1, "two");
	must(mount("cover", "one", "tmpfs", 0, "size=1m"));
	must(pipe(ready));
	leader = child(leader_setup, leader_verify, NULL);
	same("ready", 1, read(ready[0], &byte, 1));
}

static void verify(void)
{
	char text[16];
	struct stat stats[2];
	pid_t sid = 0;

	for (int which = 0; which < 2; which++)
		for (int i = 1; i < PAIRS; i++) {
			int index = -1, size = 0;

			must(ioctl(masters[which][i], TIOCGPTN, &index));
			same("index", i, index);
			snprintf(text, sizeof(text), "%d and %d", which, i);
			same("written", 7, write(slaves[which][i], text, 7));
			check(await(ioctl(masters[which][i], FIONREAD, &size) == 0 && size == 7),
			      "%s: %d bytes arrive", text, size);
			same("read", 7, read(masters[which][i], text + 8, 7));
			same_bytes("text", text, text + 8, 7);
			must(fstat(slaves[which][i], &stats[which]));
		}
	check(stats[0].st_dev != stats[1].st_dev, "both are on one devpts");
	same("permissions of a slave", 0620, stats[0].st_mode & 07777);
	must(ioctl(masters[1][2], TIOCGSID, &sid));
	same("session", leader, sid);
	child_verify(leader);
	same("read from /dev/tty", 4, read(masters[1][2], text, sizeof(text)));
}

const struct scenario scenario = {
	.about = "pseudo terminals of two instances of devpts",
	.setup = setup,
	.verify = verify,
};
