/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct checkpoint;
struct task;

/*
 * Growing a tree: clones every task and thread with its ids, each from its own parent, with its
 * memory in place.  All stand still under PTRACE_O_EXITKILL: if stasis dies, so do they.
 * checkpoint->channel and ->area are made here; tree_plan(), files_read() and memory_read() come
 * before.
 */
int tree_grow(struct checkpoint *checkpoint);

/* Puts every task into its process group, when all are born. */
int tree_group(struct checkpoint *checkpoint);

/*
 * After that: makes a process group that has no members any more, in the session of the task, while
 * use() runs.  Reports; and returns what use() does.
 */
int tree_lend_group(struct checkpoint *checkpoint, struct task *parent, pid_t id,
		    int (*use)(void *argument), void *argument);

/* Lets the zombies end the way they did. */
int tree_end_zombies(struct checkpoint *checkpoint);

/* Frees the channel; kills every task that was born if the restore failed. */
void tree_close(struct checkpoint *checkpoint, bool failed);
