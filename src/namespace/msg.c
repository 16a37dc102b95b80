/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System V message queues: ipcns-msg-ID.img, each queue followed by its messages. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "image/image.h"
#include "namespace/ipc_internal.h"

static const char what[] = "message queue";

#ifndef MSG_COPY
#define MSG_COPY 040000 /* the message of this index, which stays; Linux 3.8 */
#endif

/* As msgsnd(2) wants it. */
struct message {
	IpcMsg *entry;
	struct content {
		long type;
		char bytes[];
	} * content;
};

struct queue {
	IpcMsgEntry *entry;
	uint64_t bytes; /* of all messages */
	ARRAY(struct message) messages;
};

/* In the image bytes take up whole numbers of 64 bits. */
static size_t padded(size_t size)
{
	return (size + 7) & ~7ul;
}

static struct message *add_message(struct checkpoint *checkpoint, struct queue *queue,
				   IpcMsg *entry)
{
	struct message *message = array_push(&queue->messages);

	message->entry = entry;
	message->content =
		arena_alloc(checkpoint->arena, sizeof(struct content) + padded(entry->msize));
	message->content->type = entry->mtype;
	queue->bytes += entry->msize;
	return message;
}

/* ---- dump ---------------------------------------------------------------------------------- */

static int describe_one(struct checkpoint *checkpoint, struct namespace *namespace, int id,
			const struct msqid_ds *found)
{
	struct queue *queue = arena_new_object(checkpoint->arena, struct queue);

	queue->entry = ARENA_MESSAGE(checkpoint->arena, ipc_msg_entry, IpcMsgEntry);
	queue->entry->desc = ipc_describe(checkpoint, id, &found->msg_perm);
	queue->entry->qbytes = found->msg_qbytes;
	queue->entry->qnum = found->msg_qnum;
	queue->bytes = found->__msg_cbytes;
	*array_push(&ipc_state(namespace)->queues) = queue;
	if (found->msg_qbytes > UINT32_MAX || found->msg_qnum > UINT32_MAX)
		return REFUSE(ipc_subject(namespace, what, queue->entry->desc),
			      "lower its limit (msg_qbytes)", "it is larger than 4 GiB");
	return 0;
}

static int describe(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct msginfo info;
	int last = msgctl(0, MSG_INFO, (void *)&info), result = 0;

	for (int i = 0; i <= last; i++) {
		struct msqid_ds found;
		int id = msgctl(i, MSG_STAT, &found);
		int error = id < 0 ? 0 : describe_one(checkpoint, namespace, id, &found);

		if (error)
			result = error;
	}
	return result;
}

/* A copy: the message stays where it is. */
static ssize_t copy(int id, struct content *content, size_t room, uint32_t index)
{
	ssize_t size = msgrcv(id, content, room, index, MSG_COPY | IPC_NOWAIT);

	return size < 0 ? -errno : size;
}

/* The same of one that is larger than messages may be by now. */
static ssize_t copy_large(int id, struct content *content, size_t room, uint32_t index)
{
	static const char limit[] = "kernel/msgmax";
	char value[SYSCTL_MOST];
	struct uninterrupted state;
	autofd int sys = sysctl_open();
	ssize_t size = sys < 0 ? sys : sysctl_read(sys, limit, value);

	if (size < 0)
		return size;
	uninterrupted_begin(&state);
	size = sysctl_write(sys, limit, "2147483647");
	if (!size)
		size = copy(id, content, room, index);
	sysctl_write(sys, limit, value);
	uninterrupted_end(&state);
	return size;
}

static int store_one(struct checkpoint *checkpoint, struct namespace *namespace,
		     struct queue *queue)
{
	size_t room = queue->bytes;
	int id = queue->entry->desc->id;
	autofree struct content *content = malloc(sizeof(*content) + room);

	if (!content)
		die_of_memory();
	queue->bytes = 0;
	for (uint32_t i = 0; i < queue->entry->qnum; i++) {
		IpcMsg *entry = ARENA_MESSAGE(checkpoint->arena, ipc_msg, IpcMsg);
		ssize_t size = copy(id, content, room, i);

		if (size == -EINVAL)
			size = copy_large(id, content, room, i);
		if (size < 0)
			return FAIL(-size, ipc_subject(namespace, what, queue->entry->desc),
				    "does the kernel have CONFIG_CHECKPOINT_RESTORE?",
				    "its message %u cannot be read: %s", i, strerror(-size));
		entry->mtype = content->type;
		entry->msize = size;
		memcpy(add_message(checkpoint, queue, entry)->content->bytes, content->bytes, size);
	}
	return 0;
}

static int store(struct checkpoint *checkpoint, struct namespace *namespace)
{
	int error = 0;

	array_each (&ipc_state(namespace)->queues, queue)
		if (!error)
			error = store_one(checkpoint, namespace, *queue);
	return error;
}

static int write_image(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct image_writer *writer;

	if (!ipc_state(namespace)->queues.count)
		return image_remove(checkpoint->images, IMAGE_IPCNS_MSG, namespace->id);
	writer = image_create(checkpoint->images, IMAGE_IPCNS_MSG, namespace->id);
	array_each (&ipc_state(namespace)->queues, queue) {
		image_put(writer, (*queue)->entry);
		array_each (&(*queue)->messages, message) {
			image_put(writer, message->entry);
			image_put_raw(writer, message->content->bytes,
				      padded(message->entry->msize));
		}
		array_free(&(*queue)->messages);
	}
	return image_finish(writer);
}

/* ---- restore ------------------------------------------------------------------------------- */

static int read_one(struct checkpoint *checkpoint, struct namespace *namespace,
		    struct image_reader *reader, IpcMsgEntry *entry)
{
	struct queue *queue = arena_new_object(checkpoint->arena, struct queue);
	int error = ipc_check(namespace, what, entry->desc, 0);

	queue->entry = entry;
	*array_push(&ipc_state(namespace)->queues) = queue;
	for (uint32_t i = 0; i < entry->qnum && !error; i++) {
		struct message *message;
		IpcMsg *found;

		error = image_get_type(reader, &ipc_msg__descriptor, &found);
		if (error == 1)
			error = 0;
		else if (!error)
			error = -EBADMSG;
		if (error || found->msize > image_left(reader) ||
		    found->mtype - 1 >= (uint64_t)LONG_MAX)
			return FAIL(EBADMSG, ipc_subject(namespace, what, entry->desc),
				    "the checkpoint is damaged: dump again",
				    "its message %u of %u is missing or impossible", i,
				    entry->qnum);
		message = add_message(checkpoint, queue, found);
		error = image_get_raw(reader, message->content->bytes, padded(found->msize));
	}
	return error;
}

static int read_image(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct image_reader *reader = NULL;
	IpcMsgEntry *entry;
	int got = image_open(checkpoint->images, IMAGE_IPCNS_MSG, namespace->id, checkpoint->arena,
			     &reader);

	if (got == -ENOENT)
		return 0;
	while (!got && (got = image_get(reader, &entry)) == 1)
		got = read_one(checkpoint, namespace, reader, entry);
	image_close(reader);
	return got;
}

static int get(const void *object, int flags)
{
	return msgget((key_t)((const IpcMsgEntry *)object)->desc->key, flags);
}

static int set(const struct queue *queue, uint64_t room)
{
	struct msqid_ds settings = {.msg_qbytes = room};

	ipc_owner(queue->entry->desc, &settings.msg_perm);
	return msgctl(queue->entry->desc->id, IPC_SET, &settings) < 0 ? -errno : 0;
}

/* It may hold more than its limit, which was lowered then. */
static int fill(const struct queue *queue)
{
	uint64_t least =
		queue->bytes > queue->messages.count ? queue->bytes : queue->messages.count;
	int error = set(queue, least > queue->entry->qbytes ? least : queue->entry->qbytes);

	array_each (&queue->messages, message)
		if (!error && msgsnd(queue->entry->desc->id, message->content,
				     message->entry->msize, IPC_NOWAIT) < 0)
			error = -errno;
	return error ? error : set(queue, queue->entry->qbytes);
}

static int make(struct checkpoint *checkpoint, struct namespace *namespace)
{
	array_each (&ipc_state(namespace)->queues, item) {
		struct queue *queue = *item;
		const IpcDescEntry *desc = queue->entry->desc;
		int error =
			ipc_make(namespace, what, "kernel/msg_next_id", desc, get, queue->entry);

		if (error)
			return error;
		error = fill(queue);
		array_free(&queue->messages);
		if (error)
			return FAIL(-error, ipc_subject(namespace, what, desc), NULL,
				    "cannot be given its messages and its limit: %s",
				    strerror(-error));
	}
	return 0;
}

const struct namespace_content msg_part = {
	.describe = describe,
	.store = store,
	.write = write_image,
	.read = read_image,
	.make = make,
};
