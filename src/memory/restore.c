/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Restore: the memory of a task.  Private mappings that were writable once are mapped writable,
 * so that they are accounted for and can be filled; memory_finish() sets what was left open.
 */
#include <errno.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "memory/internal.h"
#include "memory/memory.h"
#include "remote/arch/arch.h"

/* Newer than the headers of Debian 12. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif
#ifndef SYS_mseal
#define SYS_mseal 462 /* Linux 6.10 */
#endif

/* ---- calls in the task --------------------------------------------------------------------- */

/* What a call of the batch is for. */
struct purpose {
	const VmaEntry *entry; /* or NULL: of the task as a whole */
	const char *what;      /* "cannot be %s" */
	const char *remedy;    /* or NULL */
	int64_t tolerated;     /* a negative errno that is none, or 0 */
};

struct calls {
	struct checkpoint *checkpoint;
	struct task *task;
	struct batch batch;
	ARRAY(struct purpose) purposes;  /* of batch's calls */
	struct remote_delivery delivery; /* in the batch, if its count is not 0, */
	const int *landing;              /* and where it has to land */
	int error;                       /* the first */
};

static void calls_begin(struct calls *calls, struct checkpoint *checkpoint, struct task *task)
{
	*calls = (struct calls){.checkpoint = checkpoint, .task = task};
	batch_begin(&calls->batch, task_leader(task));
}

static int check_call(struct calls *calls, const struct purpose *purpose, int64_t result)
{
	if (result >= 0 || result < -4095 || result == purpose->tolerated)
		return 0;
	return FAIL(-result,
		    purpose->entry ? mapping_subject(calls->task, purpose->entry)
				   : task_subject(calls->task),
		    purpose->remedy ? purpose->remedy
		    : result == -ENOMEM
			    ? "is there enough memory, and room in its limits (ulimit -v, -l)?"
			    : NULL,
		    "cannot be %s: %s", purpose->what, strerror(-result));
}

static void check_delivery(struct calls *calls)
{
	int error = calls->delivery.count
			    ? remote_delivered_to(&calls->batch, &calls->delivery, calls->landing)
			    : 0;

	if (error)
		calls->error = FAIL(-error, task_subject(calls->task), NULL,
				    "cannot be sent its files: %s", strerror(-error));
	calls->delivery.count = 0;
}

static void calls_run(struct calls *calls)
{
	size_t index = 0;
	int error;

	if (!calls->purposes.count || calls->error)
		return;
	error = batch_run(&calls->batch);
	if (!error)
		check_delivery(calls);
	else
		calls->error = FAIL(-error, task_subject(calls->task), NULL,
				    "cannot be made to issue system calls: %s", strerror(-error));
	array_each (&calls->purposes, purpose)
		if (!calls->error)
			calls->error =
				check_call(calls, purpose, batch_result(&calls->batch, index++));
	calls->purposes.count = 0;
	batch_reset(&calls->batch);
}

static int calls_end(struct calls *calls)
{
	calls_run(calls);
	array_free(&calls->purposes);
	batch_end(&calls->batch);
	return calls->error;
}

/* Makes room for one more call with this many bytes of data. */
static void calls_room(struct calls *calls, size_t bytes)
{
	if (!batch_fits(&calls->batch, 1, bytes))
		calls_run(calls);
}

/* The next call has this purpose. */
static struct purpose *calls_for(struct calls *calls, const VmaEntry *entry, const char *what)
{
	struct purpose *purpose = array_push(&calls->purposes);

	*purpose = (struct purpose){.entry = entry, .what = what};
	return purpose;
}

/* Has descriptors sent to where calls behind this one expect them; landing: for as long. */
static void calls_deliver(struct calls *calls, const int *fds, size_t count, const int *landing)
{
	int error;

	calls_room(calls, REMOTE_DELIVERY_ROOM);
	error = remote_deliver(&calls->checkpoint->channel, &calls->batch, fds, count,
			       &calls->delivery);
	calls->landing = landing;
	if (!error)
		calls_for(calls, NULL, "sent its files");
	else if (!calls->error)
		calls->error = FAIL(-error, task_subject(calls->task), NULL,
				    "cannot be sent its files: %s", strerror(-error));
}

/* A call of no data, with its purpose. */
#define CALL(calls, entry, what, nr, ...)                                                          \
	({                                                                                         \
		calls_room((calls), 0);                                                            \
		batch_call(&(calls)->batch, (nr), __VA_ARGS__);                                    \
		calls_for((calls), (entry), (what));                                               \
	})

/* ---- parts --------------------------------------------------------------------------------- */

/*
 * A part of a mapping: kept where the parent has the like of it, if the task inherits anything at
 * all, else new.
 */
struct part {
	struct mapping *mapping;
	uint64_t start, end;
	const VmaEntry *kept; /* the parent's mapping, or NULL */
};

typedef ARRAY(struct part) parts;

static uint32_t first_protection(const VmaEntry *entry)
{
	return entry->prot | (mapping_is_private(entry) && entry->accounted ? PROT_WRITE : 0);
}

/* Cuts a mapping where the parent's begin and end; *next is the first of these that matters. */
static void cut(struct mapping *mapping, const struct task_memory *parents, size_t *next,
		parts *parts)
{
	const VmaEntry *entry = mapping->entry, *from;
	uint64_t at = entry->start;

	while (at < entry->end) {
		struct part *part = array_push(parts);

		*part = (struct part){mapping, at, entry->end, NULL};
		while (*next < parents->count && parents->mappings[*next].entry->end <= at)
			++*next;
		from = *next < parents->count ? parents->mappings[*next].entry : NULL;
		if (from && from->start > at) {
			part->end = from->start < part->end ? from->start : part->end;
		} else if (from) {
			part->end = from->end < part->end ? from->end : part->end;
			part->kept = mapping_can_inherit(entry, from) ? from : NULL;
		}
		if (first_protection(part->kept ? part->kept : entry) != entry->prot)
			mapping->unprotected = true;
		at = part->end;
	}
}

static bool keeps_vdso(const struct task *task)
{
	return task->memory->inherits && task->memory->vdso == task->parent->memory->vdso;
}

static void plan_parts(const struct task *task, parts *parts)
{
	static const struct task_memory none;
	const struct task_memory *memory = task->memory;
	const struct task_memory *parents = memory->inherits ? task->parent->memory : &none;
	size_t next = 0;

	for (size_t i = 0; i < memory->count; i++) {
		struct mapping *mapping = &memory->mappings[i];
		const VmaEntry *entry = mapping->entry;

		if (!mapping_is_kernels(entry) && !mapping_is_sysv(entry))
			cut(mapping, parents, &next, parts);
		else if (mapping_is_kernels(entry) && keeps_vdso(task))
			*array_push(parts) =
				(struct part){mapping, entry->start, entry->end, entry};
	}
}

/* ---- emptying ------------------------------------------------------------------------------ */

static void unmap(struct calls *calls, uint64_t start, uint64_t end)
{
	uint64_t area = calls->checkpoint->area, area_end = area + calls->task->space.area_size;

	/* The area lies in one piece between mappings. */
	if (start < area && area < end) {
		unmap(calls, start, area);
		start = area_end;
	}
	if (start < end)
		CALL(calls, NULL, "emptied", SYS_munmap, start, end - start);
}

/* Unmaps all that is not kept from the parent. */
static void empty(struct calls *calls, const parts *parts)
{
	uint64_t end = 0;

	array_each (parts, part) {
		if (!part->kept)
			continue;
		unmap(calls, end, part->start);
		end = part->end;
	}
	unmap(calls, end, ARCH_TASK_SIZE);
}

/* Do the ranges have pages there?  Those before *next are not asked for again. */
static bool has_pages(const page_ranges *ranges, size_t *next, uint64_t start, uint64_t end)
{
	while (*next < ranges->count && range_end(&ranges->items[*next]) <= start)
		++*next;
	return *next < ranges->count && ranges->items[*next].start < end;
}

/* Pages of kept parts that the parent has and the task does not share are given up. */
static void drop_pages(struct calls *calls, const parts *parts)
{
	const struct task *task = calls->task;
	const page_ranges *own = &task->memory->ranges;
	const struct page_range *range = own->items, *end = own->items + own->count;
	size_t parents = 0;

	if (!task->memory->inherits)
		return;
	array_each (parts, part) {
		if (!part->kept || !mapping_is_private(part->mapping->entry))
			continue;
		for (uint64_t gap = part->start, from, to; gap < part->end; gap = to) {
			while (range < end && (!range->in_process || range_end(range) <= gap))
				range++;
			from = range < end && range->start < part->end ? range->start : part->end;
			to = from < part->end && range_end(range) < part->end ? range_end(range)
									      : part->end;
			if (gap < from &&
			    has_pages(&task->parent->memory->ranges, &parents, gap, from))
				CALL(calls, part->mapping->entry, "emptied", SYS_madvise, gap,
				     from - gap, MADV_DONTNEED);
		}
	}
}

/* ---- what is new --------------------------------------------------------------------------- */

/* The parts of a window need at most this many files. */
enum { WINDOW = 128 };

struct window {
	size_t first, end; /* parts */
	int fds[WINDOW];
	int numbers[WINDOW]; /* theirs in the task */
	size_t count;
	struct hash index; /* of the file: its place in fds, plus 1 */
};

static bool needs_file(const struct part *part)
{
	return !part->kept && part->mapping->entry->status &
				      (VMA_FILE_PRIVATE | VMA_FILE_SHARED | VMA_ANON_SHARED);
}

static uint64_t file_key(const VmaEntry *entry)
{
	return entry->shmid << 1 | !!(entry->status & VMA_ANON_SHARED);
}

static int open_file(struct checkpoint *checkpoint, const VmaEntry *entry, int *fd)
{
	struct shared_memory *object;
	int error;

	if (!(entry->status & VMA_ANON_SHARED))
		return files_open(checkpoint, entry->shmid, fd);
	error = shared_object_read(checkpoint, entry->shmid, &object);
	return error ? error
		     : shared_object_open(checkpoint, object, entry->flags & MAP_NORESERVE, fd);
}

/* Takes parts into the window until it is full. */
static int open_window(struct checkpoint *checkpoint, const parts *parts, struct window *window)
{
	hash_free(&window->index);
	window->index = (struct hash){0};
	window->count = 0;
	for (window->first = window->end; window->end < parts->count; window->end++) {
		const struct part *part = &parts->items[window->end];
		uint64_t key = file_key(part->mapping->entry);
		int error;

		if (!needs_file(part) || hash_get(&window->index, key))
			continue;
		if (window->count == WINDOW)
			break;
		error = open_file(checkpoint, part->mapping->entry, &window->fds[window->count]);
		if (error)
			return error;
		window->numbers[window->count] =
			remote_landing(&checkpoint->channel, window->count);
		hash_put(&window->index, key, (void *)(uintptr_t)++window->count);
	}
	return 0;
}

/* Before it is filled, so that its pages come from the right nodes. */
static void set_policy(struct calls *calls, const VmaEntry *entry)
{
	const MempolicyEntry *policy = entry->mempolicy;
	struct purpose *purpose;

	if (!policy)
		return;
	calls_room(calls, policy->nodes.len);
	batch_call(&calls->batch, SYS_mbind, entry->start, entry->end - entry->start, policy->mode,
		   batch_input(&calls->batch, policy->nodes.data, policy->nodes.len),
		   policy->nodes.len * 8, 0);
	purpose = calls_for(calls, entry, "given its memory policy");
	purpose->remedy = "restore it on a machine that has these memory nodes";
}

static void map_part(struct calls *calls, const VmaEntry *entry, const struct part *part, int fd)
{
	uint32_t flags = entry->flags & (MAP_TYPE | MAP_GROWSDOWN | MAP_NORESERVE);
	const int early[] = {MADV_HUGEPAGE, MADV_NOHUGEPAGE}; /* matters for filling */
	uint64_t size = part->end - part->start;

	if (fd < 0)
		flags |= MAP_ANONYMOUS;
	CALL(calls, entry, "mapped", SYS_mmap, part->start, size, first_protection(entry),
	     flags | MAP_FIXED, fd, fd < 0 ? 0 : entry->pgoff + (part->start - entry->start));
	set_policy(calls, entry);
	for (size_t i = 0; i < 2; i++)
		if (entry->madv & 1ull << early[i])
			CALL(calls, entry, "given its advice", SYS_madvise, part->start, size,
			     early[i]);
}

static void map_window(struct calls *calls, const parts *parts, struct window *window)
{
	if (window->count)
		calls_deliver(calls, window->fds, window->count, window->numbers);
	for (size_t i = window->first; i < window->end; i++) {
		const struct part *part = &parts->items[i];
		const VmaEntry *entry = part->mapping->entry;

		if (needs_file(part))
			map_part(calls, entry, part,
				 window->numbers[(uintptr_t)hash_get(&window->index,
								     file_key(entry)) -
						 1]);
		else if (!part->kept)
			map_part(calls, entry, part, -1);
	}
	for (size_t i = 0; i < window->count; i++)
		CALL(calls, NULL, "rid of a descriptor", SYS_close, window->numbers[i]);
}

static void map_all(struct calls *calls, const parts *parts)
{
	struct window window = {0};

	do {
		if (!calls->error)
			calls->error = open_window(calls->checkpoint, parts, &window);
		if (!calls->error)
			map_window(calls, parts, &window);
		/* The next window's descriptors come when these are closed. */
		calls_run(calls);
	} while (!calls->error && window.end < parts->count);
	hash_free(&window.index);
}

/* remote_close() makes its last call there. */
static void note_vdso(struct task *task)
{
	for (size_t i = 0; i < task->memory->count; i++) {
		const VmaEntry *entry = task->memory->mappings[i].entry;

		if (entry->status & VMA_AREA_VDSO) {
			task->space.vdso = entry->start;
			task->space.vdso_end = entry->end;
		}
	}
}

int memory_restore(struct checkpoint *checkpoint, struct task *task)
{
	struct task_memory *memory = task->memory;
	struct page_place place = {.pid = task->pid, .fd = -1, .subject = task_subject(task)};
	parts parts = {0};
	struct calls calls;
	int error;

	note_vdso(task);
	calls_begin(&calls, checkpoint, task);
	CALL(&calls, NULL, "told its use of huge pages", SYS_prctl, PR_SET_THP_DISABLE,
	     task->mm->thp_disabled, task->mm->thp_disable_flags);
	plan_parts(task, &parts);
	empty(&calls, &parts);
	if (memory->vdso && !keeps_vdso(task)) {
		calls_room(&calls, 0);
		arch_map_vdso(&calls.batch, memory->vdso);
		calls_for(&calls, NULL, "given its vdso");
	}
	drop_pages(&calls, &parts);
	map_all(&calls, &parts);
	array_free(&parts);
	error = calls_end(&calls);
	if (!error)
		error = sysv_attach(checkpoint, task);
	if (!error)
		error = pages_fill(checkpoint, &place, &memory->ranges, memory->pages);
	checkpoint->stats.pages_restored += ranges_stored(&memory->ranges);
	return error;
}

/* ---- finishing ----------------------------------------------------------------------------- */

static void protect(struct calls *calls, const struct mapping *mapping)
{
	const VmaEntry *entry = mapping->entry;

	if (mapping->unprotected)
		CALL(calls, entry, "protected", SYS_mprotect, entry->start,
		     entry->end - entry->start, entry->prot);
}

static void advise(struct calls *calls, const VmaEntry *entry)
{
	const uint64_t early = 1ull << MADV_HUGEPAGE | 1ull << MADV_NOHUGEPAGE;

	for (uint64_t rest = entry->madv & ~early; rest; rest &= rest - 1)
		CALL(calls, entry, "given its advice", SYS_madvise, entry->start,
		     entry->end - entry->start, __builtin_ctzll(rest));
}

static void lock(struct calls *calls, const VmaEntry *entry)
{
	struct purpose *purpose;

	if (!(entry->flags & MAP_LOCKED))
		return;
	purpose = CALL(calls, entry, "locked into memory", SYS_mlock2, entry->start,
		       entry->end - entry->start, entry->lock_on_fault ? MLOCK_ONFAULT : 0);
	/* The lock stands, but there are no pages to bring in. */
	if (!(entry->prot & PROT_READ))
		purpose->tolerated = -ENOMEM;
}

static void name(struct calls *calls, const VmaEntry *entry)
{
	if (!entry->name)
		return;

	size_t size = strlen(entry->name) + 1;

	calls_room(calls, size);
	batch_call(&calls->batch, SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, entry->start,
		   entry->end - entry->start, batch_input(&calls->batch, entry->name, size));
	calls_for(calls, entry, "given its name");
}

static void seal(struct calls *calls, const VmaEntry *entry)
{
	if (entry->sealed)
		CALL(calls, entry, "sealed", SYS_mseal, entry->start, entry->end - entry->start, 0);
}

static void install_guards(struct calls *calls)
{
	const MmEntry *mm = calls->task->mm;

	for (size_t i = 0; i < mm->n_vmas; i++)
		if (mm->vmas[i]->status & VMA_AREA_GUARD)
			CALL(calls, mm->vmas[i], "made a guard region", SYS_madvise,
			     mm->vmas[i]->start, mm->vmas[i]->end - mm->vmas[i]->start,
			     MADV_GUARD_INSTALL);
}

/* Positions, auxiliary vector and executable: what /proc shows of the process. */
static void set_positions(struct calls *calls, int exe)
{
	const MmEntry *mm = calls->task->mm;
	size_t auxv_size = mm->n_mm_saved_auxv * sizeof(*mm->mm_saved_auxv);
	struct prctl_mm_map map = {
		.start_code = mm->mm_start_code,
		.end_code = mm->mm_end_code,
		.start_data = mm->mm_start_data,
		.end_data = mm->mm_end_data,
		.start_brk = mm->mm_start_brk,
		.brk = mm->mm_brk,
		.start_stack = mm->mm_start_stack,
		.arg_start = mm->mm_arg_start,
		.arg_end = mm->mm_arg_end,
		.env_start = mm->mm_env_start,
		.env_end = mm->mm_env_end,
		.auxv_size = auxv_size,
		.exe_fd = exe,
	};

	calls_room(calls, auxv_size + sizeof(map) + 16);
	map.auxv = (void *)batch_input(&calls->batch, mm->mm_saved_auxv, auxv_size);
	batch_call(&calls->batch, SYS_prctl, PR_SET_MM, PR_SET_MM_MAP,
		   batch_input(&calls->batch, &map, sizeof(map)), sizeof(map));
	calls_for(calls, NULL, "given its executable and the positions of its memory");
	CALL(calls, NULL, "rid of a descriptor", SYS_close, exe);
}

/* The lowest number that is free in the task's table, which is complete. */
static int free_number(const struct checkpoint *checkpoint, const struct task *task)
{
	int number = 0;

	for (size_t i = 0;; number++) {
		while (i < task->fdinfo_count && (int)task->fdinfo[i]->fd < number)
			i++;
		if (number != checkpoint->channel.number &&
		    (i == task->fdinfo_count || (int)task->fdinfo[i]->fd != number))
			return number;
	}
}

int memory_finish(struct checkpoint *checkpoint, struct task *task)
{
	const struct task_memory *memory = task->memory;
	struct calls calls;
	int exe, number = free_number(checkpoint, task);
	int error = files_open(checkpoint, task->mm->exe_file_id, &exe);

	if (error)
		return error;
	calls_begin(&calls, checkpoint, task);
	calls_deliver(&calls, &exe, 1, &number);
	set_positions(&calls, number);
	for (size_t i = 0; i < memory->count; i++) {
		const struct mapping *mapping = &memory->mappings[i];

		if (mapping_is_kernels(mapping->entry))
			continue;
		protect(&calls, mapping);
		advise(&calls, mapping->entry);
		lock(&calls, mapping->entry);
		name(&calls, mapping->entry);
	}
	install_guards(&calls);
	if (task->mm->lock_future)
		CALL(&calls, NULL, "told to lock its memory", SYS_mlockall, task->mm->lock_future);
	/* What is sealed cannot be changed any more. */
	for (size_t i = 0; i < memory->count; i++)
		seal(&calls, memory->mappings[i].entry);
	return calls_end(&calls);
}
