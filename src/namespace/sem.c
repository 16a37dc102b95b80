/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System V semaphores: ipcns-sem-ID.img, each set followed by its values. */
#include <errno.h>
#include <string.h>
#include <sys/sem.h>

#include "checkpoint/checkpoint.h"
#include "image/image.h"
#include "namespace/ipc_internal.h"

static const char what[] = "semaphores";

enum { MOST_IN_A_SET = 65536 /* semaphores; the kernel's */ };

union argument {
	int value;
	struct semid_ds *settings;
	uint16_t *values;
	struct seminfo *info;
};

/* In the image values take up whole numbers of 64 bits. */
static size_t size_of_values(const IpcSemEntry *entry)
{
	return (entry->nsems * sizeof(uint16_t) + 7) & ~7ul;
}

/* ---- dump ---------------------------------------------------------------------------------- */

static int describe_one(struct checkpoint *checkpoint, struct namespace *namespace, int id,
			const struct semid_ds *found)
{
	struct semaphores *set = arena_new_object(checkpoint->arena, struct semaphores);
	union argument argument;

	set->entry = ARENA_MESSAGE(checkpoint->arena, ipc_sem_entry, IpcSemEntry);
	set->entry->desc = ipc_describe(checkpoint, id, &found->sem_perm);
	set->entry->nsems = found->sem_nsems;
	set->values = arena_alloc(checkpoint->arena, size_of_values(set->entry));
	argument.values = set->values;
	*array_push(&ipc_state(namespace)->semaphores) = set;
	if (semctl(id, 0, GETALL, argument) < 0)
		return FAIL(errno, ipc_subject(namespace, what, set->entry->desc), NULL,
			    "their values cannot be read: %s", strerror(errno));
	for (uint32_t i = 0; i < set->entry->nsems; i++)
		set->waiters |= semctl(id, i, GETNCNT) > 0 || semctl(id, i, GETZCNT) > 0;
	return 0;
}

static int describe(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct seminfo info;
	union argument argument = {.info = &info};
	int last = semctl(0, 0, SEM_INFO, argument), result = 0;

	for (int i = 0; i <= last; i++) {
		struct semid_ds found;
		int id, error;

		argument.settings = &found;
		id = semctl(i, 0, SEM_STAT, argument);
		error = id < 0 ? 0 : describe_one(checkpoint, namespace, id, &found);
		if (error)
			result = error;
	}
	return result;
}

static int write_image(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct image_writer *writer;

	if (!ipc_state(namespace)->semaphores.count)
		return image_remove(checkpoint->images, IMAGE_IPCNS_SEM, namespace->id);
	writer = image_create(checkpoint->images, IMAGE_IPCNS_SEM, namespace->id);
	array_each (&ipc_state(namespace)->semaphores, set) {
		image_put(writer, (*set)->entry);
		image_put_raw(writer, (*set)->values, size_of_values((*set)->entry));
	}
	return image_finish(writer);
}

/* ---- restore ------------------------------------------------------------------------------- */

static int read_one(struct checkpoint *checkpoint, struct namespace *namespace,
		    struct image_reader *reader, IpcSemEntry *entry)
{
	struct semaphores *set = arena_new_object(checkpoint->arena, struct semaphores);
	int error = ipc_check(namespace, what, entry->desc, 0);

	if (!error && (!entry->nsems || entry->nsems > MOST_IN_A_SET))
		error = FAIL(EBADMSG, ipc_subject(namespace, what, entry->desc),
			     "the checkpoint is damaged: dump again", "%u in a set are impossible",
			     entry->nsems);
	if (error)
		return error;
	set->entry = entry;
	set->values = arena_alloc(checkpoint->arena, size_of_values(entry));
	*array_push(&ipc_state(namespace)->semaphores) = set;
	error = image_get_raw(reader, set->values, size_of_values(entry));
	return error ? error : undo_read(checkpoint, namespace, set);
}

static int read_image(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct image_reader *reader = NULL;
	IpcSemEntry *entry;
	int got = image_open(checkpoint->images, IMAGE_IPCNS_SEM, namespace->id, checkpoint->arena,
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
	const IpcSemEntry *entry = object;

	return semget((key_t)entry->desc->key, entry->nsems, flags);
}

static int make_one(struct namespace *namespace, const struct semaphores *set)
{
	const IpcDescEntry *desc = set->entry->desc;
	struct semid_ds settings = {0};
	union argument argument = {.values = set->values};
	int error = ipc_make(namespace, what, "kernel/sem_next_id", desc, get, set->entry);

	if (error)
		return error;
	error = semctl(desc->id, 0, SETALL, argument) < 0 ? -errno : 0;
	ipc_owner(desc, &settings.sem_perm);
	argument.settings = &settings;
	if (!error && semctl(desc->id, 0, IPC_SET, argument) < 0)
		error = -errno;
	return error ? FAIL(-error, ipc_subject(namespace, what, desc),
			    error == -ERANGE ? "the checkpoint is damaged: dump again" : NULL,
			    "cannot be given their values and owner: %s", strerror(-error))
		     : 0;
}

static int make(struct checkpoint *checkpoint, struct namespace *namespace)
{
	int error = 0;

	array_each (&ipc_state(namespace)->semaphores, set)
		if (!error)
			error = make_one(namespace, *set);
	return error;
}

const struct namespace_content sem_part = {
	.describe = describe,
	.check = undo_survey,
	.write = write_image,
	.read = read_image,
	.make = make,
	.finish_tasks = undo_restore,
};
