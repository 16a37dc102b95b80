/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

struct checkpoint;
struct task;

/*
 * Control groups.  Without --manage-cgroups a restored tree lives, as with CRIU, in the cgroups of
 * the stasis that restores it.
 *
 * Dump: a tree that is spread over several cgroups could not come back that way: a task that is
 * in others than the root is refused.
 */
int cgroups_describe(struct checkpoint *checkpoint, struct task *task);
