/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "task/task.h"

#include <string.h>

#include "base/report.h"
#include "task/proc.h"

struct subject task_subject(const struct task *task)
{
	const CoreEntry *core = task->thread_count ? task->threads[0].core : NULL;

	if (core && core->tc && core->tc->comm && *core->tc->comm)
		return SUBJECT("pid %d (%s)", task->pid, core->tc->comm);
	return task->stat ? SUBJECT("pid %d (%s)", task->pid, task->stat->comm)
			  : SUBJECT("pid %d", task->pid);
}
