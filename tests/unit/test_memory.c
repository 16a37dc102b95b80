/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "images/pagemap.pb-c.h"
#include "memory/internal.h"
#include "memory/memory.h"
#include "memory/shared.h"

/* ---- smaps --------------------------------------------------------------------------------- */

#define HEADER "7f0000001000-7f0000003000 rw-s 00002000 fe:01 1234    "

static void smaps_paragraphs(void **state)
{
	char text[] = HEADER "/a file\n"
			     "Size:                  8 kB\n"
			     "Rss:                   4 kB\n"
			     "ProtectionKey:         3\n"
			     "VmFlags: rd wr sh mr mw me ms sd \n"
			     "7f0000003000-7f0000004000 ---p 00000000 00:00 0\n"
			     "Rss:                   0 kB\n"
			     "VmFlags: mr mw me nr \n";
	struct smaps_entry entry;
	char *rest = text;

	assert_int_equal(smaps_next(&rest, &entry), 1);
	assert_int_equal(entry.start, 0x7f0000001000);
	assert_int_equal(entry.end, 0x7f0000003000);
	assert_int_equal(entry.offset, 0x2000);
	assert_int_equal(entry.device, makedev(0xfe, 1));
	assert_int_equal(entry.inode, 1234);
	assert_int_equal(entry.rss, 4096);
	assert_int_equal(entry.protection_key, 3);
	assert_string_equal(entry.name, "/a file");
	assert_true(entry.read && entry.write && !entry.exec && entry.shared);
	assert_int_equal(entry.flags, VM_BIT(VM_READ) | VM_BIT(VM_WRITE) | VM_BIT(VM_SHARED) |
					      VM_BIT(VM_MAYREAD) | VM_BIT(VM_MAYWRITE) |
					      VM_BIT(VM_MAYEXEC) | VM_BIT(VM_MAYSHARE) |
					      VM_BIT(VM_SOFTDIRTY));
	assert_int_equal(smaps_next(&rest, &entry), 1);
	assert_string_equal(entry.name, "");
	assert_true(entry.flags & VM_BIT(VM_NORESERVE));
	assert_int_equal(smaps_next(&rest, &entry), 0);
}

static void smaps_unknown_flag(void **state)
{
	char text[] = HEADER "\nVmFlags: rd q? wr \n";
	struct smaps_entry entry;
	char *rest = text;

	assert_int_equal(smaps_next(&rest, &entry), 1);
	assert_string_equal(entry.unknown, "q?");
	assert_int_equal(entry.flags, VM_BIT(VM_READ) | VM_BIT(VM_WRITE));
}

static void smaps_damaged(void **state)
{
	static const char *const texts[] = {
		"7f00-7f01\n",
		"zz-7f rw-p 0 0:0 0\n",
		"2000-1000 rw-p 00000000 00:00 0\n",
		HEADER "/cut off",
		HEADER "/cut off\nRss: 4 kB\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		char *text = strdup(texts[i]), *rest = text;
		struct smaps_entry entry;

		assert_int_equal(smaps_next(&rest, &entry), -EBADMSG);
		free(text);
	}
}

/* Every flag has a name, once. */
static void flag_table(void **state)
{
	for (int i = 0; i < VM_FLAGS; i++) {
		assert_int_equal(strlen(vm_flag_rows[i].code), 2);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(vm_flag_rows[i].code, vm_flag_rows[k].code);
	}
}

/* ---- ranges -------------------------------------------------------------------------------- */

static void ranges_join(void **state)
{
	page_ranges ranges = {0};

	ranges_add(&ranges, (struct page_range){.start = PAGE, .pages = 2});
	ranges_add(&ranges, (struct page_range){.start = 3 * PAGE, .pages = 1});
	ranges_add(&ranges, (struct page_range){.start = 4 * PAGE, .pages = 1, .in_process = 7});
	ranges_add(&ranges, (struct page_range){.start = 9 * PAGE, .pages = 0});
	ranges_add(&ranges, (struct page_range){.start = 9 * PAGE, .pages = 5});
	assert_int_equal(ranges.count, 3);
	assert_int_equal(ranges.items[0].pages, 3);
	assert_int_equal(ranges_stored(&ranges), 8);
	array_free(&ranges);
}

static void inheritance(void **state)
{
	VmaEntry parent = VMA_ENTRY__INIT, child;

	parent.start = 0x10000;
	parent.end = 0x20000;
	parent.pgoff = 0x3000;
	parent.status = VMA_AREA_REGULAR | VMA_FILE_PRIVATE;
	parent.flags = MAP_PRIVATE;
	parent.shmid = 4;
	child = parent;
	/* Cut off in front, and locked since. */
	child.start += PAGE;
	child.pgoff += PAGE;
	child.flags |= MAP_LOCKED;
	assert_true(mapping_can_inherit(&child, &parent));
	child.pgoff += PAGE;
	assert_false(mapping_can_inherit(&child, &parent));
	child.pgoff -= PAGE;
	child.shmid = 5;
	assert_false(mapping_can_inherit(&child, &parent));
	child.shmid = 4;
	child.madv = 1 << MADV_NOHUGEPAGE;
	assert_false(mapping_can_inherit(&child, &parent));
	child.madv = 0;
	child.status = VMA_AREA_REGULAR | VMA_FILE_SHARED;
	assert_false(mapping_can_inherit(&child, &parent));
}

/* ---- contents ------------------------------------------------------------------------------ */

struct fixture {
	char path[64];
	struct checkpoint checkpoint;
	struct task *tasks[2];
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->path, "/tmp/stasis-test-XXXXXX");
	assert_non_null(mkdtemp(fixture->path));
	fixture->checkpoint.arena = arena_new();
	fixture->checkpoint.images = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[96];

	memory_close(&fixture->checkpoint);
	close(fixture->checkpoint.images);
	arena_free(fixture->checkpoint.arena);
	snprintf(command, sizeof(command), "rm -r %s", fixture->path);
	assert_int_equal(system(command), 0);
	report_clear();
	free(fixture);
	return 0;
}

enum { PAGES = 20000 }; /* enough for several threads */

static unsigned char *new_memory(void)
{
	unsigned char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

/* Stored from our own memory and filled in again elsewhere. */
static void store_and_fill(void **state)
{
	struct fixture *fixture = *state;
	unsigned char *from = new_memory(), *to = new_memory();
	struct page_place source = {.pid = getpid()};
	struct page_place target = {.pid = getpid(), .base = to - from};
	page_ranges ranges = {0}, read = {0};
	uint64_t unused, expected = 0;
	int pages;

	assert_non_null(memory_state(&fixture->checkpoint));
	for (size_t i = 0; i < PAGES; i++) {
		struct page_range page = {.start = (uintptr_t)from + i * PAGE,
					  .pages = 1,
					  .keep_zeros = i < 1000,
					  .shared = i % 64 == 1};

		/* Of each 16, one is not there, one is the parent's, one is all zeros. */
		if (i % 16 == 3)
			continue;
		if (i % 16 != 5)
			memset(from + i * PAGE, i % 251 + 1, PAGE);
		if (i % 16 == 7)
			page.in_process = 1;
		else if (i % 16 != 5 || i < 1000)
			expected++;
		ranges_add(&ranges, page);
	}
	/* Not readable: only /proc/PID/mem reaches it. */
	mprotect(from + 512 * PAGE, 8 * PAGE, PROT_NONE);
	pages = image_create_pages(fixture->checkpoint.images, 1);
	assert_int_equal(pages_store(&fixture->checkpoint, &source, &ranges, pages), 0);
	close(pages);
	assert_int_equal(ranges_stored(&ranges), expected);
	assert_int_equal(pagemap_write(&fixture->checkpoint, IMAGE_PAGEMAP, 42, 1, 0, &ranges), 0);
	assert_int_equal(
		pagemap_read(&fixture->checkpoint, IMAGE_PAGEMAP, 42, &unused, &read, &pages), 0);
	assert_int_equal(ranges_stored(&read), expected);
	mprotect(to + 600 * PAGE, 8 * PAGE, PROT_READ);
	assert_int_equal(pages_fill(&fixture->checkpoint, &target, &read, pages), 0);
	close(pages);
	mprotect(from + 512 * PAGE, 8 * PAGE, PROT_READ);
	for (size_t i = 0; i < PAGES; i++)
		if (i % 16 != 7)
			assert_memory_equal(from + i * PAGE, to + i * PAGE, PAGE);
		else
			assert_int_equal(to[i * PAGE], 0);
	array_free(&ranges);
	array_free(&read);
	munmap(from, PAGES * PAGE);
	munmap(to, PAGES * PAGE);
}

/* Memory that ends inside a page, with holes. */
static void shared_memory(void **state)
{
	struct fixture *fixture = *state;
	struct checkpoint *checkpoint = &fixture->checkpoint;
	autofd int fd = memfd_create("test", 0), copy = memfd_create("copy", 0);
	uint32_t shmid, again;
	char text[16];

	assert_int_equal(ftruncate(fd, 1000 * PAGE + 100), 0);
	assert_int_equal(ftruncate(copy, 1000 * PAGE + 100), 0);
	assert_int_equal(pwrite(fd, "middle", 7, 500 * PAGE + 10), 7);
	assert_int_equal(pwrite(fd, "end", 4, 1000 * PAGE + 50), 4);
	assert_int_equal(shared_memory_add(checkpoint, fd, &shmid), 0);
	assert_int_equal(shared_memory_add(checkpoint, fd, &again), 0);
	assert_int_equal(shmid, again);
	assert_int_equal(memory_dump(checkpoint), 0);
	assert_int_equal(checkpoint->stats.shpages_written, 2);
	memory_close(checkpoint);
	assert_int_equal(shared_memory_fill(checkpoint, shmid, copy), 0);
	assert_int_equal(pread(copy, text, 7, 500 * PAGE + 10), 7);
	assert_string_equal(text, "middle");
	assert_int_equal(pread(copy, text, 4, 1000 * PAGE + 50), 4);
	assert_string_equal(text, "end");
	assert_int_equal(lseek(copy, 0, SEEK_DATA), 500 * PAGE);
}

/* ---- what a restore reads ------------------------------------------------------------------ */

/* Two tasks, parent and child, with a private mapping each. */
static struct task *new_task(struct fixture *fixture, size_t index, uint64_t start, uint64_t pages)
{
	struct arena *arena = fixture->checkpoint.arena;
	struct task *task = arena_new_object(arena, struct task);
	VmaEntry *entry = ARENA_MESSAGE(arena, vma_entry, VmaEntry);

	entry->start = start;
	entry->end = start + pages * PAGE;
	entry->prot = PROT_READ | PROT_WRITE;
	entry->flags = MAP_PRIVATE | MAP_ANONYMOUS;
	entry->status = VMA_AREA_REGULAR | VMA_ANON_PRIVATE;
	task->mm = ARENA_MESSAGE(arena, mm_entry, MmEntry);
	task->mm->n_vmas = 1;
	task->mm->vmas = arena_copy(arena, &entry, sizeof(entry));
	task->pid = task->id = 100 + index;
	task->state = TASK_ALIVE;
	task->parent = index ? fixture->tasks[index - 1] : NULL;
	task->threads = arena_new_object(arena, struct thread);
	task->threads[0].core = ARENA_MESSAGE(arena, core_entry, CoreEntry);
	fixture->tasks[index] = task;
	fixture->checkpoint.tree.tasks = fixture->tasks;
	fixture->checkpoint.tree.count = index + 1;
	return task;
}

static void write_map(struct fixture *fixture, size_t index, const struct page_range *range,
		      size_t count, uint64_t file_pages)
{
	page_ranges ranges = {0};
	autofd int pages = image_create_pages(fixture->checkpoint.images, index + 1);

	for (size_t i = 0; i < count; i++)
		*array_push(&ranges) = range[i];
	assert_int_equal(ftruncate(pages, file_pages * PAGE), 0);
	assert_int_equal(pagemap_write(&fixture->checkpoint, IMAGE_PAGEMAP, 100 + index, index + 1,
				       0, &ranges),
			 0);
	array_free(&ranges);
}

static void read_parent_and_child(void **state)
{
	struct fixture *fixture = *state;
	const struct page_range parents = {.start = 0x100000, .pages = 8};
	const struct page_range childs[] = {{.start = 0x101000, .pages = 3, .in_process = 100},
					    {.start = 0x104000, .pages = 1}};
	struct task *parent = new_task(fixture, 0, 0x100000, 16);
	struct task *child = new_task(fixture, 1, 0x101000, 4);
	uint64_t area, size = 1 << 20;

	write_map(fixture, 0, &parents, 1, 8);
	write_map(fixture, 1, childs, 2, 1);
	assert_int_equal(memory_read(&fixture->checkpoint), 0);
	assert_false(memory_inherits(parent));
	assert_true(memory_inherits(child));
	assert_int_equal(memory_area(&fixture->checkpoint, size, &area), 0);
	assert_true(area + size <= 0x100000 || area >= 0x110000);
	assert_ptr_not_equal(mmap((void *)area, size, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
			     MAP_FAILED);
	munmap((void *)area, size);
}

/* Page maps of one task, which has 16 pages at 0x100000, that must be refused. */
static void read_damaged(void **state)
{
	static const struct {
		struct page_range ranges[2];
		size_t count;
		uint64_t file_pages;
	} cases[] = {
		{{{.start = 0x100000, .pages = 8}}, 1, 7},          /* too short */
		{{{.start = 0x110000, .pages = 1}}, 1, 1},          /* in no mapping */
		{{{.start = 0x0ff000, .pages = 2}}, 1, 2},          /* begins before */
		{{{.start = 0x10f000, .pages = 2}}, 1, 2},          /* ends behind */
		{{{.start = 0x100800, .pages = 1}}, 1, 1},          /* unaligned */
		{{{.start = 0x100000, .pages = 1ull << 52}}, 1, 1}, /* overflows */
		{{{.start = 0x102000, .pages = 2}, {.start = 0x103000, .pages = 1}}, 2, 3},
		{{{.start = 0x102000, .pages = 2}, {.start = 0x100000, .pages = 1}}, 2, 3},
		{{{.start = 0x100000, .pages = 1, .in_process = 100}}, 1, 0}, /* in itself */
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		new_task(fixture, 0, 0x100000, 16);
		write_map(fixture, 0, cases[i].ranges, cases[i].count, cases[i].file_pages);
		assert_true(memory_read(&fixture->checkpoint) < 0);
		assert_true(report_count());
		report_clear();
		memory_close(&fixture->checkpoint);
	}
}

static void read_bad_mappings(void **state)
{
	struct fixture *fixture = *state;
	const struct page_range none = {0};
	struct task *task;

#define REFUSED(change)                                                                            \
	task = new_task(fixture, 0, 0x100000, 16);                                                 \
	write_map(fixture, 0, &none, 0, 0);                                                        \
	task->mm->vmas[0]->change;                                                                 \
	assert_true(memory_read(&fixture->checkpoint) < 0);                                        \
	memory_close(&fixture->checkpoint)

	REFUSED(end = 0x100000);
	REFUSED(end = 0x100800);
	REFUSED(end = UINT64_MAX & -(uint64_t)PAGE);
	REFUSED(prot = 0x1000000);
	REFUSED(flags = MAP_SHARED);
	REFUSED(flags |= MAP_HUGETLB);
	REFUSED(status = 0);
	REFUSED(status |= VMA_FILE_SHARED);
	REFUSED(status |= 1u << 30);
	REFUSED(madv = 1 << MADV_DONTNEED);
	REFUSED(pgoff = 5);
#undef REFUSED
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(smaps_paragraphs),
		cmocka_unit_test(smaps_unknown_flag),
		cmocka_unit_test(smaps_damaged),
		cmocka_unit_test(flag_table),
		cmocka_unit_test(ranges_join),
		cmocka_unit_test(inheritance),
		cmocka_unit_test_setup_teardown(store_and_fill, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shared_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(read_parent_and_child, set_up, tear_down),
		cmocka_unit_test_setup_teardown(read_damaged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(read_bad_mappings, set_up, tear_down),
	};

	log_open(open("/dev/null", O_WRONLY), LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
