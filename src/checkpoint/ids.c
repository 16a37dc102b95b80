/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checkpoint/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/report.h"
#include "checkpoint/checkpoint.h"

static const struct kind {
	int type; /* of kcmp(2) */
	const char *what;
	size_t id; /* offset in TaskKobjIdsEntry */
	bool threads_may_differ;
} kinds[] = {
	{KCMP_VM, "its address space", offsetof(TaskKobjIdsEntry, vm_id), false},
	{KCMP_FILES, "its table of descriptors", offsetof(TaskKobjIdsEntry, files_id), true},
	{KCMP_FS, "its working directory and root", offsetof(TaskKobjIdsEntry, fs_id), true},
	{KCMP_SIGHAND, "its signal actions", offsetof(TaskKobjIdsEntry, sighand_id), false},
};

/* -1, 0, 1: kcmp's order, total for one boot; -2 and errno: not known. */
static int compare(pid_t a, pid_t b, int type)
{
	long order = syscall(SYS_kcmp, a, b, type, 0, 0);

	return order < 0 ? -2 : order == 0 ? 0 : order == 1 ? -1 : 1;
}

/* Where the task belongs among the sorted ones; *same: one that has the same object. */
static int find_place(struct task *const *sorted, size_t count, const struct task *task, int type,
		      size_t *place, struct task **same)
{
	size_t low = 0, high = count;

	*same = NULL;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = compare(task->pid, sorted[middle]->pid, type);

		if (order == -2)
			return -errno;
		if (order == 0) {
			*same = sorted[middle];
			return 0;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	*place = low;
	return 0;
}

static int describe_kind(struct checkpoint *checkpoint, const struct kind *kind)
{
	struct tree *tree = &checkpoint->tree;
	struct task **sorted = arena_new_array(checkpoint->arena, struct task *, tree->count);
	size_t count = 0;
	int result = 0;

	tree_each_task (tree, task) {
		struct task *same;
		size_t place = 0;
		int error;

		if (task->state == TASK_DEAD)
			continue;
		error = find_place(sorted, count, task, kind->type, &place, &same);
		if (error) {
			result = FAIL(-error, task_subject(task), "the kernel needs CONFIG_KCMP",
				      "cannot compare it with other processes: %s",
				      strerror(-error));
			task->no_batches = true;
			continue;
		}
		if (same) {
			result = REFUSE(
				task_subject(task),
				"programs that use clone() this way cannot be checkpointed yet",
				"it shares %s with pid %d", kind->what, same->pid);
			/* One loop and one area per address space. */
			task->no_batches |= kind->type == KCMP_VM;
			continue;
		}
		memmove(sorted + place + 1, sorted + place, (count - place) * sizeof(*sorted));
		sorted[place] = task;
		count++;
		*(uint32_t *)((char *)task->threads[0].core->ids + kind->id) = count;
	}
	return result;
}

static int check_threads(struct task *task)
{
	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++)
		for (size_t i = 1; kinds[k].threads_may_differ && i < task->thread_count; i++)
			if (compare(task->pid, task->threads[i].tid, kinds[k].type))
				return REFUSE(SUBJECT("thread %d of pid %d", task->threads[i].tid,
						      task->pid),
					      "threads that unshare(2) cannot be checkpointed yet",
					      "it does not share %s with its process",
					      kinds[k].what);
	return 0;
}

int ids_describe(struct checkpoint *checkpoint)
{
	int result = 0, error;

	tree_each_task (&checkpoint->tree, task) {
		if (task->state == TASK_DEAD)
			continue;
		task->threads[0].core->ids =
			ARENA_MESSAGE(checkpoint->arena, task_kobj_ids_entry, TaskKobjIdsEntry);
		if ((error = check_threads(task)))
			result = error;
	}
	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++)
		if ((error = describe_kind(checkpoint, &kinds[k])))
			result = error;
	return result;
}
