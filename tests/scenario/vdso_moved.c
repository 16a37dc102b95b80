/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A vdso at another address than the kernel chose, as after a restore by other tools. */
#include "scenario.h"

#include <string.h>
#include <sys/mman.h>

static uintptr_t moved;

static uintptr_t code(void)
{
	struct vdso_mapping mappings[VDSO_MAPPINGS];
	int count = find_vdso(mappings);

	for (int i = 0; i < count; i++) {
		if (mappings[i].is_code)
			return mappings[i].start;
	}
	return 0;
}

/* Piece by piece, as one mremap() takes one mapping only. */
static void setup_child(void *unused)
{
	struct vdso_mapping mappings[VDSO_MAPPINGS];
	int count = find_vdso(mappings);

	if (!count)
		die("there is no vdso");
	uintptr_t begin = mappings[0].start;
	uintptr_t room = (uintptr_t)must(mmap(NULL, mappings[count - 1].end - begin, PROT_NONE,
					      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	moved = code() - begin + room;
	for (int i = 0; i < count; i++) {
		size_t size = mappings[i].end - mappings[i].start;
		must(mremap((void *)mappings[i].start, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
			    (void *)(mappings[i].start - begin + room)));
	}
}

static void verify_child(void *unused)
{
	same("address of the vdso", moved, code());
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
