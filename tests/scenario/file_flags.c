/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Regular files and directories opened in every way: flags, positions, names that are awkward.
 * The snapshot compares flags, positions and names; verify() tries their meaning.
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <dirent.h>
#include <unistd.h>

#define AWKWARD "a name\nwith \\ and (deleted) \xff (deleted)"

static const struct row {
	const char *name;
	int flags;
} rows[] = {
	{"plain", O_RDWR},
	{"read", O_RDONLY},
	{"write", O_WRONLY | O_CLOEXEC},
	{"append", O_RDWR | O_APPEND},
	{"nonblock", O_RDWR | O_NONBLOCK},
	{"sync", O_RDWR | O_SYNC},
	{"dsync", O_RDWR | O_DSYNC},
	{"direct", O_RDWR | O_DIRECT},
	{"noatime", O_RDONLY | O_NOATIME},
	{"path", O_PATH},
	{"nofollow", O_RDONLY | O_NOFOLLOW},
	{AWKWARD, O_RDWR},
	{"dir", O_RDONLY | O_DIRECTORY},
	{"dir/sub", O_PATH | O_DIRECTORY},
	{"linked", O_RDONLY}, /* through a symbolic link */
	{"no permission", O_RDWR},
	{"sparse", O_RDWR},
	{"link itself", O_PATH | O_NOFOLLOW},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]), FAR = 900 };

static int fds[ROWS], far;
static struct stat before[ROWS];
static const off_t beyond = (off_t)1 << 40;
static char next_name[256];
static DIR *directory;

static void setup(void)
{
	must(mkdir("dir", 0700));
	must(mkdir("dir/sub", 0700));
	for (int i = 0; i < 20; i++) {
		char name[32];
		snprintf(name, sizeof(name), "dir/entry-%d", i);
		write_text(name, "");
	}
	for (int i = 0; i < ROWS; i++) {
		const char *name = rows[i].name;
		if (strcmp(name, "linked") == 0)
			must(symlink("plain", name));
		else if (strcmp(name, "link itself") == 0)
			must(symlink("nowhere", name));
		else if (!(rows[i].flags & O_DIRECTORY))
			write_text(name, "0123456789");
		fds[i] = open(name, rows[i].flags);
		if (fds[i] < 0 && rows[i].flags & O_DIRECT)
			fds[i] = open(name, O_RDWR); /* not on every file system */
		must(fds[i]);
		if (!(rows[i].flags & (O_PATH | O_DIRECTORY)))
			must(lseek(fds[i], i, SEEK_SET));
		must(fstat(fds[i], &before[i]));
	}
	must(chmod("no permission", 0)); /* after it was opened */
	must(lseek(fds[16], beyond, SEEK_SET));
	far = must(fcntl(fds[0], F_DUPFD_CLOEXEC, FAR));
	/* Flags that were changed after opening. */
	must(fcntl(fds[0], F_SETFL, O_APPEND | O_NONBLOCK));
	/* A directory that is being read. */
	directory = opendir("dir");
	for (int i = 0; i < 7; i++)
		readdir(directory);
	long here = telldir(directory);
	struct dirent *next = readdir(directory);
	snprintf(next_name, sizeof(next_name), "%s", next->d_name);
	seekdir(directory, here);
}

static void verify(void)
{
	char byte;

	for (int i = 0; i < ROWS; i++) {
		struct stat now = {0};
		same(rows[i].name, 0, fstat(fds[i], &now));
		same("inode", before[i].st_ino, now.st_ino);
		same("device", before[i].st_dev, now.st_dev);
		same("size", before[i].st_size, now.st_size);
		if (rows[i].flags & (O_PATH | O_DIRECTORY)) {
			same("read of a path", -1, read(fds[i], &byte, 1));
			continue;
		}
		same("position", i == 16 ? beyond : i, lseek(fds[i], 0, SEEK_CUR));
		if (i < 10 && !(fcntl(fds[i], F_GETFL) & (O_WRONLY | O_DIRECT))) {
			same("read", 1, read(fds[i], &byte, 1));
			same("byte", '0' + i, byte);
		}
	}
	same("flags changed later", O_APPEND | O_NONBLOCK,
	     fcntl(fds[0], F_GETFL) & (O_APPEND | O_NONBLOCK));
	same("shared position", 1, lseek(far, 0, SEEK_CUR));
	same("file below a directory", 0, faccessat(fds[12], "sub", F_OK, 0));
	struct dirent *next = readdir(directory);
	same_string("next entry", next_name, next ? next->d_name : "(none)");
	int fd = open("dir/sub", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	check(fd > 2 && fd < FAR, "the next descriptor is %d", fd);
}

const struct scenario scenario = {
	.about = "regular files and directories opened in every way",
	.setup = setup,
	.verify = verify,
};
