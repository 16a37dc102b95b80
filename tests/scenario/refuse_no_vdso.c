/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process that has unmapped its vdso. */
#include "scenario.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static void setup_child(void *unused)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[256];

	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned long start, end;
		if (!strstr(line, "[vvar") && !strstr(line, "[vdso]"))
			continue;
		sscanf(line, "%lx-%lx", &start, &end);
		must(munmap((void *)start, end - start));
	}
	fclose(maps);
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
