/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Epoll instances: level and edge, one-shot ones that have fired, data words, nested instances,
 * targets that were dup'ed, many of them.
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { MANY = 300 };

static int epoll, outer, level, edge, once, quiet, many[MANY], big, twin, spent;

static int add(int instance, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	return must(epoll_ctl(instance, EPOLL_CTL_ADD, fd, &event));
}

/* Waits for one event with the data; returns what happened, 0 for none. */
static uint32_t happened(int instance, uint64_t data)
{
	struct epoll_event events[MANY + 10];
	int count = epoll_wait(instance, events, MANY + 10, 0);

	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 == data)
			return events[i].events;
	}
	return 0;
}

static void trigger(int fd)
{
	uint64_t one = 1;

	same("write", 8, write(fd, &one, 8));
}

static void setup(void)
{
	epoll = must(epoll_create1(EPOLL_CLOEXEC));
	outer = must(epoll_create1(0));
	level = must(eventfd(1, 0));
	edge = must(eventfd(0, 0));
	once = must(eventfd(0, 0));
	spent = must(eventfd(1, 0));
	quiet = must(eventfd(0, 0));
	add(epoll, level, EPOLLIN, 0xffffffff00000001);
	add(epoll, edge, EPOLLIN | EPOLLET | EPOLLRDHUP, 0x1234567800000002);
	add(epoll, once, EPOLLIN | EPOLLONESHOT, 3);
	add(epoll, spent, EPOLLIN | EPOLLONESHOT, 4);
	add(epoll, quiet, EPOLLIN | EPOLLPRI | EPOLLERR | EPOLLHUP, 5);
	happened(epoll, 4); /* the one shot is fired now */
	add(outer, epoll, EPOLLIN | EPOLLET, 6);
	add(outer, quiet, EPOLLOUT, 7);
	happened(outer, 6);
	twin = must(dup(quiet));
	add(epoll, twin, EPOLLIN, 8);
	big = must(epoll_create1(0));
	for (int i = 0; i < MANY; i++) {
		many[i] = must(eventfd(0, 0));
		add(big, many[i], EPOLLIN, 1000 + i);
	}
}

static void verify(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 44};

	same("level event", EPOLLIN, happened(epoll, 0xffffffff00000001));
	same("level event again", EPOLLIN, happened(epoll, 0xffffffff00000001));
	same("edge event before", 0, happened(epoll, 0x1234567800000002));
	trigger(edge);
	same("edge event", EPOLLIN, happened(epoll, 0x1234567800000002));
	same("edge event again", 0, happened(epoll, 0x1234567800000002));
	trigger(once);
	same("one-shot event", EPOLLIN, happened(epoll, 3));
	trigger(once);
	same("one-shot event again", 0, happened(epoll, 3));
	same("one-shot event that was fired", 0, happened(epoll, 4));
	same("rearm it", 0, epoll_ctl(epoll, EPOLL_CTL_MOD, spent, &event));
	same("event after rearming", EPOLLIN, happened(epoll, 44));
	same("event of a quiet one", 0, happened(epoll, 5));
	same("nested event of a second target", EPOLLOUT, happened(outer, 7));
	trigger(quiet);
	same("event of the original", EPOLLIN, happened(epoll, 5));
	same("event of the twin", EPOLLIN, happened(epoll, 8));
	same("nested event", EPOLLIN, happened(outer, 6));
	same("remove the twin", 0, epoll_ctl(epoll, EPOLL_CTL_DEL, twin, NULL));
	for (int i = 0; i < MANY; i++) {
		uint64_t value;
		trigger(many[i]);
		same("event of many", EPOLLIN, happened(big, 1000 + i));
		same("read", 8, read(many[i], &value, 8));
	}
	same("add a target twice", -1, epoll_ctl(epoll, EPOLL_CTL_ADD, level, &event));
	same("its error", EEXIST, errno);
	same("close-on-exec", FD_CLOEXEC, fcntl(epoll, F_GETFD));
}

const struct scenario scenario = {
	.about = "epoll instances",
	.setup = setup,
	.verify = verify,
};
