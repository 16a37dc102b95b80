/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that tasks share: memfds (made by file/memfd.c) and shared anonymous memory. */
#include "memory/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "memory/internal.h"

static int fail(int error, const char *what)
{
	return FAIL(error, SUBJECT("shared memory"), NULL, "%s: %s", what, strerror(error));
}

/* ---- dump ---------------------------------------------------------------------------------- */

/* A readable descriptor of our own, whatever fd is. */
static int reopen(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int add(struct checkpoint *checkpoint, int fd, const struct stat *stat,
	       struct shared_memory **added)
{
	struct memory_state *state = checkpoint->memory;
	struct shared_memory *object = arena_new_object(checkpoint->arena, struct shared_memory);

	object->size = stat->st_size;
	object->pages = -1;
	object->fd = reopen(fd);
	if (object->fd < 0)
		return fail(errno, "cannot be opened");
	*array_push(&state->objects) = object;
	object->id = state->objects.count;
	*added = object;
	return 0;
}

int shared_memory_add(struct checkpoint *checkpoint, int fd, uint32_t *shmid)
{
	struct memory_state *state = memory_state(checkpoint);
	struct shared_memory *object;
	struct stat stat;
	int error;

	if (!state)
		return -EIO;
	if (fstat(fd, &stat) < 0)
		return fail(errno, "cannot be looked at");
	/* All of it is on one device of the kernel's, so the inode alone is unique. */
	if (stat.st_dev != state->shared_device)
		return fail(EINVAL, "is on an unexpected device");
	object = hash_get(&state->shared, stat.st_ino);
	if (!object) {
		error = add(checkpoint, fd, &stat, &object);
		if (error)
			return error;
		hash_put(&state->shared, stat.st_ino, object);
	}
	*shmid = object->id;
	return 0;
}

int shared_memory_add_new(struct checkpoint *checkpoint, int fd, uint32_t *shmid)
{
	struct shared_memory *object;
	struct stat stat;
	int error;

	if (!memory_state(checkpoint))
		return -EIO;
	if (fstat(fd, &stat) < 0)
		return fail(errno, "cannot be looked at");
	error = add(checkpoint, fd, &stat, &object);
	*shmid = error ? 0 : object->id;
	return error;
}

/* Everything but holes. */
static int find_data(struct shared_memory *object)
{
	off_t data = 0, hole;

	for (;;) {
		data = lseek(object->fd, data, SEEK_DATA);
		hole = data < 0 ? -1 : lseek(object->fd, data, SEEK_HOLE);
		if (hole < 0)
			return errno == ENXIO ? 0 : -errno;
		/* The size may be no multiple of a page, the last page is whole in memory. */
		ranges_add(&object->ranges,
			   (struct page_range){.start = data & -(off_t)PAGE,
					       .keep_zeros = true,
					       .pages = (hole + PAGE - 1) / PAGE - data / PAGE});
		data = hole;
	}
}

int shared_object_scan(struct checkpoint *checkpoint, struct shared_memory *object)
{
	int error = find_data(object);

	checkpoint->stats.shpages_scanned += object->size / PAGE;
	return error ? fail(-error, "cannot be read") : 0;
}

int shared_object_store(struct checkpoint *checkpoint, struct shared_memory *object)
{
	struct page_place place = {.fd = object->fd,
				   .subject = SUBJECT("shared memory %u", object->id)};
	uint32_t pages_id = ++checkpoint->memory->last_pages_id;
	autofd int pages = image_create_pages(checkpoint->images, pages_id);
	int error;

	if (pages < 0)
		return pages;
	checkpoint->stats.shpages_written += ranges_stored(&object->ranges);
	error = pages_store(checkpoint, &place, &object->ranges, pages);
	if (error)
		return error;
	return pagemap_write(checkpoint, IMAGE_PAGEMAP_SHMEM, object->id, pages_id, object->size,
			     &object->ranges);
}

/* ---- restore ------------------------------------------------------------------------------- */

int shared_object_read(struct checkpoint *checkpoint, uint64_t id, struct shared_memory **result)
{
	struct memory_state *state = memory_state(checkpoint);
	struct shared_memory *object = state ? hash_get(&state->shared, id) : NULL;
	uint64_t end = 0;
	int error;

	if (!state)
		return -EIO;
	*result = object;
	if (object)
		return 0;
	object = arena_new_object(checkpoint->arena, struct shared_memory);
	object->id = id;
	object->fd = object->pages = -1;
	*array_push(&state->objects) = object;
	error = pagemap_read(checkpoint, IMAGE_PAGEMAP_SHMEM, id, &object->size, &object->ranges,
			     &object->pages);
	if (error == -ENOENT)
		return FAIL(ENOENT, SUBJECT("image pagemap-shmem-%lu.img", (unsigned long)id),
			    "the checkpoint is damaged; make a new one", "is missing");
	if (error)
		return error;
	if (object->ranges.count) {
		const struct page_range *last = &object->ranges.items[object->ranges.count - 1];

		end = range_end(last);
	}
	/* CRIU does not store the size: at least all that has contents (or is mapped: read.c). */
	object->has_size = object->size;
	if (!object->has_size)
		object->size = end;
	if (end > ((object->size + PAGE - 1) & -(uint64_t)PAGE))
		return FAIL(EBADMSG, SUBJECT("image pagemap-shmem-%lu.img", (unsigned long)id),
			    "the checkpoint is damaged; make a new one",
			    "has pages beyond the end of the object");
	hash_put(&state->shared, id, object);
	*result = object;
	return 0;
}

static int fill(struct checkpoint *checkpoint, struct shared_memory *object, void *memory)
{
	struct page_place place = {.pid = getpid(),
				   .base = (uintptr_t)memory,
				   .subject = SUBJECT("shared memory %u", object->id)};

	return pages_fill(checkpoint, &place, &object->ranges, object->pages);
}

/* The file that the kernel makes for MAP_SHARED | MAP_ANONYMOUS memory. */
static int open_own_mapping(const void *memory, size_t size)
{
	char path[80];

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)memory,
		 (unsigned long)memory + size);
	return open(path, O_RDWR | O_CLOEXEC);
}

int shared_object_open(struct checkpoint *checkpoint, struct shared_memory *object, int flags,
		       int *fd)
{
	size_t size = (object->size + PAGE - 1) & -(uint64_t)PAGE;
	void *memory;
	int error;

	*fd = object->fd;
	if (object->fd >= 0)
		return 0;
	memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | flags, -1, 0);
	if (memory == MAP_FAILED)
		return fail(errno, "cannot be made");
	object->fd = open_own_mapping(memory, size);
	error = object->fd < 0 ? fail(errno, "cannot be opened") : fill(checkpoint, object, memory);
	munmap(memory, size);
	*fd = object->fd;
	return error;
}

int shared_memory_fill(struct checkpoint *checkpoint, uint32_t shmid, int fd)
{
	struct shared_memory *object;
	int error = shared_object_read(checkpoint, shmid, &object);
	size_t size;
	void *memory;

	if (error || !object->ranges.count)
		return error;
	size = (object->size + PAGE - 1) & -(uint64_t)PAGE;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return fail(errno, "cannot be mapped");
	error = fill(checkpoint, object, memory);
	munmap(memory, size);
	return error;
}
