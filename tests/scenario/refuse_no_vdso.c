/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process that has unmapped its vdso. */
#include "scenario.h"

#include <stddef.h>
#include <sys/mman.h>

static void setup_child(void *unused)
{
	struct vdso_mapping mappings[VDSO_MAPPINGS];
	int count = find_vdso(mappings);

	for (int i = 0; i < count; i++)
		must(munmap((void *)mappings[i].start, mappings[i].end - mappings[i].start));
}

static void setup(void)
{
	child(setup_child, NULL, NULL);
}

static void verify(void)
{
}

const struct scenario scenario = {
	.about = "a process without a vdso",
	.setup = setup,
	.verify = verify,
	.refused = "pid 3\\b.*vdso",
};
