/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The dump of a task's descriptors: which descriptions there are, each described once. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "file/internal.h"
#include "task/part.h"

/* Flags that F_GETFL tells and open() or F_SETFL bring back. */
static const unsigned int known_flags = O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DIRECT |
					KERNEL_O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME |
					O_PATH | O_TMPFILE;

/* ---- finding descriptions again ------------------------------------------------------------- */

/*
 * The kernel's own order of open files (kcmp), so that one among thousands of the same inode is
 * found without looking at all of them.
 */
static int files_order(const void *one, const void *other)
{
	const struct description *a = one, *b = other;
	long order = syscall(SYS_kcmp, a->task->pid, b->task->pid, KCMP_FILE, a->number, b->number);

	if (order < 0 || order > 2)
		a->inode->unordered = true;
	return order == 0 ? 0 : order == 1 ? -1 : 1;
}

struct file_inode *file_inode(struct checkpoint *checkpoint, const struct stat *stat)
{
	struct file_table *table = &checkpoint->files;
	uint64_t key = hash_mix(stat->st_dev, stat->st_ino);
	struct file_inode *first = hash_get(&table->by_inode, key), *inode;

	for (inode = first; inode; inode = inode->next)
		if (inode->device == stat->st_dev && inode->number == stat->st_ino)
			return inode;
	inode = arena_new_object(checkpoint->arena, struct file_inode);
	*inode = (struct file_inode){.device = stat->st_dev, .number = stat->st_ino, .next = first};
	hash_put(&table->by_inode, key, inode);
	*(struct file_inode **)array_push(&table->inodes) = inode;
	return inode;
}

/* The description in the table that is the same open file, or the spare one, which is new. */
static struct description *find(struct checkpoint *checkpoint, const struct description *probe)
{
	struct file_state *state = checkpoint->files.state;
	struct description **found;

	if (!state->spare)
		state->spare = arena_new_object(checkpoint->arena, struct description);
	*state->spare = *probe;
	found = tsearch(state->spare, &probe->inode->order, files_order);
	if (!found)
		die_of_memory();
	return *found;
}

int file_fetch(const struct description *description)
{
	int fd;

	if (description->number < 0)
		fd = fcntl(description->fd, F_DUPFD_CLOEXEC, 0);
	else
		fd = syscall(SYS_pidfd_getfd, description->task->pidfd, description->number, 0);
	return fd < 0 ? -errno : fd;
}

/* ---- describing one ------------------------------------------------------------------------- */

char *file_link(struct checkpoint *checkpoint, int fd)
{
	char number[16], path[PATH_MAX + 64];
	ssize_t length;

	snprintf(number, sizeof(number), "%d", fd);
	length = readlinkat(checkpoint->files.state->links, number, path, sizeof(path) - 1);
	if (length < 0)
		return NULL;
	path[length] = 0;
	return arena_strdup(checkpoint->arena, path);
}

static int describe(struct checkpoint *checkpoint, struct description *description)
{
	const struct file_kind *kind;

	description->link = file_link(checkpoint, description->fd);
	if (!description->link) {
		int error = FAIL(errno, description_subject(description), NULL,
				 "its name cannot be read: %s", strerror(errno));

		description->link = arena_strdup(checkpoint->arena, "");
		return error;
	}
	kind = file_recognize(description);
	description->mount = mount_of_fd(checkpoint, description->fd);
	description->next = description->inode->descriptions;
	description->inode->descriptions = description;
	if (!kind)
		return refuse_description(description);
	file_add(checkpoint, description, kind);
	if (description->flags & O_ASYNC)
		return REFUSE(description_subject(description), "clear O_ASYNC before the dump",
			      "it sends signals when it is ready (O_ASYNC)");
	if (description->flags & ~(known_flags | kind->flags))
		return REFUSE(description_subject(description), NULL,
			      "it has flags that stasis does not know (%#x)",
			      description->flags & ~(known_flags | kind->flags));
	if (description->flags & O_PATH) {
		description->owner = ARENA_MESSAGE(checkpoint->arena, fown_entry, FownEntry);
		return kind->describe(checkpoint, description);
	}

	off_t position = lseek(description->fd, 0, SEEK_CUR);

	if (position < 0 && errno != ESPIPE)
		return FAIL(errno, description_subject(description), NULL,
			    "its position cannot be read: %s", strerror(errno));
	description->position = position < 0 ? 0 : position;
	description->owner = owner_describe(checkpoint, description);
	return description->owner ? kind->describe(checkpoint, description) : -EOPNOTSUPP;
}

/* The description of a descriptor of the task, described if it is new; NULL after a report. */
static struct description *describe_descriptor(struct checkpoint *checkpoint, struct task *task,
					       int number, int *error)
{
	struct file_state *state = checkpoint->files.state;
	struct description probe = {.fd = -1, .task = task, .number = number}, *description;
	autofd int fd = file_fetch(&probe);

	*error = fd < 0 ? fd : fstat(fd, &probe.stat) < 0 ? -errno : 0;
	if (*error) {
		FAIL(-*error, SUBJECT("%s, fd %d", task_subject(task).text, number),
		     *error == -EMFILE ? "raise the limit of open files (ulimit -Hn)" : NULL,
		     "cannot be fetched: %s", strerror(-*error));
		return NULL;
	}
	probe.inode = file_inode(checkpoint, &probe.stat);
	description = find(checkpoint, &probe);
	if (probe.inode->unordered) {
		*error = FAIL(EIO, SUBJECT("%s, fd %d", task_subject(task).text, number), NULL,
			      "the kernel does not compare it with other open files (kcmp)");
		return NULL;
	}
	if (description != state->spare)
		return description;
	state->spare = NULL;
	description->fd = fd;
	int flags = fcntl(fd, F_GETFL);

	description->flags = flags;
	*error = flags < 0 ? FAIL(errno, SUBJECT("%s, fd %d", task_subject(task).text, number),
				  NULL, "its flags cannot be read: %s", strerror(errno))
			   : describe(checkpoint, description);
	description->described = !*error;
	lock_ask(description);
	description->fd = -1;
	return description;
}

/* ---- the task's table ----------------------------------------------------------------------- */

typedef ARRAY(int) numbers;

/* The kernel lists them in ascending order. */
static int list_descriptors(struct task *task, numbers *list)
{
	autofd int fd = openat(task->proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!directory)
		return FAIL(errno, task_subject(task), NULL, "its descriptors cannot be listed: %s",
			    strerror(errno));
	fd = -1; /* the directory's */
	while ((errno = 0, entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			*(int *)array_push(list) = atoi(entry->d_name);

	int error = errno;

	closedir(directory);
	return error ? FAIL(error, task_subject(task), NULL, "its descriptors cannot be listed: %s",
			    strerror(error))
		     : 0;
}

int files_list(struct checkpoint *checkpoint, struct task *task)
{
	numbers list = {0};
	int error = list_descriptors(task, &list);

	task->fdinfo = arena_new_array(checkpoint->arena, FdinfoEntry *, list.count);
	task->fdinfo_count = 0;
	array_each (&list, number) {
		FdinfoEntry *entry = ARENA_MESSAGE(checkpoint->arena, fdinfo_entry, FdinfoEntry);

		entry->fd = *number;
		task->fdinfo[task->fdinfo_count++] = entry;
	}
	array_free(&list);
	return error;
}

static int describe_all(struct checkpoint *checkpoint, struct task *task)
{
	size_t count = task->fdinfo_count;
	int result = 0;

	task->fdinfo_count = 0;
	for (size_t i = 0; i < count; i++) {
		FdinfoEntry *entry = task->fdinfo[i];
		int error = 0;
		struct description *description =
			describe_descriptor(checkpoint, task, entry->fd, &error);

		if (description && lock_survey(checkpoint, task, entry->fd, description))
			error = -EOPNOTSUPP;
		result = result ? result : error;
		if (!description || !description->entry)
			continue;
		entry->id = description->id;
		entry->type = description->entry->type;
		task->fdinfo[task->fdinfo_count++] = entry;
	}
	return result;
}

/* ---- FD_CLOEXEC ----------------------------------------------------------------------------- */

/* Only the task itself can tell without fdinfo being read: in task/'s one batch, if they fit. */
enum { ROOM_FOR_OTHERS = 64 * 1024 };

static size_t ask_flags(struct batch *batch, const struct task *task, size_t first, size_t room)
{
	size_t next = first;

	for (; next < task->fdinfo_count && batch_fits(batch, 1, room); next++)
		batch_call(batch, SYS_fcntl, task->fdinfo[next]->fd, F_GETFD);
	return next;
}

static int store_flags(const struct batch *batch, size_t call, struct task *task, size_t first,
		       size_t end)
{
	for (; first < end; first++, call++) {
		int64_t flags = batch_result(batch, call);

		if (flags < 0)
			return FAIL(-flags,
				    SUBJECT("%s, fd %u", task_subject(task).text,
					    task->fdinfo[first]->fd),
				    NULL, "its flags cannot be read: %s", strerror(-flags));
		task->fdinfo[first]->flags = flags;
	}
	return 0;
}

struct asked {
	size_t call, end; /* the first call; descriptors up to here are asked for */
};

static void *flags_ask(struct inquiry *inquiry)
{
	struct asked *asked = arena_new_object(inquiry->arena, struct asked);

	asked->call = inquiry->batch->count;
	if (inquiry->leader)
		asked->end = ask_flags(inquiry->batch, inquiry->task, 0, ROOM_FOR_OTHERS);
	return asked;
}

static int flags_answer(struct inquiry *inquiry, void *asked_)
{
	const struct asked *asked = asked_;
	struct task *task = inquiry->task;
	int error = store_flags(inquiry->batch, asked->call, task, 0, asked->end);
	struct batch batch;

	if (error || !inquiry->leader || asked->end == task->fdinfo_count)
		return error;
	batch_begin(&batch, &inquiry->thread->remote);
	for (size_t done = asked->end, next; done < task->fdinfo_count && !error; done = next) {
		next = ask_flags(&batch, task, done, 0);
		error = batch_run(&batch);
		if (!error)
			error = store_flags(&batch, 0, task, done, next);
		batch_reset(&batch);
	}
	batch_end(&batch);
	return error;
}

const struct part flags_part = {.ask = flags_ask, .answer = flags_answer};

/* ---- cwd, root, umask ------------------------------------------------------------------------ */

static int describe_directory(struct checkpoint *checkpoint, struct task *task, const char *name,
			      uint32_t *id)
{
	int fd = openat(task->proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct subject subject = SUBJECT("%s, %s", task_subject(task).text, name);

	if (fd < 0)
		return FAIL(errno, subject, NULL, "cannot be opened: %s", strerror(errno));
	return files_describe_path(checkpoint, fd, O_PATH | O_DIRECTORY, subject, id);
}

static int describe_fs(struct checkpoint *checkpoint, struct task *task)
{
	FsEntry *fs = ARENA_MESSAGE(checkpoint->arena, fs_entry, FsEntry);
	int cwd = describe_directory(checkpoint, task, "cwd", &fs->cwd_id);
	int root = describe_directory(checkpoint, task, "root", &fs->root_id);

	fs->has_umask = true;
	fs->umask = task->umask;
	task->fs = fs;
	return cwd ? cwd : root;
}

int files_describe(struct checkpoint *checkpoint, struct task *task)
{
	int error, fs;

	if (!file_state(checkpoint))
		return -EIO;
	error = describe_all(checkpoint, task);
	fs = describe_fs(checkpoint, task);
	return error ? error : fs;
}

/* ---- files that are no descriptors ------------------------------------------------------------
 */

static struct description *known_path(struct checkpoint *checkpoint, uint64_t key,
				      const struct description *wanted)
{
	struct description *known = hash_get(&checkpoint->files.state->paths, key);

	return known && known->inode == wanted->inode && known->flags == wanted->flags &&
			       known->mount == wanted->mount && !strcmp(known->link, wanted->link)
		       ? known
		       : NULL;
}

int files_describe_path(struct checkpoint *checkpoint, int fd, unsigned int flags,
			struct subject subject, uint32_t *id)
{
	struct file_state *state = file_state(checkpoint);
	struct description probe = {.fd = fd, .flags = flags, .number = -1}, *description;
	uint64_t key;
	int error;

	if (!state || fstat(fd, &probe.stat) < 0 || !(probe.link = file_link(checkpoint, fd))) {
		error = FAIL(errno, subject, NULL, "cannot be read: %s", strerror(errno));
		close(fd);
		return error;
	}
	probe.inode = file_inode(checkpoint, &probe.stat);
	probe.mount = mount_of_fd(checkpoint, fd);
	key = hash_mix(hash_mix(probe.stat.st_dev, probe.stat.st_ino),
		       hash_bytes(probe.link, strlen(probe.link)) + flags);
	key = hash_mix(key, (uintptr_t)probe.mount);
	description = known_path(checkpoint, key, &probe);
	if (description) {
		close(fd);
		*id = description->id;
		return description->id ? 0 : -EOPNOTSUPP; /* refused already */
	}
	probe.purpose = arena_printf(checkpoint->arena, "%s (%s)", subject.text, probe.link);
	probe.owner = ARENA_MESSAGE(checkpoint->arena, fown_entry, FownEntry);
	description = arena_copy(checkpoint->arena, &probe, sizeof(probe));
	description->next = description->inode->descriptions;
	description->inode->descriptions = description;

	const struct file_kind *kind = file_recognize(description);

	/* A private mapping of /dev/zero is one of a device. */
	if (kind == &regular_kind || kind == &device_kind || kind == &memfd_kind)
		error = kind->describe(checkpoint, file_add(checkpoint, description, kind));
	else
		error = refuse_description(description);
	/* A file whose name leads nowhere has to stay reachable for files_store(). */
	if (!description->inode->ghost && !description->inode->link)
		fd_close(&description->fd);
	hash_put(&state->paths, key, description);
	*id = description->id;
	return error;
}

/* ---- fdinfo --------------------------------------------------------------------------------- */

int file_read_info(int fd, char **text)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return fd_read_file(AT_FDCWD, path, text, NULL);
}

const char *file_info(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, length))
			return line + length;
	}
	return NULL;
}
