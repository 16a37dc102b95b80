/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

struct checkpoint;

/*
 * Dump: numbers the kernel objects that tasks can share (address space, descriptor table, cwd and
 * root, signal actions) in the ids of each task's core.  Tasks of the tree that do share one, and
 * threads that do not share their leader's, are refused.
 */
int ids_describe(struct checkpoint *checkpoint);
