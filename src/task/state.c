/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "task/state.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>

#include "task/calls.h"
#include "task/part.h"

/*
 * The parts, in the order in which they come back: creds after all that needs privileges, timers
 * late, for they begin to run.
 */
static const struct part *const parts[] = {
	&signals_part, &identity_part, &anchors_part, &sched_part,    &timers_part,
	&limits_part,  &memory_part,   &flags_part,   &controls_part, &creds_part,
};

enum { PARTS = sizeof(parts) / sizeof(*parts) };

/*
 * So many threads at a time: while some run their batches, others are prepared and looked after.
 * (A switch to a thread and back costs more than all its calls.)
 */
enum { AT_ONCE = 16 };
enum { MOST_ERRNO = 4095 };

struct subject thread_subject(const struct thread *thread)
{
	struct subject subject = task_subject(thread->task);

	return thread == thread->task->threads ? subject
					       : SUBJECT("%.200s, thread %d", subject.text,
							 thread->tid ? thread->tid : thread->id);
}

static int report_arch(const struct thread *thread, int error, const struct arch_problem *problem)
{
	return FAIL(-error, thread_subject(thread), problem->remedy, "%s", problem->reason);
}

/* ---- right after the stop ----------------------------------------------------------------- */

/* linux/ptrace.h, 6.4: newer than the headers of Debian 12. */
#define PTRACE_GET_DISPATCH ((enum __ptrace_request)0x4211)

struct dispatch {
	uint64_t mode, selector, offset, length;
};

/* Older kernels do not tell. */
static int refuse_dispatch(const struct thread *thread)
{
	struct dispatch dispatch = {0};

	if (ptrace(PTRACE_GET_DISPATCH, thread->tid, sizeof(dispatch), &dispatch) == 0 &&
	    dispatch.mode)
		return REFUSE(thread_subject(thread), "dump it when it has turned this off",
			      "its system calls are handed to the program itself "
			      "(PR_SET_SYSCALL_USER_DISPATCH)");
	return 0;
}

/* linux/rseq.h */
struct critical_section {
	uint32_t version, flags;
	uint64_t start_ip, post_commit_offset, abort_ip;
};

enum { RSEQ_CS_OFFSET = 8 };

/*
 * A thread that is taken elsewhere inside a critical section continues at its abort handler.  The
 * kernel looks at the instruction pointer when the thread next goes to user space; that would be
 * in our loop.
 */
static int abort_critical_section(struct thread *thread)
{
	struct __ptrace_rseq_configuration rseq = {0};
	const struct remote_space *space = &thread->task->space;
	struct arch_regs *regs = &thread->remote.regs;
	struct critical_section section;
	uint64_t address = 0;
	int error;

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, thread->tid, sizeof(rseq), &rseq) < 0 ||
	    !rseq.rseq_abi_pointer)
		return 0;
	error = remote_read(space, rseq.rseq_abi_pointer + RSEQ_CS_OFFSET, &address,
			    sizeof(address));
	if (!error && !address)
		return 0;
	if (!error)
		error = remote_read(space, address, &section, sizeof(section));
	if (error)
		return FAIL(-error, thread_subject(thread), NULL,
			    "cannot read its restartable sequence: %s", strerror(-error));
	if (arch_ip(regs) - section.start_ip < section.post_commit_offset)
		arch_set_ip(regs, section.abort_ip);
	return 0;
}

int thread_settle(struct thread *thread)
{
	struct arch_problem problem;
	int error = arch_runs_batches(thread->tid, &thread->remote.regs, &problem);

	if (error)
		return report_arch(thread, error, &problem);
	error = refuse_dispatch(thread);
	if (!error)
		error = abort_critical_section(thread);
	return error ? error : calls_settle(thread);
}

static int report_batch(const struct thread *thread, int error)
{
	return error ? FAIL(-error, thread_subject(thread), NULL,
			    "cannot make it issue system calls: %s", strerror(-error))
		     : 0;
}

/* ---- dump --------------------------------------------------------------------------------- */

static void core_init(struct inquiry *inquiry)
{
	struct arena *arena = inquiry->arena;
	CoreEntry *core = inquiry->thread->core;

	if (!core) {
		core = ARENA_MESSAGE(arena, core_entry, CoreEntry);
		inquiry->thread->core = core;
	}
	inquiry->thread_core = ARENA_MESSAGE(arena, thread_core_entry, ThreadCoreEntry);
	core->thread_core = inquiry->thread_core;
	if (inquiry->leader) {
		inquiry->tc = ARENA_MESSAGE(arena, task_core_entry, TaskCoreEntry);
		inquiry->tc->comm = "";
		core->tc = inquiry->tc;
	}
}

static int read_proc(struct inquiry *inquiry)
{
	int error = proc_status_read(inquiry->thread, &inquiry->status);

	if (inquiry->leader)
		inquiry->stat = *inquiry->task->stat;
	else if (!error)
		error = proc_stat_read(inquiry->thread, &inquiry->stat);
	if (error)
		return FAIL(-error, thread_subject(inquiry->thread), NULL,
			    "cannot read its status in /proc: %s", strerror(-error));
	if (inquiry->status.seccomp)
		return REFUSE(thread_subject(inquiry->thread), "run it without seccomp",
			      "its system calls are filtered (seccomp mode %u)",
			      inquiry->status.seccomp);
	return 0;
}

static void note_error(struct inquiry *inquiry, int error)
{
	if (error && !inquiry->error)
		inquiry->error = error;
}

/* All parts ask before one run, and answer after it; a survey hears all of them. */
static void inquiry_start(struct inquiry *inquiry, struct checkpoint *checkpoint,
			  struct thread *thread)
{
	*inquiry = (struct inquiry){.arena = checkpoint->arena,
				    .task = thread->task,
				    .thread = thread,
				    .leader = thread == thread->task->threads};
	core_init(inquiry);
	note_error(inquiry, read_proc(inquiry));
	if (inquiry->error)
		return;
	inquiry->batch = &inquiry->own_batch;
	batch_begin(inquiry->batch, &thread->remote);
	inquiry->asked = arena_new_array(inquiry->arena, void *, PARTS);
	for (size_t i = 0; i < PARTS; i++)
		inquiry->asked[i] = parts[i]->ask ? parts[i]->ask(inquiry) : NULL;
	note_error(inquiry, report_batch(thread, batch_start(inquiry->batch)));
}

static void hear_answers(struct inquiry *inquiry)
{
	int error = report_batch(inquiry->thread, batch_wait(inquiry->batch));

	note_error(inquiry, error);
	for (size_t i = 0; i < PARTS && !error; i++)
		if (parts[i]->answer)
			note_error(inquiry, parts[i]->answer(inquiry, inquiry->asked[i]));
}

static int inquiry_finish(struct inquiry *inquiry)
{
	struct thread *thread = inquiry->thread;
	struct arch_regs regs = thread->remote.regs;
	struct arch_problem problem;
	int error;

	if (!inquiry->error)
		hear_answers(inquiry);
	if (inquiry->batch)
		batch_end(inquiry->batch);
	/* What becomes of an interrupted call depends on the signals that wait. */
	calls_prepare(inquiry, &regs);
	error = arch_describe_core(thread->tid, &regs, inquiry->arena, thread->core, &problem);
	if (error)
		note_error(inquiry, report_arch(thread, error, &problem));
	else
		*arch_core_tid_address(thread->core) = inquiry->tid_address;
	proc_status_free(&inquiry->status);
	return inquiry->error;
}

int threads_describe(struct checkpoint *checkpoint, struct thread *const *threads, size_t count)
{
	struct inquiry inquiries[AT_ONCE];
	int first = 0;

	for (size_t i = 0; i < count + AT_ONCE; i++) {
		if (i >= AT_ONCE && i - AT_ONCE < count) {
			int error = inquiry_finish(&inquiries[i % AT_ONCE]);

			first = first ? first : error;
		}
		if (i < count)
			inquiry_start(&inquiries[i % AT_ONCE], checkpoint, threads[i]);
	}
	return first;
}

int task_describe_zombie(struct checkpoint *checkpoint, struct task *task)
{
	struct thread *thread = &task->threads[0];
	struct inquiry inquiry = {
		.arena = checkpoint->arena, .task = task, .thread = thread, .leader = true};

	core_init(&inquiry);
	thread->core->mtype = arch_march();
	note_error(&inquiry, read_proc(&inquiry));
	for (size_t i = 0; i < PARTS && !inquiry.error; i++)
		if (parts[i]->describe_zombie)
			note_error(&inquiry, parts[i]->describe_zombie(&inquiry));
	proc_status_free(&inquiry.status);
	return inquiry.error;
}

/* ---- restore ------------------------------------------------------------------------------ */

/* Waits for what was started and looks at every result. */
static int revival_check(struct revival *revival)
{
	int error = revival->batch.count
			    ? report_batch(revival->thread, batch_wait(&revival->batch))
			    : 0;

	if (error)
		return error;
	for (size_t i = 0; i < revival->wishes.count; i++) {
		const struct wish *wish = &revival->wishes.items[i];
		int64_t result = batch_result(&revival->batch, i);

		if (result < 0 && result >= -MOST_ERRNO)
			return FAIL(-result, thread_subject(revival->thread), wish->remedy,
				    "cannot set its %s: %s", wish->purpose, strerror(-result));
	}
	revival->wishes.count = 0;
	batch_reset(&revival->batch);
	return 0;
}

static int revival_send(struct revival *revival)
{
	return revival->batch.count ? report_batch(revival->thread, batch_start(&revival->batch))
				    : 0;
}

int revival_run(struct revival *revival)
{
	int error = revival_send(revival);

	return error ? error : revival_check(revival);
}

int revival_room(struct revival *revival, size_t calls, size_t bytes)
{
	int error = batch_fits(&revival->batch, calls, bytes) ? 0 : revival_run(revival);

	if (error || batch_fits(&revival->batch, calls, bytes))
		return error;
	return FAIL(E2BIG, thread_subject(revival->thread), "the image is damaged",
		    "its image has more in one place than a batch of calls can hold (%zu bytes)",
		    bytes);
}

void revive_(struct revival *revival, const char *purpose, const char *remedy, uint64_t nr,
	     const uint64_t args[6])
{
	*array_push(&revival->wishes) = (struct wish){purpose, remedy};
	batch_call_(&revival->batch, nr, args);
}

static int revival_begin(struct revival *revival, struct checkpoint *checkpoint,
			 struct thread *thread)
{
	struct task *task = thread->task;
	const CoreEntry *leader = task->threads[0].core;

	*revival = (struct revival){.checkpoint = checkpoint,
				    .task = task,
				    .thread = thread,
				    .leader = thread == task->threads,
				    .last = thread == task->threads + task->thread_count - 1};
	if (!leader || !leader->tc || !thread->core || !thread->core->thread_core)
		return FAIL(EINVAL, thread_subject(thread), "the image is damaged",
			    "its core image lacks what a task or a thread has");
	revival->tc = leader->tc;
	revival->thread_core = thread->core->thread_core;
	if (revival->thread_core->has_seccomp_mode && revival->thread_core->seccomp_mode)
		return REFUSE(thread_subject(thread), NULL,
			      "its image has seccomp filters, which this version does not restore");
	return 0;
}

static bool comes_back(const struct part *part, const struct task *task)
{
	return task->state != TASK_DEAD || part->describe_zombie;
}

/* What the process has, with its leader; then what the thread has. */
static void revival_start(struct revival *revival, struct checkpoint *checkpoint,
			  struct thread *thread)
{
	int error = revival_begin(revival, checkpoint, thread);

	batch_begin(&revival->batch, &thread->remote);
	/* The last descriptor that is not the task's own. */
	if (revival->leader)
		revive(revival, "descriptors", NULL, SYS_close, checkpoint->channel.number);
	for (size_t i = 0; i < PARTS && !error && revival->leader; i++)
		if (parts[i]->restore_process && comes_back(parts[i], revival->task))
			error = parts[i]->restore_process(revival);
	for (size_t i = 0; i < PARTS && !error; i++)
		if (parts[i]->restore_thread && comes_back(parts[i], revival->task))
			error = parts[i]->restore_thread(revival);
	revival->error = error ? error : revival_send(revival);
}

/* After the last batch: registers of the thread's own, which no batch should start from. */
static int restore_registers(struct revival *revival)
{
	struct thread *thread = revival->thread;
	struct arch_regs regs = thread->remote.regs;
	struct arch_problem problem;
	int error = arch_core_regs(thread->core, &regs, &problem);

	if (!error)
		error = arch_restore_xstate(thread->tid, thread->core, &problem);
	if (error)
		return report_arch(thread, error, &problem);
	error = calls_resume(revival, &regs);
	if (!error)
		thread->remote.regs = regs;
	return error;
}

static int revival_finish(struct revival *revival)
{
	if (!revival->error)
		revival->error = revival_check(revival);
	if (!revival->error)
		revival->error = restore_registers(revival);
	batch_end(&revival->batch);
	array_free(&revival->wishes);
	return revival->error;
}

int zombie_restore_state(struct checkpoint *checkpoint, struct task *task)
{
	struct thread *thread = &task->threads[0];
	struct revival revival;

	if (thread->core && !thread->core->thread_core)
		thread->core->thread_core =
			ARENA_MESSAGE(checkpoint->arena, thread_core_entry, ThreadCoreEntry);
	revival_start(&revival, checkpoint, thread);
	if (!revival.error)
		revival.error = revival_check(&revival);
	batch_end(&revival.batch);
	array_free(&revival.wishes);
	return revival.error;
}

/* Threads that are being restored at the same time. */
struct flight {
	struct checkpoint *checkpoint;
	struct revival revivals[AT_ONCE];
	size_t started, finished;
	int error; /* the first */
};

/* Waits until no more than this many are under way. */
static void flight_wait(struct flight *flight, size_t under_way)
{
	while (flight->started - flight->finished > under_way) {
		int error = revival_finish(&flight->revivals[flight->finished++ % AT_ONCE]);

		if (!flight->error)
			flight->error = error;
	}
}

static void flight_start(struct flight *flight, struct thread *thread)
{
	flight_wait(flight, AT_ONCE - 1);
	if (!flight->error)
		revival_start(&flight->revivals[flight->started++ % AT_ONCE], flight->checkpoint,
			      thread);
}

/* The leader brings what all threads share, the last one ends what needs the others. */
static void restore_task(struct flight *flight, struct task *task)
{
	flight_start(flight, &task->threads[0]);
	for (size_t i = 1; i < task->thread_count; i++) {
		if (i == 1 || i == task->thread_count - 1)
			flight_wait(flight, 0);
		flight_start(flight, &task->threads[i]);
	}
}

int tasks_restore_state(struct checkpoint *checkpoint, struct task *const *tasks, size_t count)
{
	struct flight flight = {.checkpoint = checkpoint};

	for (size_t i = 0; i < count && !flight.error; i++)
		restore_task(&flight, tasks[i]);
	flight_wait(&flight, 0);
	return flight.error;
}
