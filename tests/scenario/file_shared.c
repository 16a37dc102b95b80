/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One description under several numbers and in several processes, next to other descriptions of
 * the same file: who shares a position shares it still, who does not does not.
 */
#include "scenario.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

static int original, twin, other, moved;
static pid_t reader;

static void setup_child(void *unused)
{
	moved = must(fcntl(original, F_DUPFD, 50));
	must(close(original));
	must(close(twin));
}

static void verify_child(void *unused)
{
	char byte;

	same("read in the child", 1, read(moved, &byte, 1));
	same("byte read in the child", '3', byte);
}

static void setup(void)
{
	write_text("file", "0123456789");
	original = must(open("file", O_RDONLY));
	other = must(open("file", O_RDONLY));
	twin = must(fcntl(original, F_DUPFD_CLOEXEC, 20));
	must(lseek(original, 3, SEEK_SET));
	must(lseek(other, 7, SEEK_SET));
	reader = child(setup_child, verify_child, NULL);
}

static void verify(void)
{
	same("the twin is the same", 0,
	     syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, original, twin));
	same("the child's is the same", 0,
	     syscall(SYS_kcmp, getpid(), reader, KCMP_FILE, original, 50));
	check(syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, original, other) != 0,
	      "two descriptions became one");
	same("close-on-exec of the twin", FD_CLOEXEC, fcntl(twin, F_GETFD));
	same("close-on-exec of the original", 0, fcntl(original, F_GETFD));
	child_verify(reader);
	same("position after the child's read", 4, lseek(original, 0, SEEK_CUR));
	same("position of the twin", 4, lseek(twin, 0, SEEK_CUR));
	same("position of the other", 7, lseek(other, 0, SEEK_CUR));
}

const struct scenario scenario = {
	.about = "descriptions shared by descriptors and processes",
	.setup = setup,
	.verify = verify,
};
