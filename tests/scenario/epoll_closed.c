/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A target of an epoll instance whose number was closed, or is taken by another file, while the
 * description lives under another number: its events still come.
 */
#include "scenario.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int epoll, moved, replaced, replacement;

static void add(int fd, uint64_t data)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};

	must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static void setup(void)
{
	epoll = must(epoll_create1(0));
	int fd = must(eventfd(0, 0));
	add(fd, 1);
	moved = must(dup2(fd, 30));
	close(fd);
	fd = must(eventfd(0, 0));
	add(fd, 2);
	replaced = must(dup2(fd, 31));
	close(fd);
	replacement = must(eventfd(0, 0)); /* gets the number that was closed */
	add(replacement, 3);
}

static void expect(int fd, uint64_t data)
{
	struct epoll_event event = {0};
	uint64_t value = 1;

	same("write", 8, write(fd, &value, 8));
	same("events", 1, epoll_wait(epoll, &event, 1, 0));
	same("data", data, event.data.u64);
	same("read", 8, read(fd, &value, 8));
}

static void verify(void)
{
	expect(moved, 1);
	expect(replaced, 2);
	expect(replacement, 3);
}

const struct scenario scenario = {
	.about = "epoll targets whose descriptors were closed",
	.setup = setup,
	.verify = verify,
};
