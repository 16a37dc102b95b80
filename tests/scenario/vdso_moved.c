/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A vdso at another address than the kernel chose, as after a restore by other tools. */
#include "scenario.h"

#include <string.h>
#include <stdio.h>
#include <sys/mman.h>

static unsigned long moved;

struct block {
	unsigned long start, end, vdso;
};

static struct block find(void)
{
	struct block block = {0};
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[256];

	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned long start, end;
		if (!strstr(line, "[vvar") && !strstr(line, "[vdso]"))
			continue;
		sscanf(line, "%lx-%lx", &start, &end);
		if (!block.start)
			block.start = start;
		if (strstr(line, "[vdso]"))
			block.vdso = start;
		block.end = end;
	}
	if (maps)
		fclose(maps);
	return block;
}

/* Piece by piece, as one mremap() takes one mapping only. */
static void setup_child(void *unused)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long starts[8], ends[8], distance;
	char line[256];
	int count = 0;
	struct block block = find();

	while (maps && fgets(line, sizeof(line), maps)) {
		if (strstr(line, "[vvar") || strstr(line, "[vdso]"))
			sscanf(line, "%lx-%lx", &starts[count], &ends[count]), count++;
	}
	fclose(maps);
	void *room = must(
		mmap(NULL, block.end - block.start, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	distance = (unsigned long)room - block.start;
	for (int i = 0; i < count; i++)
		must(mremap((void *)starts[i], ends[i] - starts[i], ends[i] - starts[i],
			    MREMAP_MAYMOVE | MREMAP_FIXED, (void *)(starts[i] + distance)));
	moved = block.vdso + distance;
}

static void verify_child(void *unused)
{
	same("address of the vdso", moved, find().vdso);
	same("contents of the vdso", 0, memcmp((void *)moved, "\177ELF", 4));
}

static void setup(void)
{
	child(setup_child, verify_child, NULL);
}

static void verify(void)
{
}

const struct scenario scenario = {
	.about = "a vdso that was moved",
	.setup = setup,
	.verify = verify,
};
