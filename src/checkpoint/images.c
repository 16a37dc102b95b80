/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checkpoint/images.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/report.h"
#include "checkpoint/checkpoint.h"
#include "image/image.h"
#include "images/inventory.pb-c.h"
#include "images/pstree.pb-c.h"
#include "task/proc.h"
#include "task/state.h"

enum {
	IMAGES_V1_1 = 2, /* the oldest version of the format that can be read */
	IMAGES_V1_2 = 3, /* what CRIU writes since 4.0, and stasis */
};

int images_open(struct checkpoint *checkpoint, bool to_write)
{
	const struct options *options = checkpoint->options;
	const char *images = options->images_dir ? options->images_dir : ".";
	const char *work = options->work_dir ? options->work_dir : images;

	checkpoint->workdir = -1;
	checkpoint->images = open(images, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (checkpoint->images < 0)
		return FAIL(errno, SUBJECT("images directory %s", images),
			    to_write ? "make the directory, or give another with -D"
				     : "give the directory of a checkpoint with -D",
			    "cannot be opened: %s", strerror(errno));
	if (to_write && faccessat(checkpoint->images, ".", W_OK, AT_EACCESS) < 0)
		return FAIL(errno, SUBJECT("images directory %s", images), "give another with -D",
			    "cannot be written: %s", strerror(errno));
	checkpoint->workdir = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (checkpoint->workdir < 0)
		return FAIL(errno, SUBJECT("work directory %s", work), "give another with -W",
			    "cannot be opened: %s", strerror(errno));
	return 0;
}

/* ---- writing ------------------------------------------------------------------------------ */

static void write_levels(struct arena *arena, const struct task *task, PstreeEntry *entry)
{
	entry->n_levels = task->depth;
	entry->levels = arena_new_array(arena, PstreeLevel *, task->depth);
	for (size_t i = 0; i < task->depth; i++) {
		const struct task_numbers *numbers = &task->inner[i];
		PstreeLevel *level = ARENA_MESSAGE(arena, pstree_level, PstreeLevel);

		level->pid = numbers->id;
		level->pgid = numbers->pgid;
		level->sid = numbers->sid;
		level->n_threads = task->thread_count;
		level->threads =
			arena_copy(arena, numbers->threads, task->thread_count * sizeof(pid_t));
		entry->levels[i] = level;
	}
}

static int write_pstree(struct checkpoint *checkpoint)
{
	struct image_writer *writer = image_create(checkpoint->images, IMAGE_PSTREE, 0);

	tree_each_task (&checkpoint->tree, task) {
		PstreeEntry entry = PSTREE_ENTRY__INIT;

		entry.pid = task->id;
		entry.ppid = task->parent ? task->parent->id : 0;
		entry.pgid = task->pgid;
		entry.sid = task->sid;
		entry.n_threads = task->thread_count;
		entry.threads = arena_new_array(checkpoint->arena, uint32_t, task->thread_count);
		for (size_t i = 0; i < task->thread_count; i++)
			entry.threads[i] = task->threads[i].id;
		write_levels(checkpoint->arena, task, &entry);
		entry.has_pid_ns = task->state == TASK_DEAD && task->pids != task->parent->pids;
		entry.pid_ns = entry.has_pid_ns ? task->pids->id : 0;
		image_put(writer, &entry);
	}
	return image_finish(writer);
}

static int write_task(void *context, size_t index, unsigned int lane)
{
	const struct checkpoint *checkpoint = context;
	const struct task *task = checkpoint->tree.tasks[index];
	int dir = checkpoint->images, error = 0;

	for (size_t i = 0; i < task->thread_count && !error; i++)
		error = image_write_one(dir, IMAGE_CORE, task->threads[i].id,
					task->threads[i].core);
	if (error || task->state == TASK_DEAD)
		return error;

	TaskKobjIdsEntry *ids = task->threads[0].core->ids;

	error = image_write_one(dir, IMAGE_IDS, task->id, ids);
	if (!error)
		error = image_write_one(dir, IMAGE_MM, task->id, task->mm);
	if (!error)
		error = image_write_one(dir, IMAGE_FS, task->id, task->fs);
	if (error)
		return error;

	struct image_writer *writer = image_create(dir, IMAGE_FDINFO, ids->files_id);

	for (size_t i = 0; i < task->fdinfo_count; i++)
		image_put(writer, task->fdinfo[i]);
	return image_finish(writer);
}

int images_write(struct checkpoint *checkpoint)
{
	int error = write_pstree(checkpoint);

	return error ? error : parallel_each(checkpoint->tree.count, write_task, checkpoint);
}

static uint64_t uptime_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

int images_commit(struct checkpoint *checkpoint)
{
	InventoryEntry entry = INVENTORY_ENTRY__INIT;
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;

	entry.img_version = IMAGES_V1_2;
	entry.has_fdinfo_per_id = entry.fdinfo_per_id = true;
	entry.has_ns_per_id = entry.ns_per_id = true;
	/* By these a restore knows which namespaces of the tasks are new. */
	entry.root_ids = &ids;
	namespaces_own_ids(&ids);
	namespaces_list(checkpoint, &entry);
	entry.has_lsmtype = true;
	entry.lsmtype = LSMTYPE__NO_LSM;
	entry.has_dump_uptime = true;
	entry.dump_uptime = uptime_us();
	return image_write_one(checkpoint->images, IMAGE_INVENTORY, 0, &entry);
}

int images_withdraw(struct checkpoint *checkpoint)
{
	int error = image_remove(checkpoint->images, IMAGE_INVENTORY, 0);

	if (error && error != -ENOENT)
		return FAIL(-error, SUBJECT("inventory.img"), "give another directory with -D",
			    "cannot replace the checkpoint that is there: %s", strerror(-error));
	return 0;
}

/* ---- reading ------------------------------------------------------------------------------ */

static int corrupt(const char *file, const char *what, unsigned long id)
{
	return FAIL(EINVAL, SUBJECT("%s", file), "the checkpoint is damaged: dump again",
		    "%s (%lu)", what, id);
}

static int missing(struct task *task, enum image_type type, unsigned long id)
{
	char name[64];

	return FAIL(ENOENT, SUBJECT("%s", image_name(type, id, name)),
		    "the checkpoint is incomplete: dump again", "is missing for pid %d", task->id);
}

static int read_inventory(struct checkpoint *checkpoint)
{
	InventoryEntry *entry = NULL;
	int error =
		image_read_one(checkpoint->images, IMAGE_INVENTORY, 0, checkpoint->arena, &entry);

	if (error == -ENOENT)
		return FAIL(ENOENT,
			    SUBJECT("images directory %s", checkpoint->options->images_dir
								   ? checkpoint->options->images_dir
								   : "."),
			    "give the directory of a finished dump with -D",
			    "is not a checkpoint: it has no inventory.img");
	if (error)
		return error;
	if (entry->img_version < IMAGES_V1_1 || entry->img_version > IMAGES_V1_2)
		return FAIL(EINVAL, SUBJECT("inventory.img"), "use the program that wrote it",
			    "has version %u of the image format, which stasis cannot read",
			    entry->img_version);
	if (!entry->fdinfo_per_id)
		return FAIL(EINVAL, SUBJECT("inventory.img"), "dump again with a newer program",
			    "is of a checkpoint without descriptor tables by id");
	if (entry->compress)
		return FAIL(EOPNOTSUPP, SUBJECT("inventory.img"), "dump again without --compress",
			    "is of a checkpoint with compressed pages");
	checkpoint->inventory = entry;
	checkpoint->own_ids = entry->root_ids;
	return 0;
}

static int read_levels(struct arena *arena, const PstreeEntry *entry, struct task *task)
{
	task->depth = entry->n_levels;
	task->inner = arena_new_array(arena, struct task_numbers, task->depth);
	if (task->depth >= PROC_PID_NAMESPACES)
		return -EINVAL;
	for (size_t i = 0; i < task->depth; i++) {
		const PstreeLevel *level = entry->levels[i];
		struct task_numbers *numbers = &task->inner[i];

		*numbers = (struct task_numbers){
			.id = level->pid, .pgid = level->pgid, .sid = level->sid};
		if (numbers->id <= 0 || numbers->pgid < 0 || numbers->sid < 0 ||
		    level->n_threads != task->thread_count || level->threads[0] != level->pid)
			return -EINVAL;
		numbers->threads = arena_copy(arena, level->threads,
					      task->thread_count * sizeof(*numbers->threads));
		for (size_t k = 0; k < task->thread_count; k++)
			if (numbers->threads[k] <= 0)
				return -EINVAL;
	}
	return 0;
}

static int add_task(struct checkpoint *checkpoint, const PstreeEntry *entry, struct task **added)
{
	struct tree *tree = &checkpoint->tree;
	struct task *task = arena_new_object(checkpoint->arena, struct task);
	bool root = !tree->by_id.count;

	*task = (struct task){.id = entry->pid,
			      .pgid = entry->pgid,
			      .sid = entry->sid,
			      .pid_ns = entry->pid_ns,
			      .state = TASK_ALIVE,
			      .pidfd = -1,
			      .proc = -1};
	if (task->id <= 0 || task->pgid < 0 || task->sid < 0 || entry->n_threads < 1 ||
	    (entry->n_threads > 1 && entry->threads[0] != entry->pid))
		return corrupt("pstree.img", "an entry makes no sense: pid", entry->pid);
	if (!root) {
		task->parent = hash_get(&tree->by_id, entry->ppid);
		if (!task->parent)
			return corrupt("pstree.img", "a task has no parent before it: pid",
				       entry->pid);
		task->parent->child_count++;
	}
	task->thread_count = entry->n_threads;
	task->threads = arena_new_array(checkpoint->arena, struct thread, task->thread_count);
	for (size_t i = 0; i < task->thread_count; i++) {
		/* The leader has the task's id; CRIU 4.3 leaves a zombie's only entry undefined. */
		pid_t id = i ? (pid_t)entry->threads[i] : task->id;

		task->threads[i] = (struct thread){.task = task, .id = id};
		/* Ids of threads and of processes are of one kind: none may come twice. */
		if (id <= 0 || hash_put(&tree->by_id, id, task))
			return corrupt("pstree.img", "an id comes twice or is none", id);
	}
	if (read_levels(checkpoint->arena, entry, task) ||
	    (task->parent && task->parent->depth > task->depth))
		return corrupt("pstree.img", "its numbers in pid namespaces make no sense: pid",
			       task->id);
	*added = task;
	return 0;
}

static int read_pstree(struct checkpoint *checkpoint)
{
	struct image_reader *reader = NULL;
	ARRAY(struct task *) tasks = {0};
	PstreeEntry *entry;
	int got = image_open(checkpoint->images, IMAGE_PSTREE, 0, checkpoint->arena, &reader);

	if (got == -ENOENT)
		return corrupt("pstree.img", "is missing", 0);
	while (!got && (got = image_get(reader, &entry)) == 1)
		got = add_task(checkpoint, entry, (struct task **)array_push(&tasks));
	image_close(reader);
	if (!got && !tasks.count)
		got = corrupt("pstree.img", "has no task", 0);
	if (got) {
		array_free(&tasks);
		return got;
	}
	checkpoint->tree.count = tasks.count;
	checkpoint->tree.tasks =
		arena_copy(checkpoint->arena, tasks.items, tasks.count * sizeof(*tasks.items));
	array_free(&tasks);

	tree_each_task (&checkpoint->tree, task) {
		task->children =
			arena_new_array(checkpoint->arena, struct task *, task->child_count);
		task->child_count = 0;
		if (task->parent)
			task->parent->children[task->parent->child_count++] = task;
	}
	return 0;
}

static int read_one(struct checkpoint *checkpoint, struct task *task, enum image_type type,
		    unsigned long id, void *message)
{
	int error = image_read_one(checkpoint->images, type, id, checkpoint->arena, message);

	return error == -ENOENT ? missing(task, type, id) : error;
}

static int read_cores(struct checkpoint *checkpoint, struct task *task)
{
	for (size_t i = 0; i < task->thread_count; i++) {
		struct thread *thread = &task->threads[i];
		char name[64];
		int error = read_one(checkpoint, task, IMAGE_CORE, thread->id, &thread->core);

		if (error)
			return error;
		image_name(IMAGE_CORE, thread->id, name);
		if (thread->core->mtype != CORE_ENTRY__MARCH__X86_64)
			return FAIL(EOPNOTSUPP, SUBJECT("%s", name),
				    "restore on a machine of that kind",
				    "is of another kind of processor (%d)", thread->core->mtype);
		if (i == 0 && !thread->core->tc)
			return corrupt(name, "has no task's part: pid", task->id);
		if (i == 0)
			task->state = thread->core->tc->task_state;
		if (task->state != TASK_ALIVE && task->state != TASK_DEAD &&
		    task->state != TASK_STOPPED)
			return corrupt(name, "is of a task in an unknown state", task->state);
		if (task->state != TASK_DEAD &&
		    (!thread->core->thread_core || !thread->core->thread_info))
			return corrupt(name, "has no thread's part: tid", thread->id);
	}
	return 0;
}

static int read_fdinfo(struct checkpoint *checkpoint, struct task *task, uint32_t id)
{
	ARRAY(FdinfoEntry *) entries = {0};
	struct image_reader *reader = NULL;
	FdinfoEntry *entry;
	int got = image_open(checkpoint->images, IMAGE_FDINFO, id, checkpoint->arena, &reader);

	if (got == -ENOENT)
		return missing(task, IMAGE_FDINFO, id);
	while (!got && (got = image_get(reader, &entry)) == 1) {
		*(FdinfoEntry **)array_push(&entries) = entry;
		got = 0;
	}
	image_close(reader);
	task->fdinfo_count = entries.count;
	task->fdinfo = arena_copy(checkpoint->arena, entries.items,
				  entries.count * sizeof(*entries.items));
	array_free(&entries);
	return got;
}

static int read_task(struct checkpoint *checkpoint, struct task *task)
{
	TaskKobjIdsEntry *ids = NULL;
	int error = read_cores(checkpoint, task);

	if (error)
		return error;
	if (task->state == TASK_DEAD) {
		if (!task->parent || task->child_count || task->thread_count > 1)
			return corrupt("pstree.img",
				       "a zombie is the root, or has children or threads: pid",
				       task->id);
		return zombie_check(task);
	}
	error = read_one(checkpoint, task, IMAGE_IDS, task->id, &ids);
	if (error)
		return error;
	task->threads[0].core->ids = ids;
	error = read_one(checkpoint, task, IMAGE_MM, task->id, &task->mm);
	if (!error)
		error = read_one(checkpoint, task, IMAGE_FS, task->id, &task->fs);
	if (!error)
		error = read_fdinfo(checkpoint, task, ids->files_id);
	return error;
}

int images_read(struct checkpoint *checkpoint)
{
	int error = read_inventory(checkpoint);

	if (!error)
		error = read_pstree(checkpoint);
	if (error)
		return error;
	tree_each_task (&checkpoint->tree, task) {
		int bad = read_task(checkpoint, task);

		if (bad)
			error = bad;
	}
	return error;
}
