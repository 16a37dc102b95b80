/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checkpoint/grow.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/phase.h"
#include "base/report.h"
#include "checkpoint/action.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/freeze.h"
#include "memory/memory.h"
#include "namespace/pid.h"
#include "task/proc.h"
#include "task/state.h"

static int cannot_clone(pid_t pid, int error)
{
	if (error == -EEXIST)
		return FAIL(EEXIST, SUBJECT("pid %d", pid),
			    "end the process that has it, or restore in a new pid namespace "
			    "(unshare --pid)",
			    "cannot be restored: the id is taken");
	if (error == -EINVAL)
		return FAIL(EINVAL, SUBJECT("pid %d", pid), "raise /proc/sys/kernel/pid_max",
			    "cannot be restored: ids do not go that far here");
	if (error == -EPERM)
		return FAIL(EPERM, SUBJECT("pid %d", pid),
			    "run stasis as root, or with CAP_CHECKPOINT_RESTORE",
			    "stasis is not allowed to choose process ids");
	return FAIL(-error, SUBJECT("pid %d", pid), NULL, "cannot be cloned: %s", strerror(-error));
}

/* ---- what the newborn share --------------------------------------------------------------- */

/* A bit for every number below the limit that a descriptor of some task will have. */
static uint64_t *numbers_taken(struct checkpoint *checkpoint, rlim_t limit)
{
	uint64_t *taken = arena_alloc(checkpoint->arena, (limit / 64 + 1) * sizeof(*taken));

	tree_each_task (&checkpoint->tree, task)
		for (size_t i = 0; i < task->fdinfo_count; i++) {
			uint32_t fd = task->fdinfo[i]->fd;

			if (fd >= limit) {
				FAIL(EMFILE, task_subject(task),
				     "raise the limit (ulimit -Hn) and try again",
				     "its descriptor %u is above the limit of %llu open files here",
				     fd, (unsigned long long)limit);
				return NULL;
			}
			taken[fd / 64] |= 1ull << fd % 64;
		}
	return taken;
}

/*
 * The far end has one number in all tasks: the lowest that is free in stasis and that none of them
 * will use.  It is in no descriptor's way: those a task receives land at its lowest free numbers,
 * in ascending order, and even with the channel among them none lands above where it has to go.
 */
static int make_channel(struct checkpoint *checkpoint)
{
	struct remote_channel *channel = &checkpoint->channel;
	struct rlimit limit = {0};
	int ends[2];

	getrlimit(RLIMIT_NOFILE, &limit);

	uint64_t *taken = numbers_taken(checkpoint, limit.rlim_cur);

	if (!taken)
		return -EMFILE;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return FAIL(errno, SUBJECT("restore"), NULL, "cannot make a socket pair: %s",
			    strerror(errno));
	channel->near = ends[0];
	channel->far = ends[1];
	while (channel->far >= 0 && taken[channel->far / 64] >> channel->far % 64 & 1) {
		int next = fcntl(channel->far, F_DUPFD_CLOEXEC, channel->far + 1);

		close(channel->far);
		channel->far = next;
	}
	if (channel->far < 0)
		return FAIL(EMFILE, SUBJECT("restore"),
			    "raise the limit (ulimit -Hn) and try again",
			    "the tasks leave no number below %llu free for a descriptor",
			    (unsigned long long)limit.rlim_cur);
	channel->number = channel->far;
	return 0;
}

static int make_area(struct checkpoint *checkpoint)
{
	size_t threads = 1;

	tree_each_task (&checkpoint->tree, task)
		if (task->thread_count > threads)
			threads = task->thread_count;

	uint64_t size = remote_area_size(threads), code = remote_area_code(threads);
	int error = memory_area(checkpoint, size, &checkpoint->area);

	if (error)
		return error;
	checkpoint->area_threads = threads;
	/* The root is born with a copy of it. */
	char *area = mmap((void *)checkpoint->area, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);

	if (area == MAP_FAILED)
		return FAIL(errno, SUBJECT("restore"), NULL, "cannot map the area at %#llx: %s",
			    (unsigned long long)checkpoint->area, strerror(errno));
	remote_fill_area(area, threads);
	if (mprotect(area + code, size - code, PROT_READ | PROT_EXEC) < 0)
		return FAIL(errno, SUBJECT("restore"), NULL, "cannot make the loop executable: %s",
			    strerror(errno));
	return 0;
}

/* ---- births ------------------------------------------------------------------------------- */

/*
 * A signal to end batches with.  stasis sees it before the task does, whatever its action; it must
 * only not be one that the task is about to have pending.
 */
static int choose_bell(const struct thread *thread)
{
	const SignalQueueEntry *queues[] = {
		thread->core && thread->core->thread_core ? thread->core->thread_core->signals_p
							  : NULL,
		thread->task && thread->task->threads[0].core && thread->task->threads[0].core->tc
			? thread->task->threads[0].core->tc->signals_s
			: NULL,
	};
	uint64_t taken = 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1) | 1ull << (SIGCONT - 1);

	for (size_t q = 0; q < 2; q++)
		for (size_t i = 0; queues[q] && i < queues[q]->n_signals; i++) {
			int signo = 0;

			if (queues[q]->signals[i]->siginfo.len >= sizeof(signo))
				memcpy(&signo, queues[q]->signals[i]->siginfo.data, sizeof(signo));
			if (signo >= 1 && signo <= 64)
				taken |= 1ull << (signo - 1);
		}
	for (int signo = SIGURG; signo <= 64; signo++)
		if (!(taken & 1ull << (signo - 1)))
			return signo;
	for (int signo = 1; signo < SIGURG; signo++)
		if (!(taken & 1ull << (signo - 1)))
			return signo;
	return 0; /* call by call, then */
}

static void use_area(struct checkpoint *checkpoint, struct thread *thread,
		     struct remote_space *space, size_t slot)
{
	if (slot == 0)
		*space = (struct remote_space){
			.pid = thread->tid,
			.own = thread_own(thread),
			.area = checkpoint->area,
			.area_size = remote_area_size(checkpoint->area_threads),
			.code = checkpoint->area + remote_area_code(checkpoint->area_threads),
		};
	thread->remote.own = thread_own(thread);
	remote_use_slot(&thread->remote, space, slot);
	thread->remote.bell = choose_bell(thread);
}

/* What clone3 is to call it, from its own pid namespace outwards; returns how many numbers. */
static size_t numbers_of(const struct thread *thread, pid_t numbers[PROC_PID_NAMESPACES])
{
	const struct task *task = thread->task;
	size_t count = 0;

	for (size_t i = task->depth; i-- > 0;)
		numbers[count++] = task->inner[i].threads[thread - task->threads];
	numbers[count++] = thread->id;
	return count;
}

/* Until it is seized, the newborn ends by itself when stasis does. */
static _Noreturn void wait_to_be_seized(int life, int ours)
{
	char byte;

	close(ours);
	while (read(life, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(1);
}

/* Its pid, or the negative errno of clone3; does not return in the newborn. */
static long clone_newborn(struct checkpoint *checkpoint, const struct task *root, const int life[2])
{
	struct clone_args args = {.flags = root->pids ? CLONE_NEWPID : 0,
				  .exit_signal = SIGCHLD,
				  .set_tid = (uintptr_t)&root->id,
				  .set_tid_size = 1};

	if (checkpoint->options->restore_sibling) {
		args.flags |= CLONE_PARENT;
		args.exit_signal = 0; /* it is that of stasis, then */
	}

	long born = syscall(SYS_clone3, &args, sizeof(args));

	if (born == 0)
		wait_to_be_seized(life[0], life[1]);
	return born < 0 ? -errno : born;
}

/* Does a thread of the root get a signal when its parent ends? */
static bool minds_parents_end(const struct task *root)
{
	for (size_t i = 0; i < root->thread_count; i++)
		if (root->threads[i].core->thread_core->pdeath_sig)
			return true;
	return false;
}

/*
 * The root is a child of stasis.  When stasis is going to end before it (--restore-detached), and
 * that would be told to the root by signal, it is born by a process that ends at once: its parent
 * is then who it will be afterwards.  Returns as clone_newborn().
 */
static long clone_root(struct checkpoint *checkpoint, struct task *root, const int life[2])
{
	volatile long born = -ECHILD;
	int status;

	checkpoint->root_is_child = !checkpoint->options->restore_sibling;
	if (!checkpoint->options->restore_detached || checkpoint->options->restore_sibling ||
	    !minds_parents_end(root))
		return clone_newborn(checkpoint, root, life);

	/* What it learns, stasis knows: they share their memory. */
	pid_t midwife = vfork();

	if (midwife == 0) {
		born = clone_newborn(checkpoint, root, life);
		_exit(0);
	}
	if (midwife < 0)
		return -errno;
	checkpoint->root_is_child = false;
	while (waitpid(midwife, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return born;
}

/* Takes everything of stasis' own away from the root: registered areas, descriptors, memory. */
static int empty_root(struct checkpoint *checkpoint, struct remote *remote)
{
	uint64_t area = checkpoint->area, end = area + remote->space->area_size;
	int channel = checkpoint->channel.number;
	struct __ptrace_rseq_configuration rseq = {0};
	struct batch batch;
	int error;

	batch_begin(&batch, remote);
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, remote->tid, sizeof(rseq), &rseq) > 0 &&
	    rseq.rseq_abi_pointer)
		batch_call(&batch, SYS_rseq, rseq.rseq_abi_pointer, rseq.rseq_abi_size,
			   1 /* RSEQ_FLAG_UNREGISTER */, rseq.signature);
	batch_call(&batch, SYS_set_robust_list, 0, 24 /* sizeof(struct robust_list_head) */);
	batch_call(&batch, SYS_close_range, 0, channel - 1);
	batch_call(&batch, SYS_close_range, channel + 1, ~0u);
	batch_call(&batch, SYS_munmap, 0, area);
	batch_call(&batch, SYS_munmap, end, ARCH_TASK_SIZE - end);
	error = batch_run(&batch);
	if (error)
		error = FAIL(-error, SUBJECT("pid %d", remote->tid), NULL,
			     "cannot be made to issue system calls: %s", strerror(-error));
	else
		error = batch_check(&batch, "an empty process");
	batch_end(&batch);
	return error;
}

static int bear_root(struct checkpoint *checkpoint, struct task *root)
{
	struct thread *leader = &root->threads[0];
	int life[2], error;
	long born;

	if (pipe2(life, O_CLOEXEC) < 0)
		return FAIL(errno, SUBJECT("restore"), NULL, "cannot make a pipe: %s",
			    strerror(errno));
	born = clone_root(checkpoint, root, life);
	if (born < 0) {
		error = cannot_clone(root->id, born);
	} else {
		root->pid = leader->tid = born;
		root->pidfd = syscall(SYS_pidfd_open, root->pid, 0);
		error = remote_seize(&leader->remote, root->pid, PTRACE_O_EXITKILL);
		if (!error)
			error = remote_wait_stop(&leader->remote);
		if (error)
			error = FAIL(-error, task_subject(root), NULL, "cannot be seized: %s",
				     strerror(-error));
	}
	close(life[0]);
	close(life[1]);
	if (error)
		return error;
	use_area(checkpoint, leader, &root->space, 0);
	error = empty_root(checkpoint, &leader->remote);
	return error || !root->pids ? error : pid_namespace_born(root);
}

/*
 * Adds a clone3 to a batch.  CLONE_PTRACE: the newborn is ours from the beginning, and stops, but
 * who clones it need not.
 */
static void add_clone(struct batch *batch, uint64_t flags, const struct thread *newborn)
{
	pid_t numbers[PROC_PID_NAMESPACES];
	size_t count = numbers_of(newborn, numbers);
	struct clone_args args = {
		.flags = flags | CLONE_PTRACE,
		.exit_signal = flags & CLONE_THREAD ? 0 : SIGCHLD,
		.set_tid = batch_input(batch, numbers, count * sizeof(*numbers)),
		.set_tid_size = count,
	};

	batch_call(batch, SYS_clone3, batch_input(batch, &args, sizeof(args)), sizeof(args));
}

static int adopt(struct checkpoint *checkpoint, struct thread *newborn, pid_t tid)
{
	struct task *task = newborn->task;
	int error;

	newborn->tid = tid;
	if (newborn == task->threads)
		task->pid = newborn->tid;
	error = remote_adopt(&newborn->remote, newborn->tid);
	if (error)
		return error;
	use_area(checkpoint, newborn, &task->space, newborn - task->threads);
	if (newborn == task->threads)
		task->pidfd = syscall(SYS_pidfd_open, task->pid, 0);
	return newborn == task->threads && task->pids && task->pids->task == task
		       ? pid_namespace_born(task)
		       : 0;
}

typedef ARRAY(pid_t) pid_array;

static int list_children(const struct task *parent, pid_array *pids)
{
	autofree char *text = NULL;
	char path[64];
	int error;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent->pid, parent->pid);
	error = fd_read_file(AT_FDCWD, path, &text, NULL);
	for (char *at = text, *end; !error; at = end) {
		pid_t pid = strtol(at, &end, 10);

		if (end == at)
			break;
		*(pid_t *)array_push(pids) = pid;
	}
	return error;
}

static int list_threads(const struct task *task, pid_array *tids)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/task", task->pid);

	DIR *directory = opendir(path);

	if (!directory)
		return -errno;
	for (struct dirent *entry; (entry = readdir(directory));)
		if (entry->d_name[0] != '.')
			*(pid_t *)array_push(tids) = atoi(entry->d_name);
	closedir(directory);
	return 0;
}

/*
 * In stasis' own pid namespace those who were born have the numbers of the images.  Those of
 * another are looked up: lists of the kernel are in the order of birth.
 */
static int find_newborns(struct checkpoint *checkpoint, struct batch *batch, const struct task *who,
			 bool threads, struct thread *const *newborns, pid_t *tids)
{
	pid_array list = {0};
	size_t born = 0, next;
	int error = 0;

	if (checkpoint->tree.tasks[0]->pids)
		error = threads ? list_threads(who, &list) : list_children(who, &list);
	for (size_t i = 0; i < batch->count; i++)
		born += batch_result(batch, i) >= 0;
	if (!error && checkpoint->tree.tasks[0]->pids && list.count < born)
		error = -ECHILD;
	next = list.count - born;
	for (size_t i = 0; i < batch->count && !error; i++) {
		if (batch_result(batch, i) < 0)
			tids[i] = batch_result(batch, i);
		else
			tids[i] = list.count ? list.items[next++] : newborns[i]->id;
	}
	array_free(&list);
	return error;
}

/* Clones threads, or first threads of processes, remotely. */
static int bear(struct checkpoint *checkpoint, struct task *who, uint64_t flags,
		struct thread *const *newborns, size_t count)
{
	struct batch batch;
	pid_t *tids = arena_new_array(checkpoint->arena, pid_t, count);
	int result = 0;

	batch_begin(&batch, task_leader(who));
	for (size_t first = 0, next = 0; first < count && !result; first = next) {
		while (next < count && batch_fits(&batch, 1,
						  sizeof(struct clone_args) + 32 +
							  sizeof(pid_t) * PROC_PID_NAMESPACES))
			add_clone(&batch, flags, newborns[next++]);

		int run = batch_run(&batch);

		if (!run)
			run = find_newborns(checkpoint, &batch, who, flags & CLONE_THREAD,
					    newborns + first, tids + first);
		/* All that were born are adopted, whatever became of the others. */
		for (size_t i = first; i < next; i++) {
			int error = run           ? run
				    : tids[i] < 0 ? tids[i]
						  : adopt(checkpoint, newborns[i], tids[i]);

			if (error && !result)
				result = cannot_clone(newborns[i]->id, error);
		}
		batch_reset(&batch);
	}
	batch_end(&batch);
	return result;
}

/* The flag of clone3 that a child of this task needs. */
static uint64_t birth_flags(const struct task *parent, const struct task *child)
{
	return child->depth > parent->depth && task_is_init(child) ? CLONE_NEWPID : 0;
}

static int bear_task(struct checkpoint *checkpoint, struct task *who, struct task *task)
{
	return bear(checkpoint, who, birth_flags(who, task), &(struct thread *){task->threads}, 1);
}

/* In a pid namespace that the parent is not in, which by now has its first process. */
static int bear_abroad(struct checkpoint *checkpoint, struct task *task)
{
	struct task *parent = task->parent;
	int error = pid_namespace_choose(parent, task->pids->task), back = 0;

	if (!error) {
		int born = bear_task(checkpoint, parent, task);

		if (born)
			return born;
		back = pid_namespace_choose(parent, parent);
	}
	if (error || back)
		return FAIL(error ? -error : -back, task_subject(task), NULL,
			    "cannot be born in its pid namespace: %s",
			    strerror(error ? -error : -back));
	return 0;
}

static int bear_threads(struct checkpoint *checkpoint, struct task *task)
{
	struct thread **threads =
		arena_new_array(checkpoint->arena, struct thread *, task->thread_count);

	for (size_t i = 0; i < task->thread_count; i++)
		threads[i] = &task->threads[i];
	return bear(checkpoint, task,
		    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			    CLONE_SYSVSEM,
		    threads + 1, task->thread_count - 1);
}

/* ---- helpers: short-lived tasks that stand in for ones that are gone ---------------------- */

struct helper {
	struct task task, *parent;
	struct thread thread;
};

/*
 * A child of the parent that has the id of the session, or of the process group, of another task,
 * in the parent's pid namespace and all around it.
 */
static int start_helper(struct checkpoint *checkpoint, struct task *parent,
			const struct task *model, bool session, struct helper *helper)
{
	struct task *task = &helper->task;
	size_t depth = parent->depth;

	*helper = (struct helper){.parent = parent, .thread = {.task = task}};
	*task = (struct task){
		.id = session ? model->sid : model->pgid,
		.threads = &helper->thread,
		.thread_count = 1,
		.depth = depth,
		.inner = arena_new_array(checkpoint->arena, struct task_numbers, depth),
		.pidfd = -1,
		.proc = -1};
	helper->thread.id = task->id;
	for (size_t i = 0; i < depth; i++) {
		const struct task_numbers numbers = task_numbers(model, i + 1);
		pid_t id = session ? numbers.sid : numbers.pgid;

		task->inner[i] = (struct task_numbers){
			.id = id,
			.threads = arena_copy(checkpoint->arena, &id, sizeof(id)),
		};
	}
	int error = bear_task(checkpoint, parent, task);

	if (!error)
		hash_put(&checkpoint->tree.stood_in, task->id, (void *)(uintptr_t)task->pid);
	return error;
}

/* Ends a thread's process, with its own signal mask; its parent is not told yet. */
static int end_by_exit(struct remote *remote, int code)
{
	struct batch batch;
	int error;

	batch_begin(&batch, remote);
	batch_call(&batch, SYS_rt_sigprocmask, SIG_SETMASK,
		   batch_input(&batch, &remote->sigmask, sizeof(remote->sigmask)), 0,
		   sizeof(remote->sigmask));
	batch_call(&batch, SYS_exit_group, code);
	error = batch_run(&batch);
	batch_end(&batch);
	if (error != -ESRCH)
		return error ? error : -EIO;
	remote->seized = false;
	return 0;
}

static int end_helper(struct helper *helper)
{
	pid_t own = thread_own(&helper->thread);
	int error = end_by_exit(&helper->thread.remote, 0);

	fd_close(&helper->task.pidfd);
	if (!error)
		error = remote_syscall(task_leader(helper->parent), SYS_wait4, own, 0, __WALL);
	if (error == own)
		return 0;
	return FAIL(error < 0 ? -error : EIO, SUBJECT("pid %d", helper->task.id), NULL,
		    "the helper for its session or process group did not end as it should");
}

/* The children of a subreaper whose session's leader is gone: one helper for each session. */
static int bear_orphans(struct checkpoint *checkpoint, struct task *task)
{
	for (size_t i = 0; i < task->child_count; i++) {
		struct task *first = task->children[i];
		struct helper helper;
		int error = 0;

		if (!first->lost_session || first->pid)
			continue;
		/* The first process of a pid namespace adopts them anyway. */
		if (!task_is_init(task))
			error = remote_syscall(task_leader(task), SYS_prctl, PR_SET_CHILD_SUBREAPER,
					       1);
		if (error)
			return FAIL(-error, task_subject(task), NULL,
				    "cannot adopt its children again: %s", strerror(-error));
		error = start_helper(checkpoint, task, first, true, &helper);
		if (!error &&
		    remote_syscall(&helper.thread.remote, SYS_setsid) != thread_own(&helper.thread))
			error = FAIL(EPERM, task_subject(first), NULL, "cannot make its session %d",
				     first->birth_sid);
		for (size_t k = i; k < task->child_count && !error; k++)
			if (task->children[k]->lost_session &&
			    task->children[k]->birth_sid == first->birth_sid)
				error = bear_task(checkpoint, &helper.task, task->children[k]);
		if (!error)
			error = end_helper(&helper);
		if (error)
			return error;
	}
	return 0;
}

/* ---- process groups ----------------------------------------------------------------------- */

/* `who` puts the task (itself, or a child) into a group that has a number in its pid namespace. */
static int set_group(struct task *who, const struct task *task, pid_t pgid)
{
	pid_t id = who == task ? 0 : task_numbers(task, who->depth).id;
	int64_t result = remote_syscall(task_leader(who), SYS_setpgid, id, pgid);

	return result == 0
		       ? 0
		       : FAIL(-result, task_subject(task), NULL, "cannot join process group %d: %s",
			      task->pgid, strerror(-result));
}

/* The group of `model`; who joins may know it by no number, then the parent does. */
static int join_group(struct task *task, const struct task *model)
{
	struct task *who = task_numbers(model, task->depth).pgid ? task : task->parent;
	pid_t pgid = who ? task_numbers(model, who->depth).pgid : 0;

	return pgid ? set_group(who, task, pgid)
		    : FAIL(ESRCH, task_subject(task), "the checkpoint is damaged",
			   "nobody can put it into process group %d", model->pgid);
}

static bool leads_group(const struct task *task)
{
	return task->pgid == task->id;
}

static int make_group(struct task *task)
{
	return getpgid(task->pid) == task->pid ? 0 : set_group(task, task, 0);
}

/* Into the group that it, or a descendant, must be in from the beginning; see plan.c. */
static int join_birth_group(struct checkpoint *checkpoint, struct task *task)
{
	const struct task *model = task->birth_group;
	struct task *leader = hash_get(&checkpoint->tree.by_id, model->pgid);
	int error = leader ? make_group(leader) : -ESRCH;

	if (error || getpgid(task->pid) == leader->pid)
		return error;
	return join_group(task, model);
}

/* ---- the tree ----------------------------------------------------------------------------- */

static int bear_children(struct checkpoint *checkpoint, struct task *task, bool early,
			 bool inheriting)
{
	struct thread **newborns =
		arena_new_array(checkpoint->arena, struct thread *, task->child_count);
	int error = 0;

	/* Those in the task's own pid namespace, and those with new ones. */
	for (uint64_t flags = 0, last = CLONE_NEWPID; flags <= last && !error; flags += last) {
		size_t count = 0;

		for (size_t i = 0; i < task->child_count; i++) {
			struct task *child = task->children[i];

			if (!child->lost_session && !task_is_abroad(child) &&
			    child->before_setsid == early && memory_inherits(child) == inheriting &&
			    birth_flags(task, child) == flags)
				newborns[count++] = child->threads;
		}
		if (count)
			error = bear(checkpoint, task, flags, newborns, count);
	}
	return error;
}

static bool has_early_heirs(const struct task *task)
{
	for (size_t i = 0; i < task->child_count; i++)
		if (task->children[i]->before_setsid && memory_inherits(task->children[i]))
			return true;
	return false;
}

static int make_session(struct task *task)
{
	int64_t sid;

	if (task->sid != task->id)
		return 0;
	sid = remote_syscall(task_leader(task), SYS_setsid);
	return sid == task_numbers(task, task->depth).sid
		       ? 0
		       : FAIL(sid < 0 ? -sid : EIO, task_subject(task), NULL,
			      "cannot make its session: %s", strerror(sid < 0 ? -sid : EIO));
}

/*
 * Children that share no memory with the task are cloned while it is empty, which is cheap; those
 * that inherit its memory by copy-on-write, when it is filled.
 */
static int grow_task(struct checkpoint *checkpoint, struct task *task)
{
	bool filled = false;
	int error = 0;

	task->grown = true;
	if (task->state == TASK_DEAD)
		return 0;
	if (task->birth_group)
		error = join_birth_group(checkpoint, task);
	if (!error && task->parent)
		error = namespaces_join(checkpoint, task);
	if (!error)
		error = bear_children(checkpoint, task, true, false);
	if (!error && has_early_heirs(task)) {
		error = memory_restore(checkpoint, task);
		filled = true;
		if (!error)
			error = bear_children(checkpoint, task, true, true);
	}
	if (!error)
		error = make_session(task);
	if (!error)
		error = files_control(checkpoint, task);
	if (!error)
		error = bear_children(checkpoint, task, false, false);
	if (!error && !filled)
		error = memory_restore(checkpoint, task);
	if (!error)
		error = bear_children(checkpoint, task, false, true);
	if (!error)
		error = bear_orphans(checkpoint, task);
	return error;
}

/* Who is born abroad needs that namespace's first process, and who grows may be one. */
static int grow_tasks(struct checkpoint *checkpoint)
{
	bool more = true;
	int error = 0;

	while (more && !error) {
		more = false;
		tree_each_task (&checkpoint->tree, task)
			if (!error && task->pid && !task->grown)
				error = grow_task(checkpoint, task);
		tree_each_task (&checkpoint->tree, task) {
			if (error || task->pid || !task_is_abroad(task) || !task->parent->grown ||
			    !task->pids->task->pid)
				continue;
			error = bear_abroad(checkpoint, task);
			more = true;
		}
	}
	tree_each_task (&checkpoint->tree, task)
		if (!error && !task->pid)
			error = FAIL(EINVAL, task_subject(task), "the checkpoint is damaged",
				     "cannot be born: its pid namespace comes after it");
	return error;
}

int tree_grow(struct checkpoint *checkpoint)
{
	struct phase phase = phase_begin("grow", &checkpoint->stats.forking_time);
	int error = make_channel(checkpoint);

	if (!error)
		error = make_area(checkpoint);
	if (!error)
		error = bear_root(checkpoint, checkpoint->tree.tasks[0]);
	if (!error)
		error = action_run(checkpoint->options, "setup-namespaces",
				   checkpoint->tree.tasks[0]->pid);
	/* Some filesystems can be made only in the namespaces of a task. */
	if (!error)
		error = mounts_build(checkpoint);
	if (!error)
		error = namespaces_join(checkpoint, checkpoint->tree.tasks[0]);
	if (!error)
		error = action_run(checkpoint->options, "post-setup-namespaces",
				   checkpoint->tree.tasks[0]->pid);
	if (!error)
		error = grow_tasks(checkpoint);
	tree_each_task (&checkpoint->tree, task)
		if (!error && task->thread_count > 1)
			error = bear_threads(checkpoint, task);
	phase_end(&phase);
	return error;
}

/* ---- process groups, when all are born ---------------------------------------------------- */

/* In a shell job, the group of the root is the one that stasis itself runs in. */
static bool keeps_group(const struct checkpoint *checkpoint, const struct task *task)
{
	const struct task *root = checkpoint->tree.tasks[0];

	return root->sid != root->id && task->sid == root->sid && task->pgid == root->pgid;
}

/* The group's leader is gone: a helper makes the group, and ends when all have joined. */
static int join_lost_group(struct checkpoint *checkpoint, struct task *first, size_t index)
{
	struct tree *tree = &checkpoint->tree;
	struct task *who = task_numbers(first, first->depth).pgid ? first : first->parent;
	struct helper helper;
	int error = start_helper(checkpoint, who, first, false, &helper);

	if (!error)
		error = set_group(&helper.task, &helper.task, 0);
	for (size_t i = index; i < tree->count && !error; i++)
		if (tree->tasks[i]->pgid == first->pgid)
			error = join_group(tree->tasks[i], tree->tasks[i]);
	return error ? error : end_helper(&helper);
}

int tree_lend_group(struct checkpoint *checkpoint, struct task *parent, pid_t id,
		    int (*use)(void *argument), void *argument)
{
	/* Of the leader of a session, in whose pid namespace the group was. */
	const struct task model = {.pgid = id};
	struct helper helper;
	int error;

	if (parent->depth)
		return FAIL(EINVAL, task_subject(parent), "the checkpoint is damaged: dump again",
			    "the numbers of process group %d are missing", id);
	error = start_helper(checkpoint, parent, &model, false, &helper);

	if (!error)
		error = set_group(&helper.task, &helper.task, 0);
	if (!error)
		error = use(argument);
	return error ? error : end_helper(&helper);
}

int tree_group(struct checkpoint *checkpoint)
{
	struct tree *tree = &checkpoint->tree;
	int error = 0;

	tree_each_task (tree, task)
		if (!error && leads_group(task) && task->sid != task->id &&
		    !keeps_group(checkpoint, task))
			error = make_group(task);
	for (size_t i = 0; i < tree->count && !error; i++) {
		struct task *task = tree->tasks[i];

		if (leads_group(task) || keeps_group(checkpoint, task))
			continue;

		const struct task *leader = hash_get(&tree->by_id, task->pgid);
		pid_t number = leader && leader->id == task->pgid
				       ? leader->pid
				       : (pid_t)(uintptr_t)hash_get(&tree->stood_in, task->pgid);

		/* As stasis sees them; most were born into their group. */
		if (!number)
			error = join_lost_group(checkpoint, task, i);
		else if (getpgid(task->pid) != number)
			error = join_group(task, task);
	}
	return error;
}

/* ---- zombies ------------------------------------------------------------------------------ */

enum { MOST_STOPS = 8 };

static int end_by_signal(struct task *task, int signo)
{
	struct remote *remote = task_leader(task);
	uint64_t mask = remote->sigmask & ~(1ull << (signo - 1));
	struct batch batch;
	uint64_t action[4] = {0}; /* SIG_DFL */
	int status = 0, error;

	batch_begin(&batch, remote);
	/* No core dump, not even one that a helper of the system would take. */
	batch_call(&batch, SYS_prctl, PR_SET_DUMPABLE, 0);
	if (signo != SIGKILL && signo != SIGSTOP)
		batch_call(&batch, SYS_rt_sigaction, signo,
			   batch_input(&batch, action, sizeof(action)), 0, 8);
	error = batch_run(&batch);
	batch_end(&batch);
	if (error)
		return error;
	if (ptrace(PTRACE_SETSIGMASK, remote->tid, sizeof(mask), &mask) < 0 ||
	    kill(task->pid, signo) < 0)
		return -errno;
	/* SIGKILL needs no more. */
	if (ptrace(PTRACE_CONT, remote->tid, 0, 0) < 0 && errno != ESRCH)
		return -errno;
	/* Not for ever: of a damaged image, the signal may be one that does not kill. */
	for (int stops = 0; stops < MOST_STOPS && !(error = remote_wait(remote->tid, &status));
	     stops++)
		if (ptrace(PTRACE_CONT, remote->tid, 0, status >> 16 ? 0 : WSTOPSIG(status)) < 0)
			return -errno;
	if (error != -ESRCH || !WIFSIGNALED(status) || WTERMSIG(status) != signo)
		return error == 0 || error == -ESRCH ? -EINVAL : error;
	remote->seized = false;
	return 0;
}

static int end_zombie(struct checkpoint *checkpoint, struct task *task)
{
	int error = zombie_restore_state(checkpoint, task);

	if (error)
		return error;

	uint32_t status = task->threads[0].core->tc->exit_code;

	error = status & 0x7f ? end_by_signal(task, status & 0x7f)
			      : end_by_exit(task_leader(task), status >> 8 & 0xff);
	return error ? FAIL(-error, task_subject(task), NULL, "cannot be made a zombie again: %s",
			    strerror(-error))
		     : 0;
}

int tree_end_zombies(struct checkpoint *checkpoint)
{
	tree_each_task (&checkpoint->tree, task) {
		int error = task->state == TASK_DEAD ? end_zombie(checkpoint, task) : 0;

		if (error)
			return error;
	}
	return 0;
}

/* ---- the end ------------------------------------------------------------------------------ */

void tree_close(struct checkpoint *checkpoint, bool failed)
{
	int status;

	if (failed)
		tree_kill(&checkpoint->tree);
	tree_each_task (&checkpoint->tree, task)
		fd_close(&task->pidfd);
	/* Not for ever: of a thread that was cloned and never adopted, only our end lets go. */
	if (failed && checkpoint->tree.count && checkpoint->tree.tasks[0]->pid)
		remote_wait(checkpoint->tree.tasks[0]->pid, &status);
	if (checkpoint->channel.number) {
		fd_close(&checkpoint->channel.near);
		fd_close(&checkpoint->channel.far);
	}
	hash_free(&checkpoint->tree.by_id);
	hash_free(&checkpoint->tree.stood_in);
}
