/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of kinds, and the table of descriptions that both directions share. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "file/internal.h"

/* In the order in which they are asked: the general ones last. */
static const struct file_kind *const kinds[] = {
	&pipe_kind,    &fifo_kind,   &eventfd_kind, &timerfd_kind, &signalfd_kind,
	&epoll_kind,   &memfd_kind,  &mqueue_kind,  &tty_kind,     &nsfile_kind,
	&inotify_kind, &device_kind, &regular_kind,
};

#define kinds_each(kind)                                                                           \
	for (const struct file_kind *const *kind = kinds;                                          \
	     kind < kinds + sizeof(kinds) / sizeof(*kinds); kind++)

/* What has images besides files.img. */
static const struct file_images {
	int (*check)(struct checkpoint *checkpoint); /* after the kinds' own check() */
	int (*store)(struct checkpoint *checkpoint); /* after the kinds' own store() */
	int (*write)(struct checkpoint *checkpoint);
	int (*read)(struct checkpoint *checkpoint);
	void (*close)(struct checkpoint *checkpoint, bool failed);
} images[] = {
	{NULL, remap_store, remap_write, remap_read, remap_close},
	{NULL, pipe_images_store, NULL, pipe_images_read, pipe_images_close},
	{NULL, NULL, NULL, fifos_read, NULL},
	{NULL, NULL, memfds_write, memfds_read, memfds_close},
	{ttys_check, ttys_store, ttys_write, ttys_read, ttys_close},
};

#define images_each(image)                                                                         \
	for (const struct file_images *image = images;                                             \
	     image < images + sizeof(images) / sizeof(*images); image++)

const struct file_kind *file_recognize(const struct description *description)
{
	kinds_each (kind)
		if ((*kind)->recognize && (*kind)->recognize(description))
			return *kind;
	return NULL;
}

/* Several kinds may be stored as one type (devices are regular files): the first that reads it. */
static const struct file_kind *kind_of_entry(const FileEntry *entry)
{
	if (entry->mqueue)
		return &mqueue_kind;
	kinds_each (kind)
		if ((*kind)->read && (*kind)->type == entry->type && *kind != &mqueue_kind)
			return *kind;
	return NULL;
}

/* As many descriptors as we may have; fewer are no error until they are too few. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

struct file_state *file_state(struct checkpoint *checkpoint)
{
	struct file_state *state = checkpoint->files.state;

	if (state)
		return state;
	raise_limit();
	state = arena_new_object(checkpoint->arena, struct file_state);
	state->links = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (state->links < 0) {
		FAIL(errno, SUBJECT("/proc/self/fd"), "mount /proc", "cannot be opened: %s",
		     strerror(errno));
		return NULL;
	}
	if (syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, state->links, state->links) != 0) {
		FAIL(errno, SUBJECT("the kernel"), "use one that is built with CONFIG_KCMP",
		     "cannot compare open files: %s", strerror(errno));
		fd_close(&state->links);
		return NULL;
	}
	checkpoint->files.state = state;
	return state;
}

struct subject description_subject(const struct description *description)
{
	const char *path = description->link;
	const char *kind = description->kind ? description->kind->name : "a file";

	if (description->purpose)
		return SUBJECT("%s", description->purpose);
	if (!path && description->entry && description->entry->reg)
		path = description->entry->reg->name;
	if (description->task && description->number >= 0)
		return SUBJECT("%s, fd %d (%s)", task_subject(description->task).text,
			       description->number, path ? path : kind);
	return SUBJECT("file %#x of files.img (%s)", description->id, path ? path : kind);
}

int file_damaged(const struct description *description, const char *what)
{
	return FAIL(EBADMSG, description_subject(description),
		    "files.img is damaged: take another copy of the checkpoint", "%s", what);
}

struct description *file_add(struct checkpoint *checkpoint, struct description *description,
			     const struct file_kind *kind)
{
	struct file_table *table = &checkpoint->files;

	description->kind = kind;
	description->id = ++table->state->last_id;
	description->entry = ARENA_MESSAGE(checkpoint->arena, file_entry, FileEntry);
	description->entry->id = description->id;
	description->entry->type = kind->type;
	*(struct description **)array_push(&table->descriptions) = description;
	hash_put(&table->by_id, description->id, description);
	return description;
}

struct description *description_new(struct checkpoint *checkpoint, const struct description *same,
				    const struct file_kind *kind)
{
	struct description *description = arena_copy(checkpoint->arena, same, sizeof(*description));

	return file_add(checkpoint, description, kind);
}

/* ---- the dump's other steps ------------------------------------------------------------------ */

int files_check(struct checkpoint *checkpoint)
{
	struct file_state *state = file_state(checkpoint);
	int result = 0;

	if (!state)
		return -EIO;
	state->checked = true;
	/* Who else has a pipe, when a task could not be looked into, is not known. */
	tree_each_task (&checkpoint->tree, task)
		if (task->state != TASK_DEAD && !task->fs)
			return 0;
	array_each (&checkpoint->files.descriptions, each)
		if ((*each)->described && (*each)->kind->check) {
			int error = (*each)->kind->check(checkpoint, *each);

			result = result ? result : error;
		}
	images_each (image) {
		int error = image->check ? image->check(checkpoint) : 0;

		result = result ? result : error;
	}
	return result;
}

int files_store(struct checkpoint *checkpoint)
{
	struct file_state *state = file_state(checkpoint);
	int error = state ? 0 : -EIO;

	if (!error && !state->checked)
		error = files_check(checkpoint);
	/* By index: storing may add descriptions. */
	for (size_t i = 0; i < checkpoint->files.descriptions.count && !error; i++) {
		struct description *description = checkpoint->files.descriptions.items[i];

		if (description->kind->store)
			error = description->kind->store(checkpoint, description);
	}
	images_each (image)
		if (!error && image->store)
			error = image->store(checkpoint);
	return error;
}

int files_write(struct checkpoint *checkpoint)
{
	struct image_writer *writer = image_create(checkpoint->images, IMAGE_FILES, 0);
	int error;

	array_each (&checkpoint->files.descriptions, each)
		image_put(writer, (*each)->entry);
	error = image_finish(writer);
	images_each (image)
		if (!error && image->write)
			error = image->write(checkpoint);
	return error;
}

/* ---- the restore's other steps ----------------------------------------------------------------
 */

static int add_entry(struct checkpoint *checkpoint, FileEntry *entry)
{
	struct file_table *table = &checkpoint->files;
	const struct file_kind *kind = kind_of_entry(entry);
	const ProtobufCEnumValue *type =
		protobuf_c_enum_descriptor_get_value(&fd_types__descriptor, entry->type);
	struct description *description;

	if (!kind)
		return REFUSE(SUBJECT("file %#x of files.img", entry->id),
			      "restore it with a program that knows this kind of file",
			      "is of a kind that is not supported yet (%s)",
			      type ? type->name : "unknown");
	description = arena_new_object(checkpoint->arena, struct description);
	*description = (struct description){
		.id = entry->id, .kind = kind, .entry = entry, .fd = -1, .number = -1};
	if (hash_put(&table->by_id, entry->id, description))
		return file_damaged(description, "this id comes twice");
	*(struct description **)array_push(&table->descriptions) = description;
	return kind->read(checkpoint, description);
}

/* Who has it: for messages, and to know when it is handed out for the last time. */
static int count_users(struct checkpoint *checkpoint, struct task *task)
{
	int result = 0;

	for (size_t i = 0; i < task->fdinfo_count; i++) {
		const FdinfoEntry *entry = task->fdinfo[i];
		struct description *description = hash_get(&checkpoint->files.by_id, entry->id);
		const char *problem = NULL;

		if (!description)
			problem = "refers to a file that files.img does not have";
		else if (entry->type != description->entry->type)
			problem = "is of another type than its file in files.img";
		else if (entry->fd > INT32_MAX - 1)
			problem = "has a number that no descriptor can have";
		else if (i && entry->fd <= task->fdinfo[i - 1]->fd)
			problem = "comes after one with a higher number";
		if (problem) {
			result = FAIL(EBADMSG,
				      SUBJECT("%s, fd %u", task_subject(task).text, entry->fd),
				      "the checkpoint is damaged: take another copy of it", "%s",
				      problem);
			continue;
		}
		if (!description->users++) {
			description->task = task;
			description->number = entry->fd;
		}
	}
	return result;
}

int files_read(struct checkpoint *checkpoint)
{
	struct image_reader *reader = NULL;
	FileEntry *entry;
	int got, result = 0;

	if (!file_state(checkpoint))
		return -EIO;
	got = image_open(checkpoint->images, IMAGE_FILES, 0, checkpoint->arena, &reader);
	if (got == -ENOENT)
		return FAIL(ENOENT, SUBJECT("files.img"),
			    "the checkpoint is incomplete: take another copy of it", "is missing");
	while (!got && (got = image_get(reader, &entry)) == 1) {
		got = add_entry(checkpoint, entry);
		result = result ? result : got;
		got = 0;
	}
	image_close(reader);
	result = result ? result : got;
	images_each (image) {
		got = image->read ? image->read(checkpoint) : 0;
		result = result ? result : got;
	}
	tree_each_task (&checkpoint->tree, task) {
		got = count_users(checkpoint, task);
		result = result ? result : got;
	}
	return result;
}

int files_open(struct checkpoint *checkpoint, uint32_t id, int *fd)
{
	struct description *description = hash_get(&checkpoint->files.by_id, id);
	int error = 0;

	if (!description)
		return FAIL(EBADMSG, SUBJECT("file %#x", id),
			    "the checkpoint is damaged: take another copy of it",
			    "is used but not in files.img");
	if (description->fd < 0)
		error = description->kind->make(checkpoint, description);
	*fd = description->fd;
	return error;
}

int files_finish(struct checkpoint *checkpoint)
{
	int error = 0;

	array_each (&checkpoint->files.descriptions, each) {
		struct description *description = *each;

		if (description->fd < 0 && description->number < 0)
			continue; /* nobody asked for it */
		if (!error && description->kind->finish)
			error = description->kind->finish(checkpoint, description);
		if (!error && description->owner)
			error = owner_restore(checkpoint, description);
	}
	return error;
}

static void keep(void *description)
{
	(void)description; /* the arena's */
}

void files_close(struct checkpoint *checkpoint, bool failed)
{
	struct file_table *table = &checkpoint->files;

	if (!table->state)
		return;
	images_each (image)
		if (image->close)
			image->close(checkpoint, failed);
	array_each (&table->descriptions, each)
		fd_close(&(*each)->fd);
	array_each (&table->inodes, inode)
		tdestroy((*inode)->order, keep);
	lock_close(checkpoint);
	fd_close(&table->state->links);
	array_free(&table->descriptions);
	array_free(&table->inodes);
	hash_free(&table->by_id);
	hash_free(&table->by_inode);
	hash_free(&table->state->paths);
	table->state = NULL;
}
