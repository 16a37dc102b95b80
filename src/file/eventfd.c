/* SPDX-License-Identifier: GPL-2.0-or-later */
/* eventfd(2): a counter. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "file/internal.h"

static bool recognize(const struct description *description)
{
	return !strcmp(description->link, "anon_inode:[eventfd]");
}

/*
 * Kernels before 6.5 do not show whether it is a semaphore, but a read tells: it takes 1, or all.
 * The application is frozen and gets back what was taken; a dump that is killed right in between
 * leaves it a wrong counter, on these kernels.
 */
int eventfd_ask_semaphore(int fd, uint64_t count, bool *semaphore)
{
	uint64_t value = 2, rest;

	/* Two at least, so that no read waits and 1 is not all. */
	if (count < 2 && write(fd, &value, sizeof(value)) < 0)
		return -errno;
	if (read(fd, &value, sizeof(value)) < 0)
		return -errno;
	*semaphore = value == 1;
	if (!*semaphore)
		value = count;
	else if (count < 2)
		return read(fd, &rest, sizeof(rest)) < 0 ? -errno : 0;
	return value && write(fd, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int describe(struct checkpoint *checkpoint, struct description *description)
{
	EventfdFileEntry *entry =
		ARENA_MESSAGE(checkpoint->arena, eventfd_file_entry, EventfdFileEntry);
	autofree char *text = NULL;
	int error = file_read_info(description->fd, &text);
	const char *count = error ? NULL : file_info(text, "eventfd-count:");
	const char *semaphore = error ? NULL : file_info(text, "eventfd-semaphore:");
	bool is_semaphore = semaphore && atoi(semaphore);

	if (!error && !count)
		error = -ENODATA;
	if (!error && !semaphore)
		error = eventfd_ask_semaphore(description->fd, strtoull(count, NULL, 16),
					      &is_semaphore);
	if (error)
		return FAIL(-error, description_subject(description), NULL,
			    "its counter cannot be read: %s", strerror(-error));
	description->entry->efd = entry;
	entry->id = description->id;
	entry->flags = description->flags;
	entry->fown = description->owner;
	entry->counter = strtoull(count, NULL, 16);
	entry->has_semaphore = is_semaphore;
	entry->semaphore = is_semaphore;
	return 0;
}

static int take(struct checkpoint *checkpoint, struct description *description)
{
	const EventfdFileEntry *entry = description->entry->efd;

	if (!entry || entry->counter == UINT64_MAX)
		return file_damaged(description, "it has no counter, or an impossible one");
	description->flags = entry->flags;
	description->owner = entry->fown;
	return 0;
}

static int make(struct checkpoint *checkpoint, struct description *description)
{
	const EventfdFileEntry *entry = description->entry->efd;
	int flags = EFD_CLOEXEC | (entry->semaphore ? EFD_SEMAPHORE : 0) |
		    (entry->flags & O_NONBLOCK ? EFD_NONBLOCK : 0);

	description->fd = eventfd(0, flags);
	if (description->fd < 0 ||
	    (entry->counter && write(description->fd, &entry->counter, sizeof(entry->counter)) < 0))
		return FAIL(errno, description_subject(description), NULL, "cannot be made: %s",
			    strerror(errno));
	return 0;
}

const struct file_kind eventfd_kind = {
	.name = "eventfd",
	.type = FD_TYPES__EVENTFD,
	.recognize = recognize,
	.describe = describe,
	.read = take,
	.make = make,
};
