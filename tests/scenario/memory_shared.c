/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory shared between processes: anonymous, /dev/zero, files, deleted files, memfds.  All
 * that share it see each other's writes afterwards.
 */
#include "scenario.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, SIZE = 64 * PAGE, KINDS = 5 };

static struct kind {
	const char *name;
	char *memory;
} kinds[KINDS];

/* The child has its own mapping of the same object elsewhere, and the inherited one. */
static char *moved;

static void setup_child(void *unused)
{
	moved = must(mremap(kinds[0].memory, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
			    must(mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))));
	must(munmap(moved + 8 * PAGE, 8 * PAGE)); /* and only parts of it */
	must(mprotect(moved, PAGE, PROT_READ));
}

static void verify_child(void *unused)
{
	for (int i = 0; i < KINDS; i++) {
		char *memory = i == 0 ? moved : kinds[i].memory;
		same_bytes(kinds[i].name, "written by the parent", memory + 100, 21);
		pattern_check(kinds[i].name, memory + 4 * PAGE, PAGE, i);
		same("an untouched page", 0, memory[33 * PAGE]);
		memory[5 * PAGE] = 'c';
	}
}

static pid_t other;

static char *map(int fd, int flags)
{
	char *memory = must(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, 0));

	if (fd >= 0)
		close(fd);
	return memory;
}

static int file(const char *name, bool deleted)
{
	int fd = must(open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600));

	must(ftruncate(fd, SIZE));
	if (deleted)
		must(unlink(name));
	return fd;
}

static void setup(void)
{
	kinds[0] = (struct kind){"anonymous memory", map(-1, MAP_ANONYMOUS)};
	kinds[1] = (struct kind){"/dev/zero", map(must(open("/dev/zero", O_RDWR)), 0)};
	kinds[2] = (struct kind){"a file", map(file("file", false), 0)};
	kinds[3] = (struct kind){"a deleted file", map(file("deleted", true), 0)};
	int fd = must(memfd_create("mem", MFD_CLOEXEC));
	must(ftruncate(fd, SIZE));
	kinds[4] = (struct kind){"a memfd", map(fd, 0)};
	for (int i = 0; i < KINDS; i++)
		pattern_fill(kinds[i].memory + 4 * PAGE, PAGE, i);
	other = child(setup_child, verify_child, NULL);
}

static void verify(void)
{
	static const char text[] = "written by the parent";

	for (int i = 0; i < KINDS; i++) {
		for (int j = 0; j < 21; j++)
			kinds[i].memory[100 + j] = text[j];
	}
	child_verify(other);
	for (int i = 0; i < KINDS; i++)
		same(kinds[i].name, 'c', kinds[i].memory[5 * PAGE]);
	/* What was written through the mapping is in the file. */
	char bytes[21] = "";
	int fd = open("file", O_RDWR | O_CLOEXEC);
	same("read of the file", 21, pread(fd, bytes, 21, 100));
	same_bytes("bytes in the file", text, bytes, 21);
	close(fd);
}

const struct scenario scenario = {
	.about = "memory shared between processes",
	.setup = setup,
	.verify = verify,
	.dump_options = "--ghost-limit 10M",
};
