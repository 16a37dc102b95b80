/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fd.h"
#include "base/report.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/images.h"
#include "checkpoint/plan.h"
#include "cli/show/contents.h"
#include "cli/show/show.h"
#include "fill.h"
#include "fuzz.h"
#include "image/constants.h"
#include "image/image.h"
#include "images/core.pb-c.h"
#include "images/fdinfo.pb-c.h"
#include "images/fs.pb-c.h"
#include "images/ghost-file.pb-c.h"
#include "images/inventory.pb-c.h"
#include "images/memfd.pb-c.h"
#include "images/mm.pb-c.h"
#include "images/pagemap.pb-c.h"
#include "images/pipe-data.pb-c.h"
#include "images/pstree.pb-c.h"
#include "images/remap-file-path.pb-c.h"
#include "images/tty.pb-c.h"
#include "memory/memory.h"

/*
 * A checkpoint of which one image is any bytes: it is shown, and read as a restore reads it before
 * it makes anything.  The first byte of an input chooses the image, by its place in the directory.
 */
enum { ROOT = 100, THREAD = 101, CHILD = 102, ZOMBIE = 103, MAPPED = 0x10000, SHARED_ID = 5 };

static struct {
	char path[64];
	int dir;
	char **names;
	int count;
	FILE *nowhere;
} place;

/* The checkpoint, all of it good. */

static void put(enum image_type type, unsigned long id, const void *message)
{
	if (image_write_one(place.dir, type, id, message))
		errx(1, "the checkpoint cannot be written");
}

static void put_tree(void)
{
	static const struct {
		uint32_t pid, parent, threads[2];
		size_t count;
	} tasks[] = {
		{ROOT, 0, {ROOT, THREAD}, 2},
		{CHILD, ROOT, {CHILD}, 1},
		{ZOMBIE, CHILD, {ZOMBIE}, 1},
	};
	struct image_writer *writer = image_create(place.dir, IMAGE_PSTREE, 0);

	for (size_t i = 0; i < sizeof(tasks) / sizeof(*tasks); i++) {
		PstreeEntry entry = PSTREE_ENTRY__INIT;

		entry.pid = tasks[i].pid;
		entry.ppid = tasks[i].parent;
		entry.pgid = entry.sid = ROOT;
		entry.n_threads = tasks[i].count;
		entry.threads = (uint32_t *)tasks[i].threads;
		image_put(writer, &entry);
	}
	image_finish(writer);
}

static void put_core(struct arena *arena, pid_t tid, enum task_state state)
{
	CoreEntry *core = fill_message(arena, &core_entry__descriptor);

	core->mtype = CORE_ENTRY__MARCH__X86_64;
	core->tc->task_state = state;
	core->ids->files_id = 1;
	if (tid == THREAD)
		core->tc = NULL;
	put(IMAGE_CORE, tid, core);
	if (tid == ROOT || tid == CHILD)
		put(IMAGE_IDS, tid, core->ids);
}

static void put_memory(struct arena *arena, pid_t pid)
{
	static const struct {
		uint32_t status, flags;
		uint64_t id;
	} kinds[] = {
		{VMA_ANON_PRIVATE, MAP_PRIVATE | MAP_ANONYMOUS, 0},
		{VMA_ANON_PRIVATE | VMA_AREA_HEAP, MAP_PRIVATE | MAP_ANONYMOUS, 0},
		{VMA_FILE_PRIVATE, MAP_PRIVATE, FD_TYPES__REG},
		{VMA_FILE_SHARED, MAP_SHARED, FD_TYPES__REG},
		{VMA_ANON_SHARED, MAP_SHARED | MAP_ANONYMOUS, SHARED_ID},
		{VMA_FILE_SHARED | VMA_AREA_MEMFD, MAP_SHARED, FD_TYPES__MEMFD},
		{VMA_ANON_PRIVATE | VMA_AREA_VDSO, MAP_PRIVATE | MAP_ANONYMOUS, 0},
	};
	enum { COUNT = sizeof(kinds) / sizeof(*kinds), SIZE = 4 * IMAGE_PAGE_SIZE };
	MmEntry *mm = fill_message(arena, &mm_entry__descriptor);

	mm->mm_arg_start = MAPPED + 16;
	mm->mm_arg_end = MAPPED + 32;
	mm->n_aios = 0;
	mm->exe_file_id = FD_TYPES__REG;
	mm->n_vmas = COUNT;
	mm->vmas = arena_new_array(arena, VmaEntry *, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		VmaEntry *vma = ARENA_MESSAGE(arena, vma_entry, VmaEntry);

		vma->start = MAPPED + i * SIZE;
		vma->end = vma->start + SIZE;
		vma->status = kinds[i].status | VMA_AREA_REGULAR;
		vma->flags = kinds[i].flags;
		vma->shmid = kinds[i].id;
		vma->prot = PROT_READ;
		vma->fd = -1;
		mm->vmas[i] = vma;
	}
	put(IMAGE_MM, pid, mm);
	FsEntry fs = FS_ENTRY__INIT;

	fs.cwd_id = fs.root_id = FD_TYPES__REG;
	put(IMAGE_FS, pid, &fs);
}

/* Pages at two places; the child has the second of them from its parent. */
static void put_pagemap(enum image_type type, unsigned long id, uint64_t address, bool inherits)
{
	struct image_writer *writer = image_create(place.dir, type, id);
	PagemapHead head = PAGEMAP_HEAD__INIT;
	PagemapEntry entry = PAGEMAP_ENTRY__INIT;
	static const char page[IMAGE_PAGE_SIZE] = "0123456789abcdefprogram\0argument";
	int fd = image_create_pages(place.dir, id);

	head.pages_id = id;
	image_put(writer, &head);
	entry.has_flags = entry.has_nr_pages = true;
	entry.nr_pages = 1;
	entry.vaddr = address;
	entry.flags = PE_PRESENT;
	image_put(writer, &entry);
	entry.vaddr = address + 2 * IMAGE_PAGE_SIZE;
	entry.has_in_process = inherits;
	entry.in_process = ROOT;
	entry.flags = inherits ? 0 : PE_PRESENT;
	image_put(writer, &entry);
	image_finish(writer);
	if (fd < 0 || fd_write_all(fd, page, sizeof(page)) || fd_write_all(fd, page, sizeof(page)))
		errx(1, "the checkpoint cannot be written");
	close(fd);
}

/* A file of every type, whose id is the number of its type. */
static void put_files(struct arena *arena)
{
	struct image_writer *files = image_create(place.dir, IMAGE_FILES, 0);
	struct image_writer *table = image_create(place.dir, IMAGE_FDINFO, 1);

	for (unsigned int i = 0; i < fd_types__descriptor.n_values; i++) {
		FileEntry *file = fill_message(arena, &file_entry__descriptor);
		FdinfoEntry *entry = fill_message(arena, &fdinfo_entry__descriptor);

		entry->type = file->type = fd_types__descriptor.values[i].value;
		entry->id = file->id = entry->fd = file->type;
		file->reg->name = "/tmp/file";
		file->memfd->inode_id = 1;
		image_put(files, file);
		image_put(table, entry);
	}
	image_finish(files);
	image_finish(table);
}

static void put_contents(struct arena *arena)
{
	static const enum image_type types[] = {IMAGE_PIPES_DATA, IMAGE_FIFO_DATA};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		struct image_writer *writer = image_create(place.dir, types[i], 0);
		PipeDataEntry *data = fill_message(arena, &pipe_data_entry__descriptor);

		data->bytes = 3;
		image_put(writer, data);
		image_put_raw(writer, "abc", 3);
		image_finish(writer);
	}
	struct image_writer *writer = image_create(place.dir, IMAGE_GHOST_FILE, 1);
	GhostFileEntry *ghost = fill_message(arena, &ghost_file_entry__descriptor);
	GhostChunkEntry chunk = GHOST_CHUNK_ENTRY__INIT;
	RemapFilePathEntry remap = REMAP_FILE_PATH_ENTRY__INIT;
	MemfdInodeEntry *inode = fill_message(arena, &memfd_inode_entry__descriptor);

	ghost->mode = S_IFREG | 0644;
	chunk.len = 3;
	image_put(writer, ghost);
	image_put(writer, &chunk);
	image_put_raw(writer, "abc", 3);
	image_finish(writer);
	remap.orig_id = FD_TYPES__REG;
	remap.remap_id = 1;
	remap.has_remap_type = true;
	remap.remap_type = REMAP_TYPE__GHOST;
	put(IMAGE_REMAP_FPATH, 0, &remap);
	inode->inode_id = 1;
	inode->shmid = SHARED_ID;
	put(IMAGE_MEMFD_INODE, 0, inode);
	put(IMAGE_TTY_INFO, 0, fill_message(arena, &tty_info_entry__descriptor));
	put(IMAGE_TTY_DATA, 0, fill_message(arena, &tty_data_entry__descriptor));
}

static void put_checkpoint(void)
{
	struct arena *arena = arena_new();
	InventoryEntry inventory = INVENTORY_ENTRY__INIT;

	inventory.img_version = 3;
	inventory.has_fdinfo_per_id = inventory.fdinfo_per_id = true;
	inventory.has_ns_per_id = inventory.ns_per_id = true;
	put(IMAGE_INVENTORY, 0, &inventory);
	put_tree();
	put_core(arena, ROOT, TASK_ALIVE);
	put_core(arena, THREAD, TASK_ALIVE);
	put_core(arena, CHILD, TASK_STOPPED);
	put_core(arena, ZOMBIE, TASK_DEAD);
	put_memory(arena, ROOT);
	put_memory(arena, CHILD);
	put_pagemap(IMAGE_PAGEMAP, ROOT, MAPPED, false);
	put_pagemap(IMAGE_PAGEMAP, CHILD, MAPPED, true);
	put_pagemap(IMAGE_PAGEMAP_SHMEM, SHARED_ID, 0, false);
	put_files(arena);
	put_contents(arena);
	arena_free(arena);
}

static void leave(void)
{
	for (int i = 0; i < place.count; i++) {
		unlinkat(place.dir, place.names[i], 0);
		free(place.names[i]);
	}
	free(place.names);
	rmdir(place.path);
	fclose(place.nowhere);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void begin(void)
{
	if (place.count)
		return;
	/* Whatever an input makes stasis do, it must not do it as root. */
	if (!geteuid() && (setgid(65534) || setuid(65534)))
		err(1, "setuid");
	strcpy(place.path, "/tmp/stasis-fuzz-XXXXXX");
	if (!mkdtemp(place.path))
		err(1, "%s", place.path);
	place.dir = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	place.nowhere = fopen("/dev/null", "w");
	put_checkpoint();

	DIR *dir = opendir(place.path);

	place.names = calloc(256, sizeof(*place.names));
	for (struct dirent *entry; (entry = readdir(dir)) && place.count < 256;)
		if (*entry->d_name != '.')
			place.names[place.count++] = strdup(entry->d_name);
	closedir(dir);
	qsort(place.names, place.count, sizeof(*place.names), by_name);
	atexit(leave);
}

/* What is read. */

static void show(void)
{
	struct contents contents;

	if (!contents_read(place.path, &contents)) {
		show_text(&contents, place.nowhere);
		show_json(&contents, place.nowhere);
	}
	contents_free(&contents);
	report_clear();
}

static void read_to_restore(void)
{
	struct options options = {.images_dir = place.path};
	struct checkpoint checkpoint = {
		.options = &options, .arena = arena_new(), .images = -1, .workdir = -1};

	if (!images_open(&checkpoint, false) && !images_read(&checkpoint)) {
		tree_plan(&checkpoint.tree, false);
		files_read(&checkpoint);
		memory_read(&checkpoint);
	}
	memory_close(&checkpoint);
	files_close(&checkpoint, true);
	hash_free(&checkpoint.tree.by_pid);
	fd_close(&checkpoint.images);
	fd_close(&checkpoint.workdir);
	arena_free(checkpoint.arena);
	report_clear();
}

static void replace(const char *name, const void *data, size_t size)
{
	autofd int fd = openat(place.dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || fd_write_all(fd, data, size))
		err(1, "%s", name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin();
	if (!size)
		return 0;

	const char *name = place.names[*data % place.count];
	char *good;
	size_t good_size;

	if (fd_read_file(place.dir, name, &good, &good_size))
		err(1, "%s", name);
	replace(name, data + 1, size - 1);
	show();
	read_to_restore();
	replace(name, good, good_size);
	free(good);
	return 0;
}

void fuzz_seeds(void (*add)(const void *data, size_t size))
{
	begin();
	for (int i = 0; i < place.count; i++) {
		char *good;
		size_t size;

		if (fd_read_file(place.dir, place.names[i], &good, &size))
			err(1, "%s", place.names[i]);
		good = realloc(good, size + 1);
		memmove(good + 1, good, size);
		*good = i;
		add(good, size + 1);
		free(good);
	}
}
