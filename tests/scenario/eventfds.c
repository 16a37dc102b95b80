/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Eventfds: counters and semaphores, their values and flags, shared with a child. */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int plain, semaphore, empty, full;
static pid_t other;
static const uint64_t large = 0xfffffffffffffffe;

static void verify_child(void *unused)
{
	uint64_t value = 0;

	same("read of a semaphore", 8, read(semaphore, &value, 8));
	same("its value", 1, value);
}

static void setup(void)
{
	uint64_t value = 123456789012345;

	plain = must(eventfd(0, EFD_CLOEXEC));
	must(write(plain, &value, 8));
	semaphore = must(eventfd(3, EFD_SEMAPHORE));
	empty = must(eventfd(0, EFD_NONBLOCK));
	full = must(eventfd(0, EFD_NONBLOCK));
	must(write(full, &large, 8));
	other = child(NULL, verify_child, NULL);
}

static void verify(void)
{
	uint64_t value = 0;

	child_verify(other);
	same("read of a semaphore", 8, read(semaphore, &value, 8));
	same("its value", 1, value);
	same("flags", O_RDWR, fcntl(semaphore, F_GETFL));
	same("close-on-exec", FD_CLOEXEC, fcntl(plain, F_GETFD));
	same("read", 8, read(plain, &value, 8));
	same("value", 123456789012345, value);
	same("read of an empty one", -1, read(empty, &value, 8));
	same("its error", EAGAIN, errno);
	value = 1;
	same("write to a full one", -1, write(full, &value, 8));
	same("read of a full one", 8, read(full, &value, 8));
	same("value of a full one", large, value);
}

const struct scenario scenario = {
	.about = "eventfds",
	.setup = setup,
	.verify = verify,
};
