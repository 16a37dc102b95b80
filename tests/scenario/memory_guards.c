/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guard regions (MADV_GUARD_INSTALL, Linux 6.13): pages that fault inside of a mapping. */
#include "scenario.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 64, GUARD_INSTALL = 102 };

static char *area;
static sigjmp_buf jump;

static void on_fault(int sig)
{
	siglongjmp(jump, sig);
}

static int fault(volatile char *address)
{
	int sig = sigsetjmp(jump, 1);

	return sig ? sig : *address * 0;
}

static void setup(void)
{
	signal(SIGSEGV, on_fault);
	area = must(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0));
	pattern_fill(area, PAGES * PAGE, 1);
	if (madvise(area + 5 * PAGE, 2 * PAGE, GUARD_INSTALL) < 0 && errno == EINVAL)
		skip("this kernel has no guard regions");
	must(madvise(area + 20 * PAGE, PAGE, GUARD_INSTALL));
}

static void verify(void)
{
	for (int i = 0; i < PAGES; i++) {
		bool guarded = i == 5 || i == 6 || i == 20;
		same("fault", guarded ? SIGSEGV : 0, fault(area + i * PAGE));
	}
	pattern_check("memory before", area, 5 * PAGE, 1);
}

const struct scenario scenario = {
	.about = "guard regions",
	.setup = setup,
	.verify = verify,
};
