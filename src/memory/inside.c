/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dump: what only the task itself can tell of its memory, as a part of task/'s one batch. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "base/fd.h"
#include "memory/internal.h"
#include "task/part.h"

static void *memory_ask(struct inquiry *inquiry)
{
	size_t *asked = arena_new_object(inquiry->arena, size_t);

	if (inquiry->leader)
		*asked = batch_call(inquiry->batch, SYS_prctl, PR_GET_THP_DISABLE);
	return asked;
}

/*
 * mlockall(MCL_FUTURE) is told by nothing but its effect: the area, which stasis mapped a moment
 * ago, is locked.
 */
static int describe_future_locks(const struct task *task)
{
	autofree char *text = NULL;
	int error = fd_read_file(task->proc, "smaps", &text, NULL), more = 1;
	struct smaps_entry found;
	char *rest = text;

	while (!error && (more = smaps_next(&rest, &found)) > 0)
		if (found.start <= task->space.area && task->space.area < found.end)
			break;
	if (error || more <= 0)
		return FAIL(error ? -error : EBADMSG, task_subject(task), NULL,
			    "/proc/PID/smaps cannot be read: %s",
			    strerror(error ? -error : EBADMSG));
	if (!(found.flags & VM_BIT(VM_LOCKED)))
		return 0;
	task->mm->has_lock_future = true;
	task->mm->lock_future = MCL_FUTURE;
	/* Kernels before 6.10 do not tell, but bring in no pages. */
	if (found.flags & VM_BIT(VM_LOCKONFAULT) || found.rss < found.end - found.start)
		task->mm->lock_future |= MCL_ONFAULT;
	return 0;
}

static int memory_answer(struct inquiry *inquiry, void *asked)
{
	MmEntry *mm = inquiry->task->mm;
	int64_t thp;

	if (!inquiry->leader || !mm)
		return 0;
	thp = batch_result(inquiry->batch, *(size_t *)asked);
	mm->thp_disabled = mm->has_thp_disabled = thp > 0;
	/* Linux 6.18: PR_THP_DISABLE_EXCEPT_ADVISED */
	mm->thp_disable_flags = thp > 0 ? thp & ~1 : 0;
	mm->has_thp_disable_flags = mm->thp_disable_flags;
	return inquiry->status.locked ? describe_future_locks(inquiry->task) : 0;
}

const struct part memory_part = {.ask = memory_ask, .answer = memory_answer};
