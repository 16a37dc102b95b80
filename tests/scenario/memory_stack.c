/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stacks: deep ones, and mappings that grow down by themselves afterwards. */
#include "scenario.h"

#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

static char *growing;

static uint64_t recurse(int depth, uint64_t seed)
{
	volatile char frame[2000];

	memset((char *)frame, depth, sizeof(frame));
	if (depth == 0)
		return seed;
	uint64_t value = recurse(depth - 1, seed * 31 + depth);
	return value + frame[depth % 2000];
}

static uint64_t expected;

static void setup(void)
{
	/* Room below, that it may grow into. */
	char *room = must(mmap(NULL, 1024 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	must(munmap(room, 1024 * PAGE));
	growing = must(mmap(room + 1000 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0));
	pattern_fill(growing, 4 * PAGE, 5);
	for (int i = 1; i < 20; i++)
		growing[-i * PAGE] = i;
	expected = recurse(1000, 1);
}

static void verify(void)
{
	pattern_check("memory that grows down", growing, 4 * PAGE, 5);
	for (int i = 1; i < 20; i++)
		same("page it grew by", i, growing[-i * PAGE]);
	for (int i = 20; i < 200; i++)
		growing[-i * PAGE] = 1;
	same("a deep recursion", expected, recurse(1000, 1));
	same("a deeper recursion", recurse(3000, 1), recurse(3000, 1));
}

const struct scenario scenario = {
	.about = "stacks that grow",
	.setup = setup,
	.verify = verify,
};
