/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>

struct tree;

/*
 * Plans, from ids alone, how the tasks of a tree are cloned so that each ends up in its session:
 * before or after its parent makes one, or out of a helper that stands in for a session leader
 * that is gone.  Fills in birth_sid, before_setsid and lost_session.  shell_job: the root's
 * session may belong to somebody outside.  A tree that cannot be made is refused by name; dump
 * asks, too.
 */
int tree_plan(struct tree *tree, bool shell_job);
