/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mappings of System V shared memory.  The segments are those of the ipc namespace
 * (namespace/shm.c); here they are attached, in whole as shmat(2) does it, and then cut down to
 * what the task has of them: pieces of one attachment stay together, as shmdt(2) wants it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "checkpoint/checkpoint.h"
#include "memory/internal.h"
#include "namespace/ipc.h"

int sysv_describe(struct checkpoint *checkpoint, struct task *task, VmaEntry *entry, int fd,
		  uint64_t id)
{
	entry->shmid = id;
	entry->flags |= MAP_ANONYMOUS;
	entry->status = VMA_AREA_REGULAR | VMA_ANON_SHARED | VMA_AREA_SYSVIPC;
	return shm_mapped(checkpoint, task, id, fd, mapping_subject(task, entry));
}

const char *sysv_check(struct checkpoint *checkpoint, const struct task *task,
		       const VmaEntry *entry)
{
	return shm_has(checkpoint, task, entry->shmid, entry->pgoff + (entry->end - entry->start))
		       ? NULL
		       : "is of System V shared memory that is not there, or smaller";
}

/* ---- restore ------------------------------------------------------------------------------- */

/* A segment that is attached once; its pieces are mappings from `first` on. */
struct attachment {
	struct checkpoint *checkpoint;
	struct task *task;
	const VmaEntry *first;
	uint64_t base, size; /* of the whole segment, where its first byte would be */
	size_t begin;        /* index of the first piece */
};

static bool is_piece(const struct attachment *attachment, const VmaEntry *entry)
{
	return mapping_is_sysv(entry) && entry->shmid == attachment->first->shmid &&
	       entry->start - entry->pgoff == attachment->base &&
	       entry->fdflags == attachment->first->fdflags;
}

static bool overlap(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
	return a < b_end && b < a_end;
}

/* Can the whole of it be where its pieces are? */
static bool has_room(const struct attachment *attachment)
{
	const struct task_memory *memory = attachment->task->memory;
	uint64_t area = attachment->checkpoint->area;
	uint64_t base = attachment->base, end = base + attachment->size;

	if (base > end || end > ARCH_TASK_SIZE || base < PAGE ||
	    overlap(base, end, area, area + attachment->task->space.area_size))
		return false;
	if (attachment->begin && memory->mappings[attachment->begin - 1].entry->end > base)
		return false;
	for (size_t i = attachment->begin;
	     i < memory->count && memory->mappings[i].entry->start < end; i++)
		if (!is_piece(attachment, memory->mappings[i].entry))
			return false;
	return true;
}

/* Addresses that nothing will need; 0: there are none. */
static uint64_t find_room(const struct attachment *attachment)
{
	const struct task_memory *memory = attachment->task->memory;
	uint64_t area = attachment->checkpoint->area, size = attachment->size;
	uint64_t area_end = area + attachment->task->space.area_size, at = 16 << 20;

	for (size_t i = 0; i <= memory->count; i++) {
		const VmaEntry *next = i < memory->count ? memory->mappings[i].entry : NULL;
		uint64_t end = next ? next->start : ARCH_TASK_SIZE;

		if (at < end && end - at >= size && overlap(at, at + size, area, area_end))
			at = area_end;
		if (at < end && end - at >= size)
			return at;
		if (next && next->end > at)
			at = next->end;
	}
	return 0;
}

static int failed(const struct attachment *attachment, const char *what, int64_t error)
{
	return FAIL(-error, mapping_subject(attachment->task, attachment->first), NULL,
		    "System V shared memory cannot be %s: %s", what, strerror(-error));
}

static int cut_away(const struct attachment *attachment, uint64_t start, uint64_t end)
{
	int64_t error = start < end ? remote_syscall(task_leader(attachment->task), SYS_munmap,
						     start, end - start)
				    : 0;

	return error < 0 ? failed(attachment, "cut", error) : 0;
}

/* at: where all of it is attached. */
static int keep_pieces(const struct attachment *attachment, uint64_t at)
{
	struct task_memory *memory = attachment->task->memory;
	uint64_t done = at;
	int error = 0;

	for (size_t i = attachment->begin; i < memory->count && !error; i++) {
		struct mapping *mapping = &memory->mappings[i];
		const VmaEntry *entry = mapping->entry;
		uint64_t size = entry->end - entry->start, from = at + entry->pgoff;
		int64_t moved = entry->start;

		if (entry->start - attachment->base >= attachment->size)
			break;
		if (!is_piece(attachment, entry))
			continue;
		error = cut_away(attachment, done, from);
		if (!error && from != entry->start)
			moved = remote_syscall(task_leader(attachment->task), SYS_mremap, from,
					       size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
					       entry->start);
		if (moved != (int64_t)entry->start)
			error = failed(attachment, "moved", moved < 0 ? moved : -EFAULT);
		done = from + size;
		mapping->unprotected = mapping->attached = true;
	}
	return error ? error : cut_away(attachment, done, at + attachment->size);
}

static int attach(const struct attachment *attachment)
{
	uint64_t at = has_room(attachment) ? attachment->base : find_room(attachment);
	int flags = (attachment->first->fdflags & O_ACCMODE) == O_RDONLY ? SHM_RDONLY : 0;
	int64_t result;

	if (!at)
		return failed(attachment, "attached", -ENOMEM);
	result = remote_syscall(task_leader(attachment->task), SYS_shmat, attachment->first->shmid,
				at, flags);
	if (result != (int64_t)at)
		return failed(attachment, "attached", result < 0 ? result : -EFAULT);
	return keep_pieces(attachment, at);
}

int sysv_attach(struct checkpoint *checkpoint, struct task *task)
{
	struct task_memory *memory = task->memory;
	int error = 0;

	for (size_t i = 0; i < memory->count && !error; i++) {
		const VmaEntry *entry = memory->mappings[i].entry;
		struct attachment attachment = {checkpoint, task, entry};

		if (!mapping_is_sysv(entry) || memory->mappings[i].attached)
			continue;
		attachment.base = entry->start - entry->pgoff;
		attachment.size = shm_size(checkpoint, task, entry->shmid);
		attachment.begin = i;
		error = attach(&attachment);
	}
	return error;
}
