/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>

/*
 * Work on many things that do not depend on each other, in as many threads as there are processors
 * (the caller's is one of them) but no more than PARALLEL_MOST.  work() gets each index below
 * count once, in ascending order in its lane; at the same time, no two calls have the same lane.
 * After an error nothing more is begun; the first is returned.
 */
enum { PARALLEL_MOST = 4 };

int parallel_each(size_t count, int (*work)(void *context, size_t index, unsigned int lane),
		  void *context);
/* Processors that we may use, at most PARALLEL_MOST. */
size_t parallel_lanes(void);
