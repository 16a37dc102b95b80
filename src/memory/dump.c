/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dump: contents of memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/phase.h"
#include "base/progress.h"
#include "checkpoint/checkpoint.h"
#include "memory/internal.h"
#include "memory/memory.h"

/* The device of memfds and shared anonymous memory, which no mount table shows. */
static int find_shared_device(dev_t *device)
{
	autofd int fd = memfd_create("stasis", MFD_CLOEXEC);
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) < 0)
		return FAIL(errno, SUBJECT("memfd_create"), NULL, "%s", strerror(errno));
	*device = stat.st_dev;
	return 0;
}

struct memory_state *memory_state(struct checkpoint *checkpoint)
{
	struct memory_state *state = checkpoint->memory;

	if (state)
		return state;
	state = arena_new_object(checkpoint->arena, struct memory_state);
	if (find_shared_device(&state->shared_device) || vdso_find(&state->vdso))
		return NULL;
	return checkpoint->memory = state;
}

static int scan_task(void *context, size_t index, unsigned int lane)
{
	struct task *task = ((struct checkpoint *)context)->tree.tasks[index];

	return task->memory ? scan_pages(task) : 0;
}

/* Finds all the pages to be stored: *bytes of them. */
static int scan_all(struct checkpoint *checkpoint, uint64_t *bytes)
{
	struct phase phase = phase_begin("page maps", NULL);
	struct memory_state *state = checkpoint->memory;
	int error = parallel_each(checkpoint->tree.count, scan_task, checkpoint);

	*bytes = 0;
	tree_each_task (&checkpoint->tree, task) {
		if (error || !task->memory)
			continue;
		scan_store_guards(checkpoint->arena, task);
		*bytes += ranges_stored(&task->memory->ranges) * PAGE;
		for (size_t i = 0; i < task->memory->count; i++) {
			const VmaEntry *entry = task->memory->mappings[i].entry;

			if (mapping_is_private(entry))
				checkpoint->stats.pages_scanned +=
					(entry->end - entry->start) / PAGE;
		}
	}
	for (size_t i = 0; state && i < state->objects.count && !error; i++) {
		error = shared_object_scan(checkpoint, state->objects.items[i]);
		*bytes += ranges_stored(&state->objects.items[i]->ranges) * PAGE;
	}
	phase_end(&phase);
	return error;
}

static int dump_task(void *context, size_t index, unsigned int lane)
{
	struct checkpoint *checkpoint = context;
	struct task *task = checkpoint->tree.tasks[index];
	uint32_t pages_id = index + 1;
	int error;

	if (!task->memory)
		return 0;

	struct page_place place = {
		.pid = task->pid, .fd = -1, .lane = lane, .subject = task_subject(task)};
	autofd int pages = image_create_pages(checkpoint->images, pages_id);

	if (pages < 0)
		return pages;
	error = pages_store(checkpoint, &place, &task->memory->ranges, pages);
	if (error)
		return error;
	return pagemap_write(checkpoint, IMAGE_PAGEMAP, task->id, pages_id, 0,
			     &task->memory->ranges);
}

static int dump_tasks(struct checkpoint *checkpoint)
{
	struct phase phase = phase_begin("pages", &checkpoint->stats.memwrite_time);
	int error = parallel_each(checkpoint->tree.count, dump_task, checkpoint);

	/* Shared memory gets the numbers behind those of the tasks. */
	if (checkpoint->memory)
		checkpoint->memory->last_pages_id = checkpoint->tree.count;
	tree_each_task (&checkpoint->tree, task)
		if (task->memory)
			checkpoint->stats.pages_written += ranges_stored(&task->memory->ranges);
	phase_end(&phase);
	return error;
}

int memory_dump(struct checkpoint *checkpoint)
{
	struct phase phase = phase_begin("memory", &checkpoint->stats.memdump_time);
	struct memory_state *state = checkpoint->memory;
	uint64_t bytes;
	int error = scan_all(checkpoint, &bytes);

	progress_begin("dump memory", bytes);
	if (!error)
		error = dump_tasks(checkpoint);
	for (size_t i = 0; state && i < state->objects.count && !error; i++)
		error = shared_object_store(checkpoint, state->objects.items[i]);
	progress_end();
	phase_end(&phase);
	return error;
}

void memory_close(struct checkpoint *checkpoint)
{
	struct memory_state *state = checkpoint->memory;

	tree_each_task (&checkpoint->tree, task) {
		if (!task->memory)
			continue;
		fd_close(&task->memory->pages);
		array_free(&task->memory->ranges);
		array_free(&task->memory->guards);
	}
	if (!state)
		return;
	prefetch_end(state->prefetch);
	array_each (&state->objects, object) {
		fd_close(&(*object)->fd);
		fd_close(&(*object)->pages);
		array_free(&(*object)->ranges);
	}
	array_free(&state->objects);
	hash_free(&state->shared);
	hash_free(&state->files);
	for (size_t i = 0; i < PARALLEL_MOST; i++)
		free(state->buffers[i]);
	checkpoint->memory = NULL;
}
