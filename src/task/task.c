/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "task/task.h"

#include <string.h>

#include "base/report.h"
#include "task/proc.h"

struct subject task_subject(const struct task *task)
{
	const CoreEntry *core = task->thread_count ? task->threads[0].core : NULL;
	char comm[64];

	if (core && core->tc && core->tc->comm && *core->tc->comm)
		return SUBJECT("pid %d (%s)", task->pid, core->tc->comm);
	/* On restore a process of this number may be any. */
	if (task->proc < 0 || proc_read(task, "comm", comm, sizeof(comm)) <= 0)
		return SUBJECT("pid %d", task->pid);
	comm[strcspn(comm, "\n")] = '\0';
	return SUBJECT("pid %d (%s)", task->pid, comm);
}
