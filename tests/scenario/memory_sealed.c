/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A mapping that was sealed (mseal(2), Linux 6.10). */
#include "scenario.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, MSEAL = 462 };

static char *area;

static void setup(void)
{
	area = must(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	if (syscall(MSEAL, area, PAGE, 0) < 0)
		skip("this kernel has no mseal(2)");
}

static void verify(void)
{
	same("unmapping a sealed mapping", -1, munmap(area, PAGE));
	same("its error", EPERM, errno);
}

const struct scenario scenario = {
	.about = "a sealed mapping",
	.setup = setup,
	.verify = verify,
};
