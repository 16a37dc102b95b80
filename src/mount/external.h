/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/report.h"
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

/* Dump: takes the mounts that --skip-mnt names out of the graph.  Reports. */
int mounts_skip(struct checkpoint *checkpoint);

/* stasis' own namespace, collected when it is first asked for; never NULL. */
struct mount_graph *mounts_own(struct checkpoint *checkpoint);
/* "mount /x" */
struct subject mount_subject(struct arena *arena, const struct mount *mount);
/* The group outside that a mount is in, or else receives from; NULL: none. */
struct peer_group *mount_outside_group(const struct mount *mount);
/* An option names something with a key that nothing has: reports those that `next` returns, one
 * after the other, the last NULL. */
int external_unknown(struct checkpoint *checkpoint, struct subject option, const char *what,
		     const char *(*next)(void *state), void *state);

/* ---- machine.c ---- */

/*
 * Dump: marks the superblocks that stasis' own namespace has mounted; they get providers for all
 * that their mounts need.
 */
void machine_describe(struct checkpoint *checkpoint);
/*
 * Restore: finds those filesystems again, and opens what is needed of them (and of any whose
 * content is outside).  A filesystem of which every machine has its own, like devtmpfs, is made
 * anew when it is not mounted.  What is missing is left to the caller.
 */
void machine_read(struct checkpoint *checkpoint);
/* Is its content outside of the checkpoint? */
bool superblock_is_outside(const struct superblock *superblock);
