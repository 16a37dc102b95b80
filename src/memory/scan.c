/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dump: which pages have contents of their own.  In private memory these are the pages that are
 * present or swapped out and not a file's.  What a task has from its parent by copy-on-write is
 * found by comparing page frame numbers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "memory/internal.h"

/* Linux 6.7; newer than the headers of Debian 12. */
#ifndef PAGEMAP_SCAN
struct page_region {
	uint64_t start, end, categories;
};

struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define PAGEMAP_SCAN    _IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_FILE    (1 << 2)
#define PAGE_IS_PRESENT (1 << 3)
#define PAGE_IS_SWAPPED (1 << 4)
#define PAGE_IS_PFNZERO (1 << 5)
#endif
#ifndef PAGE_IS_GUARD
#define PAGE_IS_GUARD (1 << 8) /* Linux 6.16 */
#endif

/* Entries of /proc/PID/pagemap. */
#define PM_PRESENT   (1ull << 63)
#define PM_SWAPPED   (1ull << 62)
#define PM_FILE      (1ull << 61) /* or shared memory */
#define PM_EXCLUSIVE (1ull << 56)
#define PM_FRAME     ((1ull << 55) - 1) /* or where in swap; 0: hidden from us */

enum {
	BLOCK = 4096, /* entries of a pagemap that are read at once */
	/*
	 * Regions that one ioctl returns.  With room for more than 512, which the kernel (seen on
	 * 6.18) collects before it copies them out, walk_end is wrong after the last of them.
	 */
	REGIONS = 512,
};

struct scan {
	struct task *task;
	int pagemap;
	bool no_ioctl, no_guards; /* the kernel does not have it */
	size_t mapping;           /* of the next region */
	page_ranges ranges;
};

static int fail(const struct task *task, int error)
{
	return FAIL(error, task_subject(task), "run stasis as root",
		    "/proc/PID/pagemap cannot be read: %s", strerror(error));
}

static int open_pagemap(const struct task *task)
{
	int fd = openat(task->proc, "pagemap", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? fail(task, errno) : fd;
}

/* ---- one region ---------------------------------------------------------------------------- */

/* Regions come in ascending order; one can go across mappings. */
static void add_region(struct scan *scan, uint64_t start, uint64_t end, bool guard)
{
	const struct task_memory *memory = scan->task->memory;

	while (start < end && scan->mapping < memory->count) {
		const VmaEntry *entry = memory->mappings[scan->mapping].entry;

		if (entry->end <= start) {
			scan->mapping++;
			continue;
		}

		uint64_t from = start > entry->start ? start : entry->start;
		uint64_t to = end < entry->end ? end : entry->end;

		start = to;
		if (from >= to)
			break;
		if (!mapping_is_private(entry))
			continue;
		ranges_add(guard ? &scan->task->memory->guards : &scan->ranges,
			   (struct page_range){.start = from,
					       .pages = (to - from) / PAGE,
					       .keep_zeros = entry->status & VMA_FILE_PRIVATE});
	}
}

/* ---- Linux 6.7: the kernel looks for them -------------------------------------------------- */

static int scan_by_ioctl(struct scan *scan, uint64_t start, uint64_t end, bool file)
{
	/* To ask whose a page is costs a look at it; anonymous memory has no file's. */
	const uint64_t not_wanted = PAGE_IS_PFNZERO | (file ? PAGE_IS_FILE : 0);
	struct page_region regions[REGIONS];
	struct pm_scan_arg argument = {
		.size = sizeof(argument),
		.start = start,
		.end = end,
		.vec = (uintptr_t)regions,
		.vec_len = REGIONS,
		.category_inverted = not_wanted,
		.category_mask = not_wanted,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = scan->no_guards ? 0 : PAGE_IS_GUARD,
	};

	while (argument.start < end) {
		int count = ioctl(scan->pagemap, PAGEMAP_SCAN, &argument);

		if (count < 0 && errno == EINVAL && argument.return_mask) {
			argument.return_mask = 0;
			scan->no_guards = true;
			continue;
		}
		if (count < 0)
			return -errno;
		for (int i = 0; i < count; i++)
			add_region(scan, regions[i].start, regions[i].end,
				   regions[i].categories & PAGE_IS_GUARD);
		argument.start = argument.walk_end;
	}
	return 0;
}

/* ---- before: we do ------------------------------------------------------------------------- */

static int scan_by_reading(struct scan *scan, uint64_t start, uint64_t end)
{
	uint64_t entries[BLOCK];

	for (uint64_t at = start; at < end; at += BLOCK * PAGE) {
		size_t count = (end - at) / PAGE < BLOCK ? (end - at) / PAGE : BLOCK;
		int error = fd_pread_all(scan->pagemap, entries, count * sizeof(*entries),
					 at / PAGE * sizeof(*entries));

		if (error)
			return error;
		for (size_t i = 0; i < count; i++)
			if (entries[i] & (PM_PRESENT | PM_SWAPPED) && !(entries[i] & PM_FILE))
				add_region(scan, at + i * PAGE, at + (i + 1) * PAGE, false);
	}
	return 0;
}

static int scan_span(struct scan *scan, uint64_t start, uint64_t end, bool file)
{
	int error = scan->no_ioctl ? -ENOTTY : scan_by_ioctl(scan, start, end, file);

	if (error != -ENOTTY)
		return error;
	scan->no_ioctl = true;
	return 0;
}

/* Private mappings; by ioctl several of a kind at once, if no other lies between them. */
static int scan_mappings(struct scan *scan)
{
	const struct task_memory *memory = scan->task->memory;
	const VmaEntry *first = NULL, *last = NULL;
	int error = 0;

	for (size_t i = 0; i <= memory->count && !error && !scan->no_ioctl; i++) {
		const VmaEntry *entry = i < memory->count ? memory->mappings[i].entry : NULL;

		if (entry && !mapping_is_private(entry))
			entry = NULL;
		if (first && (!entry || (entry->status ^ first->status) & VMA_FILE_PRIVATE)) {
			error = scan_span(scan, first->start, last->end,
					  first->status & VMA_FILE_PRIVATE);
			first = NULL;
		}
		if (!first)
			first = entry;
		last = entry;
	}
	for (size_t i = 0; i < memory->count && !error && scan->no_ioctl; i++) {
		const VmaEntry *entry = memory->mappings[i].entry;

		if (mapping_is_private(entry))
			error = scan_by_reading(scan, entry->start, entry->end);
	}
	return error ? fail(scan->task, -error) : 0;
}

/* ---- copy-on-write ------------------------------------------------------------------------- */

/* A walk through the mappings of a task, by ascending address. */
struct walk {
	const struct task_memory *memory;
	size_t next;
};

/* The mapping of an address, or NULL. */
static const VmaEntry *walk_to(struct walk *walk, uint64_t address)
{
	const struct task_memory *memory = walk->memory;

	while (walk->next < memory->count && memory->mappings[walk->next].entry->end <= address)
		walk->next++;
	if (walk->next == memory->count || memory->mappings[walk->next].entry->start > address)
		return NULL;
	return memory->mappings[walk->next].entry;
}

/* Looks at page frames: pages shared with others, and those the parent has at the same address. */
struct comparison {
	int own, parents; /* pagemaps; parents: -1 if there is none */
	pid_t parent;
	struct walk walk, parents_walk;
	const VmaEntry *entry, *from; /* the last that were compared, */
	bool can_inherit;             /* and the result */
	page_ranges ranges;
};

static bool is_same_page(uint64_t own, uint64_t parents)
{
	const uint64_t mask = PM_FRAME | PM_PRESENT | PM_SWAPPED;

	return own & PM_FRAME && (own & mask) == (parents & mask);
}

static bool can_inherit(struct comparison *comparison, uint64_t address)
{
	const VmaEntry *entry = walk_to(&comparison->walk, address),
		       *from = walk_to(&comparison->parents_walk, address);

	if (entry != comparison->entry || from != comparison->from) {
		comparison->entry = entry;
		comparison->from = from;
		comparison->can_inherit = entry && from && mapping_can_inherit(entry, from);
	}
	return comparison->can_inherit;
}

/* own and parents: entries of the pagemaps. */
static void add_pages(struct comparison *comparison, struct page_range range, uint64_t count,
		      const uint64_t *own, const uint64_t *parents)
{
	range.pages = 1;
	for (uint64_t i = 0; i < count; i++, range.start += PAGE) {
		bool same =
			is_same_page(own[i], parents[i]) && can_inherit(comparison, range.start);

		range.in_process = same ? comparison->parent : 0;
		range.shared = !same && !(own[i] & PM_EXCLUSIVE);
		ranges_add(&comparison->ranges, range);
	}
}

static int compare_range(struct comparison *comparison, struct page_range range)
{
	uint64_t own[BLOCK], parents[BLOCK] = {0}, end = range_end(&range), count;

	for (; range.start < end; range.start += count * PAGE) {
		off_t offset = range.start / PAGE * sizeof(*own);
		bool exclusive = true;
		int error;

		count = (end - range.start) / PAGE < BLOCK ? (end - range.start) / PAGE : BLOCK;
		error = fd_pread_all(comparison->own, own, count * sizeof(*own), offset);
		for (uint64_t i = 0; i < count && !error; i++)
			exclusive &= (own[i] & PM_EXCLUSIVE) != 0;
		if (!error && !exclusive && comparison->parents >= 0)
			error = fd_pread_all(comparison->parents, parents, count * sizeof(*own),
					     offset);
		if (error)
			return error;
		range.pages = count;
		if (exclusive)
			ranges_add(&comparison->ranges, range);
		else
			add_pages(comparison, range, count, own, parents);
	}
	return 0;
}

/* Can it have pages that others have, too? */
static bool may_share(const struct task *task)
{
	if (task->child_count || task->parent)
		return true;
	for (size_t i = 0; i < task->memory->count; i++)
		if (task->memory->mappings[i].entry->madv & 1ull << MADV_MERGEABLE)
			return true;
	return false;
}

static int compare_frames(struct scan *scan)
{
	const struct task *parent = scan->task->parent;
	struct comparison comparison = {.own = scan->pagemap, .parents = -1};
	autofd int pagemap = -1;
	int error = 0;

	if (parent && parent->memory) {
		pagemap = open_pagemap(parent);
		if (pagemap < 0)
			return pagemap;
		comparison.parents = pagemap;
		comparison.parent = parent->id;
		comparison.walk.memory = scan->task->memory;
		comparison.parents_walk.memory = parent->memory;
	}
	array_each (&scan->ranges, range)
		if (!error)
			error = compare_range(&comparison, *range);
	array_free(&scan->ranges);
	scan->ranges = comparison.ranges;
	return error ? fail(scan->task, -error) : 0;
}

/* ---- all of a task ------------------------------------------------------------------------- */

int scan_pages(struct task *task)
{
	autofd int pagemap = open_pagemap(task);
	struct scan scan = {.task = task, .pagemap = pagemap};
	int error = pagemap < 0 ? pagemap : scan_mappings(&scan);

	if (!error && may_share(task))
		error = compare_frames(&scan);
	task->memory->ranges = scan.ranges;
	return error;
}

static VmaEntry *guard_entry(struct arena *arena, const struct page_range *guard)
{
	VmaEntry *entry = ARENA_MESSAGE(arena, vma_entry, VmaEntry);

	entry->start = guard->start;
	entry->end = range_end(guard);
	entry->fd = -1;
	entry->flags = MAP_PRIVATE | MAP_ANONYMOUS;
	entry->status = VMA_AREA_GUARD;
	return entry;
}

void scan_store_guards(struct arena *arena, struct task *task)
{
	page_ranges *guards = &task->memory->guards;
	MmEntry *mm = task->mm;
	VmaEntry **all;

	if (!guards->count)
		return;
	all = arena_new_array(arena, VmaEntry *, mm->n_vmas + guards->count);
	memcpy(all, mm->vmas, mm->n_vmas * sizeof(*all));
	mm->vmas = all;
	array_each (guards, guard)
		all[mm->n_vmas++] = guard_entry(arena, guard);
	array_free(guards);
}
