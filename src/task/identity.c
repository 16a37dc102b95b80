/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/membarrier.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "task/part.h"
#include "task/state.h"

/*
 * What a task is called and what it is to the system: name, personality, subreaper, how it is
 * treated when memory is short or when it crashes, who logged in, which barriers it takes part in.
 */

enum { COMM_SIZE = 16, ANY_PERSONALITY = -1 };
enum { GET_REGISTRATIONS = 1 << 9 }; /* MEMBARRIER_CMD_GET_REGISTRATIONS, 6.3 */

/* Barriers that take a registration, which commands of their own make. */
static const struct barrier {
	uint32_t command, registration;
} barriers[] = {
	{MEMBARRIER_CMD_GLOBAL_EXPEDITED, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED},
	{MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED},
	{MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
	 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE},
	{MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ},
};

enum { BARRIERS = sizeof(barriers) / sizeof(*barriers) };

/* ---- dump --------------------------------------------------------------------------------- */

struct asked {
	char *name;
	int *subreaper;
	size_t personality, dumpable, brk, registrations;
};

static void *identity_ask(struct inquiry *inquiry)
{
	struct asked *asked = arena_new_object(inquiry->arena, struct asked);
	struct batch *batch = inquiry->batch;
	uint64_t address;

	asked->name = batch_data(batch, COMM_SIZE, &address);
	batch_call(batch, SYS_prctl, PR_GET_NAME, address);
	asked->personality = batch_call(batch, SYS_personality, (uint32_t)ANY_PERSONALITY);
	if (!inquiry->leader)
		return asked;
	asked->subreaper = batch_data(batch, sizeof(*asked->subreaper), &address);
	batch_call(batch, SYS_prctl, PR_GET_CHILD_SUBREAPER, address);
	asked->dumpable = batch_call(batch, SYS_prctl, PR_GET_DUMPABLE);
	asked->brk = batch_call(batch, SYS_brk, 0);
	asked->registrations = batch_call(batch, SYS_membarrier, GET_REGISTRATIONS, 0, 0);
	return asked;
}

/*
 * Before 6.3 registrations can only be tried out: a private barrier needs one (and does no harm to
 * a stopped process).  A global one cannot be told; to be registered for it is never wrong, only
 * slower.
 */
static uint32_t try_barriers(struct remote *remote)
{
	uint32_t mask = MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED;
	struct batch batch;

	batch_begin(&batch, remote);
	for (size_t i = 1; i < BARRIERS; i++)
		batch_call(&batch, SYS_membarrier, barriers[i].command, 0, 0);
	if (batch_run(&batch) == 0)
		for (size_t i = 1; i < BARRIERS; i++)
			if (batch_result(&batch, i - 1) == 0)
				mask |= barriers[i].registration;
	batch_end(&batch);
	return mask;
}

static void store_registrations(struct inquiry *inquiry, int64_t registrations)
{
	if (registrations == -ENOSYS) /* a kernel without membarrier(2) */
		return;
	if (registrations < 0)
		registrations = try_barriers(&inquiry->thread->remote);
	if (!registrations)
		return;
	inquiry->tc->has_membarrier_registration_mask = true;
	inquiry->tc->membarrier_registration_mask = registrations;
}

/* Files of /proc/PID with one number, which a new task has from the one that cloned it. */
enum { OOM_SCORE_ADJ, COREDUMP_FILTER, LOGINUID, PERSONALITY, NUMBER_FILES };

static const struct number_file {
	const char *name, *format;
	int base;
	const char *remedy; /* when it cannot be written */
} number_files[NUMBER_FILES] = {
	[OOM_SCORE_ADJ] = {"oom_score_adj", "%" PRId64, 10, "run stasis with CAP_SYS_RESOURCE"},
	[COREDUMP_FILTER] = {"coredump_filter", "%#" PRIx64, 16, NULL},
	[PERSONALITY] = {"personality", "%" PRIx64, 16, NULL},
	[LOGINUID] = {"loginuid", "%" PRId64, 10,
		      "run stasis with CAP_AUDIT_CONTROL, or from a login of the same user"},
};

/* -ENOENT: a kernel without it. */
static int read_number(const struct inquiry *inquiry, int which, int64_t *number)
{
	const struct number_file *file = &number_files[which];
	char text[64], *end;
	ssize_t length = proc_read(inquiry->task, file->name, text, sizeof(text));

	if (length == -ENOENT)
		return length;
	if (length >= 0) {
		*number = strtoll(text, &end, file->base);
		if (end != text)
			return 0;
		length = -EINVAL;
	}
	return FAIL(-length, thread_subject(inquiry->thread), NULL,
		    "cannot read its /proc/PID/%s: %s", file->name, strerror(-length));
}

/* The nice value of a session among sessions; the kernel makes a group for each new session. */
static int store_autogroup(struct inquiry *inquiry)
{
	char text[96];
	int nice;

	if (inquiry->task->pid != inquiry->stat.session ||
	    proc_read(inquiry->task, "autogroup", text, sizeof(text)) <= 0)
		return 0;
	if (sscanf(text, "/autogroup-%*d nice %d", &nice) != 1)
		return FAIL(EINVAL, thread_subject(inquiry->thread), NULL,
			    "cannot understand its /proc/PID/autogroup");
	inquiry->tc->has_autogroup_nice = nice;
	inquiry->tc->autogroup_nice = nice;
	return 0;
}

static int store_files(struct inquiry *inquiry)
{
	TaskCoreEntry *tc = inquiry->tc;
	int64_t number;
	int error = read_number(inquiry, OOM_SCORE_ADJ, &number);

	if (!error) {
		tc->has_oom_score_adj = true;
		tc->oom_score_adj = number;
	}
	if (!error || error == -ENOENT)
		error = read_number(inquiry, LOGINUID, &number);
	if (!error) {
		tc->has_loginuid = true;
		tc->loginuid = number;
	}
	return error && error != -ENOENT ? error : store_autogroup(inquiry);
}

/* It belongs to the memory. */
static int store_coredump_filter(struct inquiry *inquiry)
{
	int64_t number;
	int error = read_number(inquiry, COREDUMP_FILTER, &number);

	if (!error) {
		inquiry->tc->has_coredump_filter = true;
		inquiry->tc->coredump_filter = number;
	}
	return error == -ENOENT ? 0 : error;
}

static void store_end(struct inquiry *inquiry)
{
	TaskCoreEntry *tc = inquiry->tc;

	tc->task_state = inquiry->task->state;
	tc->flags = inquiry->stat.flags;
	tc->exit_code = inquiry->stat.exit_code;
}

/* More of its memory that only the task can tell: memory/inside.c. */
static void store_memory(MmEntry *mm, const struct batch *batch, const struct asked *asked)
{
	mm->mm_brk = batch_result(batch, asked->brk);
	mm->has_dumpable = true;
	mm->dumpable = batch_result(batch, asked->dumpable);
}

static int identity_answer(struct inquiry *inquiry, void *asked_)
{
	const struct asked *asked = asked_;
	struct batch *batch = inquiry->batch;
	TaskCoreEntry *tc = inquiry->tc;
	uint32_t personality = batch_result(batch, asked->personality);

	inquiry->thread_core->comm = arena_strdup(inquiry->arena, asked->name);
	if (!inquiry->leader) {
		const TaskCoreEntry *leader = inquiry->task->threads[0].core->tc;

		if (leader && leader->personality != personality)
			return REFUSE(thread_subject(inquiry->thread),
				      "let all threads have the same personality(2)",
				      "its personality is %#x, that of its process %#x",
				      personality, leader->personality);
		return 0;
	}
	tc->comm = arena_strdup(inquiry->arena, asked->name);
	store_end(inquiry);
	tc->personality = personality;
	tc->has_child_subreaper = true;
	tc->child_subreaper = *asked->subreaper;
	if (inquiry->thread->remote.group_stop) {
		tc->has_stop_signo = true;
		tc->stop_signo = inquiry->thread->remote.group_stop;
	}
	store_registrations(inquiry, batch_result(batch, asked->registrations));
	if (inquiry->task->mm)
		store_memory(inquiry->task->mm, batch, asked);

	int error = store_files(inquiry);

	return error ? error : store_coredump_filter(inquiry);
}

static int identity_describe_zombie(struct inquiry *inquiry)
{
	TaskCoreEntry *tc = inquiry->tc;
	int64_t personality;
	int error = read_number(inquiry, PERSONALITY, &personality);

	store_end(inquiry);
	if (WCOREDUMP(tc->exit_code))
		return REFUSE(thread_subject(inquiry->thread), "let its parent wait for it",
			      "it is a zombie that dumped core, and cannot end like that again");
	tc->comm = arena_strdup(inquiry->arena, inquiry->stat.comm);
	inquiry->thread_core->comm = tc->comm;
	if (!error)
		tc->personality = personality;
	return error && error != -ENOENT ? error : store_files(inquiry);
}

/* ---- restore ------------------------------------------------------------------------------ */

static int write_number(const struct revival *revival, const char *name, const char *format,
			int64_t number, const char *remedy)
{
	char text[32];
	int error;

	snprintf(text, sizeof(text), format, number);
	error = proc_write(revival->task, name, text);
	if (error)
		return FAIL(-error, thread_subject(revival->thread), remedy,
			    "cannot write %s to its /proc/PID/%s: %s", text, name,
			    strerror(-error));
	return 0;
}

/* Has a new task this number from stasis? */
static bool has_number(int which, int64_t number)
{
	static struct own {
		enum { UNKNOWN, KNOWN, NONE } state;
		int64_t number;
	} owns[NUMBER_FILES];
	const struct number_file *file = &number_files[which];
	struct own *own = &owns[which];

	if (own->state == UNKNOWN) {
		autofree char *text = NULL;
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/%s", file->name);
		own->state = fd_read_file(AT_FDCWD, path, &text, NULL) ? NONE : KNOWN;
		own->number = own->state == KNOWN ? strtoll(text, NULL, file->base) : 0;
	}
	return own->state == KNOWN && own->number == number;
}

/* Only the thread itself may write its login id. */
static int restore_loginuid(struct revival *revival, uint32_t loginuid)
{
	static const char path[] = "/proc/thread-self/loginuid";
	struct remote *remote = &revival->thread->remote;
	struct batch batch;
	char text[16];
	int64_t error;
	int length = snprintf(text, sizeof(text), "%u", loginuid);

	if (has_number(LOGINUID, loginuid))
		return 0;
	error = revival_run(revival);
	if (error)
		return error;
	batch_begin(&batch, remote);
	batch_call(&batch, SYS_openat, AT_FDCWD, batch_input(&batch, path, sizeof(path)), O_WRONLY);
	error = batch_run(&batch);
	if (!error)
		error = batch_result(&batch, 0);
	if (error >= 0) {
		int fd = error;

		batch_reset(&batch);
		batch_call(&batch, SYS_write, fd, batch_input(&batch, text, length), length);
		batch_call(&batch, SYS_close, fd);
		error = batch_run(&batch);
		if (!error)
			error = batch_result(&batch, 0);
	}
	batch_end(&batch);
	if (error < 0)
		return FAIL(-error, thread_subject(revival->thread), number_files[LOGINUID].remedy,
			    "cannot set its login id to %u: %s", loginuid, strerror(-error));
	return 0;
}

static int restore_number(const struct revival *revival, int which, int64_t number)
{
	const struct number_file *file = &number_files[which];

	return has_number(which, number)
		       ? 0
		       : write_number(revival, file->name, file->format, number, file->remedy);
}

static int restore_files(const struct revival *revival)
{
	const TaskCoreEntry *tc = revival->tc;
	int error = 0;

	if (tc->has_oom_score_adj)
		error = restore_number(revival, OOM_SCORE_ADJ, tc->oom_score_adj);
	if (!error && tc->has_coredump_filter)
		error = restore_number(revival, COREDUMP_FILTER, tc->coredump_filter);
	if (!error && tc->has_autogroup_nice)
		error = write_number(revival, "autogroup", "%" PRId64, tc->autogroup_nice,
				     "use a kernel with CONFIG_SCHED_AUTOGROUP");
	return error;
}

/* Whether a signal ends a process, by default. */
static bool is_deadly(int signo)
{
	static const int harmless[] = {SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP,
				       SIGTTIN, SIGTTOU, SIGURG,  SIGWINCH};

	for (size_t i = 0; i < sizeof(harmless) / sizeof(*harmless); i++)
		if (signo == harmless[i])
			return false;
	return signo >= 1 && signo <= 64;
}

int zombie_check(const struct task *task)
{
	uint32_t status = task->threads[0].core->tc->exit_code;

	if (WIFSIGNALED(status) && WCOREDUMP(status))
		return REFUSE(task_subject(task), "let its parent wait for it, and dump again",
			      "it is a zombie that dumped core, and cannot end like that again");
	if (status > 0xffff || (WIFEXITED(status) ? status & 0xff : !is_deadly(WTERMSIG(status))))
		return FAIL(EINVAL, task_subject(task), "the image is damaged",
			    "its image has an impossible wait status (%#x)", status);
	return 0;
}

static int identity_restore_process(struct revival *revival)
{
	const TaskCoreEntry *tc = revival->tc;
	int error = restore_files(revival);

	if (!error)
		error = revival_room(revival, 1 + BARRIERS, 0);
	if (error)
		return error;
	if (tc->has_child_subreaper && tc->child_subreaper)
		revive(revival, "subreaper state", NULL, SYS_prctl, PR_SET_CHILD_SUBREAPER, 1);
	if (!tc->has_membarrier_registration_mask)
		return 0;

	uint32_t left = tc->membarrier_registration_mask;

	for (size_t i = 0; i < BARRIERS; i++) {
		if (left & barriers[i].registration)
			revive(revival, "membarrier registrations",
			       "restore it on a kernel that has them", SYS_membarrier,
			       barriers[i].registration, 0, 0);
		left &= ~barriers[i].registration;
	}
	if (left)
		return REFUSE(thread_subject(revival->thread),
			      "restore it with the stasis that made the image",
			      "it is registered for unknown barriers (%#x)", left);
	return 0;
}

static int identity_restore_thread(struct revival *revival)
{
	const char *name =
		revival->thread_core->comm ? revival->thread_core->comm : revival->tc->comm;
	char comm[COMM_SIZE] = "";
	int error = revival_room(revival, 2, sizeof(comm));

	if (error)
		return error;
	strncpy(comm, name, sizeof(comm) - 1);
	revive(revival, "name", NULL, SYS_prctl, PR_SET_NAME,
	       batch_input(&revival->batch, comm, sizeof(comm)));
	revive(revival, "personality", NULL, SYS_personality, revival->tc->personality);
	return revival->tc->has_loginuid ? restore_loginuid(revival, revival->tc->loginuid) : 0;
}

const struct part identity_part = {
	.ask = identity_ask,
	.answer = identity_answer,
	.describe_zombie = identity_describe_zombie,
	.restore_process = identity_restore_process,
	.restore_thread = identity_restore_thread,
};
