/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Id mapped mounts: owners are others through them, after a restore as well; files that are open on
 * one. */
#include "scenario.h"
#include "mounting.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int file;

static int user_namespace(const char *map)
{
	char path[64];
	int ready[2], fd;
	char byte;
	pid_t pid;

	must(pipe(ready));
	pid = must(fork());
	if (pid == 0) {
		must(unshare(CLONE_NEWUSER));
		must(write(ready[1], "x", 1));
		for (;;)
			pause();
	}
	must(read(ready[0], &byte, 1));
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, i ? "gid_map" : "uid_map");
		write_text(path, map);
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = must(open(path, O_RDONLY | O_CLOEXEC));
	kill(pid, SIGKILL);
	must(waitpid(pid, NULL, 0));
	close(ready[0]);
	close(ready[1]);
	return fd;
}

static void map_mount(const char *from, const char *to, const char *map)
{
	int owner = user_namespace(map);
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID,
					.userns_fd = owner};
	int tree = must(open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));

	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
		skip("no id mapped mounts here: %m");
	new_directory(to);
	must(move_mount(tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH));
	close(tree);
	close(owner);
}

static void setup(void)
{
	own_namespace();
	new_tmpfs("m");
	must(chown("m/f", 1001, 1002));
	map_mount("m", "one", "1000 5000 10\n0 0 1\n");
	map_mount("m/a", "two", "0 100000 65536\n");
	map_mount("m", "same", "1000 5000 10\n0 0 1\n");
	file = must(open("one/f", O_RDWR));
}

static void owner(const char *path, int uid, int gid)
{
	struct stat stat_;

	must(stat(path, &stat_));
	same("owner", uid, stat_.st_uid);
	same("group", gid, stat_.st_gid);
}

static void verify(void)
{
	struct stat stat_;

	owner("m/f", 1001, 1002);
	owner("one/f", 5001, 5002);
	owner("same/f", 5001, 5002);
	owner("two", 100000, 100000);
	must(fstat(file, &stat_));
	same("owner of an open file", 5001, stat_.st_uid);
}

const struct scenario scenario = {
	.about = "id mapped mounts",
	.setup = setup,
	.verify = verify,
	.modes = "once twice again",
};
