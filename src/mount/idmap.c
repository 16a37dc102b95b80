/* SPDX-License-Identifier: GPL-2.0-or-later */
/* User namespaces that are nothing but the id map of a mount (mount_setattr(2)). */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/report.h"
#include "checkpoint/checkpoint.h"
#include "mount/build.h"

static int write_map(pid_t pid, const char *name, const char *map)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);

	autofd int fd = open(path, O_WRONLY | O_CLOEXEC);

	/* The kernel takes a map only in one piece. */
	if (fd < 0 || write(fd, map, strlen(map)) < 0)
		return -errno;
	return 0;
}

static int open_namespace(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A descriptor of a new one; it needs a process only while its maps are written. */
static int make_namespace(const char *uid_map, const char *gid_map)
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	pid_t pid = syscall(SYS_clone3, &args, sizeof(args));
	int fd;

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (pid < 0)
		return -errno;
	fd = write_map(pid, "uid_map", uid_map);
	if (!fd)
		fd = write_map(pid, "gid_map", gid_map);
	if (!fd)
		fd = open_namespace(pid);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}

/* ---- one for each pair of maps ------------------------------------------------------------ */

struct id_map {
	const char *uid_map, *gid_map;
	int fd;
	struct id_map *next; /* of the same hash */
	struct id_map *next_of_all;
};

static uint64_t key_of(const struct mount *mount)
{
	return hash_mix(hash_bytes(mount->uid_map, strlen(mount->uid_map)),
			hash_bytes(mount->gid_map, strlen(mount->gid_map)));
}

static struct id_map *find(const struct builder *builder, const struct mount *mount)
{
	struct id_map *map = hash_get(&builder->id_maps, key_of(mount));

	while (map &&
	       (strcmp(map->uid_map, mount->uid_map) || strcmp(map->gid_map, mount->gid_map)))
		map = map->next;
	return map;
}

int id_map_prepare(struct builder *builder, const struct mount *mount)
{
	struct arena *arena = builder->checkpoint->arena;

	if (find(builder, mount))
		return 0;

	struct id_map *map = arena_new_object(arena, struct id_map);

	*map = (struct id_map){mount->uid_map, mount->gid_map,
			       make_namespace(mount->uid_map, mount->gid_map), NULL,
			       builder->all_id_maps};
	builder->all_id_maps = map;
	map->next = hash_put(&builder->id_maps, key_of(mount), map);
	return map->fd < 0 ? FAIL(-map->fd, SUBJECT("mount %s", path_escaped(arena, mount->path)),
				  "allow user namespaces (sysctl user.max_user_namespaces)",
				  "its id map cannot be made: %s", strerror(-map->fd))
			   : 0;
}

int id_map_of(const struct builder *builder, const struct mount *mount)
{
	return find(builder, mount)->fd;
}

void id_maps_close(struct builder *builder)
{
	for (struct id_map *map = builder->all_id_maps; map; map = map->next_of_all)
		fd_close(&map->fd);
	hash_free(&builder->id_maps);
}
