/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits that leave no room at all: every descriptor is taken, nothing may be written or queued.
 * Whoever works inside the process has to do without.
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DESCRIPTORS = 40 };

static void limit(int resource, rlim_t value)
{
	struct rlimit limit = {value, value};

	must(setrlimit(resource, &limit));
}

/* The readiness pipe of child() has to be below the limit; it is closed afterwards. */
static void setup_descriptors(void *unused)
{
	limit(RLIMIT_NOFILE, DESCRIPTORS);
	while (fcntl(0, F_DUPFD, 0) >= 0)
		;
	errno = 0;
}

static void verify_descriptors(void *unused)
{
	/* One is free: the readiness pipe's. */
	int fd = open("/dev/null", O_RDONLY);
	check(fd >= 0, "no descriptor is free");
	same("one more", -1, open("/dev/null", O_RDONLY));
	same("its error", EMFILE, errno);
}

static void setup_others(void *unused)
{
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_SIGPENDING, 0);
	limit(RLIMIT_NPROC, 0);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_MSGQUEUE, 0);
	limit(RLIMIT_NICE, 0);
}

static void setup(void)
{
	child(setup_descriptors, verify_descriptors, NULL);
	child(setup_others, NULL, NULL);
}

static void verify(void)
{
}

const struct scenario scenario = {
	.about = "limits that leave no room",
	.setup = setup,
	.verify = verify,
	.plain = true, /* snapshots need descriptors */
};
