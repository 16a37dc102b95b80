/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "namespace/cgroup.h"

#include <string.h>

#include "base/fd.h"
#include "base/report.h"
#include "checkpoint/checkpoint.h"

int cgroups_describe(struct checkpoint *checkpoint, struct task *task)
{
	autofree char *text = NULL;
	int error = fd_read_file(task->proc, "cgroup", &text, NULL);

	if (error)
		return FAIL(-error, task_subject(task), NULL, "cannot read its cgroups: %s",
			    strerror(-error));
	if (!checkpoint->root_cgroups)
		checkpoint->root_cgroups = arena_strdup(checkpoint->arena, text);
	if (strcmp(text, checkpoint->root_cgroups))
		return REFUSE(
			task_subject(task),
			"move the whole tree into one cgroup (of each hierarchy) for the dump",
			"it is in another cgroup than the root of the tree, pid %d",
			checkpoint->tree.tasks[0]->pid);
	return 0;
}
