/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

enum { NAMESPACE_KINDS = 10 };

struct checkpoint;
struct task;

/*
 * Namespaces.  Until a kind of namespace has a file of its own here, its tasks must live in the
 * namespace that stasis itself lives in.
 *
 * Dump: compares the namespaces of a task with stasis' own and fills in the namespace ids of its
 * ids image; another namespace is refused by name.
 */
int namespaces_describe(struct checkpoint *checkpoint, struct task *task);
