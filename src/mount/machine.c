/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filesystems of the machine: stasis' own namespace has them mounted, too, so they are there when
 * the application is gone, and mounts of them are clones of stasis' own.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "mount/external.h"
#include "mount/filesystem.h"
#include "mount/reach.h"

/* A mount of stasis' own. */
struct candidate {
	struct mount *mount;
	struct peer_group *group; /* the graph's, which it is a member of; or NULL */
	bool tried, provides;
};

/* What is known by (root, group); the same candidate is in two. */
struct entry {
	const char *root;
	const struct peer_group *group; /* NULL: of any, or of none */
	struct candidate *candidate;
	struct entry *next; /* of the same hash */
};

struct search {
	struct checkpoint *checkpoint;
	struct superblock *superblock;
	struct peer_group *only; /* restore: the only group outside that its mounts know; or NULL */
	struct hash entries;
	bool open; /* restore */
};

/* ---- which filesystem is it? -------------------------------------------------------------- */

/* f_fsid of a filesystem of stasis' own; 0: it has none, or cannot be asked. */
static uint64_t fsid_of_own(struct superblock *own)
{
	for (const struct mount *mount = own->mounts; mount && !own->fsid;
	     mount = mount->next_of_superblock) {
		autofd int fd = open(mount->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		struct statfs statfs;

		if (fd < 0 || mount_id_of_fd(fd) != mount->id || fstatfs(fd, &statfs) < 0)
			continue;
		memcpy(&own->fsid, &statfs.f_fsid, sizeof(own->fsid));
		break;
	}
	return own->fsid;
}

static struct superblock *own_by_device(struct checkpoint *checkpoint,
					const struct superblock *superblock)
{
	struct superblock *own = hash_get(&mounts_own(checkpoint)->by_device, superblock->device);

	while (own && strcmp(own->type, superblock->type))
		own = own->next_of_device;
	return own;
}

/* Of which every machine has its own: one of this type with these options is as good. */
static bool is_everywhere(const struct superblock *superblock)
{
	const struct filesystem *filesystem = superblock->filesystem;

	return filesystem && (filesystem->singleton || filesystem->namespace == NAMESPACE_PID);
}

static bool is_same(struct superblock *own, const struct superblock *superblock)
{
	if (strcmp(own->type, superblock->type))
		return false;
	if (is_everywhere(superblock))
		return filesystem_same_options(own->type, own->options, superblock->options);
	return superblock->fsid && fsid_of_own(own) == superblock->fsid;
}

/*
 * After a reboot a device has another number, and on another machine a number is another device's:
 * where there is an f_fsid (a tmpfs has a random one), that decides.
 */
static struct superblock *own_again(struct checkpoint *checkpoint,
				    const struct superblock *superblock)
{
	struct superblock *own = own_by_device(checkpoint, superblock);

	if (own && (!superblock->fsid || fsid_of_own(own) == superblock->fsid))
		return own;
	array_each (&mounts_own(checkpoint)->superblocks, item)
		if (is_same(*item, superblock))
			return *item;
	return NULL;
}

bool superblock_is_outside(const struct superblock *superblock)
{
	const struct filesystem *filesystem = superblock->filesystem;

	return !superblock->anew && strcmp(superblock->type, "nsfs") &&
	       (superblock->machine || (filesystem && filesystem->outside));
}

/* ---- which of its mounts ------------------------------------------------------------------ */

static uint64_t hash_of(const struct peer_group *group, const char *root, size_t length)
{
	return hash_mix(hash_bytes(root, length), (uintptr_t)group);
}

static void add_entry(struct search *search, const struct peer_group *group,
		      struct candidate *candidate)
{
	const char *root = candidate->mount->root;
	struct entry *entry = arena_new_object(search->checkpoint->arena, struct entry);

	*entry = (struct entry){root, group, candidate, NULL};
	entry->next = hash_put(&search->entries, hash_of(group, root, strlen(root)), entry);
}

/*
 * At a dump a group is known by its number.  At a restore numbers may be others; if all mounts that
 * have a group outside have the same, it is that.
 */
static struct peer_group *group_of_own(const struct search *search, const struct mount *own)
{
	struct peer_group *group =
		own->group ? hash_get(&search->checkpoint->mounts.graph->by_group, own->group->id)
			   : NULL;

	if (group && (group->outside || !group->members))
		return group;
	return own->group ? search->only : NULL;
}

static struct peer_group *only_group(const struct superblock *superblock)
{
	struct peer_group *only = NULL;

	for (const struct mount *mount = superblock->mounts; mount;
	     mount = mount->next_of_superblock) {
		struct peer_group *group = mount_outside_group(mount);

		if (group && only && group != only)
			return NULL;
		only = group ? group : only;
	}
	return only;
}

/*
 * A clone of a mount of stasis' own; a negative errno: it is covered.  What is covered is wanted
 * then, and found in a copy of the namespace (reach.c), where it is in no group.
 */
static int open_own(struct mount *own, int *home)
{
	autofd int fd =
		own->fd >= 0 ? -1 : open(own->path, O_PATH | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int clone;

	if (own->fd >= 0) {
		*home = own->tree->copy;
		return fd_steal(&own->fd);
	}
	if (fd < 0 || mount_id_of_fd(fd) != own->id) {
		own->has_files = true;
		return -ENOENT;
	}
	clone = open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	return clone < 0 ? -errno : clone;
}

static bool provide(struct search *search, struct candidate *candidate)
{
	struct mount *own = candidate->mount;
	struct provider provider = {
		.root = own->root, .group = candidate->group, .home = -1, .fd = -1};

	if (candidate->tried)
		return candidate->provides;
	candidate->tried = true;
	if (search->open) {
		provider.fd = open_own(own, &provider.home);
		if (provider.fd < 0)
			return false;
		if (provider.home >= 0)
			provider.group = NULL;
	}
	provider.name = arena_printf(search->checkpoint->arena, "the machine's %s", own->path);
	*array_push(&search->superblock->providers) = provider;
	return candidate->provides = true;
}

/* The widest that contains the root: few serve many. */
static bool find(struct search *search, const char *root, const struct peer_group *group)
{
	for (size_t length = 1;; length += strcspn(root + length, "/")) {
		struct entry *entry = hash_get(&search->entries, hash_of(group, root, length));

		for (; entry; entry = entry->next)
			if (entry->group == group && !strncmp(entry->root, root, length) &&
			    !entry->root[length] && provide(search, entry->candidate))
				return true;
		if (!root[length])
			return false;
		length += root[length] == '/';
	}
}

/* All that its mounts need; false: something was not found. */
static bool provide_all(struct checkpoint *checkpoint, struct superblock *superblock,
			struct superblock *own, bool open)
{
	struct search search = {.checkpoint = checkpoint,
				.superblock = superblock,
				.only = open ? only_group(superblock) : NULL,
				.open = open};
	bool complete = true;

	for (struct mount *mount = own->mounts; mount; mount = mount->next_of_superblock) {
		struct candidate *candidate;

		if (mount->root_deleted)
			continue;
		candidate = arena_new_object(checkpoint->arena, struct candidate);
		*candidate = (struct candidate){mount, group_of_own(&search, mount), false, false};
		add_entry(&search, NULL, candidate);
		if (candidate->group)
			add_entry(&search, candidate->group, candidate);
	}
	for (const struct mount *mount = superblock->mounts; mount;
	     mount = mount->next_of_superblock) {
		struct peer_group *group = mount_outside_group(mount);

		if (!mount->external && !find(&search, mount->root, group))
			complete = false;
	}
	hash_free(&search.entries);
	return complete;
}

/* ---- both directions ---------------------------------------------------------------------- */

void machine_describe(struct checkpoint *checkpoint)
{
	array_each (&checkpoint->mounts.graph->superblocks, item) {
		struct superblock *superblock = *item;
		struct superblock *own = own_by_device(checkpoint, superblock);

		if (!own || superblock->anew || !strcmp(superblock->type, "nsfs"))
			continue;
		superblock->machine = true;
		superblock->fsid = fsid_of_own(own);
		provide_all(checkpoint, superblock, own, false);
	}
}

/* Those that were not found are looked for where they are covered, all in one copy. */
static void uncover(struct checkpoint *checkpoint)
{
	array_each (&mounts_own(checkpoint)->trees, tree)
		mounts_reach(*tree, -1);
}

static void forget(struct checkpoint *checkpoint)
{
	array_each (&mounts_own(checkpoint)->trees, tree)
		array_each (&(*tree)->mounts, mount) {
			(*mount)->has_files = false;
			fd_close(&(*mount)->fd);
		}
}

void machine_read(struct checkpoint *checkpoint)
{
	ARRAY(struct superblock *) incomplete = {0};

	array_each (&checkpoint->mounts.graph->superblocks, item) {
		struct superblock *own =
			superblock_is_outside(*item) ? own_again(checkpoint, *item) : NULL;

		if (own && !provide_all(checkpoint, *item, own, true))
			*array_push(&incomplete) = *item;
	}
	if (incomplete.count) {
		uncover(checkpoint);
		array_each (&incomplete, item)
			provide_all(checkpoint, *item, own_again(checkpoint, *item), true);
		forget(checkpoint);
	}
	array_free(&incomplete);
	array_each (&checkpoint->mounts.graph->superblocks, item)
		if (!(*item)->providers.count && is_everywhere(*item))
			(*item)->machine = false;
}
