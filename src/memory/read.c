/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Restore, before any task exists: mappings and page maps are read, checked and fitted together. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "memory/internal.h"
#include "memory/memory.h"

/* ---- mappings ------------------------------------------------------------------------------ */

/* Every kind of mapping that can be restored, with the type of its flags. */
static const struct {
	uint32_t status, type;
} kinds[] = {
	{VMA_ANON_PRIVATE, MAP_PRIVATE}, {VMA_ANON_PRIVATE, MAP_DROPPABLE},
	{VMA_FILE_PRIVATE, MAP_PRIVATE}, {VMA_ANON_SHARED, MAP_SHARED},
	{VMA_FILE_SHARED, MAP_SHARED},
};

static bool is_known_kind(const VmaEntry *entry)
{
	const uint32_t mask =
		VMA_ANON_PRIVATE | VMA_FILE_PRIVATE | VMA_ANON_SHARED | VMA_FILE_SHARED;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if ((entry->status & mask) == kinds[i].status &&
		    (entry->flags & MAP_TYPE) == kinds[i].type)
			return true;
	return false;
}

static uint64_t known_advice(void)
{
	uint64_t advice = 0;

	for (int flag = 0; flag < VM_FLAGS; flag++)
		if (vm_flag_rows[flag].advice)
			advice |= 1ull << vm_flag_rows[flag].advice;
	return advice;
}

enum {
	NAME_MOST = 80,  /* with the end; the kernel's ANON_VMA_NAME_MAX_LEN */
	AUXV_MOST = 512, /* numbers; more than any kernel has */
};

/* What is wrong with an entry, or NULL. */
static const char *check_entry(const VmaEntry *entry)
{
	const uint32_t status = VMA_AREA_REGULAR | VMA_AREA_STACK | VMA_AREA_VDSO | VMA_AREA_HEAP |
				VMA_FILE_PRIVATE | VMA_FILE_SHARED | VMA_ANON_SHARED |
				VMA_ANON_PRIVATE | VMA_AREA_VVAR | VMA_AREA_MEMFD | VMA_AREA_GUARD |
				VMA_AREA_SYSVIPC;
	const uint32_t flags = MAP_TYPE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN | MAP_LOCKED |
			       MAP_NORESERVE | MAP_STACK;

	if (entry->start >= entry->end || (entry->start | entry->end) % PAGE ||
	    entry->end > ARCH_TASK_SIZE)
		return "is not a range of pages of a process";
	if (entry->status & ~status)
		return "is of a kind that is not supported";
	if (entry->status & VMA_AREA_GUARD)
		return NULL;
	if (!mapping_is_kernels(entry) && !is_known_kind(entry))
		return "is of no kind, or of several";
	if (mapping_is_sysv(entry) && !(entry->status & VMA_ANON_SHARED))
		return "is of System V shared memory, but not shared";
	if (entry->prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC))
		return "has a protection that is not supported";
	if (entry->flags & ~flags)
		return "has flags that are not supported";
	if (entry->madv & ~known_advice())
		return "has advice (madvise) that is not supported";
	if (entry->pgoff % PAGE)
		return "does not begin at a page of its file";
	if (entry->name && strlen(entry->name) >= NAME_MOST)
		return "has a name that is too long";
	if (entry->mempolicy &&
	    (!entry->mempolicy->nodes.len || entry->mempolicy->nodes.len > NODE_MASK ||
	     entry->mempolicy->nodes.len % 8))
		return "has an impossible memory policy";
	return NULL;
}

static int read_mappings(struct checkpoint *checkpoint, struct task *task)
{
	struct task_memory *memory = task->memory;
	uint64_t end = 0;

	if (task->mm->n_mm_saved_auxv > AUXV_MOST)
		return FAIL(EBADMSG, task_subject(task), "is the checkpoint damaged?",
			    "its auxiliary vector is too long");
	memory->mappings = arena_new_array(checkpoint->arena, struct mapping, task->mm->n_vmas);
	for (size_t i = 0; i < task->mm->n_vmas; i++) {
		VmaEntry *entry = task->mm->vmas[i];
		const char *reason;

		if (entry->status & VMA_AREA_VSYSCALL) /* the kernel's, at its own address */
			continue;
		reason = check_entry(entry);
		if (!reason && mapping_is_sysv(entry))
			reason = sysv_check(checkpoint, task, entry);
		if (!reason && !(entry->status & VMA_AREA_GUARD)) {
			if (entry->start < end)
				reason = "is not behind the one before it";
			end = entry->end;
			memory->mappings[memory->count++].entry = entry;
		}
		if (reason)
			return FAIL(EBADMSG, mapping_subject(task, entry),
				    "is the checkpoint damaged, or made by a newer program?", "%s",
				    reason);
	}
	return 0;
}

static int read_shared(struct checkpoint *checkpoint, struct task *task)
{
	for (size_t i = 0; i < task->memory->count; i++) {
		const VmaEntry *entry = task->memory->mappings[i].entry;
		struct shared_memory *object;
		int error = 0;

		if (!(entry->status & VMA_ANON_SHARED) || mapping_is_sysv(entry))
			continue;
		error = shared_object_read(checkpoint, entry->shmid, &object);
		if (error)
			return error;
		/* CRIU does not store the size; what is mapped is there. */
		if (!object->has_size && entry->pgoff + (entry->end - entry->start) > object->size)
			object->size = entry->pgoff + (entry->end - entry->start);
	}
	return 0;
}

/* ---- page maps ----------------------------------------------------------------------------- */

static int bad_range(const struct task *task, const struct page_range *range, const char *reason)
{
	return FAIL(EBADMSG,
		    SUBJECT("%s, pages %lx-%lx", task_subject(task).text,
			    (unsigned long)range->start, (unsigned long)(range_end(range))),
		    "the checkpoint is damaged; make a new one", "%s", reason);
}

/* Cuts the ranges where mappings begin and end. */
static int fit_ranges(struct task *task, page_ranges *read)
{
	struct task_memory *memory = task->memory;
	size_t next = 0;

	array_each (read, range) {
		uint64_t start = range->start, end = start + range->pages * PAGE;

		while (start < end) {
			while (next < memory->count && memory->mappings[next].entry->end <= start)
				next++;

			struct mapping *mapping = &memory->mappings[next];
			struct page_range piece = *range;
			uint64_t to;

			if (next == memory->count || mapping->entry->start > start)
				return bad_range(task, range, "they are in no mapping");
			to = mapping->entry->end < end ? mapping->entry->end : end;
			piece.start = start;
			piece.pages = (to - start) / PAGE;
			if (!piece.in_process)
				piece.offset += start - range->start;
			start = to;
			/* CRIU stores the vdso; ours is the kernel's. */
			if (mapping_is_kernels(mapping->entry))
				continue;
			if (!mapping_is_private(mapping->entry))
				return bad_range(task, range, "they are in a shared mapping");
			if (!mapping->ranges++)
				mapping->first_range = memory->ranges.count;
			*array_push(&memory->ranges) = piece;
		}
	}
	return 0;
}

/* Pages that are in the parent need memory of the same kind there. */
static int check_inherited(struct task *task)
{
	const struct task_memory *parents = task->parent ? task->parent->memory : NULL;
	struct task_memory *memory = task->memory;
	size_t next = 0;

	for (size_t i = 0; i < memory->count; i++) {
		struct mapping *mapping = &memory->mappings[i];

		for (size_t k = 0; k < mapping->ranges; k++) {
			const struct page_range *range =
				&memory->ranges.items[mapping->first_range + k];
			uint64_t at = range->start, end = at + range->pages * PAGE;

			if (!range->in_process)
				continue;
			if (!parents || range->in_process != (uint32_t)task->parent->id)
				return bad_range(task, range, "they are not in the parent");
			while (at < end) {
				while (next < parents->count &&
				       parents->mappings[next].entry->end <= at)
					next++;
				if (next == parents->count ||
				    parents->mappings[next].entry->start > at ||
				    !mapping_can_inherit(mapping->entry,
							 parents->mappings[next].entry))
					return bad_range(task, range, "they are not in the parent");
				at = parents->mappings[next].entry->end;
			}
			memory->inherits = true;
		}
	}
	return 0;
}

static int read_pages(struct checkpoint *checkpoint, struct task *task)
{
	page_ranges read = {0};
	uint64_t unused;
	int error = pagemap_read(checkpoint, IMAGE_PAGEMAP, task->id, &unused, &read,
				 &task->memory->pages);

	if (error == -ENOENT)
		error = FAIL(ENOENT, task_subject(task),
			     "the checkpoint is damaged; make a new one",
			     "pagemap-%d.img is missing", task->id);
	if (!error)
		error = fit_ranges(task, &read);
	if (!error)
		error = check_inherited(task);
	array_free(&read);
	return error;
}

int memory_read(struct checkpoint *checkpoint)
{
	struct memory_state *state = memory_state(checkpoint);
	int result = 0;

	if (!state)
		return -EIO;
	tree_each_task (&checkpoint->tree, task) {
		int error;

		if (task->state == TASK_DEAD || !task->mm)
			continue;
		task->memory = arena_new_object(checkpoint->arena, struct task_memory);
		task->memory->pages = -1;
		error = read_mappings(checkpoint, task);
		if (!error)
			error = read_shared(checkpoint, task);
		if (!error)
			error = read_pages(checkpoint, task);
		if (!error)
			error = vdso_check(&state->vdso, task, &task->memory->vdso);
		if (error)
			result = error;
	}
	return result;
}

uint64_t memory_bytes(const struct checkpoint *checkpoint)
{
	const struct memory_state *state = checkpoint->memory;
	uint64_t pages = 0;

	tree_each_task (&checkpoint->tree, task)
		if (task->memory)
			pages += ranges_stored(&task->memory->ranges);
	for (size_t i = 0; state && i < state->objects.count; i++)
		pages += ranges_stored(&state->objects.items[i]->ranges);
	return pages * PAGE;
}

bool memory_inherits(const struct task *task)
{
	return task->memory && task->memory->inherits;
}

/* ---- the area ------------------------------------------------------------------------------ */

struct span {
	uint64_t start, end;
};

typedef ARRAY(struct span) spans;

static int by_start(const void *a, const void *b)
{
	const struct span *left = a, *right = b;

	return left->start < right->start ? -1 : left->start > right->start;
}

/* The area is mapped in stasis first. */
static int add_own(spans *spans)
{
	autofree char *text = NULL;
	int error = fd_read_file(AT_FDCWD, "/proc/self/maps", &text, NULL);
	uint64_t start, end;

	for (char *line = text; !error && line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%lx-%lx", &start, &end) == 2)
			*array_push(spans) = (struct span){start, end};
	}
	return error ? FAIL(-error, SUBJECT("/proc/self/maps"), "mount /proc", "cannot be read: %s",
			    strerror(-error))
		     : 0;
}

int memory_area(struct checkpoint *checkpoint, uint64_t size, uint64_t *address)
{
	/* Room around it, so that nothing merges with it or grows into it. */
	const uint64_t room = 4 << 20, lowest = 16 << 20;
	uint64_t end = lowest;
	spans spans = {0};
	int error = add_own(&spans);

	tree_each_task (&checkpoint->tree, task)
		for (size_t i = 0; task->memory && i < task->memory->count; i++) {
			const VmaEntry *entry = task->memory->mappings[i].entry;

			*array_push(&spans) = (struct span){entry->start, entry->end};
		}
	*array_push(&spans) = (struct span){ARCH_TASK_SIZE, ARCH_TASK_SIZE};
	qsort(spans.items, spans.count, sizeof(*spans.items), by_start);
	*address = 0;
	array_each (&spans, span) {
		if (span->start > end && span->start - end >= size + 2 * room) {
			*address = end + room;
			break;
		}
		if (span->end > end)
			end = span->end;
	}
	array_free(&spans);
	if (error || *address)
		return error;
	return FAIL(ENOMEM, SUBJECT("restore"), "restore fewer processes at a time",
		    "no address is free in all processes for the %lu bytes that stasis needs there",
		    (unsigned long)size);
}
