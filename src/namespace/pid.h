/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

struct checkpoint;
struct task;

/*
 * Pid namespaces.  They are made with their first process, in grow.c; which numbers a process has
 * in which is in the process tree's image (task.h).
 *
 * Dump: namespaces_survey() ends with pid_namespaces_survey(), which refuses what could not be made
 * again, and processes that would end with the tree and are no part of it.  namespaces_store() asks
 * which number each gave out last.
 */
int pid_namespaces_survey(struct checkpoint *checkpoint);
int pid_namespaces_store(struct checkpoint *checkpoint);
/* Restore: whether tasks and namespaces fit together.  Reports. */
int pid_namespaces_check(struct checkpoint *checkpoint);
/* Restore: the task is born, and with it the namespace that it is the first process of. */
int pid_namespace_born(const struct task *task);
/*
 * Restore: lets what the task clones next be born into the pid namespace of a member, which is its
 * own or further in.  0 or a negative errno.
 */
int pid_namespace_choose(struct task *task, const struct task *member);
/*
 * Restore, when no more process is born: what children of the tasks are born into, and which
 * numbers come next.
 */
int pid_namespaces_finish(struct checkpoint *checkpoint);
