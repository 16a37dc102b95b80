/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct checkpoint;
struct tree;

/*
 * Freezing.  tree_freeze() seizes every thread of every process below (and with) `root` and waits
 * until all stand still; processes that fork meanwhile are caught.  It fills in checkpoint->tree:
 * ids, states, threads with an empty core message each, and what remote_open() needs.  Problems
 * (a task that another program traces, one that does not stop in time) are reported; what was
 * seized stays seized until tree_release().
 */
int tree_freeze(struct checkpoint *checkpoint, pid_t root);

/* Makes every task ready for batches (remote_open); to be called after memory_describe(). */
int tree_open(struct checkpoint *checkpoint);

/* How the tasks go on. */
enum tree_end { TREE_RUN, TREE_STOP, TREE_KILL };

/*
 * Puts every thread back into its own state and lets go of it.  TREE_STOP: with SIGSTOP.
 * TREE_KILL: kills all instead and waits until they are gone; all or, when stasis is killed
 * meanwhile, still all.  If that cannot be, they run, and an error is returned.
 */
int tree_release(struct checkpoint *checkpoint, enum tree_end end);

/* Kills all tasks, and waits until they, and whatever else is traced in their pid namespaces, are
 * gone. */
void tree_kill(struct tree *tree);
