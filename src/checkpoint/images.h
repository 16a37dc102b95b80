/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>

struct checkpoint;

/*
 * The images of the tree: inventory, pstree and what each task has (core, ids, mm, fs, fdinfo).
 * images_write() writes all but the inventory, which makes a directory a checkpoint and is
 * written last of all, by images_commit().  images_withdraw() takes an older inventory away
 * before anything of a new checkpoint is written.
 */
int images_write(struct checkpoint *checkpoint);
int images_commit(struct checkpoint *checkpoint);
int images_withdraw(struct checkpoint *checkpoint);

/* Opens the image and work directories that the options name.  Reports. */
int images_open(struct checkpoint *checkpoint, bool to_write);

/*
 * Reads the tree: all tasks, threads, their messages.  Everything that other parts rely on is
 * checked: parents before children, ids unique, every task's images there.
 */
int images_read(struct checkpoint *checkpoint);
