/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mounting.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void own_namespace(void)
{
	must(unshare(CLONE_NEWNS));
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

void new_directory(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		die("%s: %m", path);
}

void new_file(const char *path, const char *text)
{
	int fd = must(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));

	must(write(fd, text, strlen(text)));
	must(close(fd));
}

void furnish(const char *path)
{
	char name[4096];

	snprintf(name, sizeof(name), "%s/a", path);
	new_directory(name);
	snprintf(name, sizeof(name), "%s/b", path);
	new_directory(name);
	snprintf(name, sizeof(name), "%s/a/c", path);
	new_directory(name);
	snprintf(name, sizeof(name), "%s/f", path);
	new_file(name, path);
}

void new_tmpfs(const char *path)
{
	new_directory(path);
	must(mount(path, path, "tmpfs", 0, "size=4m"));
	furnish(path);
}

void bind_mount(const char *from, const char *to)
{
	new_directory(to);
	must(mount(from, to, NULL, MS_BIND, NULL));
}

void set_mount(const char *path, unsigned long flags)
{
	must(mount(NULL, path, NULL, flags, NULL));
}

void same_file(const char *path, const char *text)
{
	char found[200] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	check(fd >= 0, "%s: %m", path);
	if (fd < 0)
		return;
	must(read(fd, found, sizeof(found) - 1));
	close(fd);
	same_string(path, text, found);
}
