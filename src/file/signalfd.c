/* SPDX-License-Identifier: GPL-2.0-or-later */
/* signalfd(2): a mask; the signals are the tasks'. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "file/internal.h"

static bool recognize(const struct description *description)
{
	return !strcmp(description->link, "anon_inode:[signalfd]");
}

static int describe(struct checkpoint *checkpoint, struct description *description)
{
	SignalfdEntry *entry = ARENA_MESSAGE(checkpoint->arena, signalfd_entry, SignalfdEntry);
	autofree char *text = NULL;
	int error = file_read_info(description->fd, &text);
	const char *mask = error ? NULL : file_info(text, "sigmask:");

	if (!mask)
		return FAIL(error ? -error : ENODATA, description_subject(description), NULL,
			    "its mask cannot be read");
	description->entry->sgfd = entry;
	entry->id = description->id;
	entry->flags = description->flags;
	entry->fown = description->owner;
	entry->sigmask = strtoull(mask, NULL, 16);
	return 0;
}

static int take(struct checkpoint *checkpoint, struct description *description)
{
	const SignalfdEntry *entry = description->entry->sgfd;

	if (!entry)
		return file_damaged(description, "it has no mask");
	description->flags = entry->flags;
	description->owner = entry->fown;
	return 0;
}

static int make(struct checkpoint *checkpoint, struct description *description)
{
	const SignalfdEntry *entry = description->entry->sgfd;
	int flags = SFD_CLOEXEC | (entry->flags & O_NONBLOCK ? SFD_NONBLOCK : 0);

	/* Not the C library's function: the kernel's mask has 64 bits. */
	description->fd =
		syscall(SYS_signalfd4, -1, &entry->sigmask, sizeof(entry->sigmask), flags);
	return description->fd < 0 ? FAIL(errno, description_subject(description), NULL,
					  "cannot be made: %s", strerror(errno))
				   : 0;
}

const struct file_kind signalfd_kind = {
	.name = "signalfd",
	.type = FD_TYPES__SIGNALFD,
	.recognize = recognize,
	.describe = describe,
	.read = take,
	.make = make,
};
