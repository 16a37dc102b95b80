/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A root of its own: tmpfs by pivot_root, with another one chrooted below it and one that stayed
 * outside. */
#include "scenario.h"
#include "mounting.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char work[PATH_MAX];

static void make_all(char *path)
{
	for (char *at = path + 1; (at = strchr(at, '/')); at++) {
		*at = 0;
		new_directory(path);
		*at = '/';
	}
	new_directory(path);
}

static void setup_chroot(void *unused)
{
	must(chroot("/jail"));
	must(chdir("/a"));
}

static void verify_chroot(void *unused)
{
	char path[PATH_MAX];

	same_file("/f", "new/jail");
	same_string("the working directory", "/a", getcwd(path, sizeof(path)) ? path : "");
	same("way out", 0, chdir("../../../.."));
	same_file("f", "new/jail");
}

/* The work directory stays where it was, on the outside's filesystem; /proc is a new one. */
static void setup(void)
{
	char inside[PATH_MAX + 8];

	must((long)getcwd(work, sizeof(work)));
	own_namespace();
	new_tmpfs("new");
	new_tmpfs("new/jail");
	new_directory("new/proc");
	must(mount("proc", "new/proc", "proc", MS_NOSUID, "hidepid=invisible"));
	snprintf(inside, sizeof(inside), "new%s", work);
	make_all(inside);
	must(mount(".", inside, NULL, MS_BIND, NULL));
	must(chdir("new"));
	must(syscall(SYS_pivot_root, ".", "."));
	must(umount2(".", MNT_DETACH));
	must(chdir(work));
	child(setup_chroot, verify_chroot, NULL);
	new_file("/f", "in the new root");
}

static void verify(void)
{
	char path[PATH_MAX];

	same_string("the working directory", work, getcwd(path, sizeof(path)) ? path : "");
	same_file("/f", "in the new root");
	same_file("/jail/f", "new/jail");
	new_file("from inside", "seen");
	same_file("from inside", "seen");
}

const struct scenario scenario = {
	.about = "a root by pivot_root, and one by chroot",
	.setup = setup,
	.verify = verify,
	.modes = "once twice again",
};
