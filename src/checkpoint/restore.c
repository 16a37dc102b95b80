/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/phase.h"
#include "base/progress.h"
#include "base/report.h"
#include "checkpoint/action.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/grow.h"
#include "checkpoint/guardian.h"
#include "checkpoint/images.h"
#include "checkpoint/plan.h"
#include "checkpoint/stops.h"
#include "checkpoint/stats.h"
#include "memory/memory.h"
#include "namespace/pid.h"
#include "task/state.h"

/* ---- before any task exists --------------------------------------------------------------- */

enum { PATIENCE_US = 2000000, NAP_US = 2000 };

/*
 * Whether an id is in use, as fcntl(2) tells for any descriptor: for that of a thread, a process
 * group or a session, and for a moment after its last user is gone (6.15: free_pids() comes after
 * the tasklist lock), which /proc and kill(2) know nothing of and clone3(2) minds.
 */
static bool is_taken(int fd, pid_t id)
{
	return fcntl(fd, F_SETOWN, id) == 0 || errno != ESRCH;
}

/* What a dump ended a moment ago is a zombie until init, or who it now belongs to, waits for it. */
static void check_id(int fd, pid_t id, uint64_t deadline)
{
	char state = 0;

	while (is_taken(fd, id)) {
		state = remote_state(id);
		if ((state && state != 'Z') || now_us() >= deadline) {
			FAIL(EEXIST, SUBJECT("pid %d", id),
			     state == 'Z' ? "let its parent wait for it, or end the parent"
					  : "end the process that has it, or restore in a new "
					    "pid namespace (unshare --pid)",
			     "cannot be restored: the id is taken%s",
			     state == 'Z' ? " by a zombie"
			     : state      ? ""
					  : " by a process group or session whose leader is gone");
			return;
		}
		usleep(NAP_US);
	}
}

/* All ids that are taken, in one answer. */
static void check_ids(struct checkpoint *checkpoint)
{
	uint64_t deadline = now_us() + PATIENCE_US;
	autofd int fd = eventfd(0, EFD_CLOEXEC);

	if (fd < 0) {
		FAIL(errno, SUBJECT("restore"), NULL, "cannot make an eventfd: %s",
		     strerror(errno));
		return;
	}
	tree_each_task (&checkpoint->tree, task)
		for (size_t i = 0; i < task->thread_count; i++)
			check_id(fd, task->threads[i].id, deadline);
}

/* Everything is read and checked, and all problems are found, before anything is made. */
static int read_checkpoint(struct checkpoint *checkpoint)
{
	struct phase phase = phase_begin("read", NULL);
	int error = images_read(checkpoint);

	if (!error) {
		tree_plan(&checkpoint->tree, checkpoint->options->shell_job);
		/* A pid namespace of its own is new, and all ids in it are free. */
		if (!namespaces_read(checkpoint) && !checkpoint->tree.tasks[0]->pids)
			check_ids(checkpoint);
		mounts_read(checkpoint);
		files_read(checkpoint);
		memory_read(checkpoint);
		mounts_plan(checkpoint);
		error = report_count() ? -report_get(0)->code : 0;
	}
	phase_end(&phase);
	return error;
}

/* ---- making the tasks --------------------------------------------------------------------- */

static int restore_files(struct checkpoint *checkpoint)
{
	struct phase phase = phase_begin("files", NULL);
	int error = 0;

	tree_each_task (&checkpoint->tree, task)
		if (!error && task->state != TASK_DEAD)
			error = files_restore(checkpoint, task);
	if (!error)
		error = files_finish(checkpoint);
	phase_end(&phase);
	return error;
}

static int close_area(struct checkpoint *checkpoint, struct task *task)
{
	struct remote **remotes =
		arena_new_array(checkpoint->arena, struct remote *, task->thread_count);

	for (size_t i = 0; i < task->thread_count; i++)
		remotes[i] = &task->threads[i].remote;
	int error = remote_close(&task->space, remotes, task->thread_count);

	return error == -ESRCH ? FAIL(ESRCH, task_subject(task), "restore again",
				      "it was killed while it was restored")
			       : error;
}

/*
 * With the first thread that runs, the program may end: so it wanted.  Its other threads, which we
 * still trace, are to be taken away by us, the leader as the last.
 */
static int release_task(struct task *task)
{
	bool ended = false;

	for (size_t i = 0; i < task->thread_count; i++) {
		struct remote *remote = &task->threads[i].remote;
		int error = remote_release(remote);

		remote->seized = error == -ESRCH;
		ended |= remote->seized;
		if (error && !remote->seized)
			return FAIL(-error, SUBJECT("thread %d", task->threads[i].tid), NULL,
				    "cannot be let go: %s", strerror(-error));
	}
	for (size_t i = task->thread_count; ended && i-- > 0;)
		remote_reap(&task->threads[i].remote);
	return 0;
}

/* Children first: what a child does in its last moments must not reach a finished parent. */
static int restore_states(struct checkpoint *checkpoint)
{
	struct phase phase = phase_begin("state", NULL);
	struct tree *tree = &checkpoint->tree;
	struct task **alive = arena_new_array(checkpoint->arena, struct task *, tree->count);
	size_t count = 0;
	int error = 0;

	tree_each_task (tree, task)
		if (!error && task->state != TASK_DEAD)
			error = memory_finish(checkpoint, task);
	if (!error)
		error = tree_end_zombies(checkpoint);
	if (!error)
		error = stops_restore(checkpoint);
	for (size_t i = tree->count; i-- > 0;)
		if (tree->tasks[i]->state != TASK_DEAD)
			alive[count++] = tree->tasks[i];
	if (!error)
		error = tasks_restore_state(checkpoint, alive, count);
	phase_end(&phase);
	return error;
}

/* ---- letting go --------------------------------------------------------------------------- */

static int write_pidfile(struct checkpoint *checkpoint)
{
	const char *name = checkpoint->options->pidfile;
	char text[16];

	if (!name)
		return 0;

	int length = snprintf(text, sizeof(text), "%d", checkpoint->tree.tasks[0]->pid);
	autofd int fd =
		openat(checkpoint->workdir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int error = fd < 0 ? -errno : fd_write_all(fd, text, length);

	return error ? FAIL(-error, SUBJECT("pid file %s", name), "give another with --pidfile",
			    "cannot be written: %s", strerror(-error))
		     : 0;
}

static int arm_guardian(struct checkpoint *checkpoint, struct guardian *guardian)
{
	struct tree *tree = &checkpoint->tree;
	int *pidfds = arena_new_array(checkpoint->arena, int, tree->count);
	size_t count = 0;
	int error;

	tree_each_task (tree, task)
		pidfds[count++] = task->pidfd;
	error = guardian_arm(guardian, pidfds, count);
	return error ? FAIL(-error, SUBJECT("restore"), NULL, "cannot start the guardian: %s",
			    strerror(-error))
		     : 0;
}

static int let_go(struct checkpoint *checkpoint)
{
	struct tree *tree = &checkpoint->tree;
	int error = 0;

	/* What can fail comes first. */
	tree_each_task (tree, task)
		if (!error && task->state != TASK_DEAD)
			error = close_area(checkpoint, task);
	tree_each_task (tree, task) {
		if (error || task->state == TASK_DEAD)
			continue;
		if (checkpoint->options->leave_stopped)
			kill(task->pid, SIGSTOP);
		error = release_task(task);
	}
	return error;
}

/* The tree with its memory and descriptors: what takes time. */
static int make_tree(struct checkpoint *checkpoint)
{
	int error;

	error = namespaces_make(checkpoint);
	if (error)
		return error;
	progress_begin("restore memory", memory_bytes(checkpoint));
	error = tree_grow(checkpoint);
	if (!error)
		error = mounts_finish(checkpoint);
	if (!error)
		error = restore_files(checkpoint);
	progress_end();
	if (!error)
		error = namespaces_finish(checkpoint);
	if (!error)
		error = mounts_verify(checkpoint);
	return error;
}

static int make_tasks(struct checkpoint *checkpoint)
{
	const struct options *options = checkpoint->options;
	const struct task *root = checkpoint->tree.tasks[0];
	struct guardian guardian = {0};
	int error = make_tree(checkpoint);

	if (!error)
		error = tree_group(checkpoint);
	if (!error)
		error = pid_namespaces_finish(checkpoint);
	if (!error)
		error = files_foreground(checkpoint);
	if (!error)
		error = arm_guardian(checkpoint, &guardian);
	if (!error)
		error = restore_states(checkpoint);
	if (!error)
		error = action_run(options, "post-restore", root->pid);
	if (!error)
		error = action_run(options, "pre-resume", root->pid);
	if (!error)
		error = write_pidfile(checkpoint);
	if (!error) {
		error = let_go(checkpoint);
		if (error && options->pidfile)
			unlinkat(checkpoint->workdir, options->pidfile, 0);
	}
	if (error)
		guardian_strike(&guardian);
	else
		guardian_dismiss(&guardian);
	return error;
}

static int restore(struct checkpoint *checkpoint)
{
	struct phase phase = phase_begin("restore", &checkpoint->stats.restore_time);
	int error = images_open(checkpoint, false);

	if (!error)
		error = action_run(checkpoint->options, "pre-restore", 0);
	if (!error)
		error = read_checkpoint(checkpoint);
	if (!error)
		error = make_tasks(checkpoint);
	phase_end(&phase);
	if (!error)
		stats_write(checkpoint, false);
	return error;
}

int checkpoint_restore(const struct options *options)
{
	struct checkpoint checkpoint = {
		.options = options, .arena = arena_new(), .images = -1, .workdir = -1};
	int error = restore(&checkpoint);
	pid_t root = error ? 0 : checkpoint.tree.tasks[0]->pid;

	tree_close(&checkpoint, error);
	memory_close(&checkpoint);
	files_close(&checkpoint, error);
	mounts_close(&checkpoint);
	namespaces_close(&checkpoint);
	fd_close(&checkpoint.images);
	fd_close(&checkpoint.workdir);
	arena_free(checkpoint.arena);
	if (error)
		return error;
	/* The application runs: what fails from here on is no reason to end it. */
	action_run(options, "post-resume", root);
	if (!options->restore_detached)
		while (waitpid(root, NULL, 0) < 0 && errno == EINTR)
			;
	return 0;
}
