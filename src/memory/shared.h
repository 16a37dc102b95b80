/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdint.h>

struct checkpoint;

/*
 * Contents of memory that tasks share, for the part that makes the objects: a memfd, as a
 * descriptor and as a mapping, is a file of kind MEMFD (file/memfd.c).  A mapping's id of it comes
 * from files_describe_path() and stands in vma_entry.shmid (with VMA_AREA_MEMFD); on restore
 * files_open() of that id gives a descriptor, filled and not yet sealed against what restore does.
 */

/*
 * Dump: memory_dump() will store the object behind fd (any descriptor of it; stays the caller's)
 * as pagemap-shmem-SHMID.img.  One object, by device and inode, has one shmid.  Reports.
 */
int shared_memory_add(struct checkpoint *checkpoint, int fd, uint32_t *shmid);
/* The same of an object that the caller knows to be a new one, whatever its number. */
int shared_memory_add_new(struct checkpoint *checkpoint, int fd, uint32_t *shmid);
/* Restore: fills a new, empty object that has its size already.  Reports. */
int shared_memory_fill(struct checkpoint *checkpoint, uint32_t shmid, int fd);
