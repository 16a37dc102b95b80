/* SPDX-License-Identifier: GPL-2.0-or-later */
/* File locks of every kind, leases and directory notification. */
#include "scenario.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static int bsd, posix, description, lease;

/* On what it inherited, not through a file of its own. */
static void lock_pipe(void *end)
{
	must(fcntl(*(int *)end, F_SETLK, &(struct flock){.l_type = F_WRLCK}));
}

static void verify_pipe(void *end)
{
	(void)end;
}

static void setup(void)
{
	static int ends[2];
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5};

	write_text("bsd-lock", "x");
	write_text("posix-lock", "x");
	write_text("description-lock", "x");
	write_text("lease", "x");
	bsd = must(open("bsd-lock", O_RDWR));
	must(flock(bsd, LOCK_EX));
	posix = must(open("posix-lock", O_RDWR));
	must(fcntl(posix, F_SETLK, &lock));
	description = must(open("description-lock", O_RDWR));
	must(fcntl(description, F_OFD_SETLK, &lock));
	lease = must(open("lease", O_RDONLY));
	must(fcntl(lease, F_SETLEASE, F_RDLCK));
	must(pipe(ends));
	child(lock_pipe, verify_pipe, &ends[1]);
}

static void verify(void)
{
	int other = must(open("bsd-lock", O_RDWR));

	same("the lock is held", -1, flock(other, LOCK_EX | LOCK_NB));
	close(other);
	same("the lease is held", F_RDLCK, fcntl(lease, F_GETLEASE));
}

const struct scenario scenario = {
	.about = "file locks and leases",
	.setup = setup,
	.verify = verify,
	.refused = "bsd-lock.*lock|lock.*bsd-lock\nposix-lock.*lock|lock.*posix-lock\n"
		   "description-lock.*lock|lock.*description-lock\nlease\n"
		   "pipe.*lock|lock.*pipe",
};
