/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/phase.h"
#include "base/report.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/action.h"
#include "checkpoint/freeze.h"
#include "checkpoint/ids.h"
#include "checkpoint/images.h"
#include "checkpoint/stats.h"
#include "checkpoint/plan.h"
#include "checkpoint/stops.h"
#include "memory/memory.h"
#include "namespace/cgroup.h"
#include "namespace/ipc.h"
#include "namespace/namespace.h"
#include "task/state.h"

/* All of a task that can be learned without running anything in it. */
static void survey_outside(struct checkpoint *checkpoint)
{
	ids_describe(checkpoint);
	tree_each_task (&checkpoint->tree, task) {
		if (task->state == TASK_DEAD) {
			task_describe_zombie(checkpoint, task);
			namespaces_describe_zombie(checkpoint, task);
			continue;
		}
		namespaces_describe(checkpoint, task);
		cgroups_describe(checkpoint, task);
	}
	namespaces_survey(checkpoint);
	tree_each_task (&checkpoint->tree, task)
		if (task->state != TASK_DEAD)
			files_find_namespaces(checkpoint, task);
	mounts_describe(checkpoint);
	tree_each_task (&checkpoint->tree, task) {
		if (task->state == TASK_DEAD)
			continue;
		undo_describe(checkpoint, task);
		memory_describe(checkpoint, task);
		files_list(checkpoint, task);
	}
}

static bool can_be_asked(const struct task *task)
{
	return task->space.area_size && task->mm;
}

/* And what only the task itself can tell. */
static void survey_inside(struct checkpoint *checkpoint)
{
	ARRAY(struct thread *) threads = {0};

	tree_each_task (&checkpoint->tree, task)
		for (size_t i = 0; can_be_asked(task) && i < task->thread_count; i++)
			*array_push(&threads) = &task->threads[i];
	threads_describe(checkpoint, threads.items, threads.count);
	array_free(&threads);
	tree_each_task (&checkpoint->tree, task)
		if (can_be_asked(task))
			files_describe(checkpoint, task);
	stops_describe(checkpoint);
	files_check(checkpoint);
	namespaces_check(checkpoint);
}

/* What failed only because a task was killed meanwhile is said in one line. */
static void find_the_dead(struct checkpoint *checkpoint)
{
	bool first = true;

	tree_each_task (&checkpoint->tree, task) {
		if (task->state == TASK_DEAD || !remote_is_dead(task->pid))
			continue;
		if (first)
			report_clear();
		first = false;
		FAIL(ESRCH, SUBJECT("pid %d", task->pid), "dump again what is left of the tree",
		     "it was killed while it was dumped");
	}
}

/* Everything is looked at, and all problems are found, before anything is written. */
static int survey(struct checkpoint *checkpoint)
{
	struct phase phase = phase_begin("survey", NULL);

	survey_outside(checkpoint);
	tree_open(checkpoint);
	survey_inside(checkpoint);
	tree_plan(&checkpoint->tree, checkpoint->options->shell_job);
	phase_end(&phase);
	if (report_count())
		find_the_dead(checkpoint);
	return report_count() ? -EOPNOTSUPP : 0;
}

/* What changes when the application runs on: memory, and contents of namespaces, filesystems,
 * pipes and unlinked files. */
static int store_contents(struct checkpoint *checkpoint)
{
	struct phase phase = phase_begin("contents", NULL);
	int error = images_withdraw(checkpoint);

	if (!error)
		error = memory_dump(checkpoint);
	if (!error)
		error = namespaces_store(checkpoint);
	if (!error)
		error = mounts_store(checkpoint);
	if (!error)
		error = files_store(checkpoint);
	if (error)
		find_the_dead(checkpoint);
	phase_end(&phase);
	return error;
}

/* All but the contents, and at the very end what makes a checkpoint of the directory. */
static int complete(struct checkpoint *checkpoint)
{
	struct phase phase = phase_begin("images", NULL);
	int error = files_write(checkpoint);

	if (!error)
		error = namespaces_write(checkpoint);
	if (!error)
		error = mounts_write(checkpoint);
	if (!error)
		error = images_write(checkpoint);
	if (!error)
		error = images_commit(checkpoint);
	phase_end(&phase);
	if (error)
		return error;
	error = action_run(checkpoint->options, "post-dump", checkpoint->options->tree);
	if (error)
		images_withdraw(checkpoint);
	return error;
}

/*
 * An application that runs on afterwards is let go as soon as its contents are stored; one that
 * is to end stands still until the checkpoint is complete, and runs on if that fails.
 */
static int dump_frozen(struct checkpoint *checkpoint)
{
	const struct options *options = checkpoint->options;
	enum tree_end end = options->leave_running   ? TREE_RUN
			    : options->leave_stopped ? TREE_STOP
						     : TREE_KILL;
	struct phase frozen = phase_begin("frozen", &checkpoint->stats.frozen_time);
	int released = 0, error = survey(checkpoint);

	if (!error)
		error = store_contents(checkpoint);

	bool early = error || end == TREE_RUN;

	if (early) {
		released = tree_release(checkpoint, TREE_RUN);
		phase_end(&frozen);
	}
	if (!error)
		error = released ? released : complete(checkpoint);
	if (!early) {
		released = tree_release(checkpoint, error ? TREE_RUN : end);
		phase_end(&frozen);
		if (released && !error)
			images_withdraw(checkpoint);
	}
	return error ? error : released;
}

static int freeze(struct checkpoint *checkpoint)
{
	struct phase phase = phase_begin("freeze", &checkpoint->stats.freezing_time);
	int error = tree_freeze(checkpoint, checkpoint->options->tree);

	phase_end(&phase);
	if (error)
		tree_release(checkpoint, TREE_RUN);
	return error;
}

static void close_all(struct checkpoint *checkpoint, bool failed)
{
	memory_close(checkpoint);
	files_close(checkpoint, failed);
	mounts_close(checkpoint);
	namespaces_close(checkpoint);
	fd_close(&checkpoint->images);
	fd_close(&checkpoint->workdir);
	arena_free(checkpoint->arena);
}

int checkpoint_dump(const struct options *options)
{
	struct checkpoint checkpoint = {.options = options, .arena = arena_new()};
	int error = images_open(&checkpoint, true);

	if (!error)
		error = action_run(options, "pre-dump", options->tree);
	if (!error)
		error = freeze(&checkpoint);
	if (!error)
		error = dump_frozen(&checkpoint);
	if (!error)
		stats_write(&checkpoint, true);
	close_all(&checkpoint, error);
	return error;
}

int checkpoint_check(const struct options *options)
{
	struct checkpoint checkpoint = {
		.options = options, .arena = arena_new(), .images = -1, .workdir = -1};
	int error = freeze(&checkpoint);

	if (!error) {
		error = survey(&checkpoint);
		int released = tree_release(&checkpoint, TREE_RUN);

		error = error ? error : released;
	}
	close_all(&checkpoint, false);
	return error;
}
