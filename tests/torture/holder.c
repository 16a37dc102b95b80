/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An application that only has mount namespaces: `holder COUNT KIND`, so many processes with one
 * each.  What is mounted in them is the business of tests/harness/histories.py.  KIND: "copy", a
 * copy of the table it was started in; "tmpfs", a new root that nothing else is mounted in;
 * "chroot", the same with a root directory below it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(long result, const char *what)
{
	if (result >= 0)
		return;
	perror(what);
	exit(1);
}

static void new_root(void)
{
	must(mount("tmpfs", "/tmp", "tmpfs", 0, "size=64m,nr_inodes=20k"), "mount");
	must(chdir("/tmp"), "chdir");
	must(mkdir("a", 0755), "mkdir");
	must(mkdir("a/c", 0755), "mkdir");
	must(mkdir("b", 0755), "mkdir");
	close(open("f", O_WRONLY | O_CREAT, 0644));
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "umount");
	must(chdir("/"), "chdir");
}

static void namespace(int number, const char *kind)
{
	must(unshare(CLONE_NEWNS), "unshare");
	if (number)
		return;
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
	if (strcmp(kind, "copy")) {
		new_root();
		must(mount(NULL, "/", NULL, MS_SHARED, NULL), "shared");
	}
	if (!strcmp(kind, "chroot")) {
		must(mkdir("/b/a", 0755), "mkdir");
		must(mount("/b", "/b", NULL, MS_BIND, NULL), "bind");
		must(chroot("/b"), "chroot");
		must(chdir("/"), "chdir");
	}
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[1]) : 0, ready[2];

	if (!count)
		return 1;
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	must(pipe2(ready, O_CLOEXEC), "pipe");
	namespace(0, argv[2]);
	for (int i = 1; i < count; i++) {
		char byte = 0;
		pid_t pid = fork();

		must(pid, "fork");
		if (!pid) {
			namespace(i, argv[2]);
			must(write(ready[1], &byte, 1), "write");
			for (;;)
				pause();
		}
		must(read(ready[0], &byte, 1), "read");
	}
	for (;;)
		pause();
}
