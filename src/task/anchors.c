/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/ptrace.h>

#include "task/part.h"

/*
 * Anchors: addresses in a thread's memory that the kernel acts upon by itself: the list of robust
 * futexes, the thread id that is cleared at exit, the area of restartable sequences.
 */

struct asked {
	size_t tid_address, robust_list;
	uint64_t *values; /* of prctl, head and length */
};

enum { TID_ADDRESS, ROBUST_HEAD, ROBUST_LENGTH, VALUES };

static void *anchors_ask(struct inquiry *inquiry)
{
	struct asked *asked = arena_new_object(inquiry->arena, struct asked);
	uint64_t at;

	asked->values = batch_data(inquiry->batch, VALUES * sizeof(uint64_t), &at);
	asked->tid_address = batch_call(inquiry->batch, SYS_prctl, PR_GET_TID_ADDRESS,
					at + TID_ADDRESS * sizeof(uint64_t));
	asked->robust_list = batch_call(inquiry->batch, SYS_get_robust_list, 0,
					at + ROBUST_HEAD * sizeof(uint64_t),
					at + ROBUST_LENGTH * sizeof(uint64_t));
	return asked;
}

static int store_rseq(struct inquiry *inquiry)
{
	struct __ptrace_rseq_configuration rseq = {0};

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, inquiry->thread->tid, sizeof(rseq), &rseq) < 0) {
		/* A kernel without restartable sequences. */
		if (errno == EIO || errno == EINVAL)
			return 0;
		return FAIL(errno, thread_subject(inquiry->thread), NULL,
			    "cannot read its rseq configuration: %s", strerror(errno));
	}
	if (!rseq.rseq_abi_pointer)
		return 0;

	RseqEntry *entry = ARENA_MESSAGE(inquiry->arena, rseq_entry, RseqEntry);

	entry->rseq_abi_pointer = rseq.rseq_abi_pointer;
	entry->rseq_abi_size = rseq.rseq_abi_size;
	entry->signature = rseq.signature;
	inquiry->thread_core->rseq_entry = entry;
	return 0;
}

static int anchors_answer(struct inquiry *inquiry, void *asked_)
{
	const struct asked *asked = asked_;
	struct batch *batch = inquiry->batch;

	if (batch_result(batch, asked->tid_address) < 0)
		return FAIL(-batch_result(batch, asked->tid_address),
			    thread_subject(inquiry->thread),
			    "use a kernel with CONFIG_CHECKPOINT_RESTORE",
			    "cannot read the address of its thread id (PR_GET_TID_ADDRESS)");
	inquiry->tid_address = asked->values[TID_ADDRESS];
	if (batch_result(batch, asked->robust_list) == 0) {
		inquiry->thread_core->futex_rla = asked->values[ROBUST_HEAD];
		inquiry->thread_core->futex_rla_len = asked->values[ROBUST_LENGTH];
	}
	return store_rseq(inquiry);
}

static int anchors_restore_thread(struct revival *revival)
{
	const ThreadCoreEntry *core = revival->thread_core;
	const uint64_t *tid_address = arch_core_tid_address(revival->thread->core);
	const RseqEntry *rseq = core->rseq_entry;
	int error = revival_room(revival, 3, 0);

	if (error)
		return error;
	if (tid_address)
		revive(revival, "thread id's address", NULL, SYS_set_tid_address, *tid_address);
	if (core->futex_rla_len)
		revive(revival, "list of robust futexes", NULL, SYS_set_robust_list,
		       core->futex_rla, core->futex_rla_len);
	if (rseq && rseq->rseq_abi_pointer)
		revive(revival, "area of restartable sequences",
		       "restore it on a kernel that knows as many fields of struct rseq", SYS_rseq,
		       rseq->rseq_abi_pointer, rseq->rseq_abi_size, 0, rseq->signature);
	return 0;
}

const struct part anchors_part = {
	.ask = anchors_ask,
	.answer = anchors_answer,
	.restore_thread = anchors_restore_thread,
};
