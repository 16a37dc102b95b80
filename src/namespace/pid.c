/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pid namespaces: pidns-ID.img, and how they belong together. */
#include "namespace/pid.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "images/pidns.pb-c.h"
#include "namespace/internal.h"
#include "task/proc.h"

/* What proc_sys(5) answers about the namespace of who reads or writes it, whoever opened it. */
static const char last_pid[] = "/proc/sys/kernel/ns_last_pid";

enum { NUMBER = 16 }; /* digits of a pid, and then some */

/* The state of a namespace is its image; its task, its first process. */
static PidnsEntry *entry_of(const struct namespace *namespace)
{
	return namespace->state;
}

#define each_pid_namespace(checkpoint, item)                                                       \
	array_each (&(checkpoint)->namespaces.all, item)                                           \
		if ((*item)->kind == NAMESPACE_PID)

/* ---- dump ---------------------------------------------------------------------------------- */

static int find_parent(struct checkpoint *checkpoint, struct namespace *namespace)
{
	autofd int fd = ioctl(namespace->fd, NS_GET_PARENT);
	enum namespace_kind kind;

	if (fd < 0)
		return FAIL(errno, namespace_subject(namespace), NULL,
			    "the pid namespace around it cannot be opened: %s", strerror(errno));
	namespace->parent = namespace_of_fd(checkpoint, fd, &kind);
	return 0;
}

/* With its first process, the kernel kills all others. */
static int check_first(struct namespace *namespace)
{
	static const char remedy[] = "give the first process of the namespace to -t, or one above "
				     "it; or run stasis inside the namespace";
	const struct task *task = namespace->task;
	const TaskCoreEntry *core;

	if (!task)
		return REFUSE(
			namespace_subject(namespace), remedy,
			"its first process has ended or is not in the tree, but it is held by "
			"a file, or children would be born into it");
	if (!task_is_init(task))
		return REFUSE(task_subject(task), remedy,
			      "it is in a pid namespace whose first process is not in the tree");
	core = task->threads[0].core->tc;
	if (task->state == TASK_DEAD && core && WIFSIGNALED(core->exit_code) &&
	    WTERMSIG(core->exit_code) != SIGKILL)
		return REFUSE(task_subject(task), "let its parent wait for it",
			      "it is a zombie that was the first process of a pid namespace, and "
			      "ended by a signal that cannot end such a process again");
	return 0;
}

static struct namespace *pid_namespace_of_number(struct checkpoint *checkpoint, const char *number)
{
	struct stat stat;
	char path[NAME_MAX + 32];

	snprintf(path, sizeof(path), "/proc/%s/ns/pid", number);
	return fstatat(AT_FDCWD, path, &stat, 0) < 0
		       ? NULL
		       : hash_get(&checkpoint->namespaces.by_inode, stat.st_ino);
}

/* Who came in from outside (nsenter, a shell in a container) would be killed with the tree. */
static int check_members(struct checkpoint *checkpoint)
{
	DIR *proc = opendir("/proc");
	int result = 0;

	if (!proc)
		return FAIL(errno, SUBJECT("/proc"), "mount it", "cannot be opened: %s",
			    strerror(errno));
	for (struct dirent *entry; (entry = readdir(proc));) {
		if (!isdigit((unsigned char)*entry->d_name) ||
		    hash_get(&checkpoint->tree.by_pid, atoi(entry->d_name)) ||
		    !pid_namespace_of_number(checkpoint, entry->d_name))
			continue;
		if (checkpoint->options->leave_running || checkpoint->options->leave_stopped) {
			log_warn("pid %s is in a pid namespace of the tree, but not in the tree: "
				 "it is not dumped",
				 entry->d_name);
			continue;
		}
		result = REFUSE(SUBJECT("pid %s", entry->d_name),
				"end it, or dump with --leave-running",
				"it came into a pid namespace of the tree from outside, is no part "
				"of the tree, and would be killed with it");
	}
	closedir(proc);
	return result;
}

/* Once; one that only a file holds is found late, and refused. */
static int describe(struct checkpoint *checkpoint, struct namespace *namespace)
{
	int error;

	if (namespace->state)
		return 0;
	namespace->state = ARENA_MESSAGE(checkpoint->arena, pidns_entry, PidnsEntry);
	error = check_first(namespace);
	/* Around that of the root there is stasis, at whatever distance. */
	if (!error && namespace != checkpoint->tree.tasks[0]->pids)
		error = find_parent(checkpoint, namespace);
	return error;
}

int pid_namespaces_survey(struct checkpoint *checkpoint)
{
	bool any = false;
	int result = 0, error;

	tree_each_task (&checkpoint->tree, task)
		if (task->pids && (!task->pids->task || task_is_init(task)))
			task->pids->task = task;
	/* By index: those around others may be found meanwhile. */
	for (size_t i = 0; i < checkpoint->namespaces.all.count; i++) {
		struct namespace *namespace = checkpoint->namespaces.all.items[i];

		if (namespace->kind != NAMESPACE_PID)
			continue;
		any = true;
		error = describe(checkpoint, namespace);
		if (error)
			result = error;
	}
	error = any ? check_members(checkpoint) : 0;
	return error ? error : result;
}

/* One call in the task, on a descriptor of stasis' own that it gets for a moment. */
static int call_on(const struct remote_channel *channel, struct remote *remote, int fd, uint64_t nr,
		   char text[NUMBER])
{
	size_t size = strlen(text), call;
	struct batch batch;
	uint64_t address;
	int number, error = remote_send_fds(channel, remote, &fd, 1, &number);
	char *buffer;

	if (error)
		return error;
	batch_begin(&batch, remote);
	buffer = batch_data(&batch, NUMBER, &address);
	strcpy(buffer, text);
	call = batch_call(&batch, nr, number, address, size ? size : NUMBER - 1, 0);
	batch_call(&batch, SYS_close, number);
	error = batch_run(&batch);
	if (!error && batch_result(&batch, call) < 0)
		error = batch_result(&batch, call);
	if (!error)
		memcpy(text, buffer, NUMBER);
	batch_end(&batch);
	return error;
}

/* Gives the task a socket pair and takes one end of it. */
static int open_channel(struct task *task, struct remote_channel *channel, int ends[2])
{
	struct batch batch;
	uint64_t address;
	const int *numbers;
	int error;

	batch_begin(&batch, task_leader(task));
	numbers = batch_data(&batch, 2 * sizeof(int), &address);
	batch_call(&batch, SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, address);
	error = batch_run(&batch);
	if (!error)
		error = batch_result(&batch, 0);
	if (!error)
		memcpy(ends, numbers, 2 * sizeof(int));
	batch_end(&batch);
	if (error)
		return error;
	*channel = (struct remote_channel){.far = -1, .number = ends[1]};
	channel->near = syscall(SYS_pidfd_getfd, task->pidfd, ends[0], 0);
	return channel->near < 0 ? -errno : 0;
}

static int ask_last_pid(struct task *task, int fd, char text[NUMBER])
{
	struct remote_channel channel = {.near = -1};
	int ends[2] = {-1, -1}, error = open_channel(task, &channel, ends);

	if (!error)
		error = call_on(&channel, task_leader(task), fd, SYS_pread64, text);
	for (size_t i = 0; i < 2; i++)
		if (ends[i] >= 0)
			remote_syscall(task_leader(task), SYS_close, ends[i]);
	fd_close(&channel.near);
	return error;
}

int pid_namespaces_store(struct checkpoint *checkpoint)
{
	autofd int fd = open(last_pid, O_RDONLY | O_CLOEXEC);
	int error = 0;

	each_pid_namespace(checkpoint, item)
	{
		struct task *task = (*item)->task;
		PidnsEntry *entry = entry_of(*item);
		char text[NUMBER] = "";

		if (error || task->state == TASK_DEAD)
			continue;
		error = fd < 0 ? -ENOENT : ask_last_pid(task, fd, text);
		if (error)
			return FAIL(-error, task_subject(task),
				    error == -ENOENT ? "use a kernel with CONFIG_CHECKPOINT_RESTORE"
						     : NULL,
				    "it cannot read %s: %s", last_pid, strerror(-error));
		entry->has_last_pid = true;
		entry->last_pid = atoi(text);
	}
	return error;
}

static int write_image(struct checkpoint *checkpoint, struct namespace *namespace)
{
	PidnsEntry *entry = entry_of(namespace);

	entry->has_parent = namespace->parent != NULL;
	entry->parent = entry->has_parent ? namespace->parent->id : 0;
	return image_write_one(checkpoint->images, IMAGE_PIDNS, namespace->id, entry);
}

/* ---- restore ------------------------------------------------------------------------------- */

/* CRIU writes none for a namespace that is not external. */
static int read_image(struct checkpoint *checkpoint, struct namespace *namespace)
{
	PidnsEntry *entry = NULL;
	char name[64];
	int error = image_read_one(checkpoint->images, IMAGE_PIDNS, namespace->id,
				   checkpoint->arena, &entry);

	if (error == -ENOENT)
		entry = ARENA_MESSAGE(checkpoint->arena, pidns_entry, PidnsEntry);
	else if (error)
		return error;
	if (entry->ext_key)
		return REFUSE(SUBJECT("%s", image_name(IMAGE_PIDNS, namespace->id, name)),
			      "dump again without --external pid[...]",
			      "is of an external pid namespace (%s)", entry->ext_key);
	namespace->state = entry;
	return 0;
}

static int corrupt(const struct task *task, const char *what)
{
	return FAIL(EINVAL, task_subject(task), "the checkpoint is damaged: dump again",
		    "its pid namespace makes no sense: %s", what);
}

/* The namespace `count` levels further out. */
static struct namespace *outer(struct namespace *namespace, size_t count)
{
	while (namespace && count--)
	namespace = namespace->parent;
	return namespace;
}

static int check_task(struct checkpoint *checkpoint, struct task *task)
{
	const struct task *root = checkpoint->tree.tasks[0], *parent = task->parent;

	if (outer(task->pids, task->depth) != root->pids ||
	    (task->depth && outer(task->pids, task->depth - 1) == root->pids))
		return corrupt(task, "it is at another depth");
	if (!parent) {
		if (!task->pids)
			return 0;
		if (!task_is_init(task))
			return corrupt(task, "the root is not its first process");
	} else if (parent->depth > task->depth ||
		   outer(task->pids, task->depth - parent->depth) != parent->pids) {
		return corrupt(task, "it is not inside that of its parent");
	}
	if (!task->pids || !task_is_init(task))
		return 0;
	if (task->pids->task || (parent && parent->depth + 1 != task->depth))
		return corrupt(task, "it cannot be its first process");
	task->pids->task = task;
	return 0;
}

static int check_init(const struct task *task)
{
	const struct task *init = task->pids ? task->pids->task : NULL;

	if (!task->pids || (init && (init->state != TASK_DEAD || init == task)))
		return 0;
	return corrupt(task, "its first process is missing or has ended");
}

/* What the children of a task are born into; NULL: its own, or (with *unborn) a new one. */
static int namespace_of_children(struct checkpoint *checkpoint, const struct task *task,
				 struct namespace **namespace, bool *unborn)
{
	const TaskKobjIdsEntry *ids = task->threads[0].core->ids;
	const struct task *init;

	*namespace = NULL;
	*unborn = false;
	if (task->state == TASK_DEAD || !ids->has_pid_for_children_ns_id)
		return 0;
	*unborn = !ids->pid_for_children_ns_id;
	if (*unborn)
		return 0;
	*namespace = namespace_by_id(checkpoint, NAMESPACE_PID, ids->pid_for_children_ns_id);
	init = *namespace ? (*namespace)->task : NULL;
	if (!init || init->state == TASK_DEAD || init->depth <= task->depth ||
	    outer(*namespace, init->depth - task->depth) != task->pids)
		return corrupt(task, "that of its children is none");
	return 0;
}

int pid_namespaces_check(struct checkpoint *checkpoint)
{
	int error = 0;

	each_pid_namespace(checkpoint, item)
	{
		uint32_t parent = entry_of(*item)->parent;

		(*item)->task = NULL;
		(*item)->parent = namespace_by_id(checkpoint, NAMESPACE_PID, parent);
		if (parent && !(*item)->parent)
			return FAIL(EINVAL, namespace_subject(*item),
				    "the checkpoint is damaged: dump again",
				    "the pid namespace %u around it is missing", parent);
	}
	tree_each_task (&checkpoint->tree, task) {
		if (task->state != TASK_DEAD)
			task->pids = namespace_of_task(checkpoint, task, NAMESPACE_PID);
		else if (task->pid_ns)
			task->pids = namespace_by_id(checkpoint, NAMESPACE_PID, task->pid_ns);
		else
			task->pids = task->parent->pids;
		if (!error)
			error = check_task(checkpoint, task);
	}
	tree_each_task (&checkpoint->tree, task) {
		struct namespace *unused;
		bool unborn;

		if (!error)
			error = check_init(task);
		if (!error)
			error = namespace_of_children(checkpoint, task, &unused, &unborn);
	}
	return error;
}

/* The task's children will be born in the namespace of a process, or in a new one. */
static int set_for_children(struct checkpoint *checkpoint, struct task *task)
{
	struct namespace *namespace;
	bool unborn;
	int64_t result = namespace_of_children(checkpoint, task, &namespace, &unborn);

	if (unborn)
		result = remote_syscall(task_leader(task), SYS_unshare, CLONE_NEWPID);
	else if (namespace)
		result = pid_namespace_choose(task, namespace->task);
	return result < 0 ? FAIL(-result, task_subject(task), NULL,
				 "cannot be given the pid namespace of its children: %s",
				 strerror(-result))
			  : 0;
}

int pid_namespace_born(const struct task *task)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", task->pid);
	task->pids->fd = open(path, O_RDONLY | O_CLOEXEC);
	return task->pids->fd < 0 ? FAIL(errno, task_subject(task), "mount /proc",
					 "cannot open %s: %s", path, strerror(errno))
				  : 0;
}

int pid_namespace_choose(struct task *task, const struct task *member)
{
	struct remote *remote = task_leader(task);
	int64_t fd = remote_syscall(remote, SYS_pidfd_open, task_numbers(member, task->depth).id,
				    0),
		result;

	if (fd < 0)
		return fd;
	result = remote_syscall(remote, SYS_setns, fd, CLONE_NEWPID);
	remote_syscall(remote, SYS_close, fd);
	return result;
}

static int set_last_pid(struct checkpoint *checkpoint, struct namespace *namespace, int fd)
{
	const PidnsEntry *entry = entry_of(namespace);
	char text[NUMBER];
	int error;

	if (!entry->has_last_pid || namespace->task->state == TASK_DEAD)
		return 0;
	snprintf(text, sizeof(text), "%u", entry->last_pid);
	error = fd < 0 ? -ENOENT
		       : call_on(&checkpoint->channel, task_leader(namespace->task), fd,
				 SYS_pwrite64, text);
	return error ? FAIL(-error, task_subject(namespace->task),
			    error == -EINVAL ? "raise /proc/sys/kernel/pid_max" : NULL,
			    "it cannot write %s to %s: %s", text, last_pid, strerror(-error))
		     : 0;
}

int pid_namespaces_finish(struct checkpoint *checkpoint)
{
	autofd int fd = open(last_pid, O_WRONLY | O_CLOEXEC);
	int error = 0;

	tree_each_task (&checkpoint->tree, task)
		if (!error && task->state != TASK_DEAD)
			error = set_for_children(checkpoint, task);
	each_pid_namespace(checkpoint, item)
	{
		if (!error)
			error = set_last_pid(checkpoint, *item, fd);
	}
	return error;
}

const struct namespace_content pid_content = {
	.describe = describe,
	.write = write_image,
	.read = read_image,
};
