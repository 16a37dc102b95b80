/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/show/contents.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "checkpoint/images.h"
#include "image/constants.h"
#include "image/image.h"
#include "images/memfd.pb-c.h"
#include "images/pagemap.pb-c.h"
#include "images/pipe-data.pb-c.h"
#include "images/remap-file-path.pb-c.h"

/* No kernel takes more for arguments and environment (three quarters of 8 MiB, in exec.c). */
enum { MOST_ARGUMENTS = 6 << 20 };

/* Page maps: which addresses of a task, or offsets in shared memory, are stored, and where. */

struct run {
	uint64_t start, end;
	uint64_t before;     /* bytes stored of all runs before: its place in the pages image */
	uint32_t in_process; /* 0: stored here; or the parent, which has these pages */
};

struct stored {
	struct run *runs; /* ascending */
	size_t count;
	uint32_t pages_id;
};

static uint64_t run_stored(const struct run *run)
{
	return run->in_process ? 0 : run->end - run->start;
}

static bool is_present(const PagemapEntry *entry)
{
	if (entry->in_process)
		return true;
	return entry->has_flags ? entry->flags & PE_PRESENT : !entry->in_parent;
}

/* The next run, or the end, like image_get(). */
static int get_run(struct image_reader *reader, const char *name, uint64_t end, struct run *run,
		   bool *present)
{
	PagemapEntry *entry;
	int got = image_get(reader, &entry);

	if (got != 1)
		return got;
	uint64_t pages = entry->has_nr_pages ? entry->nr_pages : entry->compat_nr_pages;

	if (entry->vaddr < end || pages > (UINT64_MAX - entry->vaddr) / IMAGE_PAGE_SIZE)
		return FAIL(EBADMSG, SUBJECT("image %s", name),
			    "the file is damaged: take another copy of the checkpoint",
			    "the pages at %#llx are out of order",
			    (unsigned long long)entry->vaddr);
	*run = (struct run){.start = entry->vaddr,
			    .end = entry->vaddr + pages * IMAGE_PAGE_SIZE,
			    .in_process = entry->in_process};
	*present = is_present(entry);
	return 1;
}

/* Puts the page map, if there is one, into the table. */
static int read_pagemap(struct contents *contents, struct hash *table, enum image_type type,
			unsigned long id)
{
	ARRAY(struct run) runs = {0};
	struct image_reader *reader;
	struct arena *arena = arena_new(); /* entries are not needed any more once they are runs */
	char name[64];
	struct run run = {0};
	PagemapHead *head;
	uint64_t before = 0;
	bool present = false;
	int got = image_open(contents->checkpoint.images, type, id, arena, &reader);

	if (got) {
		arena_free(arena);
		return got == -ENOENT ? 0 : got;
	}
	struct stored *stored = arena_new_object(contents->arena, struct stored);

	image_name(type, id, name);
	got = image_get(reader, &head);
	if (got == 1)
		stored->pages_id = head->pages_id;
	while (got == 1 && (got = get_run(reader, name, run.end, &run, &present)) == 1) {
		if (!present)
			continue;
		run.before = before;
		before += run_stored(&run);
		*(struct run *)array_push(&runs) = run;
	}
	image_close(reader);
	arena_free(arena);
	stored->runs = arena_copy(contents->arena, runs.items, runs.count * sizeof(run));
	stored->count = runs.count;
	array_free(&runs);
	hash_put(table, id, stored);
	return got;
}

/* The first run that ends behind the address. */
static size_t run_index(const struct stored *stored, uint64_t address)
{
	size_t low = 0, high = stored->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (stored->runs[middle].end > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Bytes stored of addresses below this one. */
static uint64_t stored_below(const struct stored *stored, uint64_t address)
{
	size_t index = run_index(stored, address);
	const struct run *run = &stored->runs[index];

	if (index == stored->count)
		return index ? run[-1].before + run_stored(&run[-1]) : 0;
	return run->before + (run_stored(run) && address > run->start ? address - run->start : 0);
}

static uint64_t stored_between(const struct stored *stored, uint64_t start, uint64_t end)
{
	return stored ? stored_below(stored, end) - stored_below(stored, start) : 0;
}

/* Where the page at this address is stored: here, or with the ancestor that shares it. */
static bool find_page(struct contents *contents, const struct task *task, uint64_t address,
		      uint32_t *pages_id, uint64_t *offset)
{
	for (; task; task = task->parent) {
		const struct stored *stored = hash_get(&contents->pagemaps, task->id);
		size_t index = stored ? run_index(stored, address) : 0;

		if (!stored || index == stored->count || stored->runs[index].start > address)
			return false;
		if (!stored->runs[index].in_process) {
			*pages_id = stored->pages_id;
			*offset = stored->runs[index].before + address - stored->runs[index].start;
			return true;
		}
	}
	return false;
}

/* Bytes of a task's memory as they are stored.  False: some are not. */
static bool read_memory(struct contents *contents, const struct task *task, uint64_t address,
			char *data, size_t size)
{
	while (size) {
		size_t piece = IMAGE_PAGE_SIZE - address % IMAGE_PAGE_SIZE;
		uint64_t offset;
		uint32_t id;
		char name[64];

		if (piece > size)
			piece = size;
		if (!find_page(contents, task, address, &id, &offset))
			return false;
		autofd int fd =
			openat(contents->checkpoint.images, image_name(IMAGE_PAGES, id, name),
			       O_RDONLY | O_CLOEXEC | O_NONBLOCK);

		if (fd < 0 || fd_pread_all(fd, data, piece, offset))
			return false;
		address += piece;
		data += piece;
		size -= piece;
	}
	return true;
}

/* Tables of things that others refer to by number. */

static uint64_t file_id(const void *message)
{
	return ((const FileEntry *)message)->id;
}

static uint64_t pipe_id(const void *message)
{
	return ((const PipeDataEntry *)message)->pipe_id;
}

static uint64_t remapped_id(const void *message)
{
	return ((const RemapFilePathEntry *)message)->orig_id;
}

static uint64_t memfd_id(const void *message)
{
	return ((const MemfdInodeEntry *)message)->inode_id;
}

static uint64_t terminal_id(const void *message)
{
	return ((const TtyInfoEntry *)message)->id;
}

static const struct table {
	enum image_type type;
	size_t hash; /* offset in struct contents */
	uint64_t (*id)(const void *message);
} tables[] = {
	{IMAGE_FILES, offsetof(struct contents, files), file_id},
	{IMAGE_PIPES_DATA, offsetof(struct contents, pipes), pipe_id},
	{IMAGE_FIFO_DATA, offsetof(struct contents, pipes), pipe_id},
	{IMAGE_REMAP_FPATH, offsetof(struct contents, remaps), remapped_id},
	{IMAGE_MEMFD_INODE, offsetof(struct contents, memfds), memfd_id},
	{IMAGE_TTY_INFO, offsetof(struct contents, terminals), terminal_id},
};

static struct hash *table_hash(struct contents *contents, const struct table *table)
{
	return (struct hash *)((char *)contents + table->hash);
}

static int read_table(struct contents *contents, const struct table *table)
{
	struct image_reader *reader;
	ProtobufCMessage *message;
	int got = image_open(contents->checkpoint.images, table->type, 0, contents->arena, &reader);

	if (got)
		return got == -ENOENT ? 0 : got;
	while ((got = image_get(reader, &message)) == 1) {
		hash_put(table_hash(contents, table), table->id(message), message);
		if (message->descriptor == &pipe_data_entry__descriptor)
			got = image_skip_raw(reader, ((PipeDataEntry *)message)->bytes);
		if (got < 0)
			break;
	}
	image_close(reader);
	return got;
}

/* Reading it all. */

/* The id of the shared memory behind a mapping; false: there is none. */
static bool shared_memory(struct contents *contents, const VmaEntry *vma, uint64_t *id)
{
	*id = vma->shmid;
	if (vma->status & VMA_AREA_MEMFD) {
		/* A memfd is mapped as a file, of which there may be several with one inode. */
		const FileEntry *file = hash_get(&contents->files, vma->shmid);
		const MemfdInodeEntry *inode =
			file && file->memfd ? hash_get(&contents->memfds, file->memfd->inode_id)
					    : NULL;

		*id = inode ? inode->shmid : 0;
		return inode;
	}
	return vma->status & (VMA_ANON_SHARED | VMA_AREA_SYSVIPC);
}

static int read_task_memory(struct contents *contents, const struct task *task)
{
	int error = read_pagemap(contents, &contents->pagemaps, IMAGE_PAGEMAP, task->id);

	for (size_t i = 0; task->mm && i < task->mm->n_vmas && !error; i++) {
		uint64_t id;

		if (shared_memory(contents, task->mm->vmas[i], &id) &&
		    !hash_get(&contents->shared, id))
			error = read_pagemap(contents, &contents->shared, IMAGE_PAGEMAP_SHMEM, id);
	}
	return error;
}

static int add_pages_sizes(struct contents *contents)
{
	int fd = openat(contents->checkpoint.images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		fd_close(&fd);
		return FAIL(errno, SUBJECT("images directory %s", contents->path), NULL,
			    "cannot be read: %s", strerror(errno));
	}
	for (struct dirent *entry; (entry = readdir(dir));) {
		struct stat stat;

		if (!fnmatch("pages-*.img", entry->d_name, 0) &&
		    !fstatat(fd, entry->d_name, &stat, AT_SYMLINK_NOFOLLOW))
			contents->pages_size += stat.st_size;
	}
	closedir(dir);
	return 0;
}

int contents_read(const char *path, struct contents *contents)
{
	struct arena *arena = arena_new();
	struct options *options = arena_new_object(arena, struct options);

	options->images_dir = path;
	*contents = (struct contents){
		.arena = arena,
		.path = path,
		.checkpoint = {.options = options, .arena = arena, .images = -1, .workdir = -1},
	};

	struct checkpoint *checkpoint = &contents->checkpoint;
	int error = images_open(checkpoint, false);

	if (!error)
		error = images_read(checkpoint);
	if (!error)
		error = image_read_one(checkpoint->images, IMAGE_INVENTORY, 0, arena,
				       &contents->inventory);
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables) && !error; i++)
		error = read_table(contents, &tables[i]);
	tree_each_task (&checkpoint->tree, task)
		if (!error)
			error = read_task_memory(contents, task);
	return error ? error : add_pages_sizes(contents);
}

void contents_free(struct contents *contents)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		hash_free(table_hash(contents, &tables[i]));
	hash_free(&contents->pagemaps);
	hash_free(&contents->shared);
	hash_free(&contents->checkpoint.tree.by_id);
	fd_close(&contents->checkpoint.images);
	fd_close(&contents->checkpoint.workdir);
	arena_free(contents->arena);
}

/* Questions. */

const struct placed *contents_order(struct contents *contents)
{
	const struct tree *tree = &contents->checkpoint.tree;
	struct placed *order = arena_new_array(contents->arena, struct placed, tree->count);
	/* What is still to come; a stack of its own, as a chain of processes may be long. */
	ARRAY(struct placed) stack = {0};
	size_t count = 0;

	*(struct placed *)array_push(&stack) = (struct placed){tree->tasks[0], 0};
	while (stack.count) {
		struct placed next = stack.items[--stack.count];

		order[count++] = next;
		for (size_t i = next.task->child_count; i > 0; i--)
			*(struct placed *)array_push(&stack) =
				(struct placed){next.task->children[i - 1], next.depth + 1};
	}
	array_free(&stack);
	return order;
}

const char *const memory_kind_names[MEMORY_KINDS] = {
	[MEMORY_HEAP] = "heap",
	[MEMORY_STACK] = "stack",
	[MEMORY_ANONYMOUS] = "anonymous",
	[MEMORY_SHARED] = "anonymous, shared",
	[MEMORY_MEMFD] = "memfd",
	[MEMORY_FILE_PRIVATE] = "file, private",
	[MEMORY_FILE_SHARED] = "file, shared",
	[MEMORY_SYSV] = "System V, shared",
	[MEMORY_SHADOW_STACK] = "shadow stack",
	[MEMORY_AIO] = "asynchronous I/O",
	[MEMORY_PACKET] = "packet socket",
	[MEMORY_VDSO] = "vdso",
	[MEMORY_OTHER] = "other",
};

/* The first bit that is set decides. */
static const struct {
	uint32_t status;
	enum memory_kind kind;
} kinds_by_status[] = {
	{VMA_AREA_VDSO | VMA_AREA_VVAR | VMA_AREA_VSYSCALL, MEMORY_VDSO},
	{VMA_AREA_AIORING, MEMORY_AIO},
	{VMA_AREA_SOCKET, MEMORY_PACKET},
	{VMA_AREA_SYSVIPC, MEMORY_SYSV},
	{VMA_AREA_MEMFD, MEMORY_MEMFD},
	{VMA_AREA_SHSTK, MEMORY_SHADOW_STACK},
	{VMA_AREA_HEAP, MEMORY_HEAP},
	{VMA_AREA_STACK, MEMORY_STACK},
	{VMA_ANON_SHARED, MEMORY_SHARED},
	{VMA_FILE_PRIVATE, MEMORY_FILE_PRIVATE},
	{VMA_FILE_SHARED, MEMORY_FILE_SHARED},
	{VMA_ANON_PRIVATE, MEMORY_ANONYMOUS},
	{UINT32_MAX, MEMORY_OTHER},
};

static enum memory_kind memory_kind(const MmEntry *mm, const VmaEntry *vma)
{
	size_t i = 0;

	/* CRIU does not mark the main stack. */
	if (mm->mm_start_stack >= vma->start && mm->mm_start_stack < vma->end)
		return MEMORY_STACK;

	while (!(vma->status & kinds_by_status[i].status) &&
	       kinds_by_status[i].status != UINT32_MAX)
		i++;
	return kinds_by_status[i].kind;
}

static void add_use(struct memory_use *use, uint64_t mapped, uint64_t stored)
{
	use->mappings++;
	use->mapped += mapped;
	use->stored += stored;
}

struct memory_summary memory_summary(struct contents *contents, const struct task *task)
{
	struct memory_summary summary = {0};
	const struct stored *own = hash_get(&contents->pagemaps, task->id);

	for (size_t i = 0; task->mm && i < task->mm->n_vmas; i++) {
		const VmaEntry *vma = task->mm->vmas[i];
		uint64_t size = vma->end > vma->start ? vma->end - vma->start : 0;

		if (vma->status & VMA_AREA_GUARD)
			continue; /* a part of a mapping, which counts as a whole */
		uint64_t stored = stored_between(own, vma->start, vma->start + size), id;

		if (shared_memory(contents, vma, &id))
			stored += stored_between(hash_get(&contents->shared, id), vma->pgoff,
						 vma->pgoff + size);
		add_use(&summary.kinds[memory_kind(task->mm, vma)], size, stored);
		add_use(&summary.all, size, stored);
	}
	return summary;
}

const char *task_arguments(struct contents *contents, const struct task *task, size_t *size)
{
	if (!task->mm || task->mm->mm_arg_end <= task->mm->mm_arg_start ||
	    task->mm->mm_arg_end - task->mm->mm_arg_start > MOST_ARGUMENTS)
		return NULL;
	*size = task->mm->mm_arg_end - task->mm->mm_arg_start;

	char *data = arena_alloc(contents->arena, *size);

	return read_memory(contents, task, task->mm->mm_arg_start, data, *size) ? data : NULL;
}

const char *thread_name(const struct thread *thread)
{
	const CoreEntry *core = thread->core;

	if (core->thread_core && core->thread_core->comm)
		return core->thread_core->comm;
	return core->tc ? core->tc->comm : "";
}

uint64_t thread_blocked(const struct thread *thread)
{
	const CoreEntry *core = thread->core;

	if (core->thread_core && core->thread_core->has_blk_sigset)
		return core->thread_core->blk_sigset;
	return core->tc ? core->tc->blk_sigset : 0;
}

const char *file_path(struct contents *contents, uint32_t id)
{
	const FileEntry *entry = hash_get(&contents->files, id);

	return entry && entry->reg ? entry->reg->name : NULL;
}

int action_signal(size_t index)
{
	int signal = index + 1;

	if (signal >= SIGKILL)
		signal++;
	if (signal >= SIGSTOP)
		signal++;
	return signal;
}

const char *path_at(struct contents *contents, const struct task *task, uint64_t address)
{
	for (size_t i = 0; task->mm && i < task->mm->n_vmas; i++) {
		const VmaEntry *vma = task->mm->vmas[i];

		if (address >= vma->start && address < vma->end &&
		    vma->status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED))
			return file_path(contents, vma->shmid);
	}
	return NULL;
}

struct pending pending_signal(const SiginfoEntry *entry)
{
	siginfo_t info = {0};
	size_t size = entry->siginfo.len < sizeof(info) ? entry->siginfo.len : sizeof(info);

	if (size)
		memcpy(&info, entry->siginfo.data, size);
	return (struct pending){
		.signal = info.si_signo,
		.code = info.si_code,
		.from_process = info.si_code == SI_USER || info.si_code == SI_TKILL ||
				info.si_code == SI_QUEUE,
		.pid = info.si_pid,
		.uid = info.si_uid,
	};
}
