/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dump: what only the task itself can tell of its memory, most of it in task/'s one batch. */
#include <errno.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "base/fd.h"
#include "memory/internal.h"
#include "task/part.h"

/* ---- memory policies (mbind) --------------------------------------------------------------- */

enum { ROOM_FOR_OTHERS = 64 * 1024 }; /* of the batch */

struct question {
	VmaEntry *entry;
	int *mode; /* the answer */
	size_t call;
};

typedef ARRAY(struct question) questions;

/* Asks for the policies of mappings, from *next on, as long as there is room. */
static void ask_policies(struct batch *batch, const struct task_memory *memory, size_t *next,
			 size_t room, questions *questions)
{
	for (; *next < memory->count && batch_fits(batch, 1, sizeof(int) + room); ++*next) {
		VmaEntry *entry = memory->mappings[*next].entry;
		struct question *question;
		uint64_t address;

		if (mapping_is_kernels(entry))
			continue;
		question = array_push(questions);
		question->entry = entry;
		question->mode = batch_data(batch, sizeof(int), &address);
		question->call = batch_call(batch, SYS_get_mempolicy, address, 0, 0, entry->start,
					    MPOL_F_ADDR);
	}
}

static int ask_nodes(struct inquiry *inquiry, struct question *question)
{
	MempolicyEntry *policy = ARENA_MESSAGE(inquiry->arena, mempolicy_entry, MempolicyEntry);
	struct batch batch;
	unsigned char *nodes;
	uint64_t address, mode;
	int error;

	batch_begin(&batch, &inquiry->thread->remote);
	nodes = batch_data(&batch, NODE_MASK, &address);
	batch_data(&batch, sizeof(int), &mode);
	batch_call(&batch, SYS_get_mempolicy, mode, address, NODE_MASK * 8, question->entry->start,
		   MPOL_F_ADDR);
	error = batch_run(&batch);
	if (!error)
		error = batch_check(&batch, "memory policy");
	policy->mode = *question->mode;
	policy->has_nodes = true;
	policy->nodes.len = NODE_MASK;
	policy->nodes.data = arena_copy(inquiry->arena, nodes, NODE_MASK);
	question->entry->mempolicy = policy;
	batch_end(&batch);
	return error;
}

/* ENOSYS: a kernel without NUMA. */
static int store_policies(struct inquiry *inquiry, const struct batch *batch, questions *questions)
{
	int error = 0;

	array_each (questions, question)
		if (!error && batch_result(batch, question->call) == 0 &&
		    *question->mode != MPOL_DEFAULT)
			error = ask_nodes(inquiry, question);
	questions->count = 0;
	return error;
}

/* Mappings for which the one batch had no room. */
static int ask_the_rest(struct inquiry *inquiry, size_t next, questions *questions)
{
	const struct task_memory *memory = inquiry->task->memory;
	struct batch batch;
	int error = 0;

	if (next == memory->count)
		return 0;
	batch_begin(&batch, &inquiry->thread->remote);
	while (next < memory->count && !error) {
		ask_policies(&batch, memory, &next, 0, questions);
		error = batch_run(&batch);
		if (!error)
			error = store_policies(inquiry, &batch, questions);
		batch_reset(&batch);
	}
	batch_end(&batch);
	return error;
}

/* ---- the part ------------------------------------------------------------------------------ */

struct asked {
	size_t thp, next; /* next: mapping whose policy is not asked for yet */
	questions questions;
};

static void *memory_ask(struct inquiry *inquiry)
{
	struct asked *asked = arena_new_object(inquiry->arena, struct asked);

	if (!inquiry->leader || !inquiry->task->memory)
		return asked;
	asked->thp = batch_call(inquiry->batch, SYS_prctl, PR_GET_THP_DISABLE);
	ask_policies(inquiry->batch, inquiry->task->memory, &asked->next, ROOM_FOR_OTHERS,
		     &asked->questions);
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

static int memory_answer(struct inquiry *inquiry, void *asked_)
{
	struct asked *asked = asked_;
	MmEntry *mm = inquiry->task->mm;
	int64_t thp;
	int error;

	if (!inquiry->leader || !inquiry->task->memory)
		return 0;
	thp = batch_result(inquiry->batch, asked->thp);
	mm->thp_disabled = mm->has_thp_disabled = thp > 0;
	/* Linux 6.18: PR_THP_DISABLE_EXCEPT_ADVISED */
	mm->thp_disable_flags = thp > 0 ? thp & ~1 : 0;
	mm->has_thp_disable_flags = mm->thp_disable_flags != 0;
	error = store_policies(inquiry, inquiry->batch, &asked->questions);
	if (!error)
		error = ask_the_rest(inquiry, asked->next, &asked->questions);
	array_free(&asked->questions);
	if (!error && inquiry->status.locked)
		error = describe_future_locks(inquiry->task);
	return error;
}

const struct part memory_part = {.ask = memory_ask, .answer = memory_answer};
