/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copy on write: what parents and children share without having written is still one page of
 * memory afterwards, what they have written is not.
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 1024, CHILDREN = 3 };

static char *memory;
static pid_t children[CHILDREN + 1];

/* Page frame numbers of another process' memory; 0 when a page is not there. */
static uint64_t frame(pid_t pid, const char *address)
{
	char path[64];
	uint64_t entry = 0;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, &entry, 8, (uintptr_t)address / PAGE * 8) != 8)
		fail("%s cannot be read: %m", path);
	close(fd);
	return entry >> 63 ? entry & 0x7fffffffffffff : 0;
}

/* Each child writes every seventh page, beginning at another one. */
static bool written_by(int child, int page)
{
	return page % 7 == child;
}

static void setup_child(void *argument)
{
	long index = (long)argument;

	for (int i = 0; i < PAGES; i++) {
		if (written_by(index, i))
			pattern_fill(memory + i * PAGE, PAGE, 10000 * (index + 1) + i);
	}
}

static void verify_child(void *argument)
{
	long index = (long)argument;

	for (int i = 0; i < PAGES; i++)
		pattern_check("memory of a child", memory + i * PAGE, PAGE,
			      written_by(index, i) ? 10000 * (index + 1) + i : i);
	/* What it writes now is its own. */
	for (int i = 0; i < PAGES; i++)
		memory[i * PAGE] = 'x';
}

/* Has a child of its own that shares all with it. */
static void setup_middle(void *argument)
{
	setup_child(argument);
	children[CHILDREN] = child(NULL, verify_child, argument);
}

static void setup(void)
{
	memory = must(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0));
	must(madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE));
	for (int i = 0; i < PAGES; i++)
		pattern_fill(memory + i * PAGE, PAGE, i);
	for (long i = 0; i < CHILDREN; i++)
		children[i] = child(i ? setup_child : setup_middle, verify_child, (void *)i);
}

static void verify(void)
{
	int shared = 0, expected = 0, wrong = 0;

	for (int i = 0; i < PAGES; i++) {
		uint64_t own = frame(getpid(), memory + i * PAGE);
		for (int j = 0; j < CHILDREN; j++) {
			bool same_page = frame(children[j], memory + i * PAGE) == own;
			expected += !written_by(j, i);
			shared += same_page && !written_by(j, i);
			wrong += same_page && written_by(j, i);
		}
	}
	same("pages shared with the children", expected, shared);
	same("pages shared that must not be", 0, wrong);
	for (int i = 0; i < CHILDREN; i++)
		child_verify(children[i]);
	for (int i = 0; i < PAGES; i++)
		pattern_check("memory of the parent", memory + i * PAGE, PAGE, i);
}

const struct scenario scenario = {
	.about = "copy-on-write pages are still shared",
	.setup = setup,
	.verify = verify,
};
