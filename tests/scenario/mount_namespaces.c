/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several mount namespaces: tasks that share one, one made out of another, groups and masters
 * across them, one that only a descriptor holds, and one that only a bind of its file holds.
 */
#include "scenario.h"
#include "mounting.h"

#include <fcntl.h>
#include <sched.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int held;
static pid_t same_one, copy, in_copy, peer;

static void setup_same(void *unused)
{
}

static void setup_copy(void *unused)
{
	must(unshare(CLONE_NEWNS));
	set_mount("m", MS_SLAVE); /* the master is in the parent's */
	new_tmpfs("only in the copy");
	in_copy = child(setup_same, NULL, NULL);
}

static void verify_copy(void *unused)
{
	same_file("only in the copy/f", "only in the copy");
}

static void setup_peer(void *unused)
{
	must(unshare(CLONE_NEWNS));
	must(mount("by the peer", "m/b", "tmpfs", 0, "size=1m"));
	new_file("m/b/new", "by the peer");
}

static void setup_held(void *unused)
{
	must(unshare(CLONE_NEWNS));
	new_tmpfs("held");
}

/* A namespace that no task is in: a descriptor has one, and a bind of its file the other. */
static pid_t namespace_of_child(char path[40])
{
	pid_t pid = child(setup_held, NULL, NULL);

	snprintf(path, 40, "/proc/%d/ns/mnt", pid);
	return pid;
}

static void setup(void)
{
	char path[40];
	pid_t pid;

	/* The kernel numbers namespaces by processor, and binds only younger ones. */
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	must(sched_setaffinity(0, sizeof(one), &one));
	own_namespace();
	new_tmpfs("m");
	set_mount("m", MS_SHARED);
	peer = child(setup_peer, NULL, NULL);
	pid = namespace_of_child(path);
	held = must(open(path, O_RDONLY | O_CLOEXEC));
	child_verify(pid);
	pid = namespace_of_child(path);
	new_file("namespace", "");
	must(mount(path, "namespace", NULL, MS_BIND, NULL));
	child_verify(pid);
	same_one = child(setup_same, NULL, NULL);
	copy = child(setup_copy, verify_copy, NULL);
}

static void seen_by(pid_t pid)
{
	char path[PATH_MAX + 40], work[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/%d/root%s/m/later/f", pid,
		 getcwd(work, sizeof(work)) ? work : "");
	same_file(path, "m/later");
}

static void enter(int fd)
{
	pid_t pid = must(fork());

	if (pid == 0) {
		char work[PATH_MAX];

		must((long)getcwd(work, sizeof(work)));
		must(setns(fd, CLONE_NEWNS));
		must(chdir(work));
		_exit(access("held/f", F_OK) < 0);
	}
	int status = 0;

	must(waitpid(pid, &status, 0));
	same("a namespace without tasks", 0, status);
}

static void verify(void)
{
	char work[PATH_MAX];

	must((long)getcwd(work, sizeof(work)));
	same_file("m/b/new", "by the peer");
	new_tmpfs("m/later");
	seen_by(same_one);
	seen_by(copy);
	seen_by(peer);
	must(umount2("m/later", MNT_DETACH));
	rmdir("m/later");
	enter(held);
	enter(open("namespace", O_RDONLY | O_CLOEXEC));
}

const struct scenario scenario = {
	.about = "several mount namespaces",
	.setup = setup,
	.verify = verify,
	.modes = "once twice again",
};
