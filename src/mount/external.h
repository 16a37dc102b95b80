/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "mount/graph.h"

struct checkpoint;

/*
 * Mounts from outside: those that options name (--external mnt[KEY]:VALUE), the new root (--root),
 * and filesystems of the machine, which stasis' own namespace has mounted as well.  Each becomes a
 * provider of its superblock.
 */

/* Dump: leaves out what --skip-mnt names, marks external mounts, and says what a restore will find.
 * Reports. */
int externals_describe(struct checkpoint *checkpoint);
/* Restore: finds and opens it all.  Reports what is missing. */
int externals_read(struct checkpoint *checkpoint);
void externals_close(struct checkpoint *checkpoint);

/* stasis' own namespace, collected when it is first asked for; never NULL. */
struct mount_graph *mounts_own(struct checkpoint *checkpoint);
/* "mount /x" */
struct subject mount_subject(struct arena *arena, const struct mount *mount);
