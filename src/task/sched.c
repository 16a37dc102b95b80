/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "task/sched.h"
#include "task/part.h"

/* Where and when a thread runs: scheduling, processors, memory nodes, I/O priority, timer slack. */

/* struct sched_attr, sched_setattr(2); its second version, with clamps, of Linux 5.3. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

enum {
	CPU_MASK_SIZE = 1024, /* 8192 processors, the most of any kernel */
	NODE_MASK_SIZE = 128, /* 1024 nodes, likewise */
	UTIL_MOST = 1024,     /* SCHED_CAPACITY_SCALE */
	NICE_BIAS = 20,       /* getpriority(2) itself returns 20 - nice */
	THE_THREAD = 0,       /* PIDTYPE_PID */
};

struct asked {
	struct attributes *attributes;
	unsigned char *cpus, *nodes;
	int *memory_mode;
	uint64_t *core_cookie;
	size_t get_attributes, get_nice, get_cpus, get_nodes, get_ioprio, get_slack, get_cookie;
};

static void *sched_ask(struct inquiry *inquiry)
{
	struct asked *asked = arena_new_object(inquiry->arena, struct asked);
	struct batch *batch = inquiry->batch;
	uint64_t address, mode;

	asked->attributes = batch_data(batch, sizeof(*asked->attributes), &address);
	asked->get_attributes =
		batch_call(batch, SYS_sched_getattr, 0, address, sizeof(*asked->attributes), 0);
	asked->get_nice = batch_call(batch, SYS_getpriority, PRIO_PROCESS, 0);
	asked->cpus = batch_data(batch, CPU_MASK_SIZE, &address);
	asked->get_cpus = batch_call(batch, SYS_sched_getaffinity, 0, CPU_MASK_SIZE, address);
	asked->memory_mode = batch_data(batch, sizeof(*asked->memory_mode), &mode);
	asked->nodes = batch_data(batch, NODE_MASK_SIZE, &address);
	asked->get_nodes =
		batch_call(batch, SYS_get_mempolicy, mode, address, NODE_MASK_SIZE * 8, 0, 0);
	asked->get_ioprio = batch_call(batch, SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	asked->get_slack = batch_call(batch, SYS_prctl, PR_GET_TIMERSLACK);
	asked->core_cookie = batch_data(batch, sizeof(*asked->core_cookie), &address);
	asked->get_cookie = batch_call(batch, SYS_prctl, PR_SCHED_CORE, PR_SCHED_CORE_GET, 0,
				       THE_THREAD, address);
	return asked;
}

int ioprio_by_nice(uint32_t policy, int32_t nice)
{
	int class = policy == SCHED_IDLE ? IOPRIO_CLASS_IDLE
		    : policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_DEADLINE
			    ? IOPRIO_CLASS_RT
			    : IOPRIO_CLASS_BE;

	return class << 13 | (nice + 20) / 5;
}

/*
 * Some kernels (5.18 to 6.5) answer what follows from the nice value for a thread that never chose
 * a priority, others 0; one that says so of stasis is of the others.
 */
static bool raw_ioprio(void)
{
	static int own = -1;

	if (own < 0)
		own = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	return own == 0;
}

bool mask_covers(const unsigned char *mask, size_t bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (i / 8 >= bytes || !(mask[i / 8] & 1 << i % 8))
			return false;
	return true;
}

/* The affinity, without the zeros at its end; nothing when the thread may run anywhere. */
static void store_affinity(struct inquiry *inquiry, SchedMoreEntry *more, const unsigned char *mask,
			   size_t bytes)
{
	static long online;

	if (!online)
		online = sysconf(_SC_NPROCESSORS_ONLN);
	more->has_affinity = true;
	if (mask_covers(mask, bytes, online))
		return;
	while (bytes && !mask[bytes - 1])
		bytes--;
	more->affinity.len = bytes;
	more->affinity.data = arena_copy(inquiry->arena, mask, bytes);
}

/*
 * The time slice that a thread has if it did not ask for one (6.12), by that of stasis.  0: not
 * known to this kernel.
 */
static uint64_t usual_slice(void)
{
	static struct attributes own;

	if (!own.size)
		syscall(SYS_sched_getattr, 0, &own, sizeof(own), 0);
	return own.policy == SCHED_NORMAL ? own.runtime : 0;
}

static void store_attributes(ThreadCoreEntry *core, SchedMoreEntry *more,
			     const struct attributes *attributes)
{
	core->has_sched_policy = core->has_sched_nice = core->has_sched_prio = true;
	core->sched_policy = attributes->policy;
	core->sched_prio = attributes->priority;
	more->has_flags = attributes->flags;
	more->flags = attributes->flags;
	if (attributes->policy == SCHED_DEADLINE) {
		more->has_runtime = more->has_deadline = more->has_period = true;
		more->runtime = attributes->runtime;
		more->deadline = attributes->deadline;
		more->period = attributes->period;
	} else if (attributes->runtime != usual_slice()) {
		more->has_runtime = true;
		more->runtime = attributes->runtime;
	}
	/* A kernel without clamps says 0 and 0. */
	if (attributes->util_max && (attributes->util_min || attributes->util_max != UTIL_MOST)) {
		more->has_util_min = more->has_util_max = true;
		more->util_min = attributes->util_min;
		more->util_max = attributes->util_max;
	}
}

static void store_mempolicy(struct inquiry *inquiry, int mode, const unsigned char *nodes)
{
	size_t bytes = NODE_MASK_SIZE;
	MempolicyEntry *entry;

	if (mode == MPOL_DEFAULT)
		return;
	entry = ARENA_MESSAGE(inquiry->arena, mempolicy_entry, MempolicyEntry);
	entry->mode = mode;
	while (bytes && !nodes[bytes - 1])
		bytes--;
	entry->has_nodes = bytes;
	entry->nodes.len = bytes;
	entry->nodes.data = arena_copy(inquiry->arena, nodes, bytes);
	inquiry->thread_core->mempolicy = entry;
}

/*
 * Of a zombie the rest is gone: I/O priority, memory policy.  What the machine can answer for any
 * thread, it answers for this one.
 */
static int sched_describe_zombie(struct inquiry *inquiry)
{
	pid_t pid = inquiry->task->pid;
	ThreadCoreEntry *core = inquiry->thread_core;
	SchedMoreEntry *more = ARENA_MESSAGE(inquiry->arena, sched_more_entry, SchedMoreEntry);
	struct attributes attributes;
	unsigned char cpus[CPU_MASK_SIZE];
	char slack[32];
	long nice = syscall(SYS_getpriority, PRIO_PROCESS, pid),
	     bytes = syscall(SYS_sched_getaffinity, pid, sizeof(cpus), cpus);

	if (nice < 0 || bytes < 0 ||
	    syscall(SYS_sched_getattr, pid, &attributes, sizeof(attributes), 0) < 0)
		return FAIL(errno, thread_subject(inquiry->thread), NULL,
			    "cannot read its scheduling attributes: %s", strerror(errno));
	core->sched_more = more;
	store_attributes(core, more, &attributes);
	core->sched_nice = NICE_BIAS - nice;
	store_affinity(inquiry, more, cpus, bytes);
	if (proc_read(inquiry->task, "timerslack_ns", slack, sizeof(slack)) > 0) {
		core->has_timerslack_ns = true;
		core->timerslack_ns = strtoull(slack, NULL, 10);
	}
	return 0;
}

static int sched_answer(struct inquiry *inquiry, void *asked_)
{
	const struct asked *asked = asked_;
	struct batch *batch = inquiry->batch;
	ThreadCoreEntry *core = inquiry->thread_core;
	SchedMoreEntry *more = ARENA_MESSAGE(inquiry->arena, sched_more_entry, SchedMoreEntry);
	int64_t cpus = batch_result(batch, asked->get_cpus),
		ioprio = batch_result(batch, asked->get_ioprio);

	if (batch_result(batch, asked->get_attributes) < 0 || cpus < 0 || ioprio < 0)
		return FAIL(EIO, thread_subject(inquiry->thread), NULL,
			    "cannot read its scheduling attributes");
	if (batch_result(batch, asked->get_cookie) == 0 && *asked->core_cookie)
		return REFUSE(thread_subject(inquiry->thread),
			      "dump it without core scheduling (PR_SCHED_CORE)",
			      "it shares processor cores only with chosen others");
	core->sched_more = more;
	store_attributes(core, more, asked->attributes);
	/* The attributes leave out the one that a real-time thread will have later. */
	core->sched_nice = NICE_BIAS - batch_result(batch, asked->get_nice);
	store_affinity(inquiry, more, asked->cpus, cpus);
	if (ioprio &&
	    (raw_ioprio() || ioprio != ioprio_by_nice(core->sched_policy, core->sched_nice))) {
		more->has_ioprio = true;
		more->ioprio = ioprio;
	}
	core->has_timerslack_ns = true;
	core->timerslack_ns = batch_result(batch, asked->get_slack);
	/* ENOSYS: a kernel without NUMA. */
	if (batch_result(batch, asked->get_nodes) == 0)
		store_mempolicy(inquiry, *asked->memory_mode, asked->nodes);
	return 0;
}

/* ---- restore ------------------------------------------------------------------------------ */

static struct attributes attributes_of(const ThreadCoreEntry *core)
{
	const SchedMoreEntry *more = core->sched_more;
	struct attributes attributes = {
		.size = sizeof(attributes),
		.policy = core->sched_policy,
		.nice = core->sched_nice,
		.priority = core->sched_prio,
	};

	if (more) {
		attributes.flags = more->flags;
		attributes.runtime = more->runtime;
		attributes.deadline = more->deadline;
		attributes.period = more->period;
	}
	if (more && more->has_util_min && more->has_util_max) {
		attributes.flags |= SCHED_FLAG_UTIL_CLAMP;
		attributes.util_min = more->util_min;
		attributes.util_max = more->util_max;
	} else {
		attributes.flags &= ~SCHED_FLAG_UTIL_CLAMP;
	}
	return attributes;
}

/* Before the policy: a thread of SCHED_DEADLINE cannot be restricted any more. */
static int restore_affinity(struct revival *revival, const SchedMoreEntry *more)
{
	unsigned char mask[CPU_MASK_SIZE];
	size_t size = more->affinity.len;
	int error;

	if (size > sizeof(mask))
		return FAIL(EINVAL, thread_subject(revival->thread), "the image is damaged",
			    "its image has an impossible mask of processors");
	memset(mask, size ? 0 : 0xff, sizeof(mask));
	if (size)
		memcpy(mask, more->affinity.data, size);
	error = revival_room(revival, 1, sizeof(mask));
	if (error)
		return error;
	revive(revival, "processors", "restore it on a machine that has one of these processors",
	       SYS_sched_setaffinity, 0, sizeof(mask),
	       batch_input(&revival->batch, mask, sizeof(mask)));
	return 0;
}

static int restore_mempolicy(struct revival *revival, const MempolicyEntry *policy)
{
	unsigned char nodes[NODE_MASK_SIZE] = {0};
	size_t size = policy->has_nodes ? policy->nodes.len : 0;
	int error;

	if (size > sizeof(nodes))
		return FAIL(EINVAL, thread_subject(revival->thread), "the image is damaged",
			    "its image has an impossible mask of memory nodes");
	memcpy(nodes, policy->nodes.data, size);
	error = revival_room(revival, 1, sizeof(nodes));
	if (error)
		return error;
	revive(revival, "memory policy", "restore it on a machine that has these memory nodes",
	       SYS_set_mempolicy, policy->mode,
	       size ? batch_input(&revival->batch, nodes, sizeof(nodes)) : 0,
	       size ? sizeof(nodes) * 8 : 0);
	return 0;
}

static int restore_more(struct revival *revival, const SchedMoreEntry *more)
{
	int error = more->has_affinity ? restore_affinity(revival, more) : 0;

	if (!error)
		error = revival_room(revival, 1, 0);
	if (!error && more->has_ioprio)
		revive(revival, "I/O priority", NULL, SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		       more->ioprio);
	return error;
}

static int sched_restore_thread(struct revival *revival)
{
	const ThreadCoreEntry *core = revival->thread_core;
	int error = core->sched_more ? restore_more(revival, core->sched_more) : 0;

	if (!error && core->has_sched_policy) {
		struct attributes attributes = attributes_of(core);

		error = revival_room(revival, 2, sizeof(attributes));
		if (error)
			return error;
		/* Policies without nice values keep it for when they are left. */
		revive(revival, "nice value", "run stasis with CAP_SYS_NICE", SYS_setpriority,
		       PRIO_PROCESS, 0, core->sched_nice);
		revive(revival, "scheduling policy", "run stasis with CAP_SYS_NICE",
		       SYS_sched_setattr, 0,
		       batch_input(&revival->batch, &attributes, sizeof(attributes)), 0);
	}
	if (!error && core->mempolicy)
		error = restore_mempolicy(revival, core->mempolicy);
	if (!error)
		error = revival_room(revival, 1, 0);
	/* After the policy, which sets it back.  0 is what real-time threads have by themselves. */
	if (!error && core->has_timerslack_ns && core->timerslack_ns)
		revive(revival, "timer slack", NULL, SYS_prctl, PR_SET_TIMERSLACK,
		       core->timerslack_ns);
	return error;
}

const struct part sched_part = {
	.ask = sched_ask,
	.answer = sched_answer,
	.describe_zombie = sched_describe_zombie,
	.restore_thread = sched_restore_thread,
};
