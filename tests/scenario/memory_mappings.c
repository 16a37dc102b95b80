/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 50,000 mappings, of memory and of parts of one file. */
#include "scenario.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, MAPPINGS = 50000 };

static char *base;

/* Neighbours that differ, so that they stay apart. */
static void setup(void)
{
	int fd = must(open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));

	must(ftruncate(fd, 64 * PAGE));
	for (int i = 0; i < 64; i++)
		must(pwrite(fd, &i, sizeof(i), i * PAGE));
	base = must(mmap(NULL, (size_t)MAPPINGS * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	for (long i = 0; i < MAPPINGS; i++) {
		char *page = base + i * PAGE;
		if (i % 4 == 1) {
			must(mmap(page, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd,
				  i % 64 * PAGE));
			continue;
		}
		if (i % 3 == 0)
			*(long *)page = i;
		if (i % 4 == 3)
			must(mprotect(page, PAGE, PROT_READ));
	}
	close(fd);
}

static void verify(void)
{
	int wrong = 0;

	for (long i = 0; i < MAPPINGS; i++) {
		char *page = base + i * PAGE;
		if (i % 4 == 1)
			wrong += *(int *)page != i % 64;
		else
			wrong += *(long *)page != (i % 3 == 0 ? i : 0);
	}
	same("wrong pages", 0, wrong);
}

const struct scenario scenario = {
	.about = "50,000 mappings",
	.setup = setup,
	.verify = verify,
};
