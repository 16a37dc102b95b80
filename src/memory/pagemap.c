/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page maps as images: pagemap-PID.img and pagemap-shmem-SHMID.img. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "images/pagemap.pb-c.h"
#include "memory/internal.h"

int pagemap_write(struct checkpoint *checkpoint, enum image_type type, uint64_t id,
		  uint32_t pages_id, uint64_t object_size, const page_ranges *ranges)
{
	struct image_writer *writer = image_create(checkpoint->images, type, id);
	PagemapHead head = PAGEMAP_HEAD__INIT;

	head.pages_id = pages_id;
	head.has_object_size = type == IMAGE_PAGEMAP_SHMEM;
	head.object_size = object_size;
	image_put(writer, &head);
	array_each (ranges, range) {
		PagemapEntry entry = PAGEMAP_ENTRY__INIT;

		entry.vaddr = range->start;
		entry.compat_nr_pages = range->pages < UINT32_MAX ? range->pages : UINT32_MAX;
		entry.has_nr_pages = true;
		entry.nr_pages = range->pages;
		entry.has_flags = true;
		entry.flags = range->in_process ? 0 : PE_PRESENT;
		entry.has_in_process = range->in_process;
		entry.in_process = range->in_process;
		image_put(writer, &entry);
	}
	return image_finish(writer);
}

/* ---- reading ------------------------------------------------------------------------------- */

static int damaged(enum image_type type, uint64_t id, const PagemapEntry *entry, const char *reason)
{
	char name[64];

	return FAIL(EBADMSG, SUBJECT("image %s", image_name(type, id, name)),
		    "the checkpoint is damaged; make a new one", "the entry at %#lx %s",
		    (unsigned long)entry->vaddr, reason);
}

/* What of an entry stasis does not serve, or NULL. */
static const char *refusal(const PagemapEntry *entry)
{
	if (entry->in_parent || entry->flags & PE_PARENT)
		return "is in a parent checkpoint (--prev-images-dir), which is not supported yet";
	if (entry->blocks || entry->flags & PE_PAYLOAD_ALIGNED)
		return "is compressed, which is not supported yet";
	if (entry->has_flags && !(entry->flags & PE_PRESENT) && !entry->has_in_process)
		return "has no pages";
	return NULL;
}

static int read_entry(enum image_type type, uint64_t id, const PagemapEntry *entry,
		      page_ranges *ranges, uint64_t *offset)
{
	uint64_t pages = entry->has_nr_pages ? entry->nr_pages : entry->compat_nr_pages, size;
	const struct page_range *last = ranges->count ? &ranges->items[ranges->count - 1] : NULL;
	const char *reason = refusal(entry);

	if (reason)
		return damaged(type, id, entry, reason);
	if (entry->vaddr % PAGE || !pages || __builtin_mul_overflow(pages, (uint64_t)PAGE, &size) ||
	    entry->vaddr + size < entry->vaddr)
		return damaged(type, id, entry, "is not a range of pages");
	if (last && entry->vaddr < range_end(last))
		return damaged(type, id, entry, "is not behind the one before it");
	*array_push(ranges) = (struct page_range){.start = entry->vaddr,
						  .pages = pages,
						  .in_process = entry->in_process,
						  .offset = *offset};
	if (!entry->in_process && __builtin_add_overflow(*offset, size, offset))
		return damaged(type, id, entry, "is too large");
	return 0;
}

static int check_pages(uint32_t pages_id, int pages, uint64_t size)
{
	struct stat stat;
	char name[64];

	if (fstat(pages, &stat) < 0)
		return FAIL(errno, SUBJECT("image %s", image_name(IMAGE_PAGES, pages_id, name)),
			    NULL, "cannot be read: %s", strerror(errno));
	if ((uint64_t)stat.st_size >= size)
		return 0;
	return FAIL(EBADMSG, SUBJECT("image %s", image_name(IMAGE_PAGES, pages_id, name)),
		    "the checkpoint is damaged; make a new one",
		    "is too short: %lld bytes instead of %llu", (long long)stat.st_size,
		    (unsigned long long)size);
}

int pagemap_read(struct checkpoint *checkpoint, enum image_type type, uint64_t id,
		 uint64_t *object_size, page_ranges *ranges, int *pages)
{
	struct arena *arena = arena_new(); /* the entries go into ranges */
	struct image_reader *reader;
	PagemapHead *head;
	PagemapEntry *entry;
	uint32_t pages_id = 0;
	uint64_t size = 0;
	int error = image_open(checkpoint->images, type, id, arena, &reader), more = 0;

	if (!error) {
		more = image_get(reader, &head);
		if (more > 0) {
			pages_id = head->pages_id;
			*object_size = head->object_size;
		}
		while (more > 0 && (more = image_get(reader, &entry)) > 0 && !error)
			error = read_entry(type, id, entry, ranges, &size);
		image_close(reader);
	}
	arena_free(arena);
	if (error || more < 0)
		return error ? error : more;
	*pages = image_open_pages(checkpoint->images, pages_id);
	if (*pages < 0)
		return *pages;
	error = check_pages(pages_id, *pages, size);
	if (error)
		fd_close(pages);
	return error;
}
