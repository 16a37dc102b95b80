/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checkpoint/grow.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/phase.h"
#include "base/report.h"
#include "checkpoint/action.h"
#include "checkpoint/checkpoint.h"
#include "memory/memory.h"
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

/* Until it is seized, the newborn ends by itself when stasis does. */
static _Noreturn void wait_to_be_seized(int life, int ours)
{
	char byte;

	close(ours);
	while (read(life, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(1);
}

/*
 * The root's number as stasis sees it, or the negative errno of clone3; does not return in the
 * newborn.  In a pid namespace of its own, its id is the number there.
 */
static pid_t clone_newborn(struct checkpoint *checkpoint, pid_t id, const int life[2])
{
	struct clone_args args = {
		.flags = checkpoint->tree.above ? CLONE_NEWPID : 0,
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&id,
		.set_tid_size = 1,
	};

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
 * is then who it will be afterwards.  The root's number, or a negative errno.
 */
static pid_t clone_root(struct checkpoint *checkpoint, struct task *root, const int life[2])
{
	pid_t born = -ECHILD;
	int told[2];

	checkpoint->root_is_child = !checkpoint->options->restore_sibling;
	if (!checkpoint->options->restore_detached || checkpoint->options->restore_sibling ||
	    !minds_parents_end(root))
		return clone_newborn(checkpoint, root->id, life);

	if (pipe2(told, O_CLOEXEC) < 0)
		return -errno;

	pid_t midwife = fork();

	if (midwife == 0) {
		born = clone_newborn(checkpoint, root->id, life);
		_exit(write(told[1], &born, sizeof(born)) != sizeof(born));
	}
	close(told[1]);
	if (midwife < 0 || fd_read_all(told[0], &born, sizeof(born)))
		born = midwife < 0 ? -EAGAIN : -ECHILD;
	close(told[0]);
	checkpoint->root_is_child = false;
	while (midwife > 0 && waitpid(midwife, NULL, 0) < 0 && errno == EINTR)
		;
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
	pid_t born;

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
	return empty_root(checkpoint, &leader->remote);
}

/*
 * Adds a clone3 to a batch.  CLONE_PTRACE: the newborn is ours from the beginning, and stops, but
 * who clones it need not.
 */
static void add_clone(struct batch *batch, uint64_t flags, pid_t id)
{
	struct clone_args args = {
		.flags = flags | CLONE_PTRACE,
		.exit_signal = flags & CLONE_THREAD ? 0 : SIGCHLD,
		.set_tid = batch_input(batch, &id, sizeof(id)),
		.set_tid_size = 1,
	};

	batch_call(batch, SYS_clone3, batch_input(batch, &args, sizeof(args)), sizeof(args));
}

/*
 * What stasis calls the thread that a task calls `number`: the kernel notes whom a file's owner is,
 * and tells each by its own namespace.  The file is the channel.
 */
static int64_t number_outside(struct checkpoint *checkpoint, struct remote *inside, pid_t number)
{
	struct f_owner_ex owner = {.type = F_OWNER_TID, .pid = number};
	struct batch batch;
	int64_t result;

	batch_begin(&batch, inside);
	batch_call(&batch, SYS_fcntl, checkpoint->channel.number, F_SETOWN_EX,
		   batch_input(&batch, &owner, sizeof(owner)));
	result = batch_run(&batch);
	if (!result)
		result = batch_result(&batch, 0);
	batch_end(&batch);
	if (!result && fcntl(checkpoint->channel.far, F_GETOWN_EX, &owner) < 0)
		result = -errno;
	return result < 0 ? result : owner.pid > 0 ? owner.pid : -ESRCH;
}

/* born: what the parent's clone3 returned. */
static int adopt(struct checkpoint *checkpoint, struct remote *parent, struct thread *newborn,
		 int64_t born)
{
	struct task *task = newborn->task;
	int error;

	if (born > 0 && checkpoint->tree.above)
		born = number_outside(checkpoint, parent, born);
	if (born < 0)
		return born;
	newborn->tid = born;
	if (newborn == task->threads)
		task->pid = newborn->tid;
	error = remote_adopt(&newborn->remote, newborn->tid);
	if (error)
		return error;
	use_area(checkpoint, newborn, &task->space, newborn - task->threads);
	if (newborn == task->threads)
		task->pidfd = syscall(SYS_pidfd_open, task->pid, 0);
	return 0;
}

/* Clones threads, or first threads of processes, remotely. */
static int bear(struct checkpoint *checkpoint, struct remote *parent, uint64_t flags,
		struct thread *const *newborns, size_t count)
{
	struct batch batch;
	int result = 0;

	batch_begin(&batch, parent);
	for (size_t first = 0, next = 0; first < count && !result; first = next) {
		while (next < count && batch_fits(&batch, 1, sizeof(struct clone_args) + 32))
			add_clone(&batch, flags, newborns[next++]->id);

		int run = batch_run(&batch);

		/* All that were born are adopted, whatever became of the others. */
		for (size_t i = first; i < next; i++) {
			int error = run ? run
					: adopt(checkpoint, parent, newborns[i],
						batch_result(&batch, i - first));

			if (error && !result)
				result = cannot_clone(newborns[i]->id, error);
		}
		batch_reset(&batch);
	}
	batch_end(&batch);
	return result;
}

static int bear_task(struct checkpoint *checkpoint, struct remote *parent, struct task *task)
{
	return bear(checkpoint, parent, 0, &(struct thread *){task->threads}, 1);
}

static int bear_threads(struct checkpoint *checkpoint, struct task *task)
{
	struct thread **threads =
		arena_new_array(checkpoint->arena, struct thread *, task->thread_count);

	for (size_t i = 0; i < task->thread_count; i++)
		threads[i] = &task->threads[i];
	return bear(checkpoint, task_leader(task),
		    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			    CLONE_SYSVSEM,
		    threads + 1, task->thread_count - 1);
}

/* ---- helpers: short-lived tasks that stand in for ones that are gone ---------------------- */

static int start_helper(struct checkpoint *checkpoint, struct task *parent, pid_t id,
			struct task *helper, struct thread *thread)
{
	*helper = (struct task){
		.id = id, .threads = thread, .thread_count = 1, .pidfd = -1, .proc = -1};
	*thread = (struct thread){.task = helper, .id = id};
	return bear_task(checkpoint, task_leader(parent), helper);
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

static int end_helper(struct task *parent, struct task *helper)
{
	int error = end_by_exit(task_leader(helper), 0);

	fd_close(&helper->pidfd);
	if (!error)
		error = remote_syscall(task_leader(parent), SYS_wait4, helper->id, 0, __WALL);
	if (error == helper->id)
		return 0;
	return FAIL(error < 0 ? -error : EIO, SUBJECT("pid %d", helper->id), NULL,
		    "the helper for its session or process group did not end as it should");
}

/* The children of a subreaper whose session's leader is gone: one helper for each session. */
static int bear_orphans(struct checkpoint *checkpoint, struct task *task)
{
	for (size_t i = 0; i < task->child_count; i++) {
		struct task *first = task->children[i], helper;
		struct thread thread;
		int error;

		if (!first->lost_session || first->pid)
			continue;
		error = remote_syscall(task_leader(task), SYS_prctl, PR_SET_CHILD_SUBREAPER, 1);
		if (error)
			return FAIL(-error, task_subject(task), NULL,
				    "cannot adopt its children again: %s", strerror(-error));
		error = start_helper(checkpoint, task, first->birth_sid, &helper, &thread);
		if (!error && remote_syscall(&thread.remote, SYS_setsid) != helper.id)
			error = FAIL(EPERM, task_subject(first), NULL, "cannot make its session %d",
				     first->birth_sid);
		for (size_t k = i; k < task->child_count && !error; k++)
			if (task->children[k]->lost_session &&
			    task->children[k]->birth_sid == first->birth_sid)
				error = bear_task(checkpoint, &thread.remote, task->children[k]);
		if (!error)
			error = end_helper(task, &helper);
		if (error)
			return error;
	}
	return 0;
}

/* ---- the tree ----------------------------------------------------------------------------- */

static int bear_children(struct checkpoint *checkpoint, struct task *task, bool early,
			 bool inheriting)
{
	struct thread **newborns =
		arena_new_array(checkpoint->arena, struct thread *, task->child_count);
	size_t count = 0;

	for (size_t i = 0; i < task->child_count; i++) {
		struct task *child = task->children[i];

		if (!child->lost_session && child->before_setsid == early &&
		    memory_inherits(child) == inheriting)
			newborns[count++] = child->threads;
	}
	return count ? bear(checkpoint, task_leader(task), 0, newborns, count) : 0;
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
	return sid == task->sid
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

	if (task->state == TASK_DEAD)
		return 0;
	if (task->parent)
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

int tree_grow(struct checkpoint *checkpoint)
{
	struct phase phase = phase_begin("grow", &checkpoint->stats.forking_time);
	int error = make_channel(checkpoint);

	if (!error)
		error = make_area(checkpoint);
	if (!error)
		error = bear_root(checkpoint, checkpoint->tree.tasks[0]);
	if (!error)
		error = pid_namespace_born(checkpoint);
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
	tree_each_task (&checkpoint->tree, task)
		if (!error)
			error = grow_task(checkpoint, task);
	tree_each_task (&checkpoint->tree, task)
		if (!error && task->thread_count > 1)
			error = bear_threads(checkpoint, task);
	phase_end(&phase);
	return error;
}

/* ---- process groups ----------------------------------------------------------------------- */

static int set_group(struct task *task, pid_t pgid)
{
	int64_t result = remote_syscall(task_leader(task), SYS_setpgid, 0, pgid);

	return result == 0 ? 0
			   : FAIL(-result, task_subject(task), NULL,
				  "cannot join process group %d: %s", pgid, strerror(-result));
}

/* As the images call it: the task's own view. */
static pid_t group_of(struct checkpoint *checkpoint, struct task *task)
{
	return checkpoint->tree.above ? remote_syscall(task_leader(task), SYS_getpgid, 0)
				      : getpgid(task->pid);
}

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
	struct task helper;
	struct thread thread;
	int error = start_helper(checkpoint, first, first->pgid, &helper, &thread);

	if (!error)
		error = set_group(&helper, 0);
	for (size_t i = index; i < tree->count && !error; i++)
		if (tree->tasks[i]->pgid == first->pgid)
			error = set_group(tree->tasks[i], first->pgid);
	return error ? error : end_helper(first, &helper);
}

int tree_lend_group(struct checkpoint *checkpoint, struct task *parent, pid_t id,
		    int (*use)(void *argument), void *argument)
{
	struct task helper;
	struct thread thread;
	int error = start_helper(checkpoint, parent, id, &helper, &thread);

	if (!error)
		error = set_group(&helper, 0);
	if (!error)
		error = use(argument);
	return error ? error : end_helper(parent, &helper);
}

int tree_group(struct checkpoint *checkpoint)
{
	struct tree *tree = &checkpoint->tree;
	int error = 0;

	tree_each_task (tree, task)
		if (!error && task->pgid == task->id && task->sid != task->id &&
		    !keeps_group(checkpoint, task))
			error = set_group(task, 0);
	for (size_t i = 0; i < tree->count && !error; i++) {
		struct task *task = tree->tasks[i];

		if (task->pgid == task->id || keeps_group(checkpoint, task) ||
		    group_of(checkpoint, task) == task->pgid)
			continue;

		struct task *leader = hash_get(&tree->by_id, task->pgid);

		error = leader && leader->id == task->pgid ? set_group(task, task->pgid)
							   : join_lost_group(checkpoint, task, i);
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

	tree_each_task (&checkpoint->tree, task) {
		if (failed && task->pidfd >= 0)
			syscall(SYS_pidfd_send_signal, task->pidfd, SIGKILL, NULL, 0);
		else if (failed && task->thread_count && task_leader(task)->seized)
			kill(task->pid, SIGKILL); /* it failed while it was born */
	}
	/* The first process of a pid namespace ends when no other is left. */
	for (size_t t = checkpoint->tree.count; t-- > 0;) {
		struct task *task = checkpoint->tree.tasks[t];

		if (failed)
			task_reap(task);
		fd_close(&task->pidfd);
	}
	/* Not for ever: of a thread that was cloned and never adopted, only our end lets go. */
	if (failed && checkpoint->tree.count && checkpoint->tree.tasks[0]->pid)
		remote_wait(checkpoint->tree.tasks[0]->pid, &status);
	if (checkpoint->channel.number) {
		fd_close(&checkpoint->channel.near);
		fd_close(&checkpoint->channel.far);
	}
	hash_free(&checkpoint->tree.by_id);
}
