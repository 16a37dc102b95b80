/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that is huge and nearly empty: 1 TiB with some pages, and pages that were only read.  The
 * images must not be larger than what is in them (the runner checks their size).
 */
#include "scenario.h"

#include <stddef.h>
#include <sys/mman.h>

#define HUGE (1ul << 40)
enum { PAGE = 4096, WRITTEN = 100, READ = 64 << 20 };

static char *huge, *only_read, *zeroed;

static void setup(void)
{
	huge = must(mmap(NULL, HUGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	must(madvise(huge, HUGE, MADV_NOHUGEPAGE));
	for (uint64_t i = 0; i < WRITTEN; i++)
		pattern_fill(huge + i * (HUGE / WRITTEN / PAGE) * PAGE, PAGE, i);
	only_read =
		must(mmap(NULL, READ, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	must(madvise(only_read, READ, MADV_NOHUGEPAGE));
	int sum = 0;
	for (int i = 0; i < READ; i += PAGE)
		sum += ((volatile char *)only_read)[i];
	zeroed = must(
		mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < 16 * PAGE; i++)
		zeroed[i] = sum;
}

static void verify(void)
{
	for (uint64_t i = 0; i < WRITTEN; i++) {
		pattern_check("a page in a huge mapping", huge + i * (HUGE / WRITTEN / PAGE) * PAGE,
			      PAGE, i);
		same("a page that was not written", 0,
		     huge[i * (HUGE / WRITTEN / PAGE) * PAGE + PAGE]);
	}
	for (int i = 0; i < READ; i += PAGE)
		same("a page that was only read", 0, only_read[i]);
	for (int i = 0; i < 16 * PAGE; i += 100)
		same("a page written with zeroes", 0, zeroed[i]);
}

const struct scenario scenario = {
	.about = "huge, nearly empty memory takes no space",
	.setup = setup,
	.verify = verify,
	.images_limit = 4 << 20,
};
