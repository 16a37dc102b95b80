/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Working directory, root directory and umask: own ones, shared ones, names that are awkward. */
#include "scenario.h"

#include <sys/stat.h>
#include <unistd.h>

#define AWKWARD "sub (deleted)\n\xff dir"

static struct stat cwd, root;
static mode_t mask;

static void remember(mode_t wanted)
{
	mask = wanted;
	umask(mask);
	must(stat(".", &cwd));
	must(stat("/", &root));
}

static void verify_task(void *unused)
{
	struct stat now = {0};

	same("stat of the working directory", 0, stat(".", &now));
	same("inode of the working directory", cwd.st_ino, now.st_ino);
	same("device of the working directory", cwd.st_dev, now.st_dev);
	same("stat of the root", 0, stat("/", &now));
	same("inode of the root", root.st_ino, now.st_ino);
	same("device of the root", root.st_dev, now.st_dev);
	same("umask", mask, umask(mask));
	same("mode of a new directory", 0, mkdir("new", 0777));
	same("stat of a new directory", 0, stat("new", &now));
	same("mode of a new directory", 0777 & ~mask, now.st_mode & 0777);
	rmdir("new");
}

static void setup_awkward(void *unused)
{
	must(mkdir(AWKWARD, 0700));
	must(chdir(AWKWARD));
	remember(0137);
}

static void setup_proc(void *unused)
{
	must(chdir("jail/inside"));
	remember(0);
}

static void setup_jail(void *unused)
{
	must(chroot("jail"));
	must(chdir("/inside"));
	remember(027);
}

/* Its working directory is outside its root. */
static void setup_escaped(void *unused)
{
	must(chroot("jail"));
	remember(077);
}

static void setup(void)
{
	must(mkdir("jail", 0755));
	must(mkdir("jail/inside", 0755));
	must(mkdir("jail/proc", 0755));
	child(setup_awkward, verify_task, NULL);
	child(setup_proc, verify_task, NULL);
	child(setup_jail, verify_task, NULL);
	child(setup_escaped, verify_task, NULL);
	remember(022);
}

static void verify(void)
{
	verify_task(NULL);
}

const struct scenario scenario = {
	.about = "working directories, roots, umasks",
	.setup = setup,
	.verify = verify,
	.plain = true, /* there is no /proc in a jail */
};
