/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A program whose file was deleted while it runs, as by an upgrade; and one that was replaced. */
#include "scenario.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t deleted, replaced;

static bool runs(pid_t pid, const char *name)
{
	char path[64], target[4096] = "";

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, name);
}

static pid_t start(const char *name)
{
	char command[128];

	snprintf(command, sizeof(command), "cp /bin/sleep %s", name);
	if (system(command))
		die("%s failed", command);
	pid_t pid = must(fork());
	if (pid == 0) {
		execl(name, name, "1000", NULL);
		_exit(1);
	}
	if (!await(runs(pid, name + 1) && task_state(pid) == 'S'))
		die("%s does not sleep", name);
	return pid;
}

static void setup(void)
{
	deleted = start("./deleted-program");
	must(unlink("deleted-program"));
	replaced = start("./replaced-program");
	must(unlink("replaced-program"));
	write_text("replaced-program", "a new version");
}

static void expect(const char *what, pid_t pid)
{
	char path[64], target[4096] = "";
	struct stat now;
	int status = 0;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	same(what, 0, stat(path, &now));
	check(now.st_size > 10000, "%s: the executable has %ld bytes", what, (long)now.st_size);
	same("links of the executable", 0, now.st_nlink);
	check(readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, "(deleted)"),
	      "%s: the executable is %s", what, target);
	kill(pid, SIGINT);
	waitpid(pid, &status, 0);
	same(what, SIGINT, status);
}

static void verify(void)
{
	expect("the deleted program", deleted);
	expect("the replaced program", replaced);
	same_string("the new version", "a new version", file_text("replaced-program"));
}

const struct scenario scenario = {
	.about = "programs that were deleted or replaced while they run",
	.setup = setup,
	.verify = verify,
};
