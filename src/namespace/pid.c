/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pid namespaces.  A restore makes one by cloning its first process into it (checkpoint/grow.c);
 * what there is to know of it are the numbers of its processes, which are with these (task/task.h).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/report.h"
#include "checkpoint/checkpoint.h"
#include "namespace/internal.h"

enum { FIRST_PROCESS = 1 };

/* ---- dump ---------------------------------------------------------------------------------- */

/* A process that entered one of the namespaces (setns(2)) would end with its first process. */
static int survey_stranger(struct checkpoint *checkpoint, int proc, const char *name)
{
	const struct namespace *namespace;
	struct stat stat;
	char path[32];

	snprintf(path, sizeof(path), "%.15s/ns/pid", name);
	/* One that has just ended has none. */
	if (fstatat(proc, path, &stat, 0) < 0)
		return 0;
	namespace = hash_get(&checkpoint->namespaces.by_inode, stat.st_ino);
	if (!namespace || namespace->kind != NAMESPACE_PID ||
	    hash_get(&checkpoint->tree.by_pid, atoi(name)))
		return 0;
	return REFUSE(SUBJECT("pid %s", name), "end it, or dump with --leave-running",
		      "it has entered the pid namespace of the tree from outside, and would be "
		      "killed with it");
}

static int survey_strangers(struct checkpoint *checkpoint)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int result = 0;

	if (!proc)
		return FAIL(errno, SUBJECT("dump"), "mount /proc", "cannot list processes: %s",
			    strerror(errno));
	while ((entry = readdir(proc))) {
		int error = 0;

		if (*entry->d_name >= '1' && *entry->d_name <= '9')
			error = survey_stranger(checkpoint, dirfd(proc), entry->d_name);
		if (error)
			result = error;
	}
	closedir(proc);
	return result;
}

/* The namespaces of a container's container: once for each, of a zombie too. */
static int survey_nested(struct checkpoint *checkpoint, const struct task *task)
{
	const struct namespace *namespace = namespace_of_task(checkpoint, task, NAMESPACE_PID);
	size_t around = task->parent ? task->parent->depth : 0;

	if (task->depth == 0 || (task->depth == around && (!namespace || namespace->task != task)))
		return 0;
	return REFUSE(task_subject(task), "dump that process, or end it",
		      "it has another pid namespace than the root of the tree, which stasis cannot "
		      "checkpoint yet");
}

int pid_namespaces_survey(struct checkpoint *checkpoint)
{
	const struct tree *tree = &checkpoint->tree;
	const struct options *options = checkpoint->options;
	int result = 0;

	tree_each_task (tree, task) {
		int error = survey_nested(checkpoint, task);

		if (error)
			result = error;
	}
	if (!tree->above)
		return result;
	if (tree->tasks[0]->id != FIRST_PROCESS)
		return REFUSE(task_subject(tree->tasks[0]),
			      "give the first process of that namespace to -t, or run stasis "
			      "inside",
			      "it is in another pid namespace than stasis, but not its first "
			      "process");
	if (!options->leave_running && !options->leave_stopped) {
		int error = survey_strangers(checkpoint);

		if (error)
			result = error;
	}
	return result;
}

/* ---- restore ------------------------------------------------------------------------------- */

int pid_namespaces_check(struct checkpoint *checkpoint)
{
	struct tree *tree = &checkpoint->tree;
	const struct task *root = tree->tasks[0];
	const struct namespace *own = namespace_of_task(checkpoint, root, NAMESPACE_PID);

	tree->above = own != NULL;
	if (own && root->id != FIRST_PROCESS)
		return FAIL(EBADMSG, SUBJECT("pstree.img"), "dump the tree from its first process",
			    "the root has a pid namespace of its own, but is process %d in it",
			    root->id);
	array_each (&checkpoint->namespaces.all, item)
		if ((*item)->kind == NAMESPACE_PID && *item != own)
			return REFUSE(
				(*item)->task ? task_subject((*item)->task)
					      : SUBJECT("inventory.img"),
				"restore it with the program that wrote it",
				"it has another pid namespace than the root of the tree, which "
				"stasis cannot restore yet");
	tree_each_task (tree, task)
		if (task->state != TASK_DEAD &&
		    namespace_of_task(checkpoint, task, NAMESPACE_PID) != own)
			return REFUSE(task_subject(task),
				      "restore it with the program that wrote it",
				      "it is outside the pid namespace of the root of the tree");
	return 0;
}

int pid_namespace_born(struct checkpoint *checkpoint)
{
	const struct task *root = checkpoint->tree.tasks[0];
	struct namespace *namespace = namespace_of_task(checkpoint, root, NAMESPACE_PID);
	char path[32];

	if (!namespace)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", root->pid);
	namespace->fd = open(path, O_RDONLY | O_CLOEXEC);
	return namespace->fd < 0 ? FAIL(errno, namespace_subject(namespace), "mount /proc",
					"cannot open %s: %s", path, strerror(errno))
				 : 0;
}
