/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/suggest.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST = 63, MOST = 3 };

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* How many letters have to be inserted, removed, replaced or swapped with their neighbour. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int rows[3][LONGEST + 2];
	unsigned int *before = rows[0], *last = rows[1], *row = rows[2];
	size_t width = strlen(b);

	for (size_t j = 0; j <= width; j++)
		last[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		row[0] = i;
		for (size_t j = 1; j <= width; j++) {
			row[j] = least(least(last[j], row[j - 1]) + 1,
				       last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}

		unsigned int *spare = before;

		before = last;
		last = row;
		row = spare;
	}
	return last[width];
}

void suggest(const char *mistyped, const char *(*name_at)(unsigned long index), const char *prefix,
	     char text[SUGGEST_SIZE])
{
	size_t length = strlen(mistyped), used = 0;
	const char *near[MOST], *name;
	unsigned int best = 1 + length / 4, count = 0;

	text[0] = '\0';
	if (length > LONGEST)
		return;
	for (unsigned long i = 0; (name = name_at(i)); i++) {
		unsigned int far = strlen(name) > LONGEST ? best + 1 : distance(mistyped, name);

		if (far < best)
			count = 0;
		if (far <= best && count < MOST)
			near[count++] = name;
		best = least(best, far);
	}
	for (unsigned int i = 0; i < count; i++)
		used += snprintf(text + used, SUGGEST_SIZE - used, "%s%s%s",
				 i == 0           ? "did you mean "
				 : i == count - 1 ? " or "
						  : ", ",
				 prefix, near[i]);
	if (count)
		snprintf(text + used, SUGGEST_SIZE - used, "?");
}
