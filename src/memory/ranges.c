/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/mman.h>

#include "memory/internal.h"

void ranges_add(page_ranges *ranges, struct page_range range)
{
	struct page_range *last = ranges->count ? &ranges->items[ranges->count - 1] : NULL;

	if (!range.pages)
		return;
	if (last && range_end(last) == range.start && last->in_process == range.in_process &&
	    last->keep_zeros == range.keep_zeros && last->shared == range.shared)
		last->pages += range.pages;
	else
		*array_push(ranges) = range;
}

uint64_t ranges_stored(const page_ranges *ranges)
{
	uint64_t pages = 0;

	array_each (ranges, range)
		if (!range->in_process)
			pages += range->pages;
	return pages;
}

bool mapping_can_inherit(const VmaEntry *entry, const VmaEntry *from)
{
	/* What memory_finish() cannot change: it must be right when the child is cloned. */
	const uint32_t status = VMA_FILE_PRIVATE | VMA_ANON_PRIVATE | VMA_FILE_SHARED |
				VMA_ANON_SHARED | VMA_AREA_MEMFD;
	const uint32_t flags = ~(uint32_t)MAP_LOCKED;
	const uint64_t advice = 1ull << MADV_HUGEPAGE | 1ull << MADV_NOHUGEPAGE;

	return !mapping_is_kernels(entry) && !mapping_is_kernels(from) && !mapping_is_sysv(entry) &&
	       !mapping_is_sysv(from) && (entry->status & status) == (from->status & status) &&
	       (entry->flags & flags) == (from->flags & flags) && !entry->mempolicy &&
	       !from->mempolicy && entry->accounted == from->accounted &&
	       (entry->madv & advice) == (from->madv & advice) &&
	       (entry->status & VMA_ANON_PRIVATE ||
		(entry->shmid == from->shmid && entry->fdflags == from->fdflags &&
		 entry->pgoff - entry->start == from->pgoff - from->start));
}
