/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>

#include "task/part.h"
#include "task/timers.h"

/* Signal actions, alternate stacks, and signals that wait, with their siginfo. */

enum {
	SIGNALS = 64,
	SIGSET_SIZE = 8,
	ACTIONS = SIGNALS - 2, /* SIGKILL and SIGSTOP have none; core images leave them out */
	PEEK = 16,             /* this many siginfos at a time */
};

/* What rt_sigaction(2) takes, on every architecture with a restorer. */
struct action {
	uint64_t handler, flags, restorer, mask;
};

/* As ARRAY() makes it, with a name. */
struct siginfos {
	siginfo_t *items;
	size_t count, room;
};

static bool has_action(int signo)
{
	return signo != SIGKILL && signo != SIGSTOP;
}

/* ---- dump --------------------------------------------------------------------------------- */

struct asked {
	struct action *actions; /* by signal number - 1 */
	stack_t *stack;
};

static void *signals_ask(struct inquiry *inquiry)
{
	struct asked *asked = arena_new_object(inquiry->arena, struct asked);
	uint64_t address;

	asked->stack = batch_data(inquiry->batch, sizeof(*asked->stack), &address);
	batch_call(inquiry->batch, SYS_sigaltstack, 0, address);
	if (!inquiry->leader)
		return asked;
	asked->actions = batch_data(inquiry->batch, SIGNALS * sizeof(struct action), &address);
	for (int signo = 1; signo <= SIGNALS; signo++, address += sizeof(struct action))
		if (has_action(signo))
			batch_call(inquiry->batch, SYS_rt_sigaction, signo, 0, address,
				   SIGSET_SIZE);
	return asked;
}

static void store_actions(struct inquiry *inquiry, const struct action *actions)
{
	TaskCoreEntry *tc = inquiry->tc;

	tc->sigactions = arena_new_array(inquiry->arena, SaEntry *, ACTIONS);
	for (int signo = 1; signo <= SIGNALS; signo++) {
		const struct action *action = &actions[signo - 1];

		if (!has_action(signo))
			continue;

		SaEntry *entry = ARENA_MESSAGE(inquiry->arena, sa_entry, SaEntry);

		entry->sigaction = action->handler;
		entry->flags = action->flags;
		entry->restorer = action->restorer;
		entry->mask = action->mask;
		entry->has_compat_sigaction = true;
		tc->sigactions[tc->n_sigactions++] = entry;
	}
}

static void store_stack(struct inquiry *inquiry, const stack_t *stack)
{
	ThreadSasEntry *sas = ARENA_MESSAGE(inquiry->arena, thread_sas_entry, ThreadSasEntry);

	sas->ss_sp = (uintptr_t)stack->ss_sp;
	sas->ss_size = stack->ss_size;
	sas->ss_flags = stack->ss_flags;
	inquiry->thread_core->sas = sas;
}

static SignalQueueEntry *queue_new(struct arena *arena, size_t room)
{
	SignalQueueEntry *queue = ARENA_MESSAGE(arena, signal_queue_entry, SignalQueueEntry);

	queue->signals = arena_new_array(arena, SiginfoEntry *, room);
	return queue;
}

static void queue_add(struct arena *arena, SignalQueueEntry *queue, const siginfo_t *info)
{
	SiginfoEntry *entry = ARENA_MESSAGE(arena, siginfo_entry, SiginfoEntry);

	entry->siginfo.len = sizeof(*info);
	entry->siginfo.data = arena_copy(arena, info, sizeof(*info));
	queue->signals[queue->n_signals++] = entry;
}

/*
 * The whole queue, in its order, into the array.  The kernel walks the queue from its head each
 * time, so each time twice as many are asked for.
 */
static int peek_queue(pid_t tid, uint32_t flags, struct siginfos *infos)
{
	infos->count = 0;
	for (;;) {
		struct __ptrace_peeksiginfo_args args = {.off = infos->count, .flags = flags};

		while (infos->room < 2 * infos->count + PEEK)
			infos->items =
				array_grow_(infos->items, &infos->room, sizeof(*infos->items));
		args.nr = infos->room - infos->count;

		long got = ptrace(PTRACE_PEEKSIGINFO, tid, &args, infos->items + infos->count);

		if (got < 0)
			return -errno;
		infos->count += got;
		if (got < args.nr)
			return 0;
	}
}

/*
 * Signals that are pending but not queued (sent when there was no room for a siginfo) arrive with
 * an empty siginfo of SI_USER.
 */
static void add_unqueued(struct siginfos *infos, uint64_t pending)
{
	array_each (infos, info)
		pending &= ~signal_bit(info->si_signo);
	for (int signo = 1; signo <= SIGNALS; signo++)
		if (pending & signal_bit(signo))
			*array_push(infos) = (siginfo_t){.si_signo = signo, .si_code = SI_USER};
}

static int store_queue(struct inquiry *inquiry, uint32_t flags, uint64_t pending,
		       SignalQueueEntry **queue)
{
	struct siginfos infos = {0};
	int error = 0;

	if (pending) {
		error = peek_queue(inquiry->thread->tid, flags, &infos);
		add_unqueued(&infos, pending);
	}
	*queue = queue_new(inquiry->arena, infos.count);
	array_each (&infos, info)
		queue_add(inquiry->arena, *queue, info);
	array_free(&infos);
	if (error)
		return FAIL(-error, thread_subject(inquiry->thread), NULL,
			    "cannot read its pending signals: %s", strerror(-error));
	return 0;
}

static int signals_answer(struct inquiry *inquiry, void *asked_)
{
	const struct asked *asked = asked_;
	const struct proc_status *status = &inquiry->status;
	int error;

	if ((status->pending | status->shared_pending) & signal_bit(SIGSTOP))
		return REFUSE(thread_subject(inquiry->thread), "dump it again",
			      "a SIGSTOP has just been sent to it");
	store_stack(inquiry, asked->stack);
	inquiry->thread_core->has_blk_sigset = true;
	inquiry->thread_core->blk_sigset = inquiry->thread->remote.sigmask;
	error = store_queue(inquiry, 0, status->pending, &inquiry->thread_core->signals_p);
	if (!inquiry->leader || error)
		return error;
	store_actions(inquiry, asked->actions);
	inquiry->tc->blk_sigset = inquiry->thread->remote.sigmask;
	return store_queue(inquiry, PTRACE_PEEKSIGINFO_SHARED, status->shared_pending,
			   &inquiry->tc->signals_s);
}

/*
 * Which signals are blocked, ignored and caught; by which handler nobody knows nor needs.  What
 * waits will never arrive.
 */
static int signals_describe_zombie(struct inquiry *inquiry)
{
	static const uint64_t some_handler = 0x1000;
	const struct proc_status *status = &inquiry->status;
	struct action actions[SIGNALS] = {0};

	for (int signo = 1; signo <= SIGNALS; signo++)
		actions[signo - 1].handler =
			status->ignored & signal_bit(signo)  ? (uintptr_t)SIG_IGN
			: status->caught & signal_bit(signo) ? some_handler
							     : (uintptr_t)SIG_DFL;
	store_actions(inquiry, actions);
	inquiry->thread_core->has_blk_sigset = true;
	inquiry->thread_core->blk_sigset = status->blocked;
	inquiry->tc->blk_sigset = status->blocked;
	return 0;
}

/* ---- restore ------------------------------------------------------------------------------ */

static struct action action_of(const SaEntry *entry)
{
	return (struct action){.handler = entry->sigaction,
			       .flags = entry->flags,
			       .restorer = entry->restorer,
			       .mask = entry->mask};
}

/* Signals that a task may have got while it was made: of children, terminals and job control. */
static const int early[] = {SIGHUP, SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SIGURG};

enum { EARLY = sizeof(early) / sizeof(*early) };

/* Ignoring a signal drops those that wait. */
static int drop_waiting(struct revival *revival)
{
	struct action ignore = {.handler = (uintptr_t)SIG_IGN};
	int error = revival_room(revival, EARLY, sizeof(ignore));

	if (error)
		return error;

	uint64_t address = batch_input(&revival->batch, &ignore, sizeof(ignore));

	for (size_t i = 0; i < EARLY; i++)
		revive(revival, "signal actions", NULL, SYS_rt_sigaction, early[i], address, 0,
		       SIGSET_SIZE);
	return 0;
}

static int restore_actions(struct revival *revival)
{
	const TaskCoreEntry *tc = revival->tc;
	struct action actions[ACTIONS];
	size_t next = 0;
	int error;

	if (!tc->n_sigactions && revival->task->state == TASK_DEAD)
		return 0;
	if (tc->n_sigactions != ACTIONS)
		return FAIL(EINVAL, thread_subject(revival->thread), "the image is damaged",
			    "its image has %zu signal actions, not %d", tc->n_sigactions, ACTIONS);
	for (size_t i = 0; i < ACTIONS; i++)
		actions[i] = action_of(tc->sigactions[i]);
	error = revival_room(revival, ACTIONS, sizeof(actions));
	if (error)
		return error;

	uint64_t address = batch_input(&revival->batch, actions, sizeof(actions));

	for (int signo = 1; signo <= SIGNALS; signo++)
		if (has_action(signo))
			revive(revival, "signal actions", NULL, SYS_rt_sigaction, signo,
			       address + next++ * sizeof(struct action), 0, SIGSET_SIZE);
	return 0;
}

static int check_siginfo(const struct revival *revival, const SiginfoEntry *entry, siginfo_t *info)
{
	if (entry->siginfo.len == sizeof(*info)) {
		memcpy(info, entry->siginfo.data, sizeof(*info));
		if (info->si_signo >= 1 && info->si_signo <= SIGNALS && has_action(info->si_signo))
			return 0;
	}
	return FAIL(EINVAL, thread_subject(revival->thread), "the image is damaged",
		    "its image has an impossible pending signal");
}

/*
 * The task sends them to itself: nobody else may choose the whole siginfo.  All signals are blocked
 * while it is ours, but for the bell, which is none of these.
 */
static int restore_queue(struct revival *revival, const SignalQueueEntry *queue, bool shared)
{
	static const char more[] = "raise the limit of pending signals (ulimit -i)";
	pid_t pid = thread_own(revival->task->threads), tid = thread_own(revival->thread);

	for (size_t i = 0; queue && i < queue->n_signals; i++) {
		siginfo_t info;
		int error = check_siginfo(revival, queue->signals[i], &info);

		if (!error && timers_send(revival->tc, &info))
			continue;
		if (!error)
			error = revival_room(revival, 1, sizeof(info));
		if (error)
			return error;

		uint64_t address = batch_input(&revival->batch, &info, sizeof(info));

		if (shared)
			revive(revival, "pending signals", more, SYS_rt_sigqueueinfo, pid,
			       info.si_signo, address);
		else
			revive(revival, "pending signals", more, SYS_rt_tgsigqueueinfo, pid, tid,
			       info.si_signo, address);
	}
	return 0;
}

static int signals_restore_process(struct revival *revival)
{
	const SignalQueueEntry *shared = revival->tc->signals_s;
	int error = drop_waiting(revival);

	timers_sort(revival->tc);
	if (!error)
		error = restore_actions(revival);
	return error ? error : restore_queue(revival, shared, true);
}

static int restore_stack(struct revival *revival)
{
	const ThreadSasEntry *sas = revival->thread_core->sas;
	/* SS_ONSTACK says where the stack pointer was; it cannot be set. */
	stack_t stack;
	int error;

	if (!sas)
		return 0;
	stack = (stack_t){.ss_sp = (void *)sas->ss_sp,
			  .ss_size = sas->ss_size,
			  .ss_flags = sas->ss_flags & ~SS_ONSTACK};
	error = revival_room(revival, 1, sizeof(stack));
	if (error)
		return error;
	revive(revival, "alternate signal stack", NULL, SYS_sigaltstack,
	       batch_input(&revival->batch, &stack, sizeof(stack)), 0);
	return 0;
}

static int signals_restore_thread(struct revival *revival)
{
	const ThreadCoreEntry *core = revival->thread_core;
	int error = restore_stack(revival);

	revival->thread->remote.sigmask =
		core->has_blk_sigset ? core->blk_sigset : revival->tc->blk_sigset;
	return error ? error : restore_queue(revival, core->signals_p, false);
}

const struct part signals_part = {
	.ask = signals_ask,
	.answer = signals_answer,
	.describe_zombie = signals_describe_zombie,
	.restore_process = signals_restore_process,
	.restore_thread = signals_restore_thread,
};
