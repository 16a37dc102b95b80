/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memfd_create(2).  What is in them is memory/'s, as other shared memory. */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "file/internal.h"
#include "images/memfd.pb-c.h"
#include "memory/shared.h"

#ifndef MFD_EXEC /* Linux 6.3 */
#define MFD_EXEC 0x0010U
#endif

static const char prefix[] = "/memfd:", deleted[] = " (deleted)";

/* Those that forbid something restore still does come at the end. */
enum { EARLY_SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

/* Restore: a memfd, which several descriptions may be of. */
struct memfd {
	const MemfdInodeEntry *entry;
	int fd;
	bool sealed;
};

struct memfd_state {
	uint32_t last_id;
	dev_t device;                     /* of all memfds of ordinary pages */
	ARRAY(MemfdInodeEntry *) entries; /* dump */
	ARRAY(struct memfd *) memfds;     /* restore, */
	struct hash by_id;                /* by inode_id */
};

static struct memfd_state *memfd_state(struct checkpoint *checkpoint)
{
	struct file_state *files = checkpoint->files.state;

	if (!files->memfds)
		files->memfds = arena_new_object(checkpoint->arena, struct memfd_state);
	return files->memfds;
}

/* ---- dump ----------------------------------------------------------------------------------- */

static bool recognize(const struct description *description)
{
	size_t length = strlen(description->link);

	return S_ISREG(description->stat.st_mode) && !description->stat.st_nlink &&
	       length >= sizeof(prefix) - 1 + sizeof(deleted) - 1 &&
	       !strncmp(description->link, prefix, sizeof(prefix) - 1) &&
	       !strcmp(description->link + length - (sizeof(deleted) - 1), deleted);
}

/* The kernel has one filesystem for all memfds; hugetlb and secret ones are elsewhere. */
static bool is_ordinary(struct memfd_state *state, const struct description *description)
{
	struct stat stat;

	if (!state->device) {
		autofd int fd = memfd_create("stasis", MFD_CLOEXEC);

		if (fd >= 0 && fstat(fd, &stat) == 0)
			state->device = stat.st_dev;
	}
	return description->stat.st_dev == state->device;
}

static int describe_inode(struct checkpoint *checkpoint, struct description *description)
{
	struct memfd_state *state = memfd_state(checkpoint);
	MemfdInodeEntry *entry =
		ARENA_MESSAGE(checkpoint->arena, memfd_inode_entry, MemfdInodeEntry);
	const char *name = description->link + sizeof(prefix) - 1;
	/* What it was opened by may be O_PATH. */
	autofd int fd = file_reopen(description->fd, O_RDONLY);
	int error, seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);

	if (!is_ordinary(state, description))
		return REFUSE(description_subject(description), "close it before the dump",
			      "memory of huge pages (MFD_HUGETLB) is not carried over");
	if (seals < 0)
		return FAIL(errno, description_subject(description), NULL,
			    "its seals cannot be read: %s", strerror(errno));
	entry->name = arena_strdup(checkpoint->arena, name);
	entry->name[strlen(name) - (sizeof(deleted) - 1)] = 0;
	entry->uid = description->stat.st_uid;
	entry->gid = description->stat.st_gid;
	entry->size = description->stat.st_size;
	entry->seals = seals;
	entry->inode_id = ++state->last_id;
	entry->has_mode = true;
	entry->mode = description->stat.st_mode;
	error = shared_memory_add(checkpoint, description->fd, &entry->shmid);
	if (error)
		return error;
	description->inode->state = entry;
	*(MemfdInodeEntry **)array_push(&state->entries) = entry;
	return 0;
}

static int describe(struct checkpoint *checkpoint, struct description *description)
{
	MemfdFileEntry *entry = ARENA_MESSAGE(checkpoint->arena, memfd_file_entry, MemfdFileEntry);
	int error = 0;

	if (!description->inode->state)
		error = describe_inode(checkpoint, description);
	if (error)
		return error;
	description->entry->memfd = entry;
	entry->id = description->id;
	entry->flags = description->flags;
	entry->pos = description->position;
	entry->fown = description->owner;
	entry->inode_id = ((MemfdInodeEntry *)description->inode->state)->inode_id;
	return 0;
}

int memfds_write(struct checkpoint *checkpoint)
{
	struct memfd_state *state = memfd_state(checkpoint);
	struct image_writer *writer;

	if (!state->entries.count)
		return image_remove(checkpoint->images, IMAGE_MEMFD_INODE, 0);
	writer = image_create(checkpoint->images, IMAGE_MEMFD_INODE, 0);
	array_each (&state->entries, entry)
		image_put(writer, *entry);
	return image_finish(writer);
}

/* ---- restore -------------------------------------------------------------------------------- */

static int take(struct checkpoint *checkpoint, struct description *description)
{
	const MemfdFileEntry *entry = description->entry->memfd;

	if (!entry)
		return file_damaged(description, "it is no memfd");
	description->flags = entry->flags;
	description->owner = entry->fown;
	return 0;
}

static int add_inode(struct checkpoint *checkpoint, const MemfdInodeEntry *entry)
{
	struct memfd_state *state = memfd_state(checkpoint);
	struct memfd *memfd = arena_new_object(checkpoint->arena, struct memfd);
	struct subject subject = SUBJECT("memfd %s", entry->name);

	*memfd = (struct memfd){.entry = entry, .fd = -1};
	*(struct memfd **)array_push(&state->memfds) = memfd;
	if (entry->hugetlb_flag)
		return REFUSE(subject, NULL, "memory of huge pages is not supported yet");
	if (entry->size > INT64_MAX || hash_put(&state->by_id, entry->inode_id, memfd))
		return FAIL(EBADMSG, subject, "the checkpoint is damaged: take another copy of it",
			    "has an impossible size, or comes twice in memfd.img");
	return 0;
}

int memfds_read(struct checkpoint *checkpoint)
{
	struct image_reader *reader = NULL;
	MemfdInodeEntry *entry;
	int result = 0;
	int got = image_open(checkpoint->images, IMAGE_MEMFD_INODE, 0, checkpoint->arena, &reader);

	if (got == -ENOENT)
		got = 0;
	while (reader && !got && (got = image_get(reader, &entry)) == 1) {
		got = add_inode(checkpoint, entry);
		result = result ? result : got;
		got = 0;
	}
	image_close(reader);
	array_each (&checkpoint->files.descriptions, each) {
		struct description *description = *each;
		MemfdFileEntry *file = description->entry->memfd;

		if (description->kind != &memfd_kind || !file)
			continue;
		description->state = hash_get(&memfd_state(checkpoint)->by_id, file->inode_id);
		if (!description->state)
			result = file_damaged(description, "memfd.img does not have it");
	}
	return result ? result : got;
}

static int create(const char *name)
{
	/* Kernels want to be told that it may be executed, which its mode then says, or don't know.
	 */
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

static int make_inode(struct checkpoint *checkpoint, struct memfd *memfd)
{
	const MemfdInodeEntry *entry = memfd->entry;
	struct subject subject = SUBJECT("memfd %s", entry->name);
	int error;

	memfd->fd = create(entry->name);
	if (memfd->fd < 0 || ftruncate(memfd->fd, entry->size) < 0)
		return FAIL(errno, subject, NULL, "cannot be made with %llu bytes: %s",
			    (unsigned long long)entry->size, strerror(errno));
	error = entry->size ? shared_memory_fill(checkpoint, entry->shmid, memfd->fd) : 0;
	if (error)
		return error;
	if (fchown(memfd->fd, entry->uid, entry->gid) < 0 ||
	    (entry->has_mode && fchmod(memfd->fd, entry->mode & 07777) < 0) ||
	    fcntl(memfd->fd, F_ADD_SEALS, entry->seals & EARLY_SEALS) < 0)
		return FAIL(errno, subject, NULL, "its owner, mode or seals cannot be set: %s",
			    strerror(errno));
	return 0;
}

static int make(struct checkpoint *checkpoint, struct description *description)
{
	struct memfd *memfd = description->state;
	uint64_t position = description->entry->memfd->pos;
	int error = memfd->fd < 0 ? make_inode(checkpoint, memfd) : 0;

	if (error)
		return error;
	description->fd = file_reopen(memfd->fd, description->flags);
	if (description->fd < 0)
		error = description->fd;
	else if (position && lseek(description->fd, position, SEEK_SET) < 0)
		error = -errno;
	return error ? FAIL(-error, description_subject(description), NULL, "cannot be opened: %s",
			    strerror(-error))
		     : 0;
}

/* All mappings are there. */
static int finish(struct checkpoint *checkpoint, struct description *description)
{
	struct memfd *memfd = description->state;

	if (memfd->sealed || memfd->fd < 0)
		return 0;
	memfd->sealed = true;
	if (fcntl(memfd->fd, F_ADD_SEALS, memfd->entry->seals) < 0)
		return FAIL(errno, SUBJECT("memfd %s", memfd->entry->name), NULL,
			    "its seals (%#x) cannot be set: %s", memfd->entry->seals,
			    strerror(errno));
	return 0;
}

void memfds_close(struct checkpoint *checkpoint, bool failed)
{
	struct memfd_state *state = checkpoint->files.state->memfds;

	if (!state)
		return;
	array_each (&state->memfds, memfd)
		fd_close(&(*memfd)->fd);
	array_free(&state->memfds);
	array_free(&state->entries);
	hash_free(&state->by_id);
}

const struct file_kind memfd_kind = {
	.name = "memfd",
	.type = FD_TYPES__MEMFD,
	.recognize = recognize,
	.describe = describe,
	.read = take,
	.make = make,
	.finish = finish,
};
