/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open files of /proc and /sys: of the process itself, of another one, of the system.  Those of
 * processes are refused, the others are no problem.
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int own, other_status, system_file, sys, directory, fds, mounts;
static pid_t other;

static void setup(void)
{
	char path[64];

	other = child(NULL, NULL, NULL);
	own = must(open("/proc/self/status", O_RDONLY));
	snprintf(path, sizeof(path), "/proc/%d/stat", other);
	other_status = must(open(path, O_RDONLY));
	system_file = must(open("/proc/meminfo", O_RDONLY));
	sys = must(open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY));
	directory = must(open("/proc/self", O_RDONLY | O_DIRECTORY));
	fds = must(open("/proc/self/fd", O_RDONLY | O_DIRECTORY));
	mounts = must(open("/proc/self/mountinfo", O_RDONLY));
}

static void expect(const char *what, int fd, const char *words)
{
	static char text[65536];
	ssize_t size = pread(fd, text, sizeof(text) - 1, 0);

	check(size > 0, "%s: cannot be read: %m", what);
	text[size > 0 ? size : 0] = '\0';
	check(strstr(text, words) != NULL, "%s: '%s' is not in it", what, words);
}

static void verify(void)
{
	char words[64];

	snprintf(words, sizeof(words), "\nPid:\t%d\n", getpid());
	expect("own status", own, words);
	snprintf(words, sizeof(words), "%d (", other);
	expect("status of the child", other_status, words);
	expect("meminfo", system_file, "MemTotal");
	expect("sys", sys, "never");
	expect("mountinfo", mounts, " / ");
	same("a file below a directory of /proc", 0, faccessat(directory, "maps", F_OK, 0));
	snprintf(words, sizeof(words), "%d", own);
	same("a file below fd", 0, faccessat(fds, words, F_OK, AT_SYMLINK_NOFOLLOW));
}

const struct scenario scenario = {
	.about = "open files of /proc and /sys",
	.setup = setup,
	.verify = verify,
	.refused = "fd 3\\b.*/proc\nfd 4\\b.*/proc\nfd 7\\b\nfd 8\\b\nfd 9\\b",
};
