/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The devices every system has. */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const struct device {
	const char *path;
	int flags, minor;
} devices[] = {
	{"/dev/null", O_RDWR, 3},
	{"/dev/null", O_WRONLY | O_APPEND | O_CLOEXEC, 3},
	{"/dev/zero", O_RDONLY, 5},
	{"/dev/full", O_RDWR, 7},
	{"/dev/random", O_RDONLY | O_NONBLOCK, 8},
	{"/dev/urandom", O_RDONLY, 9},
};
enum { DEVICES = sizeof(devices) / sizeof(devices[0]) };

static int fds[DEVICES];

static void setup(void)
{
	for (int i = 0; i < DEVICES; i++)
		fds[i] = must(open(devices[i].path, devices[i].flags));
}

static void verify(void)
{
	char bytes[64];

	for (int i = 0; i < DEVICES; i++) {
		struct stat now = {0};
		fstat(fds[i], &now);
		check(S_ISCHR(now.st_mode) && major(now.st_rdev) == 1, "%s is another file",
		      devices[i].path);
		same(devices[i].path, devices[i].minor, minor(now.st_rdev));
		same("flags", devices[i].flags & ~O_CLOEXEC, fcntl(fds[i], F_GETFL) & ~0100000);
	}
	same("read of null", 0, read(fds[0], bytes, 64));
	same("write to null", 64, write(fds[1], bytes, 64));
	memset(bytes, 1, sizeof(bytes));
	same("read of zero", 64, read(fds[2], bytes, 64));
	same("a zero", 0, bytes[63]);
	same("write to full", -1, write(fds[3], bytes, 1));
	same("its error", ENOSPC, errno);
	same("read of random", 64, read(fds[4], bytes, 64));
	same("read of urandom", 64, read(fds[5], bytes, 64));
}

const struct scenario scenario = {
	.about = "null, zero, full, random, urandom",
	.setup = setup,
	.verify = verify,
};
