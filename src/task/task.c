/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "task/task.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/report.h"
#include "task/proc.h"

struct task_numbers task_numbers(const struct task *task, size_t depth)
{
	return depth ? task->inner[depth - 1]
		     : (struct task_numbers){.id = task->id, .pgid = task->pgid, .sid = task->sid};
}

pid_t thread_own(const struct thread *thread)
{
	const struct task *task = thread->task;

	return task->depth ? task->inner[task->depth - 1].threads[thread - task->threads]
			   : thread->id;
}

enum { REAP_NAP_US = 200, MOST_IDLE = 2500 };

/* How many threads are left; *living: one of them is still ending. */
static size_t reap_once(struct task *task, bool *living)
{
	size_t left = 0;

	for (size_t i = task->thread_count; i-- > 0;) {
		struct remote *remote = &task->threads[i].remote;

		if (remote_reap_now(remote))
			continue;
		left++;
		*living |= !remote_is_dead(remote->tid);
	}
	return left;
}

void task_reap(struct task *task)
{
	size_t left, before = task->thread_count;
	bool living = true;

	for (unsigned int idle = 0; idle < MOST_IDLE; before = left) {
		living = false;
		left = reap_once(task, &living);
		if (!left)
			return;
		idle = living || left < before ? 0 : idle + 1;
		usleep(REAP_NAP_US);
	}
}

bool task_is_init(const struct task *task)
{
	return task_numbers(task, task->depth).id == 1;
}

bool task_is_abroad(const struct task *task)
{
	return task->parent && task->depth > task->parent->depth && !task_is_init(task);
}

struct subject task_subject(const struct task *task)
{
	const CoreEntry *core = task->thread_count ? task->threads[0].core : NULL;
	const char *name = core && core->tc && core->tc->comm && *core->tc->comm ? core->tc->comm
			   : task->stat                                          ? task->stat->comm
										 : NULL;
	pid_t pid = task->pid ? task->pid : task->id;
	char inside[32] = "";

	if (task->id && task->id != pid)
		snprintf(inside, sizeof(inside), ", %d in its container", task->id);
	return name ? SUBJECT("pid %d (%s%s)", pid, name, inside) : SUBJECT("pid %d", pid);
}
