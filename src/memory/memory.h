/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct checkpoint;
struct task;

/*
 * Mappings and their contents.
 *
 * Dump, in this order.  memory_describe() reads the mappings of a stopped task, without running
 * anything in it, fills in task->mm (all but what a remote call must tell: brk) and
 * task->space.vdso, and refuses what cannot be carried over.  memory_dump() writes the pages of
 * all tasks, of shared memory and of memfds: pagemap-*.img and pages-*.img.
 */
int memory_describe(struct checkpoint *checkpoint, struct task *task);
int memory_dump(struct checkpoint *checkpoint);

/*
 * Restore.  memory_read() reads all pagemaps, checks them and plans.  memory_bytes() tells how much
 * there is to fill, in tasks and, while files are opened, in shared memory.  memory_area() finds
 * addresses for `size` bytes that no mapping of any task needs.  memory_inherits(): the task
 * shares copy-on-write pages with its parent and must be cloned after memory_restore() of the
 * parent.  memory_restore() replaces the whole memory of a stopped, single-threaded newborn, all
 * but the area and what it inherits.  Protections, locks, advice and prctl(PR_SET_MM_MAP) are set
 * by memory_finish(), when all children have been cloned and all descriptors are in place.
 */
int memory_read(struct checkpoint *checkpoint);
uint64_t memory_bytes(const struct checkpoint *checkpoint);
int memory_area(struct checkpoint *checkpoint, uint64_t size, uint64_t *address);
bool memory_inherits(const struct task *task);
int memory_restore(struct checkpoint *checkpoint, struct task *task);
int memory_finish(struct checkpoint *checkpoint, struct task *task);
/* Frees what is not in the arena (descriptors, buffers). */
void memory_close(struct checkpoint *checkpoint);
