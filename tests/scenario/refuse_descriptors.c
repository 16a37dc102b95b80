/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors that are not carried over (yet): all of them are named in one answer.  Which number
 * each one has is fixed, so that the answer can be checked for each.
 */
#include "scenario.h"

#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fds[64];
static int count;

/* Moves a descriptor to the next number from 100 on; what cannot be made here is left out. */
static void hold(int fd, int number)
{
	if (fd < 0) /* the answer is expected to name the number: put something like it there */
		fd = must(socket(AF_UNIX, SOCK_STREAM, 0));
	fds[count++] = must(fcntl(fd, F_DUPFD, number));
	close(fd);
}

static void setup(void)
{
	struct io_uring_params ring = {0};
	struct perf_event_attr event = {.size = sizeof(event),
					.type = PERF_TYPE_SOFTWARE,
					.config = PERF_COUNT_SW_TASK_CLOCK};
	union bpf_attr map = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 4};
	int pair[2];

	hold(syscall(SYS_io_uring_setup, 4, &ring), 100);
	hold(syscall(SYS_userfaultfd, O_CLOEXEC), 101);
	hold(inotify_init1(0), 102);
	must(inotify_add_watch(fds[2], ".", IN_CREATE));
	hold(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY), 103);
	hold(syscall(SYS_pidfd_open, getpid(), 0), 104);
	hold(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0), 105);
	hold(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map)), 106);
	hold(socket(AF_INET, SOCK_STREAM, 0), 107);
	must(listen(fds[7], 1));
	hold(socket(AF_INET6, SOCK_DGRAM, 0), 108);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	hold(pair[0], 109);
	hold(pair[1], 110);
	hold(socket(AF_NETLINK, SOCK_RAW, 0), 111);
	hold(socket(AF_PACKET, SOCK_RAW, 0), 112);
	hold(dup(fds[3]), 113);
	hold(syscall(447 /* memfd_secret */, 0), 115);
}

static void verify(void)
{
	for (int i = 0; i < count; i++)
		same("descriptor", 0, fcntl(fds[i], F_GETFD));
}

const struct scenario scenario = {
	.about = "descriptors that are not carried over, all named at once",
	.setup = setup,
	.verify = verify,
	.refused =
		"fd 100\\b\nfd 101\\b\nfd 102\\b.*inotify\nfd 103\\b\nfd 104\\b.*pidfd\nfd 105\\b\n"
		"fd 106\\b\nfd 107\\b.*socket\nfd 108\\b\nfd 109\\b\nfd 110\\b\nfd 111\\b\n"
		"fd 112\\b\nfd 115\\b",
};
