/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System V shared memory: ipcns-shm-ID.img; the contents are memory's (pagemap-shmem-N.img). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "image/image.h"
#include "memory/shared.h"
#include "namespace/ipc.h"
#include "namespace/ipc_internal.h"

static const char what[] = "shared memory";

enum { HUGETLBFS = 0x958458f6, PAGE = 4096 };

struct segment {
	IpcShmEntry *entry;
	uint64_t attached, seen; /* dump: mappings of it, in all and in the tree */
};

static struct segment *add(struct checkpoint *checkpoint, struct namespace *namespace,
			   IpcShmEntry *entry)
{
	struct ipc_state *state = ipc_state(namespace);
	struct segment *segment = arena_new_object(checkpoint->arena, struct segment);

	segment->entry = entry;
	*array_push(&state->segments) = segment;
	hash_put(&state->segment_by_id, entry->desc->id + 1ull, segment);
	return segment;
}

/* Of the namespace of the task; NULL: there is none. */
static struct segment *find(struct checkpoint *checkpoint, const struct task *task, uint64_t id)
{
	struct namespace *namespace = namespace_of_task(checkpoint, task, NAMESPACE_IPC);

	return namespace && namespace->state
		       ? hash_get(&ipc_state(namespace)->segment_by_id, id + 1)
		       : NULL;
}

/* The file of a segment that is attached at the address. */
static int open_attached(const void *address, uint64_t size)
{
	char path[80];

	size = (size + PAGE - 1) & -(uint64_t)PAGE;
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)address,
		 (unsigned long)address + size);
	return open(path, O_RDWR | O_CLOEXEC);
}

/* ---- dump ---------------------------------------------------------------------------------- */

static int take_content(struct checkpoint *checkpoint, struct segment *segment, int fd,
			struct subject subject)
{
	struct statfs statfs;

	if (segment->entry->has_pagemap_id)
		return 0;
	if (fstatfs(fd, &statfs) < 0)
		return FAIL(errno, subject, NULL, "its file cannot be looked at: %s",
			    strerror(errno));
	if (statfs.f_type == HUGETLBFS)
		return REFUSE(subject, "use shared memory without SHM_HUGETLB",
			      "it is System V shared memory of huge pages, which is not supported");
	segment->entry->has_pagemap_id = true;
	return shared_memory_add_new(checkpoint, fd, &segment->entry->pagemap_id);
}

/*
 * Nobody has it attached, so nobody can be asked for its file.  This sets its times of attaching
 * and detaching, as for any program that looks at it.
 */
static int attach_unused(struct checkpoint *checkpoint, struct namespace *namespace,
			 struct segment *segment)
{
	const IpcDescEntry *desc = segment->entry->desc;
	void *address = shmat(desc->id, NULL, SHM_RDONLY);
	autofd int fd = -1;
	int error;

	if (address == (void *)-1)
		return FAIL(errno, ipc_subject(namespace, what, desc), NULL,
			    "cannot be attached to be read: %s", strerror(errno));
	fd = open_attached(address, segment->entry->size);
	error = fd < 0 ? FAIL(errno, ipc_subject(namespace, what, desc), NULL,
			      "cannot be opened: %s", strerror(errno))
		       : take_content(checkpoint, segment, fd, ipc_subject(namespace, what, desc));
	shmdt(address);
	return error;
}

static int describe_one(struct checkpoint *checkpoint, struct namespace *namespace, int id,
			const struct shmid_ds *found)
{
	IpcShmEntry *entry = ARENA_MESSAGE(checkpoint->arena, ipc_shm_entry, IpcShmEntry);
	struct segment *segment;

	entry->desc = ipc_describe(checkpoint, id, &found->shm_perm);
	entry->size = found->shm_segsz;
	entry->has_in_pagemaps = entry->in_pagemaps = true;
	segment = add(checkpoint, namespace, entry);
	segment->attached = found->shm_nattch;
	if (segment->attached)
		return 0;
	/* Only a living creator protects it, and a restored one is not that. */
	if (ipc_state(namespace)->limits->shm_rmid_forced)
		return REFUSE(ipc_subject(namespace, what, entry->desc),
			      "attach it, or set /proc/sys/kernel/shm_rmid_forced to 0",
			      "it is attached by nobody, and would be removed when it is restored "
			      "(shm_rmid_forced)");
	return attach_unused(checkpoint, namespace, segment);
}

static int describe(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct shm_info info;
	int last = shmctl(0, SHM_INFO, (void *)&info), result = 0;

	for (int i = 0; i <= last; i++) {
		struct shmid_ds found;
		int id = shmctl(i, SHM_STAT, &found);
		int error = id < 0 ? 0 : describe_one(checkpoint, namespace, id, &found);

		if (error)
			result = error;
	}
	return result;
}

int shm_mapped(struct checkpoint *checkpoint, struct task *task, uint32_t id, int fd,
	       struct subject subject)
{
	struct segment *segment = find(checkpoint, task, id);
	struct stat stat;

	if (!namespace_of_task(checkpoint, task, NAMESPACE_IPC))
		return REFUSE(subject,
			      "run the program in an ipc namespace of its own (unshare --ipc), or "
			      "detach it (shmdt)",
			      "System V shared memory of the namespace that stasis is in can be "
			      "anybody's");
	if (!segment || fstat(fd, &stat) < 0 || (uint64_t)stat.st_size != segment->entry->size)
		return REFUSE(subject, "detach it (shmdt)",
			      "it is of System V shared memory of another ipc namespace than its "
			      "own");
	segment->seen++;
	return take_content(checkpoint, segment, fd, subject);
}

/* Each mapping in a process counts as one that attached it. */
static int check(struct checkpoint *checkpoint, struct namespace *namespace)
{
	int result = 0;

	array_each (&ipc_state(namespace)->segments, item) {
		const struct segment *segment = *item;

		if (segment->attached != segment->seen && !report_count())
			result = REFUSE(ipc_subject(namespace, what, segment->entry->desc),
					"end the processes outside of the tree that have it "
					"attached (ipcs -m -p)",
					"it is attached %llu times, but %llu times by the tree",
					(unsigned long long)segment->attached,
					(unsigned long long)segment->seen);
	}
	return result;
}

static int write_image(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct image_writer *writer;

	if (!ipc_state(namespace)->segments.count)
		return image_remove(checkpoint->images, IMAGE_IPCNS_SHM, namespace->id);
	writer = image_create(checkpoint->images, IMAGE_IPCNS_SHM, namespace->id);
	array_each (&ipc_state(namespace)->segments, segment)
		image_put(writer, (*segment)->entry);
	return image_finish(writer);
}

/* ---- restore ------------------------------------------------------------------------------- */

static int check_entry(const struct namespace *namespace, const IpcShmEntry *entry)
{
	int error = ipc_check(namespace, what, entry->desc, SHM_DEST | SHM_LOCKED);

	if (!error && (!entry->in_pagemaps || !entry->has_pagemap_id || entry->hugetlb_flag))
		error = REFUSE(ipc_subject(namespace, what, entry->desc),
			       "restore it with the program that wrote it",
			       "its content is kept in a way that stasis does not know");
	if (!error && hash_get(&ipc_state(namespace)->segment_by_id, entry->desc->id + 1ull))
		error = FAIL(EBADMSG, ipc_subject(namespace, what, entry->desc),
			     "the checkpoint is damaged: dump again", "it comes twice");
	return error;
}

static int read_image(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct image_reader *reader = NULL;
	IpcShmEntry *entry;
	int got = image_open(checkpoint->images, IMAGE_IPCNS_SHM, namespace->id, checkpoint->arena,
			     &reader);

	if (got == -ENOENT)
		return 0;
	while (!got && (got = image_get(reader, &entry)) == 1) {
		got = check_entry(namespace, entry);
		if (!got)
			add(checkpoint, namespace, entry);
	}
	image_close(reader);
	return got;
}

bool shm_has(struct checkpoint *checkpoint, const struct task *task, uint64_t id, uint64_t size)
{
	return find(checkpoint, task, id) && size <= shm_size(checkpoint, task, id);
}

uint64_t shm_size(struct checkpoint *checkpoint, const struct task *task, uint64_t id)
{
	return (find(checkpoint, task, id)->entry->size + PAGE - 1) & -(uint64_t)PAGE;
}

static int get(const void *object, int flags)
{
	const IpcShmEntry *entry = object;

	return shmget((key_t)entry->desc->key, entry->size, flags);
}

static int fill(struct checkpoint *checkpoint, struct namespace *namespace,
		const IpcShmEntry *entry)
{
	void *address = shmat(entry->desc->id, NULL, 0);
	autofd int fd = -1;
	int error;

	if (address == (void *)-1)
		return FAIL(errno, ipc_subject(namespace, what, entry->desc), NULL,
			    "cannot be attached to be filled: %s", strerror(errno));
	fd = open_attached(address, entry->size);
	error = fd < 0 ? FAIL(errno, ipc_subject(namespace, what, entry->desc), NULL,
			      "cannot be opened: %s", strerror(errno))
		       : shared_memory_fill(checkpoint, entry->pagemap_id, fd);
	shmdt(address);
	return error;
}

static int make_one(struct checkpoint *checkpoint, struct namespace *namespace,
		    const IpcShmEntry *entry)
{
	struct shmid_ds settings = {0};
	int id = entry->desc->id;
	int error = ipc_make(namespace, what, "kernel/shm_next_id", entry->desc, get, entry);

	if (!error)
		error = fill(checkpoint, namespace, entry);
	if (error)
		return error;
	ipc_owner(entry->desc, &settings.shm_perm);
	if (shmctl(id, IPC_SET, &settings) < 0 ||
	    (entry->desc->mode & SHM_LOCKED && shmctl(id, SHM_LOCK, NULL) < 0))
		return FAIL(errno, ipc_subject(namespace, what, entry->desc), NULL,
			    "cannot be set up: %s", strerror(errno));
	return 0;
}

static int make(struct checkpoint *checkpoint, struct namespace *namespace)
{
	int error = 0;

	array_each (&ipc_state(namespace)->segments, segment)
		if (!error)
			error = make_one(checkpoint, namespace, (*segment)->entry);
	return error;
}

/* Removed but still attached: that waits until it is attached. */
static int finish(struct checkpoint *checkpoint, struct namespace *namespace)
{
	array_each (&ipc_state(namespace)->segments, item) {
		const IpcDescEntry *desc = (*item)->entry->desc;

		if (desc->mode & SHM_DEST && shmctl(desc->id, IPC_RMID, NULL) < 0)
			return FAIL(errno, ipc_subject(namespace, what, desc), NULL,
				    "cannot be removed again: %s", strerror(errno));
	}
	return 0;
}

const struct namespace_content shm_part = {
	.describe = describe,
	.check = check,
	.write = write_image,
	.read = read_image,
	.make = make,
	.finish = finish,
};
