/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inotify: watches of files and directories, with gaps in their numbers, also on mounts of an own
 * namespace. */
#include "scenario.h"
#include "mounting.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static int plain, other, empty, file_watch, directory_watch, mount_watch, once_watch;

static void setup(void)
{
	char event[4096];

	own_namespace();
	new_tmpfs("m");
	new_file("file", "watched");
	new_directory("directory");
	plain = must(inotify_init1(IN_NONBLOCK));
	other = must(inotify_init1(IN_CLOEXEC));
	empty = must(inotify_init());
	file_watch = must(inotify_add_watch(plain, "file", IN_MODIFY | IN_ATTRIB));
	must(inotify_rm_watch(plain, must(inotify_add_watch(plain, ".", IN_OPEN))));
	must(inotify_rm_watch(plain, must(inotify_add_watch(plain, "..", IN_OPEN))));
	directory_watch = must(inotify_add_watch(
		plain, "directory", IN_CREATE | IN_DELETE | IN_ONLYDIR | IN_EXCL_UNLINK));
	must(read(plain, event, sizeof(event)));
	mount_watch = must(inotify_add_watch(other, "m/a", IN_CREATE | IN_MOVED_TO));
	once_watch = must(inotify_add_watch(other, "m/f", IN_ALL_EVENTS | IN_ONESHOT));
}

static void expect(int fd, int wd, uint32_t mask, const char *name)
{
	union {
		struct inotify_event event;
		char bytes[sizeof(struct inotify_event) + NAME_MAX + 1];
	} got = {0};

	/* One event and no more: a name takes 16 bytes. */
	check(read(fd, &got, sizeof(got.event) + (*name ? 16 : 0)) > 0,
	      "no event %#x of watch %d: %m", mask, wd);
	same("watch", wd, got.event.wd);
	same("event", mask, got.event.mask);
	same_string("name", name, got.event.len ? got.event.name : "");
}

static void verify(void)
{
	char bytes[16];
	int fd;

	same("nothing waits", -1, read(plain, bytes, sizeof(bytes)));
	fd = must(open("file", O_WRONLY));
	must(write(fd, "x", 1));
	expect(plain, file_watch, IN_MODIFY, "");
	close(fd);
	new_file("directory/new", "x");
	expect(plain, directory_watch, IN_CREATE, "new");
	new_file("m/a/new", "x");
	expect(other, mount_watch, IN_CREATE, "new");
	fd = must(open("m/f", O_RDONLY));
	expect(other, once_watch, IN_OPEN, "");
	expect(other, once_watch, IN_IGNORED, "");
	close(fd);
	must(inotify_add_watch(empty, "file", IN_OPEN));
}

const struct scenario scenario = {
	.about = "inotify watches",
	.setup = setup,
	.verify = verify,
	.modes = "once twice",
};
