/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checkpoint/freeze.h"
#include "task/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/report.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/guardian.h"
#include "task/proc.h"
#include "task/state.h"

typedef ARRAY(pid_t) pid_array;
typedef ARRAY(struct task *) task_array;

static int by_number(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* ---- threads ------------------------------------------------------------------------------ */

static int list_threads(const struct task *task, pid_array *tids)
{
	int fd = openat(task->proc, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);

	if (!directory) {
		int error = -errno;

		fd_close(&fd);
		return error;
	}
	struct dirent *entry;

	tids->count = 0;
	while ((errno = 0, entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			*(pid_t *)array_push(tids) = atoi(entry->d_name);

	int error = -errno;

	closedir(directory);
	if (!error && tids->count)
		qsort(tids->items, tids->count, sizeof(*tids->items), by_number);
	return error;
}

/* The link count of /proc/PID/task tells the number of threads without listing them. */
static size_t count_threads(const struct task *task)
{
	struct stat stat;

	return fstatat(task->proc, "task", &stat, 0) < 0 ? 0 : stat.st_nlink - 2;
}

/* Seizes what is new in the list and waits until it stands.  The leader is done already. */
static int seize_threads(struct checkpoint *checkpoint, struct task *task, const pid_array *tids)
{
	struct thread *before = task->threads;
	size_t known = 0, count = 0;
	int error = 0;

	task->threads = arena_new_array(checkpoint->arena, struct thread, tids->count + 1);
	task->threads[count++] = before[0];
	for (size_t i = 0; i < tids->count; i++) {
		pid_t tid = tids->items[i];

		if (tid == task->pid)
			continue;
		/* Both lists are sorted, behind the leader. */
		while (known + 1 < task->thread_count && before[known + 1].tid < tid)
			known++;
		if (known + 1 < task->thread_count && before[known + 1].tid == tid) {
			task->threads[count++] = before[known + 1];
			continue;
		}

		struct thread *thread = &task->threads[count];

		*thread = (struct thread){.task = task, .tid = tid};
		error = remote_seize(&thread->remote, tid, 0);
		if (!error)
			count++;
		else if (error != -ESRCH && error != -EPERM) /* it ended meanwhile, or is dead */
			break;
		error = 0;
	}
	task->thread_count = count;
	if (error)
		return error;

	size_t standing = 0;

	for (size_t i = 0; i < task->thread_count; i++) {
		struct thread *thread = &task->threads[i];

		if (i && !thread->core) {
			error = remote_wait_stop(&thread->remote);
			if (error == -ESRCH)
				continue;
			if (error)
				return error;
			thread->core = ARENA_MESSAGE(checkpoint->arena, core_entry, CoreEntry);
		}
		task->threads[standing++] = *thread;
	}
	task->thread_count = standing;
	return 0;
}

static int freeze_threads(struct checkpoint *checkpoint, struct task *task)
{
	pid_array tids = {0};
	int error = 0;

	while (!error && count_threads(task) != task->thread_count) {
		size_t before = task->thread_count;

		error = list_threads(task, &tids);
		if (!error)
			error = seize_threads(checkpoint, task, &tids);
		if (error || task->thread_count != before)
			continue;
		/* A thread that is exiting is listed but cannot be seized: let it. */
		error = remote_is_dead(task->pid) ? -ESRCH : remote_late() ? -ETIMEDOUT : 0;
		usleep(100);
	}
	array_free(&tids);
	return error;
}

/* ---- one process -------------------------------------------------------------------------- */

/* The first thread that does not stand, and what it is at. */
static int report_late(const struct task *task)
{
	pid_array tids = {0};
	pid_t tid = task->pid;
	char state = 0;

	list_threads(task, &tids);
	for (size_t i = 0; i < tids.count && (!state || state == 't'); i++) {
		tid = tids.items[i];
		state = remote_state(tid);
	}
	array_free(&tids);
	return FAIL(ETIMEDOUT, SUBJECT("pid %d", task->pid),
		    state == 'D' ? "it hangs in the kernel (see /proc/PID/stack): try again later"
				 : "the machine is very busy: try again, with a longer --timeout",
		    "thread %d did not stop in time (it is in state %c)", tid, state ? state : '?');
}

static int report_seize(struct task *task, int error)
{
	struct proc_status status;

	if (error == -ETIMEDOUT)
		return report_late(task);
	if (error == -EPERM && !proc_status_read(&task->threads[0], &status) && status.tracer)
		return FAIL(EBUSY, SUBJECT("pid %d", task->pid),
			    "detach the debugger or strace first", "it is traced by pid %u",
			    status.tracer);
	if (error == -EPERM)
		return FAIL(EPERM, SUBJECT("pid %d", task->pid),
			    "run stasis as root, or with CAP_SYS_PTRACE in its user namespace",
			    "stasis is not allowed to trace it");
	if (error == -EOPNOTSUPP)
		return REFUSE(SUBJECT("pid %d", task->pid), "use a 64-bit build of the program",
			      "it is a 32-bit program");
	if (error == -ESRCH)
		return FAIL(ESRCH, SUBJECT("pid %d", task->pid),
			    "dump again what is left of the tree", "it ended while it was frozen");
	return FAIL(-error, SUBJECT("pid %d", task->pid), NULL, "cannot be frozen: %s",
		    strerror(-error));
}

static int freeze_leader(struct checkpoint *checkpoint, struct task *task)
{
	struct thread *leader = arena_new_object(checkpoint->arena, struct thread);
	int error;

	*leader = (struct thread){.task = task, .tid = task->pid};
	leader->core = ARENA_MESSAGE(checkpoint->arena, core_entry, CoreEntry);
	task->threads = leader;
	task->thread_count = 1;
	error = remote_seize(&leader->remote, task->pid, 0);
	if (!error)
		error = remote_wait_stop(&leader->remote);
	return error;
}

/* What keeps batches out of a task: a filter would see, and could punish, their system calls. */
static void settle_threads(struct task *task, unsigned int seccomp)
{
	task->no_batches = seccomp;
	if (seccomp)
		REFUSE(SUBJECT("pid %d", task->pid),
		       "run it without seccomp (containers: seccomp=unconfined)",
		       "it has %s, which stasis cannot checkpoint yet",
		       seccomp == 1 ? "seccomp's strict mode" : "a seccomp filter");
	for (size_t i = 0; i < task->thread_count; i++) {
		struct remote *remote = &task->threads[i].remote;
		const struct arch_regs before = remote->regs;

		if (thread_settle(&task->threads[i]))
			task->no_batches = true;
		/* At once: however this ends, it goes on from there. */
		if (memcmp(&before, &remote->regs, sizeof(before)))
			remote_correct(remote);
	}
}

/* A stop that began while its threads were being seized: those seized before have not seen it. */
static enum task_state settle_stop(struct task *task)
{
	struct remote *leader = task_leader(task);

	for (size_t i = 1; i < task->thread_count && !leader->group_stop; i++)
		leader->group_stop = task->threads[i].remote.group_stop;
	return leader->group_stop ? TASK_STOPPED : TASK_ALIVE;
}

/* A number in the namespace `level` below that of /proc; a kernel without them has but one. */
static pid_t number(const struct proc_numbers *numbers, size_t level, pid_t only)
{
	return numbers->count ? numbers->items[level] : only;
}

static int number_thread(struct thread *thread, size_t above)
{
	struct task *task = thread->task;
	size_t index = thread - task->threads;
	struct proc_status status;
	int error = proc_status_read(thread, &status);

	if (error)
		return error;
	proc_status_free(&status);
	if (status.pids.count != above + task->depth + 1)
		return -EINVAL;
	thread->id = status.pids.items[above];
	for (size_t i = 0; i < task->depth; i++)
		task->inner[i].threads[index] = status.pids.items[above + 1 + i];
	thread->remote.own = thread_own(thread);
	return 0;
}

/* What all are called in the images and in their own pid namespaces. */
static int number_task(struct checkpoint *checkpoint, struct task *task,
		       const struct proc_status *status)
{
	struct tree *tree = &checkpoint->tree;
	size_t levels = status->pids.count ? status->pids.count : 1;
	int error = 0;

	if (!task->parent)
		tree->above = levels - 1;
	if (levels <= tree->above || status->pgids.count != status->pids.count ||
	    status->sids.count != status->pids.count)
		return -EINVAL;
	task->id = number(&status->pids, tree->above, task->pid);
	task->pgid = number(&status->pgids, tree->above, task->stat->pgrp);
	task->sid = number(&status->sids, tree->above, task->stat->session);
	task->depth = levels - 1 - tree->above;
	task->inner = arena_new_array(checkpoint->arena, struct task_numbers, task->depth);
	for (size_t i = 0; i < task->depth; i++) {
		size_t level = tree->above + 1 + i;

		task->inner[i] = (struct task_numbers){
			.id = status->pids.items[level],
			.pgid = status->pgids.items[level],
			.sid = status->sids.items[level],
			.threads = arena_new_array(checkpoint->arena, pid_t, task->thread_count),
		};
		task->inner[i].threads[0] = task->inner[i].id;
	}
	task->threads[0].id = task->id;
	task->threads[0].remote.own = thread_own(&task->threads[0]);
	hash_put(&tree->by_id, task->id, task);
	for (size_t i = 1; i < task->thread_count && !error; i++) {
		struct thread *thread = &task->threads[i];

		if (levels == 1)
			thread->id = thread->tid;
		else
			error = number_thread(thread, tree->above);
	}
	return error;
}

static int describe_frozen(struct checkpoint *checkpoint, struct task *task)
{
	struct proc_stat *stat = arena_new_object(checkpoint->arena, struct proc_stat);
	struct proc_status status;
	int error = proc_stat_read(&task->threads[0], stat);

	if (!error) {
		task->stat = stat;
		error = proc_status_read(&task->threads[0], &status);
	}
	if (!error) {
		proc_status_free(&status);
		error = number_task(checkpoint, task, &status);
	}
	if (error)
		return FAIL(-error, SUBJECT("pid %d", task->pid), NULL, "cannot read its state: %s",
			    strerror(-error));
	if (stat->exit_signal != SIGCHLD)
		REFUSE(SUBJECT("pid %d", task->pid),
		       "programs that use clone() this way cannot be checkpointed yet",
		       "its end is told to its parent by signal %d instead of SIGCHLD",
		       stat->exit_signal);
	if (task->state == TASK_DEAD)
		return 0;
	task->space = (struct remote_space){.pid = task->pid,
					    .own = task->threads[0].remote.own,
					    .ignored = status.ignored,
					    .caught = status.caught,
					    .pending = status.shared_pending};
	task->umask = status.umask;
	settle_threads(task, status.seccomp);
	return 0;
}

/* The kernel says ENOENT, before 6.9 EINVAL, of a thread that does not lead its process. */
static int report_pidfd(pid_t pid, int error)
{
	if (error == ENOENT || error == EINVAL)
		return FAIL(EINVAL, SUBJECT("pid %d", pid),
			    "give the id of its process to -t (Tgid in /proc/PID/status)",
			    "is a thread, not a process");
	return FAIL(error, SUBJECT("pid %d", pid), NULL, "cannot be opened: %s", strerror(error));
}

/* A new task of the tree, frozen.  1: it was gone before it could be. */
static int freeze_task(struct checkpoint *checkpoint, pid_t pid, struct task *parent,
		       struct task **frozen)
{
	struct task *task = arena_new_object(checkpoint->arena, struct task);
	char path[32];
	int error;

	*task = (struct task){.pid = pid, .parent = parent, .state = TASK_ALIVE, .pidfd = -1};
	snprintf(path, sizeof(path), "/proc/%d", pid);
	task->proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (task->proc < 0)
		return errno == ENOENT ? 1 : report_seize(task, -errno);
	task->pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (task->pidfd < 0) {
		error = errno;
		fd_close(&task->proc);
		return error == ESRCH ? 1 : report_pidfd(pid, error);
	}
	*frozen = task;

	error = freeze_leader(checkpoint, task);
	if (error == -EPERM || error == -ESRCH) {
		char state = remote_state(pid);

		/* Its parent ignores SIGCHLD: it is gone at once. */
		if (!state) {
			*frozen = NULL;
			fd_close(&task->proc);
			fd_close(&task->pidfd);
			return 1;
		}
		if (state != 'Z' && state != 'X')
			return report_seize(task, error);
		if (count_threads(task) > 1)
			REFUSE(SUBJECT("pid %d", pid), "end it, or let all its threads end",
			       "its first thread has ended while others run on");
		task->state = TASK_DEAD;
		task->threads[0].remote.seized = false;
		error = 0;
	} else if (!error) {
		error = freeze_threads(checkpoint, task);
		task->state = settle_stop(task);
	}
	return error ? report_seize(task, error) : describe_frozen(checkpoint, task);
}

/* ---- the tree ----------------------------------------------------------------------------- */

static int add_children(struct checkpoint *checkpoint, struct task *parent, task_array *found)
{
	autofree char *text = NULL;

	for (size_t i = 0; i < parent->thread_count; i++) {
		char name[48];

		snprintf(name, sizeof(name), "task/%d/children", parent->threads[i].tid);
		int error = fd_read_file(parent->proc, name, &text, NULL);

		if (error)
			return FAIL(-error, SUBJECT("pid %d", parent->pid),
				    "the kernel needs CONFIG_PROC_CHILDREN",
				    "cannot list its children: %s", strerror(-error));
		for (char *at = text, *end; *at; at = end) {
			pid_t pid = strtol(at, &end, 10);

			if (end == at)
				break;
			if (hash_get(&checkpoint->tree.by_pid, pid))
				continue;
			if (pid == getpid())
				return FAIL(EINVAL, SUBJECT("pid %d", parent->pid),
					    "run stasis from outside the tree of processes",
					    "the tree to dump has stasis itself in it");

			struct task *task = NULL;

			error = freeze_task(checkpoint, pid, parent, &task);
			if (task) {
				hash_put(&checkpoint->tree.by_pid, pid, task);
				*(struct task **)array_push(found) = task;
			}
			if (error < 0)
				return error;
		}
		free(text);
		text = NULL;
	}
	return 0;
}

/* Parents and children refer to each other by pointer; the order is parents first. */
static void link_tree(struct checkpoint *checkpoint)
{
	struct tree *tree = &checkpoint->tree;

	tree_each_task (tree, task) {
		if (task->parent)
			task->parent->child_count++;
		for (size_t i = 0; i < task->thread_count; i++)
			task->threads[i].task = task;
	}
	tree_each_task (tree, task) {
		task->children =
			arena_new_array(checkpoint->arena, struct task *, task->child_count);
		task->child_count = 0;
	}
	tree_each_task (tree, task)
		if (task->parent)
			task->parent->children[task->parent->child_count++] = task;
}

int tree_freeze(struct checkpoint *checkpoint, pid_t root)
{
	struct tree *tree = &checkpoint->tree;
	task_array tasks = {0};
	struct task *first = NULL;
	int error;

	remote_deadline(checkpoint->options->timeout);
	error = root == getpid()
			? FAIL(EINVAL, SUBJECT("pid %d", root), NULL, "stasis cannot dump itself")
			: freeze_task(checkpoint, root, NULL, &first);
	if (error == 1)
		error = FAIL(ESRCH, SUBJECT("pid %d", root),
			     "give the pid of a running process to -t", "there is no such process");
	if (!error && first->state == TASK_DEAD)
		error = FAIL(ESRCH, SUBJECT("pid %d", root), NULL,
			     "it is a zombie: nothing is left of it");
	if (first) {
		hash_put(&tree->by_pid, root, first);
		*(struct task **)array_push(&tasks) = first;
	}
	/*
	 * A frozen task gets no children by itself, but inherits those of a dying descendant if it
	 * is a subreaper: go over all of them until nothing is new.
	 */
	for (size_t before = 0; !error && before != tasks.count;) {
		before = tasks.count;
		for (size_t i = 0; i < tasks.count && !error; i++)
			if (tasks.items[i]->state != TASK_DEAD)
				error = add_children(checkpoint, tasks.items[i], &tasks);
	}
	remote_deadline(0);
	tree->tasks =
		arena_copy(checkpoint->arena, tasks.items, tasks.count * sizeof(*tasks.items));
	tree->count = tasks.count;
	array_free(&tasks);
	link_tree(checkpoint);
	return error;
}

/* ---- batches and release ------------------------------------------------------------------ */

static struct remote **remotes_of(struct checkpoint *checkpoint, struct task *task)
{
	struct remote **remotes =
		arena_new_array(checkpoint->arena, struct remote *, task->thread_count);

	for (size_t i = 0; i < task->thread_count; i++)
		remotes[i] = &task->threads[i].remote;
	return remotes;
}

int tree_open(struct checkpoint *checkpoint)
{
	int result = 0;

	tree_each_task (&checkpoint->tree, task) {
		/* Without its mappings, where its vdso is is not known either. */
		if (task->state == TASK_DEAD || task->no_batches || !task->mm)
			continue;
		int error =
			remote_open(&task->space, remotes_of(checkpoint, task), task->thread_count);

		if (error)
			result = error;
	}
	return result;
}

static int release_task(struct checkpoint *checkpoint, struct task *task, enum tree_end end)
{
	int error = 0;

	if (task->space.code)
		error = remote_close(&task->space, remotes_of(checkpoint, task),
				     task->thread_count);
	/* Killed meanwhile: there is nothing to let go. */
	if (error == -ESRCH)
		error = 0;
	if (end == TREE_STOP && task->state == TASK_ALIVE)
		kill(task->pid, SIGSTOP);
	for (size_t i = 0; i < task->thread_count; i++) {
		int released = remote_release(&task->threads[i].remote);

		if (released && released != -ESRCH && !error)
			error = FAIL(-released, SUBJECT("thread %d", task->threads[i].tid), NULL,
				     "cannot be released: %s", strerror(-released));
	}
	return error;
}

/*
 * The first process of a pid namespace ends after all others in it, and those that are traced end
 * when their tracer has heard of it: also one that was on its way into the tree.
 */
static void reap_init(struct task *task)
{
	bool gone = !task_leader(task)->seized;

	while (!gone) {
		int status;
		pid_t pid = waitpid(task->pid, &status, __WALL | WNOHANG);

		if (pid == 0)
			pid = waitpid(-1, &status, __WALL);
		gone = pid < 0 ? errno != EINTR : pid == task->pid && !WIFSTOPPED(status);
	}
	for (size_t i = 0; i < task->thread_count; i++)
		task->threads[i].remote.seized = false;
}

static void kill_task(const struct task *task)
{
	if (task->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, task->pidfd, SIGKILL, NULL, 0);
	else if (task->thread_count && task->threads[0].remote.seized)
		kill(task->pid, SIGKILL); /* restore failed while it was born */
}

/*
 * Who was put into a pid namespace by a parent outside is there until the parent has waited for it,
 * or who inherits it; and the namespace's first process cannot end before.
 */
static void end_abroad(struct task *task)
{
	struct task *parent = task->parent;

	kill_task(task);
	task_reap(task);
	if (parent->space.area_size)
		remote_syscall(task_leader(parent), SYS_wait4, task_numbers(task, parent->depth).id,
			       0, __WALL);
}

void tree_kill(struct tree *tree)
{
	size_t deepest = 0;

	tree_each_task (tree, task)
		if (task->pid && task_is_abroad(task))
			end_abroad(task);
	/* A zombie may be gone with its parent, and its number be somebody else's: by pidfd. */
	tree_each_task (tree, task)
		kill_task(task);
	tree_each_task (tree, task) {
		deepest = task->depth > deepest ? task->depth : deepest;
		if (!task->pids || !task_is_init(task))
			task_reap(task);
	}
	for (size_t depth = deepest + 1; depth-- > 0;)
		tree_each_task (tree, task)
			if (task->depth == depth && task->pids && task_is_init(task))
				reap_init(task);
}

static int kill_tree(struct checkpoint *checkpoint)
{
	struct tree *tree = &checkpoint->tree;
	struct guardian guardian = {0};
	int error = 0;

	if (tree->count > 1) {
		int *pidfds = arena_new_array(checkpoint->arena, int, tree->count);
		size_t count = 0;

		tree_each_task (tree, task)
			pidfds[count++] = task->pidfd;
		error = guardian_arm(&guardian, pidfds, count);
	}
	if (error)
		return FAIL(-error, SUBJECT("pid %d", tree->tasks[0]->pid), NULL,
			    "cannot start the guardian of its end: %s", strerror(-error));
	tree_kill(tree);
	guardian_dismiss(&guardian);
	return 0;
}

int tree_release(struct checkpoint *checkpoint, enum tree_end end)
{
	int result = end == TREE_KILL ? kill_tree(checkpoint) : 0;

	if (result)
		end = TREE_RUN;
	if (end != TREE_KILL)
		tree_each_task (&checkpoint->tree, task) {
			int error = release_task(checkpoint, task, end);

			if (error && !result)
				result = error;
		}
	tree_each_task (&checkpoint->tree, task) {
		fd_close(&task->proc);
		fd_close(&task->pidfd);
	}
	hash_free(&checkpoint->tree.by_pid);
	hash_free(&checkpoint->tree.by_id);
	return result;
}
