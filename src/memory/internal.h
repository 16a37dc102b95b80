/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "base/report.h"
#include "image/constants.h"
#include "image/image.h"
#include "images/mm.pb-c.h"

/* Shared by the files of memory/ only. */

struct arena;
struct checkpoint;
struct shared_memory;
struct task;

/* Newer than the headers of Debian 12. */
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08 /* a type beside MAP_PRIVATE; Linux 6.11 */
#endif

enum { NODE_MASK = 128 }; /* bytes of a set of NUMA nodes: more than any kernel has */

enum { PAGE = 4096 }; /* of the processor and of the images: x86-64 has both the same */

/* Some pages in a row with contents of their own (not a file's). */
struct page_range {
	uint64_t start; /* address; in shared memory the offset */
	uint64_t pages;
	uint32_t in_process; /* 0: stored, else the parent, which has the same pages */
	bool keep_zeros; /* dump: a page of zeros is not the same as none (a file's private page) */
	bool shared;     /* dump: by copy-on-write with another process */
	uint64_t offset; /* restore: in the pages file */
};

typedef ARRAY(struct page_range) page_ranges;

static inline uint64_t range_end(const struct page_range *range)
{
	return range->start + range->pages * PAGE;
}

struct mapping {
	VmaEntry *entry;
	size_t first_range, ranges; /* restore: those of task_memory.ranges that are in it */
	bool unprotected;           /* restore: mapped with another protection than it has */
	bool attached;              /* restore: of sysv.c */
};

/* task->memory */
struct task_memory {
	struct mapping *mappings; /* ascending; all of mm->vmas but guard regions */
	size_t count;
	page_ranges ranges; /* ascending; on restore none goes beyond its mapping */
	page_ranges guards; /* dump: guard regions, likewise, until they are in mm->vmas */
	bool inherits;      /* some range is the parent's */
	uint64_t vdso;      /* restore: address of the block of the vdso; 0: none */
	int pages;          /* restore: the pages file, or -1 */
};

/* The block that the kernel maps into every process: data pages, then the vdso. */
struct vdso {
	uint64_t data, start, end; /* addresses in stasis itself */
};

/* checkpoint->memory */
struct memory_state {
	uint32_t last_pages_id;
	dev_t shared_device; /* of memfds and shared anonymous memory */
	struct vdso vdso;
	struct prefetch *prefetch; /* dump: or NULL */
	struct hash files;         /* dump: mapped files that have an id */
	struct hash shared;        /* shmid -> struct shared_memory */
	ARRAY(struct shared_memory *) objects;
	void *buffers[PARALLEL_MOST]; /* of pages.c, by lane */
};

/* Made when it is first asked for; NULL after a report. */
struct memory_state *memory_state(struct checkpoint *checkpoint);

/* "pid 42 (cat), mapping 7f0000000000-7f0000001000" */
struct subject mapping_subject(const struct task *task, const VmaEntry *entry);

/* The vdso, its data, vsyscall: the kernel's own, which it maps itself. */
static inline bool mapping_is_kernels(const VmaEntry *entry)
{
	return entry->status & (VMA_AREA_VDSO | VMA_AREA_VVAR | VMA_AREA_VSYSCALL);
}

/* Of a segment that shmat(2) attaches, not mmap(2). */
static inline bool mapping_is_sysv(const VmaEntry *entry)
{
	return entry->status & VMA_AREA_SYSVIPC;
}

/* Private memory: pages that can differ from a file's and be inherited. */
static inline bool mapping_is_private(const VmaEntry *entry)
{
	return entry->status & (VMA_FILE_PRIVATE | VMA_ANON_PRIVATE) && !mapping_is_kernels(entry);
}

/* Can the one mapping be inherited from the other (the parent's) where they overlap? */
bool mapping_can_inherit(const VmaEntry *entry, const VmaEntry *from);

/* Adds pages at the end; ranges that continue each other become one. */
void ranges_add(page_ranges *ranges, struct page_range range);

/* ---- smaps.c: what the kernel says of a mapping --------------------------------------------- */

/* VmFlags of /proc/PID/smaps, in the order of the table in smaps.c. */
enum vm_flag {
	VM_READ,
	VM_WRITE,
	VM_EXEC,
	VM_SHARED,
	VM_MAYREAD,
	VM_MAYWRITE,
	VM_MAYEXEC,
	VM_MAYSHARE,
	VM_GROWSDOWN,
	VM_PFNMAP,
	VM_MAYBE_GUARD,
	VM_LOCKED,
	VM_IO,
	VM_SEQ_READ,
	VM_RAND_READ,
	VM_DONTCOPY,
	VM_DONTEXPAND,
	VM_LOCKONFAULT,
	VM_ACCOUNT,
	VM_NORESERVE,
	VM_HUGETLB,
	VM_SYNC,
	VM_ARCH_1,
	VM_WIPEONFORK,
	VM_DONTDUMP,
	VM_SOFTDIRTY,
	VM_MIXEDMAP,
	VM_HUGEPAGE,
	VM_NOHUGEPAGE,
	VM_MERGEABLE,
	VM_UFFD_MISSING,
	VM_UFFD_WP,
	VM_UFFD_MINOR,
	VM_SHADOW_STACK,
	VM_SEALED,
	VM_DROPPABLE,
	VM_FLAGS,
};

#define VM_BIT(flag) (1ull << (flag))

/* One paragraph of smaps. */
struct smaps_entry {
	uint64_t start, end, offset; /* bytes */
	bool read, write, exec, shared;
	dev_t device;
	uint64_t inode, rss; /* rss: bytes */
	char *name;          /* in the text: path or [name]; "" for none */
	uint64_t flags;      /* VM_BIT()s */
	char unknown[3];     /* a flag this table does not have, or "" */
	unsigned int protection_key;
};

/* What carries a flag over. */
struct vm_flag_row {
	char code[3];
	int map;             /* restored as this MAP_ flag, */
	int advice;          /* or by this madvise(), */
	const char *refusal; /* or not: why */
	const char *remedy;
};

extern const struct vm_flag_row vm_flag_rows[VM_FLAGS];

/*
 * Parses the next paragraph at *text, which is changed (names are cut out), and moves *text
 * behind it.  1: *entry is filled in; 0: the end; -EBADMSG.
 */
int smaps_next(char **text, struct smaps_entry *entry);

/* ---- prefetch.c: smaps of the tasks of a tree ---------------------------------------------- */

struct prefetch;
/* Begins to read; NULL: not worth it. */
struct prefetch *prefetch_start(struct checkpoint *checkpoint);
/* The smaps of a task; tasks are asked for in the order of the tree.  NULL: reads it now. */
int prefetch_take(struct prefetch *prefetch, const struct task *task, char **text);
void prefetch_end(struct prefetch *prefetch); /* NULL is allowed */

/* ---- scan.c: which pages ------------------------------------------------------------------- */

/*
 * Finds the pages of the task that have to be stored, those it shares with its parent, and guard
 * regions (MADV_GUARD_INSTALL, Linux 6.13).  Several tasks may be scanned at the same time.
 */
int scan_pages(struct task *task);
/* Makes entries at the end of mm->vmas of its guard regions. */
void scan_store_guards(struct arena *arena, struct task *task);

/* ---- pages.c: their contents --------------------------------------------------------------- */

/* Where pages come from or go to: memory of a process (ours, too), or a file. */
struct page_place {
	pid_t pid; /* 0: the file */
	int fd;
	uint64_t base;     /* added to the start of ranges */
	unsigned int lane; /* of parallel_each(), or 0 */
	struct subject subject;
};

/*
 * Dump: writes the contents of the ranges that are not in_process to the (empty) pages file, in
 * order.  The ranges are replaced by what was stored: pages of zeros may be left out.  Reports.
 */
int pages_store(struct checkpoint *checkpoint, const struct page_place *from, page_ranges *ranges,
		int pages);
/* Restore: fills the place from the pages file.  Reports. */
int pages_fill(struct checkpoint *checkpoint, const struct page_place *to,
	       const page_ranges *ranges, int pages);
uint64_t ranges_stored(const page_ranges *ranges); /* pages */

/* ---- pagemap.c: page maps as images -------------------------------------------------------- */

/* type: IMAGE_PAGEMAP or IMAGE_PAGEMAP_SHMEM.  object_size: of shared memory, else 0. */
int pagemap_write(struct checkpoint *checkpoint, enum image_type type, uint64_t id,
		  uint32_t pages_id, uint64_t object_size, const page_ranges *ranges);
/*
 * Reads and checks: ascending, not overlapping, and as many pages as the pages file has.
 * *pages is the pages file, now the caller's.  -ENOENT without a report: there is no such image.
 */
int pagemap_read(struct checkpoint *checkpoint, enum image_type type, uint64_t id,
		 uint64_t *object_size, page_ranges *ranges, int *pages);

/* ---- shared.c: memory that tasks share ----------------------------------------------------- */

struct shared_memory {
	uint32_t id;   /* shmid */
	uint64_t size; /* bytes */
	bool has_size; /* restore: the image tells it */
	int fd;        /* of the object, or -1 */
	int pages;     /* restore: the pages file, or -1 */
	page_ranges ranges;
};

/* Dump: finds the pages that have to be stored; then stores them.  Report. */
int shared_object_scan(struct checkpoint *checkpoint, struct shared_memory *object);
int shared_object_store(struct checkpoint *checkpoint, struct shared_memory *object);
/* Reads the page map of an object, once.  Reports. */
int shared_object_read(struct checkpoint *checkpoint, uint64_t id, struct shared_memory **object);
/*
 * A descriptor (the object's) of shared anonymous memory, made and filled when it is first asked
 * for.  flags: MAP_NORESERVE or 0.  Reports.
 */
int shared_object_open(struct checkpoint *checkpoint, struct shared_memory *object, int flags,
		       int *fd);

/* ---- sysv.c: System V shared memory -------------------------------------------------------- */

/* Dump: a mapping of the segment of this id.  fd: of its file.  Refuses. */
int sysv_describe(struct checkpoint *checkpoint, struct task *task, VmaEntry *entry, int fd,
		  uint64_t id);
/* Restore: what is wrong with such a mapping, or NULL. */
const char *sysv_check(struct checkpoint *checkpoint, const struct task *task,
		       const VmaEntry *entry);
/* Attaches all of them, when everything else is mapped.  Reports. */
int sysv_attach(struct checkpoint *checkpoint, struct task *task);

/* ---- vdso.c -------------------------------------------------------------------------------- */

/* Where stasis itself has it.  Reports. */
int vdso_find(struct vdso *vdso);
/* Dump: notes in task->mm which vdso it has; refuses one that differs from this kernel's. */
int vdso_describe(const struct vdso *vdso, struct task *task, const VmaEntry *entry);
/* Restore: can this kernel make the vdso of the task?  *data: address of its block, 0: none. */
int vdso_check(const struct vdso *vdso, const struct task *task, uint64_t *data);
