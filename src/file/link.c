/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links (--link-remap): files that are open by a name that was removed, and have other names that
 * nobody knows.  The dump gives them a new one beside the old, which goes away after the restore.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "file/remap.h"
#include "mount/mount.h"
#include "namespace/namespace.h"

enum { MOST_TRIES = 100, NEXT_TRY = 1000 };

struct link {
	struct description *path;   /* a regular file's entry, for the name alone */
	struct file_handle *handle; /* the file itself, for when the name is gone; or NULL */
	bool made;                  /* dump: it has to be taken back if that fails */
	int fd;                     /* restore: opened by its handle */
};

struct link_state {
	ARRAY(struct link *) all;
	struct hash by_id; /* restore: by the path's id */
};

static struct link_state *link_state(struct checkpoint *checkpoint)
{
	struct file_state *files = checkpoint->files.state;

	if (!files->links_made)
		files->links_made = arena_new_object(checkpoint->arena, struct link_state);
	return files->links_made;
}

static const char *path_of(const struct link *link)
{
	return link->path->entry->reg->name;
}

/* ---- dump ----------------------------------------------------------------------------------- */

struct link *link_describe(struct checkpoint *checkpoint, struct description *description)
{
	struct file_inode *inode = description->inode;
	RegFileEntry *entry;

	if (!checkpoint->options->link_remap) {
		REFUSE(description_subject(description),
		       "dump with --link-remap, which gives it a name until the restore",
		       "its name was removed, and it has others that are not known");
		return NULL;
	}
	if (inode->link)
		return inode->link;
	inode->link = arena_new_object(checkpoint->arena, struct link);
	inode->link->fd = -1;
	inode->link->path = description_new(checkpoint, description, &regular_kind);
	entry = arena_copy(checkpoint->arena, description->entry->reg, sizeof(*entry));
	entry->id = inode->link->path->id;
	inode->link->path->entry->reg = entry;
	*(struct link **)array_push(&link_state(checkpoint)->all) = inode->link;
	return inode->link;
}

/* Filesystems that give no handles do without. */
static void describe_handle(struct checkpoint *checkpoint, struct link *link, int fd)
{
	struct file_handle *handle =
		arena_alloc(checkpoint->arena, sizeof(*handle) + MAX_HANDLE_SZ);
	int mount;

	handle->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(fd, "", handle, &mount, AT_EMPTY_PATH) == 0)
		link->handle = handle;
}

/* What is changed of the application's files: the file gets a further name, or, without a file,
 * loses it again. */
struct change {
	int fd;
	const char *name;
};

static int change_name(void *argument)
{
	const struct change *change = argument;

	if (change->fd < 0)
		return unlink(change->name) < 0 ? -errno : 0;
	return linkat(change->fd, "", AT_FDCWD, change->name, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* Names are the application's: they lead where they lead in its mount namespace. */
static int change_in_namespace(const struct link *link, struct change *change)
{
	const struct mount *mount = link->path->mount;

	return mount ? namespace_enter(&mount->tree->namespace->fd, 1, 0, change_name, change,
				       "to name a removed file")
		     : change_name(change);
}

static int store(struct checkpoint *checkpoint, struct link *link)
{
	const char *old = path_of(link);
	int directory = strrchr(old, '/') - old, error = -EEXIST;
	autofd int fd = file_fetch(link->path);
	unsigned int number = link->path->id;

	if (fd < 0)
		return FAIL(-fd, description_subject(link->path), NULL, "cannot be fetched: %s",
			    strerror(-fd));
	describe_handle(checkpoint, link, fd);
	/* Names of earlier dumps may be there. */
	for (int tries = 0; tries < MOST_TRIES && error == -EEXIST; tries++, number += NEXT_TRY) {
		struct change change = {.fd = fd,
					.name = arena_printf(checkpoint->arena,
							     "%.*s/link_remap.%u", directory, old,
							     number)};

		error = change_in_namespace(link, &change);
		if (error)
			continue;
		link->path->entry->reg->name = (char *)change.name;
		link->made = true;
	}
	return error ? FAIL(-error, description_subject(link->path), "close it before the dump",
			    "cannot be given a name beside its old one: %s", strerror(-error))
		     : 0;
}

int links_store(struct checkpoint *checkpoint)
{
	int error = 0;

	array_each (&link_state(checkpoint)->all, link)
		if (!error)
			error = store(checkpoint, *link);
	return error;
}

void link_write(const struct link *link, RemapFilePathEntry *entry)
{
	entry->remap_id = link->path->id;
	if (!link->handle)
		return;
	entry->has_handle_type = entry->has_handle = true;
	entry->handle_type = link->handle->handle_type;
	entry->handle.data = link->handle->f_handle;
	entry->handle.len = link->handle->handle_bytes;
}

/* ---- restore -------------------------------------------------------------------------------- */

static struct file_handle *read_handle(struct checkpoint *checkpoint,
				       const RemapFilePathEntry *entry)
{
	struct file_handle *handle;

	if (!entry->has_handle || !entry->has_handle_type || entry->handle.len > MAX_HANDLE_SZ)
		return NULL;
	handle = arena_alloc(checkpoint->arena, sizeof(*handle) + entry->handle.len);
	handle->handle_bytes = entry->handle.len;
	handle->handle_type = entry->handle_type;
	memcpy(handle->f_handle, entry->handle.data, entry->handle.len);
	return handle;
}

struct link *link_read(struct checkpoint *checkpoint, const RemapFilePathEntry *entry)
{
	struct link_state *state = link_state(checkpoint);
	struct description *path = hash_get(&checkpoint->files.by_id, entry->remap_id);
	struct link *link = hash_get(&state->by_id, entry->remap_id);

	if (link)
		return link;
	if (!path || path->kind != &regular_kind || !path->entry->reg) {
		FAIL(EBADMSG, SUBJECT("remap-fpath.img"),
		     "the checkpoint is damaged: take another copy of it",
		     "the other name of file %#x is missing", entry->orig_id);
		return NULL;
	}
	link = arena_new_object(checkpoint->arena, struct link);
	*link = (struct link){.path = path, .fd = -1, .handle = read_handle(checkpoint, entry)};
	hash_put(&state->by_id, entry->remap_id, link);
	*(struct link **)array_push(&state->all) = link;
	return link;
}

/*
 * A second restore from the same images: the link went away after the first, but the file may still
 * be there, by one of its other names.
 */
static int open_by_handle(struct checkpoint *checkpoint, const struct link *link)
{
	char *directory = arena_strdup(checkpoint->arena, path_of(link));
	const char *path;
	autofd int mount = -1;
	struct stat stat;
	int fd = -1;

	*strrchr(directory, '/') = 0;
	path = path_reach(checkpoint, link->path, *directory ? directory : "/", false);
	if (path)
		mount = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount >= 0)
		fd = open_by_handle_at(mount, link->handle, O_PATH | O_CLOEXEC);
	/* It may be open elsewhere and have no name left. */
	if (fd >= 0 && (fstat(fd, &stat) < 0 || !stat.st_nlink))
		fd_close(&fd);
	return fd;
}

const char *link_name(struct checkpoint *checkpoint, struct remap *remap, unsigned int *flags)
{
	struct link *link = remap->link;
	const struct description *file = remap->file;
	const char *old = file->entry->reg->name;
	const char *from = path_reach(checkpoint, link->path, path_of(link), true);
	const char *to = path_reach(checkpoint, file, old, true), *seen;

	if (!from || !to)
		return NULL;
	/* By its old name if that is free, for the name is seen in /proc. */
	if (linkat(AT_FDCWD, from, AT_FDCWD, to, 0) == 0) {
		remap->has_name = true;
		return path_reach(checkpoint, file, old, false);
	}
	seen = path_translate(checkpoint, link->path, path_of(link), file);
	if (faccessat(AT_FDCWD, from, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || !link->handle)
		return path_reach(checkpoint, file, seen ? seen : old, false);
	if (link->fd < 0)
		link->fd = open_by_handle(checkpoint, link);
	if (link->fd < 0) /* opening that fails, and says why */
		return path_reach(checkpoint, file, seen ? seen : old, false);
	*flags &= ~O_NOFOLLOW;
	return arena_printf(checkpoint->arena, "/proc/self/fd/%d", link->fd);
}

int link_unname(struct checkpoint *checkpoint, struct remap *remap)
{
	const char *old = remap->file->entry->reg->name, *path;

	if (!remap->has_name)
		return 0;
	remap->has_name = false;
	path = path_reach(checkpoint, remap->file, old, true);
	if (!path)
		return -EIO;
	return unlink(path) == 0
		       ? 0
		       : FAIL(errno, description_subject(remap->file), "remove it by hand",
			      "its old name %s cannot be taken away again: %s", old,
			      strerror(errno));
}

static void remove_name(const struct link *link)
{
	struct change change = {.fd = -1, .name = path_of(link)};
	int error = change_in_namespace(link, &change);

	if (error && error != -ENOENT)
		log_warn("%s cannot be removed: %s", path_of(link), strerror(-error));
}

/* A dump that failed takes its links back; a restore that worked needs them no more. */
void links_close(struct checkpoint *checkpoint, bool failed)
{
	struct link_state *state = checkpoint->files.state->links_made;
	bool dump = checkpoint->files.inodes.count;

	if (!state)
		return;
	array_each (&state->all, each) {
		struct link *link = *each;
		const char *base = strrchr(path_of(link), '/');

		fd_close(&link->fd);
		if (dump != failed || (dump && !link->made) ||
		    strncmp(base, "/link_remap.", strlen("/link_remap.")))
			continue;
		remove_name(link);
	}
	array_free(&state->all);
	hash_free(&state->by_id);
}
