/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors of POSIX message queues, as mq_open(3) gives them.  The queues themselves belong to
 * their ipc namespace (namespace/mqueue.c).
 */
#include <errno.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "file/internal.h"
#include "namespace/ipc.h"
#include "namespace/namespace.h"

enum { MQUEUE_MAGIC = 0x19800202 }; /* include/uapi has no name */

/* What is opened on a mount of the filesystem has more in its path than a name. */
static bool recognize(const struct description *description)
{
	struct statfs statfs;

	return S_ISREG(description->stat.st_mode) && *description->link == '/' &&
	       !strchr(description->link + 1, '/') && !(description->flags & O_PATH) &&
	       fstatfs(description->fd, &statfs) == 0 && statfs.f_type == MQUEUE_MAGIC;
}

static int describe(struct checkpoint *checkpoint, struct description *description)
{
	MqueueFileEntry *entry =
		ARENA_MESSAGE(checkpoint->arena, mqueue_file_entry, MqueueFileEntry);
	struct namespace *namespace = mqueue_namespace(checkpoint, description->stat.st_dev);

	if (!namespace)
		return REFUSE(description_subject(description),
			      "run the program in an ipc namespace of its own (unshare --ipc)",
			      "it is a POSIX message queue outside of the tree's ipc namespaces");
	if (!description->stat.st_nlink)
		return REFUSE(description_subject(description), "close it before the dump",
			      "it is a POSIX message queue that was removed (mq_unlink)");
	description->entry->mqueue = entry;
	entry->id = description->id;
	entry->ns_id = namespace->id;
	entry->name.len = strlen(description->link + 1);
	entry->name.data = (uint8_t *)description->link + 1;
	entry->flags = description->flags;
	entry->pos = description->position;
	entry->fown = description->owner;
	return 0;
}

/* In the arena. */
static char *name_of(struct checkpoint *checkpoint, const MqueueFileEntry *entry)
{
	return arena_printf(checkpoint->arena, "%.*s", (int)entry->name.len,
			    (const char *)entry->name.data);
}

static int take(struct checkpoint *checkpoint, struct description *description)
{
	const MqueueFileEntry *entry = description->entry->mqueue;
	struct namespace *namespace = namespace_by_id(checkpoint, NAMESPACE_IPC, entry->ns_id);

	if (entry->id != description->id || !namespace || !namespace->state ||
	    !mqueue_has(namespace, name_of(checkpoint, entry)))
		return file_damaged(description, "the checkpoint does not have its message queue");
	description->flags = entry->flags;
	description->owner = entry->fown;
	return 0;
}

static int make(struct checkpoint *checkpoint, struct description *description)
{
	const MqueueFileEntry *entry = description->entry->mqueue;
	struct namespace *namespace = namespace_by_id(checkpoint, NAMESPACE_IPC, entry->ns_id);
	int fd = mqueue_open(namespace, name_of(checkpoint, entry),
			     entry->flags & (O_ACCMODE | O_NONBLOCK | O_CLOEXEC));

	description->fd = fd;
	if (fd >= 0 && lseek(fd, entry->pos, SEEK_SET) < 0)
		fd = -errno;
	return fd < 0 ? FAIL(-fd, description_subject(description), NULL,
			     "the message queue cannot be opened: %s", strerror(-fd))
		      : 0;
}

const struct file_kind mqueue_kind = {
	.name = "POSIX message queue",
	.type = FD_TYPES__REG,
	.flags = O_CLOEXEC, /* mq_open() leaves it in the description */
	.recognize = recognize,
	.describe = describe,
	.read = take,
	.make = make,
};
