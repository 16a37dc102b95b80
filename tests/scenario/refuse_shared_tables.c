/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that share a table of descriptors (CLONE_FILES) or directories (CLONE_FS). */
#include "scenario.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t sharer;
static int fd;
static volatile int *opened;

/* A process of its own memory, which shares descriptors, directories and umask with its parent. */
static void setup(void)
{
	opened = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	must(mkdir("dir", 0700));
	write_text("file", "content");
	write_text("dir/inside", "");
	fd = must(open("file", O_RDONLY));
	sharer = must(syscall(SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, 0, 0, 0, 0));
	if (sharer == 0) {
		sleep_until_told();
		*opened = open("dir", O_RDONLY | O_DIRECTORY);
		umask(0111);
		_exit(chdir("dir"));
	}
}

static void verify(void)
{
	int status;

	must(kill(sharer, SIGTERM));
	must(waitpid(sharer, &status, 0));
	same("exit of the one that shares", 0, status);
	same("its descriptor is ours", 0, fcntl(*opened, F_GETFD));
	same("its directory is ours", 0, access("inside", F_OK));
	same("its umask is ours", 0111, umask(0));
}

const struct scenario scenario = {
	.about = "processes that share descriptors and directories",
	.setup = setup,
	.verify = verify,
	.refused = "pid \\d+.*shares.*descriptors\npid \\d+.*shares.*directory",
};
