/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Everything a process can see of itself and that has to be the same after a restore, as lines
 * of text: /proc/self of it and of its threads, mappings with all their flags, descriptors,
 * signal actions, prctl state.  What changes by itself (times, counters, sizes of page tables)
 * is left out, and names the kernel chooses (numbers of pipes, names of deleted files) are made
 * comparable.
 */
struct snapshot {
	char *text;
	size_t size, room;
};

/*
 * Takes a snapshot of the caller's process into memory of its own (of two at most, each as often as
 * wanted), without descriptor `hidden`.
 */
void snapshot_take(struct snapshot *snapshot, int hidden);
bool snapshot_same(const struct snapshot *before, const struct snapshot *after);
/* Calls fail() for lines that are in one snapshot only. */
void snapshot_compare(const struct snapshot *before, const struct snapshot *after);
