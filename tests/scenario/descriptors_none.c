/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process without any descriptor, and one with the lowest and the highest possible number only.
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static int highest;

static void setup_child(void *unused)
{
	struct rlimit limit;
	int fd = must(open("file", O_RDWR | O_CREAT, 0600));

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	highest = limit.rlim_max > 1 << 20 ? 1 << 20 : limit.rlim_max - 1;
	must(dup2(fd, highest));
	must(dup2(fd, 0));
	must(close(fd));
	must(close(1));
	must(close(2));
	must(lseek(0, 99, SEEK_SET));
}

static void verify_child(void *unused)
{
	same("position of the highest", 99, lseek(highest, 0, SEEK_CUR));
	same("position of the lowest", 99, lseek(0, 0, SEEK_CUR));
	same("next free number", 1, dup(0));
}

static void setup(void)
{
	child(setup_child, verify_child, NULL);
	must(close(0));
	must(close(1));
	must(close(2));
}

static void verify(void)
{
	for (int fd = 0; fd < 100; fd++)
		same("descriptor", -1, fcntl(fd, F_GETFD));
	same("error", EBADF, errno);
	same("next free number", 0, open("/dev/null", O_RDONLY));
}

const struct scenario scenario = {
	.about = "no descriptors at all, and the highest possible one",
	.setup = setup,
	.verify = verify,
};
