/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Restore: files are opened on their very mounts, whatever covers them. */
#include "mount/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"

struct mount *mount_by_image_id(struct checkpoint *checkpoint, uint32_t id)
{
	return checkpoint->mounts.graph ? hash_get(&checkpoint->mounts.graph->by_short_id, id)
					: NULL;
}

/* ---- what is covered ------------------------------------------------------------------------ */

struct key {
	const char *text;
	size_t length;
};

static int by_mountpoint(const void *key_pointer, const void *child)
{
	const struct key *key = key_pointer;
	const char *mountpoint = (*(struct mount *const *)child)->mountpoint;
	int order = strncmp(key->text, mountpoint, key->length);

	return order ? order : -(mountpoint[key->length] != 0);
}

/* Is a child mounted on this path, or on a directory on the way to it? */
static bool is_covered(const struct mount *mount, const char *below)
{
	for (size_t length = 0; mount->child_count && below[length];) {
		struct key key = {below};

		length += strspn(below + length, "/");
		length += strcspn(below + length, "/");
		key.length = length;
		if (bsearch(&key, mount->children, mount->child_count, sizeof(*mount->children),
			    by_mountpoint))
			return true;
	}
	return false;
}

static struct place *find_place(const struct mount *mount, const char *below)
{
	struct place *place = mount->places;

	while (place && strcmp(place->below, below))
		place = place->next;
	return place;
}

static void add_place(struct checkpoint *checkpoint, struct mount *mount, const char *below)
{
	struct place *place;

	if (!is_covered(mount, below) || find_place(mount, below))
		return;
	place = arena_new_object(checkpoint->arena, struct place);
	*place = (struct place){.below = below, .rest = "", .fd = -1, .next = mount->places};
	mount->places = place;
}

/* The file itself, and its directory: it may have to be made there first. */
void mount_want(struct checkpoint *checkpoint, struct mount *mount, const char *name)
{
	const char *below = path_below(mount->path, name), *slash = strrchr(below, '/');

	mount->has_files = true;
	add_place(checkpoint, mount, below);
	if (slash)
		add_place(checkpoint, mount,
			  arena_printf(checkpoint->arena, "%.*s", (int)(slash - below), below));
}

/* ---- places --------------------------------------------------------------------------------- */

static int open_below(int fd, const char *below)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
	int found = syscall(SYS_openat2, fd, below, &how, sizeof(how));

	return found < 0 ? -errno : found;
}

/* What is not there yet, since it was removed, is reached from the directory above it. */
static int open_place(struct checkpoint *checkpoint, struct place *place, int fd)
{
	char *part = arena_strdup(checkpoint->arena, place->below), *slash;

	while ((place->fd = open_below(fd, part)) == -ENOENT && (slash = strrchr(part, '/'))) {
		*slash = 0;
		place->rest = place->below + (slash - part) + 1;
	}
	if (place->fd == -ENOENT) {
		place->rest = place->below;
		place->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	}
	return place->fd < 0 ? place->fd : 0;
}

int places_open(struct checkpoint *checkpoint, struct mount *mount, int fd)
{
	int error = 0;

	for (struct place *place = mount->places; place && !error; place = place->next)
		error = open_place(checkpoint, place, fd);
	return error;
}

void places_close(struct mount *mount)
{
	for (struct place *place = mount->places; place; place = place->next)
		fd_close(&place->fd);
}

/* ---- reaching ------------------------------------------------------------------------------- */

static const char *from_fd(struct checkpoint *checkpoint, int fd, const char *rest)
{
	return arena_printf(checkpoint->arena, "/proc/self/fd/%d%s%s", fd, *rest ? "/" : "", rest);
}

static const char *reach_covered(struct checkpoint *checkpoint, struct mount *mount,
				 const char *below)
{
	struct place *place = find_place(mount, below);
	const char *slash = strrchr(below, '/'), *directory;

	if (place && place->fd >= 0 && !*place->rest)
		return from_fd(checkpoint, place->fd, "");
	directory =
		arena_printf(checkpoint->arena, "%.*s", slash ? (int)(slash - below) : 0, below);
	place = find_place(mount, directory);
	if (place && place->fd >= 0)
		return arena_printf(checkpoint->arena, "%s/%s",
				    from_fd(checkpoint, place->fd, place->rest),
				    slash ? slash + 1 : below);
	return NULL;
}

/* By the source of the superblock, which nothing is mounted on and that can be written to. */
static const char *reach_source(struct checkpoint *checkpoint, const struct mount *mount,
				const char *below)
{
	const char *inner = path_join(checkpoint->arena, mount->root, below);

	return from_fd(checkpoint, mount->superblock->fd, inner + strspn(inner, "/"));
}

const char *mount_reach(struct checkpoint *checkpoint, struct mount *mount, const char *name,
			bool to_change)
{
	const char *below = path_below(mount->path, name), *path = NULL;

	if (to_change && mount->superblock->fd >= 0)
		return reach_source(checkpoint, mount, below);
	if (is_covered(mount, below))
		path = reach_covered(checkpoint, mount, below);
	else if (mount->fd >= 0)
		path = from_fd(checkpoint, mount->fd, below);
	if (!path)
		FAIL(ENOENT, SUBJECT("%s", path_escaped(checkpoint->arena, name)), NULL,
		     "cannot be reached on its mount %s",
		     path_escaped(checkpoint->arena, mount->path));
	return path;
}
