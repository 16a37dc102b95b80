/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The heap: its contents, its end, an end inside a page, and that it can grow and shrink. */
#include "scenario.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *heap, *end;
enum { SIZE = 300 * 4096 + 1234, BLOCKS = 2000 };
static char *blocks[BLOCKS];

static void setup(void)
{
	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(16 + i * 3);
		pattern_fill(blocks[i], 16 + i * 3, i);
		if (i % 3 == 0) {
			free(blocks[i]);
			blocks[i] = NULL;
		}
	}
	heap = (char *)syscall(SYS_brk, 0);
	end = heap + SIZE;
	same("new end", (long)end, syscall(SYS_brk, end));
	pattern_fill(heap, SIZE, 1);
}

static void verify(void)
{
	same("end of the heap", (long)end, syscall(SYS_brk, 0));
	pattern_check("heap", heap, SIZE, 1);
	same("a larger heap", (long)end + 1000000, syscall(SYS_brk, end + 1000000));
	same("new memory", 0, end[999999]);
	pattern_fill(end, 1000000, 2);
	same("a smaller heap", (long)heap, syscall(SYS_brk, heap));
	for (int i = 0; i < BLOCKS; i++) {
		if (blocks[i])
			pattern_check("a block of malloc", blocks[i], 16 + i * 3, i);
		free(blocks[i]);
	}
}

const struct scenario scenario = {
	.about = "the heap and its end",
	.setup = setup,
	.verify = verify,
};
