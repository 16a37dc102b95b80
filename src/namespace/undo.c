/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Semaphore operations to undo (SEM_UNDO): what is added to each semaphore when a process ends.
 *
 * Nobody tells what it is, but a process can be made to do it (unshare(CLONE_SYSVSEM)), and to
 * begin anew: an operation with SEM_UNDO that takes the same off again.  How much that is cannot be
 * known before; but the values are, so that all amounts that come up in practice are tried one
 * after the other, each on condition that it is the right one.  That takes no decisions, so it is
 * one batch, and a stasis that is killed in the middle does no harm.  An amount out of the ordinary
 * is put right by stasis afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "namespace/ipc.h"
#include "namespace/ipc_internal.h"

enum {
	USUAL = 16, /* amounts up to this are tried */
	GUESS = 4,  /* operations of one */
	MOST_VALUE = 32767,
	MARGIN = 64,
};

/* In the namespace that stasis is in.  The first line of the file is its header. */
static bool outside_has_semaphores(void)
{
	autofree char *text = NULL;

	if (fd_read_file(AT_FDCWD, "/proc/sysvipc/sem", &text, NULL))
		return false; /* a kernel without them */

	const char *line = strchr(text, '\n');

	return line && line[1];
}

/*
 * A task without a list of operations to undo is known by comparison with stasis, which has none.
 * Threads always share one, which must be empty where there is no semaphore.
 */
int undo_describe(struct checkpoint *checkpoint, struct task *task)
{
	struct namespace *namespace = namespace_of_task(checkpoint, task, NAMESPACE_IPC);
	long order = syscall(SYS_kcmp, task->pid, getpid(), KCMP_SYSVSEM, 0, 0);

	if (order == 0 || (order < 0 && errno == EOPNOTSUPP))
		return 0;
	if (namespace ? !namespace->state || !ipc_state(namespace)->semaphores.count
		      : !outside_has_semaphores())
		return 0;
	if (!namespace || task->thread_count > 1 || order < 0)
		return REFUSE(
			task_subject(task),
			"remove System V semaphores it may have used (ipcs -s), or run the "
			"program in an ipc namespace without semaphores",
			"it may have semaphore operations to undo (SEM_UNDO), which cannot be "
			"learned of %s",
			namespace ? "a process with threads"
				  : "semaphores in the namespace that stasis is in");
	*array_push(&ipc_state(namespace)->undoers) = task;
	return 0;
}

/* ---- dump: asking a task ------------------------------------------------------------------- */

typedef ARRAY(struct sembuf) operations;

static void add_operation(operations *list, unsigned int number, int operation, int flags)
{
	*array_push(list) = (struct sembuf){number, operation, flags | IPC_NOWAIT};
}

static uint64_t put_in(struct batch *batch, const operations *list)
{
	return batch_input(batch, list->items, list->count * sizeof(*list->items));
}

static void add_call(struct batch *batch, const struct semaphores *set, operations *list)
{
	batch_call(batch, SYS_semop, set->entry->desc->id, put_in(batch, list), list->count);
	list->count = 0;
}

/*
 * What the kernel adds ends at 0 and at the largest value, so that values near these are moved away
 * from them meanwhile.  (An amount that goes there even so does today what it would do when the
 * process ends today; it could be larger.)
 */
static int moved(const struct semaphores *set, uint32_t number)
{
	int value = set->values[number];

	return value < MARGIN ? MARGIN : value > MOST_VALUE - MARGIN ? MOST_VALUE - MARGIN : value;
}

/* One after the other: where one of them fails, the others are where they belong. */
static void add_moves(struct batch *batch, const struct semaphores *set, int direction,
		      operations *list)
{
	for (uint32_t n = 0; n < set->entry->nsems; n++) {
		int distance = moved(set, n) - set->values[n];

		/* An operation of 0 would wait. */
		if (!distance)
			continue;
		add_operation(list, n, direction * distance, 0);
		add_call(batch, set, list);
	}
}

/* Takes the amount off again if it is what the semaphore has been given. */
static void add_guess(struct batch *batch, const struct semaphores *set, uint32_t number,
		      int amount, operations *list)
{
	add_operation(list, number, -(moved(set, number) + amount), 0);
	add_operation(list, number, 0, 0);
	add_operation(list, number, moved(set, number) + amount, 0);
	add_operation(list, number, -amount, SEM_UNDO);
	add_call(batch, set, list);
}

static int add_entry(struct checkpoint *checkpoint, struct semaphores *set, const struct task *task,
		     uint32_t number, int amount)
{
	IpcSemUndo *undo = ARENA_MESSAGE(checkpoint->arena, ipc_sem_undo, IpcSemUndo);
	IpcSemEntry *entry = set->entry;

	undo->pid = task->id;
	undo->number = number;
	undo->adjustment = amount;
	/* By doubling: it is full when the count is a power of two. */
	if (!(entry->n_undo & (entry->n_undo - 1))) {
		size_t room = entry->n_undo ? 2 * entry->n_undo : 1;
		IpcSemUndo **grown = arena_new_array(checkpoint->arena, IpcSemUndo *, room);

		if (entry->n_undo)
			memcpy(grown, entry->undo, entry->n_undo * sizeof(*grown));
		entry->undo = grown;
	}
	entry->undo[entry->n_undo++] = undo;
	return 0;
}

/* What the whole batch needs: moves forth and back, and guesses. */
static bool fits(struct batch *batch, const struct ipc_state *state)
{
	size_t calls = 1, bytes = 0;

	if (state->limits->sem_ctls[2] < GUESS)
		return false;
	array_each (&state->semaphores, set) {
		size_t count = (*set)->entry->nsems;

		calls += 2 + count * (2 + 2 * USUAL);
		bytes += 2 * (count * sizeof(uint16_t) + 16) + count * (2 + 2 * USUAL) * 32;
	}
	return batch_fits(batch, calls, bytes);
}

/* May the task change the sets, and does nobody wait for one of them to change? */
static int check_access(struct task *task, const struct ipc_state *state)
{
	array_each (&state->semaphores, item) {
		const struct semaphores *set = *item;
		const struct sembuf touch[] = {{0, 1, IPC_NOWAIT}, {0, -1, IPC_NOWAIT}};
		const struct sembuf turned[] = {{0, -1, IPC_NOWAIT}, {0, 1, IPC_NOWAIT}};
		struct batch batch;
		int error;

		batch_begin(&batch, task_leader(task));
		batch_call(&batch, SYS_semop, set->entry->desc->id,
			   set->values[0] == MOST_VALUE
				   ? batch_input(&batch, turned, sizeof(turned))
				   : batch_input(&batch, touch, sizeof(touch)),
			   2);
		error = batch_run(&batch);
		if (!error)
			error = batch_result(&batch, 0);
		batch_end(&batch);
		if (error)
			return error;
		if (set->waiters)
			return -EBUSY;
	}
	return 0;
}

static int refuse(const struct task *task, const char *reason)
{
	return REFUSE(task_subject(task), "remove System V semaphores it may have used (ipcs -s)",
		      "it may have semaphore operations to undo (SEM_UNDO), which cannot be "
		      "learned: %s",
		      reason);
}

struct answer {
	size_t first_guess;          /* index of its call */
	const uint16_t *then, *last; /* the values when all was tried, and in the end */
};

/* An amount that was not among those tried: the task is told to take it off again. */
static int put_right(struct task *task, const struct semaphores *set, uint32_t number, int amount,
		     int value)
{
	int rest = set->values[number] - (value - amount);
	operations list = {0};
	struct batch batch;
	int error;

	batch_begin(&batch, task_leader(task));
	add_operation(&list, number, -amount, SEM_UNDO);
	if (rest)
		add_operation(&list, number, rest, 0);
	add_call(&batch, set, &list);
	error = batch_run(&batch);
	if (!error)
		error = batch_result(&batch, 0);
	batch_end(&batch);
	array_free(&list);
	return error;
}

static int take_answer(struct checkpoint *checkpoint, struct task *task, struct batch *batch,
		       struct semaphores *set, const struct answer *answer)
{
	int error = 0;

	for (uint32_t n = 0; n < set->entry->nsems && !error; n++) {
		size_t guess = answer->first_guess + n * 2 * USUAL;
		int amount = (int)answer->then[n] - moved(set, n);

		if (amount)
			error = put_right(task, set, n, amount, answer->last[n]);
		for (int i = 0; i < 2 * USUAL && !amount; i++)
			if (batch_result(batch, guess + i) == 0)
				amount = i < USUAL ? i - USUAL : i - USUAL + 1;
		if (amount && !error)
			error = add_entry(checkpoint, set, task, n, amount);
	}
	return error;
}

static const uint16_t *add_values(struct batch *batch, const struct semaphores *set)
{
	uint64_t address;
	const uint16_t *values = batch_data(batch, set->entry->nsems * sizeof(*values), &address);

	batch_call(batch, SYS_semctl, set->entry->desc->id, 0, GETALL, address);
	return values;
}

static void add_questions(struct batch *batch, const struct semaphores *set, operations *list,
			  struct answer *answer)
{
	for (uint32_t n = 0; n < set->entry->nsems; n++)
		for (int i = 0; i < 2 * USUAL; i++) {
			add_guess(batch, set, n, i < USUAL ? i - USUAL : i - USUAL + 1, list);
			if (!n && !i)
				answer->first_guess = batch->count - 1;
		}
}

static int ask(struct checkpoint *checkpoint, struct ipc_state *state, struct task *task)
{
	struct answer *answers =
		arena_new_array(checkpoint->arena, struct answer, state->semaphores.count);
	operations list = {0};
	struct batch batch;
	int error = check_access(task, state);

	if (error)
		return refuse(task, error == -EBUSY ? "somebody waits for a semaphore"
						    : strerror(-error));
	batch_begin(&batch, task_leader(task));
	if (!fits(&batch, state)) {
		batch_end(&batch);
		return refuse(task, "there are too many semaphores");
	}
	array_each (&state->semaphores, set)
		add_moves(&batch, *set, 1, &list);
	batch_call(&batch, SYS_unshare, CLONE_SYSVSEM);
	for (size_t i = 0; i < state->semaphores.count; i++)
		add_questions(&batch, state->semaphores.items[i], &list, &answers[i]);
	for (size_t i = 0; i < state->semaphores.count; i++) {
		const struct semaphores *set = state->semaphores.items[i];

		answers[i].then = add_values(&batch, set);
		add_moves(&batch, set, -1, &list);
		answers[i].last = add_values(&batch, set);
	}
	error = batch_run(&batch);
	for (size_t i = 0; i < state->semaphores.count && !error; i++)
		error = take_answer(checkpoint, task, &batch, state->semaphores.items[i],
				    &answers[i]);
	batch_end(&batch);
	array_free(&list);
	return error ? refuse(task, strerror(-error)) : 0;
}

static int by_list(const void *a, const void *b)
{
	long order = syscall(SYS_kcmp, (*(struct task *const *)a)->pid,
			     (*(struct task *const *)b)->pid, KCMP_SYSVSEM, 0, 0);

	return order == 1 ? -1 : order == 2;
}

int undo_survey(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct ipc_state *state = ipc_state(namespace);
	struct task **tasks = state->undoers.items;
	size_t count = state->undoers.count;
	int error = 0;

	/* Nothing is touched for a dump that is refused anyway. */
	if (!count || report_count())
		return 0;
	qsort(tasks, count, sizeof(*tasks), by_list);
	for (size_t i = 1; i < count; i++)
		if (by_list(&tasks[i - 1], &tasks[i]) == 0)
			error = refuse(tasks[i], "it shares them with another process");
	for (size_t i = 0; i < count && !error; i++)
		error = ask(checkpoint, state, tasks[i]);
	return error;
}

/* ---- restore ------------------------------------------------------------------------------- */

static struct task *find_task(struct checkpoint *checkpoint, const IpcSemUndo *undo)
{
	struct task *task = hash_get(&checkpoint->tree.by_id, undo->pid);

	return task && task->id == (pid_t)undo->pid && task->state != TASK_DEAD ? task : NULL;
}

int undo_read(struct checkpoint *checkpoint, const struct namespace *namespace,
	      const struct semaphores *set)
{
	for (size_t i = 0; i < set->entry->n_undo; i++) {
		const IpcSemUndo *undo = set->entry->undo[i];
		const struct task *task = find_task(checkpoint, undo);

		if (!task || undo->number >= set->entry->nsems || !undo->adjustment ||
		    undo->adjustment > MOST_VALUE || undo->adjustment < -MOST_VALUE ||
		    namespace_of_task(checkpoint, task, NAMESPACE_IPC) != namespace)
			return FAIL(EBADMSG, ipc_subject(namespace, "semaphores", set->entry->desc),
				    "the checkpoint is damaged: dump again",
				    "no such operation to undo is possible (of pid %u)", undo->pid);
	}
	return 0;
}

/* An operation that leaves the value as it is, but this to be undone. */
static int restore_one(struct checkpoint *checkpoint, const struct semaphores *set,
		       const IpcSemUndo *undo)
{
	int amount = undo->adjustment;
	bool first = amount < 0 || set->values[undo->number] >= amount;
	const struct sembuf operations_[] = {
		{undo->number, first ? -amount : amount, IPC_NOWAIT | (first ? SEM_UNDO : 0)},
		{undo->number, first ? amount : -amount, IPC_NOWAIT | (first ? 0 : SEM_UNDO)},
	};
	struct task *task = find_task(checkpoint, undo);
	struct batch batch;
	int error;

	batch_begin(&batch, task_leader(task));
	batch_call(&batch, SYS_semop, set->entry->desc->id,
		   batch_input(&batch, operations_, sizeof(operations_)), 2);
	error = batch_run(&batch);
	if (!error)
		error = batch_result(&batch, 0);
	batch_end(&batch);
	return error ? FAIL(-error, task_subject(task), NULL,
			    "its semaphore operations cannot be made to be undone: %s",
			    strerror(-error))
		     : 0;
}

int undo_restore(struct checkpoint *checkpoint, struct namespace *namespace)
{
	int error = 0;

	array_each (&ipc_state(namespace)->semaphores, set)
		for (size_t i = 0; i < (*set)->entry->n_undo && !error; i++)
			error = restore_one(checkpoint, *set, (*set)->entry->undo[i]);
	return error;
}
