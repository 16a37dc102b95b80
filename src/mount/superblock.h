/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "mount/graph.h"

struct checkpoint;

/* Dump: which namespace a filesystem shows.  Reports. */
int superblock_describe(struct checkpoint *checkpoint, struct superblock *superblock);

/* Restore: its options are paths among the mounts, so it is made where those lead. */
bool superblock_is_made_inside(const struct superblock *superblock);
/*
 * Restore: the phase in which it can be made: one after those of what its layers are on, and late
 * if a namespace that it shows has no task yet.
 */
void superblocks_order(struct checkpoint *checkpoint);
/* Restore: makes them, in the namespaces that they show; superblock->fd.  May call tasks remotely.
 * Reports. */
int superblocks_make(struct checkpoint *checkpoint, struct superblock *const *superblocks,
		     size_t count);
