/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inotify(7): watches of files.  The kernel tells a watched file by its handle; the file is then
 * one of files.img like any other, found again on its mount or as a ghost.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "file/internal.h"
#include "mount/mount.h"

/* ---- dump ----------------------------------------------------------------------------------- */

static bool recognize(const struct description *description)
{
	return !strcmp(description->link, "anon_inode:inotify");
}

/* A line of fdinfo, Documentation/filesystems/proc.rst. */
struct watch {
	unsigned int wd, mask, device, type, bytes;
	unsigned long inode;
	char handle[2 * MAX_HANDLE_SZ + 1];
};

static bool parse(const char *line, struct watch *watch)
{
	return sscanf(line,
		      "inotify wd:%x ino:%lx sdev:%x mask:%x ignored_mask:%*x fhandle-bytes:%x "
		      "fhandle-type:%x f_handle:%256[0-9a-f]",
		      &watch->wd, &watch->inode, &watch->device, &watch->mask, &watch->bytes,
		      &watch->type, watch->handle) == 7 &&
	       watch->bytes <= MAX_HANDLE_SZ && strlen(watch->handle) == 2 * watch->bytes;
}

static struct file_handle *handle_of(struct checkpoint *checkpoint, const struct watch *watch)
{
	struct file_handle *handle = arena_alloc(checkpoint->arena, sizeof(*handle) + watch->bytes);

	handle->handle_bytes = watch->bytes;
	handle->handle_type = watch->type;
	for (size_t i = 0; i < watch->bytes; i++) {
		unsigned int byte = 0;

		sscanf(watch->handle + 2 * i, "%2x", &byte);
		handle->f_handle[i] = byte;
	}
	return handle;
}

/* The kernel's own form of a device number in fdinfo: 12 bits above 20. */
static dev_t device_of(unsigned int number)
{
	return makedev(number >> 20, number & 0xfffff);
}

static FhEntry *describe_handle(struct checkpoint *checkpoint, const struct file_handle *handle)
{
	FhEntry *entry = ARENA_MESSAGE(checkpoint->arena, fh_entry, FhEntry);
	enum { MOST = FH_ENTRY_SIZES__min_entries };

	entry->bytes = handle->handle_bytes;
	entry->type = handle->handle_type;
	entry->n_handle = MOST;
	entry->handle = arena_new_array(checkpoint->arena, uint64_t, MOST);
	memcpy(entry->handle, handle->f_handle, handle->handle_bytes);
	return entry;
}

static int describe_watch(struct checkpoint *checkpoint, struct description *description,
			  const struct watch *watch, InotifyWdEntry *entry)
{
	struct file_handle *handle = handle_of(checkpoint, watch);
	struct subject subject =
		SUBJECT("%s, watch %u", description_subject(description).text, watch->wd);
	int fd = mount_open_handle(checkpoint, device_of(watch->device), handle);
	struct stat stat;

	if (fd < 0)
		return REFUSE(subject, "remove the watch before the dump",
			      "the file it watches (inode %lu of device %u:%u) cannot be found by "
			      "its handle: %s",
			      watch->inode, watch->device >> 20, watch->device & 0xfffff,
			      strerror(-fd));
	if (fstat(fd, &stat) < 0 || stat.st_ino != watch->inode) {
		close(fd);
		return REFUSE(subject, "remove the watch before the dump",
			      "its handle leads to another file than it watches");
	}
	entry->id = description->id;
	entry->i_ino = watch->inode;
	entry->mask = watch->mask;
	entry->s_dev = watch->device;
	entry->wd = watch->wd;
	entry->f_handle = describe_handle(checkpoint, handle);
	entry->has_file_id = true;
	return files_describe_path(checkpoint, fd, O_PATH | O_NOFOLLOW, subject, &entry->file_id);
}

static int by_wd(const void *a, const void *b)
{
	const InotifyWdEntry *one = *(InotifyWdEntry *const *)a,
			     *other = *(InotifyWdEntry *const *)b;

	return one->wd < other->wd ? -1 : one->wd > other->wd;
}

static int describe_watches(struct checkpoint *checkpoint, struct description *description,
			    const char *text)
{
	InotifyFileEntry *entry = description->entry->ify;
	static const char key[] = "inotify ";
	size_t count = 0;
	int result = 0;

	for (const char *line = text; (line = strstr(line, key)); line++)
		count++;
	entry->wd = arena_new_array(checkpoint->arena, InotifyWdEntry *, count);
	for (const char *line = text; (line = strstr(line, key)); line++) {
		InotifyWdEntry *wd =
			ARENA_MESSAGE(checkpoint->arena, inotify_wd_entry, InotifyWdEntry);
		struct watch watch;
		int error;

		if (parse(line, &watch))
			error = describe_watch(checkpoint, description, &watch, wd);
		else
			error = REFUSE(description_subject(description),
				       "remove the watch before the dump",
				       "a file that it watches is on a filesystem that gives no "
				       "handles: %.*s",
				       (int)strcspn(line, "\n"), line);
		if (error)
			result = error;
		entry->wd[entry->n_wd++] = wd;
	}
	qsort(entry->wd, entry->n_wd, sizeof(*entry->wd), by_wd);
	return result;
}

static int describe(struct checkpoint *checkpoint, struct description *description)
{
	autofree char *text = NULL;
	int error = file_read_info(description->fd, &text), bytes = 0;

	description->entry->ify =
		ARENA_MESSAGE(checkpoint->arena, inotify_file_entry, InotifyFileEntry);
	description->entry->ify->id = description->id;
	description->entry->ify->flags = description->flags;
	description->entry->ify->fown = description->owner;
	if (error || ioctl(description->fd, FIONREAD, &bytes) < 0)
		return FAIL(error ? -error : errno, description_subject(description), NULL,
			    "its watches cannot be read");
	/* Who reads them takes them away, and there is no way to put them back. */
	if (bytes)
		return REFUSE(description_subject(description),
			      "dump when the program has read its events",
			      "%d bytes of events wait in it", bytes);
	return describe_watches(checkpoint, description, text);
}

/* ---- restore -------------------------------------------------------------------------------- */

enum { MOST_NUMBERS = 1 << 22 /* of watches, a second's worth of counting up */ };

static int take(struct checkpoint *checkpoint, struct description *description)
{
	const InotifyFileEntry *entry = description->entry->ify;

	if (!entry || entry->id != description->id)
		return file_damaged(description, "it has no watches' part, or another file's");
	for (size_t i = 0; i < entry->n_wd; i++) {
		const InotifyWdEntry *wd = entry->wd[i];

		if (!wd->wd || wd->wd > MOST_NUMBERS || (i && wd->wd <= entry->wd[i - 1]->wd))
			return file_damaged(description,
					    "its watches have numbers that make no sense");
		if (!wd->has_file_id)
			return REFUSE(description_subject(description),
				      "restore it with the program that wrote it",
				      "its watches are of files that files.img does not name");
	}
	description->flags = entry->flags;
	description->owner = entry->fown;
	return 0;
}

/* Watches come when nothing is opened any more: they would see it. */
static int make(struct checkpoint *checkpoint, struct description *description)
{
	description->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	return description->fd < 0
		       ? FAIL(errno, description_subject(description),
			      errno == EMFILE ? "raise fs.inotify.max_user_instances" : NULL,
			      "cannot be made: %s", strerror(errno))
		       : 0;
}

/* Numbers go up by one from watch to watch: one that comes too early is taken back. */
static int add_watch(int instance, const InotifyWdEntry *entry, int file)
{
	char path[40];
	int wd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	do {
		wd = inotify_add_watch(instance, path, entry->mask);
		if (wd < 0 || wd > (int)entry->wd)
			return wd < 0 ? -errno : -EEXIST;
	} while (wd < (int)entry->wd && inotify_rm_watch(instance, wd) == 0);
	return wd == (int)entry->wd ? 0 : -errno;
}

/* What was taken back has left events. */
static void drain(int fd)
{
	char events[4096];

	while (read(fd, events, sizeof(events)) > 0)
		;
}

static int finish(struct checkpoint *checkpoint, struct description *description)
{
	const InotifyFileEntry *entry = description->entry->ify;
	autofd int instance = file_fetch(description);
	int error = instance < 0 ? instance : 0;

	for (size_t i = 0; i < entry->n_wd && !error; i++) {
		int file = -1;

		error = files_open(checkpoint, entry->wd[i]->file_id, &file);
		if (error)
			return error;
		error = add_watch(instance, entry->wd[i], file);
		drain(instance);
	}
	if (!error && fcntl(instance, F_SETFL, description->flags & SETTABLE_FLAGS) < 0)
		error = -errno;
	return error ? FAIL(-error, description_subject(description),
			    error == -ENOSPC ? "raise fs.inotify.max_user_watches" : NULL,
			    "its watches cannot be added: %s", strerror(-error))
		     : 0;
}

const struct file_kind inotify_kind = {
	.name = "inotify",
	.type = FD_TYPES__INOTIFY,
	.recognize = recognize,
	.describe = describe,
	.read = take,
	.make = make,
	.finish = finish,
};
