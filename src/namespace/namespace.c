/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "namespace/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/phase.h"
#include "checkpoint/checkpoint.h"
#include "namespace/internal.h"
#include "namespace/pid.h"

#define IDS_FIELD(name) offsetof(TaskKobjIdsEntry, name), offsetof(TaskKobjIdsEntry, has_##name)

/* Under /proc/PID/ns; the id that says "that of stasis" in our images is the row's number + 1. */
static const struct kind {
	const char *name, *what;
	int flag;
	size_t id, has_id;
	bool of_process; /* a single thread cannot have another */
	bool carried;
	const struct namespace_content *content;
} kinds[NAMESPACE_KINDS] = {
	[NAMESPACE_PID] = {"pid", "pid namespace", CLONE_NEWPID, IDS_FIELD(pid_ns_id),
			   .of_process = true, .carried = true, .content = &pid_content},
	[NAMESPACE_NET] = {"net", "network namespace", CLONE_NEWNET, IDS_FIELD(net_ns_id),
			   .carried = true, .content = &net_content},
	[NAMESPACE_IPC] = {"ipc", "ipc namespace", CLONE_NEWIPC, IDS_FIELD(ipc_ns_id),
			   .carried = true, .content = &ipc_content},
	[NAMESPACE_UTS] = {"uts", "uts namespace", CLONE_NEWUTS, IDS_FIELD(uts_ns_id),
			   .carried = true, .content = &uts_content},
	/* What it holds: src/mount/. */
	[NAMESPACE_MNT] = {"mnt", "mount namespace", CLONE_NEWNS, IDS_FIELD(mnt_ns_id),
			   .carried = true},
	[NAMESPACE_USER] = {"user", "user namespace", CLONE_NEWUSER, IDS_FIELD(user_ns_id),
			    .of_process = true},
	[NAMESPACE_CGROUP] = {"cgroup", "cgroup namespace", CLONE_NEWCGROUP,
			      IDS_FIELD(cgroup_ns_id)},
	[NAMESPACE_TIME] = {"time", "time namespace", CLONE_NEWTIME, IDS_FIELD(time_ns_id)},
};

/* What children will be born into: these files follow those of the kinds, see NAMESPACE_FILES. */
static const struct for_children {
	const char *name;
	enum namespace_kind kind;
} for_children[NAMESPACE_FILES - NAMESPACE_KINDS] = {
	{"pid_for_children", NAMESPACE_PID},
	{"time_for_children", NAMESPACE_TIME},
};

static const char elsewhere[] = "run stasis inside that namespace, or the program outside it";

struct subject namespace_subject(const struct namespace *namespace)
{
	return SUBJECT("%s %u", kinds[namespace->kind].what, namespace->id);
}

const char *namespace_name(enum namespace_kind kind)
{
	return kinds[kind].name;
}

int namespace_flag(enum namespace_kind kind)
{
	return kinds[kind].flag;
}

enum namespace_kind namespace_kind_of_flag(int flag)
{
	size_t kind = 0;

	while (kind < NAMESPACE_KINDS && kinds[kind].flag != flag)
		kind++;
	return kind;
}

static void set_id(TaskKobjIdsEntry *ids, enum namespace_kind kind, uint32_t id)
{
	*(protobuf_c_boolean *)((char *)ids + kinds[kind].has_id) = true;
	*(uint32_t *)((char *)ids + kinds[kind].id) = id;
}

/* 0: there is none. */
static uint32_t get_id(const TaskKobjIdsEntry *ids, enum namespace_kind kind)
{
	return *(const protobuf_c_boolean *)((const char *)ids + kinds[kind].has_id)
		       ? *(const uint32_t *)((const char *)ids + kinds[kind].id)
		       : 0;
}

static struct namespace *add(struct checkpoint *checkpoint, enum namespace_kind kind, uint32_t id)
{
	struct namespace_table *table = &checkpoint->namespaces;
	struct namespace *namespace = arena_new_object(checkpoint->arena, struct namespace);

	*namespace = (struct namespace){.kind = kind, .id = id, .fd = -1};
	*array_push(&table->all) = namespace;
	hash_put(&table->by_id, (uint64_t)kind << 32 | id, namespace);
	return namespace;
}

struct namespace *namespace_by_id(struct checkpoint *checkpoint, enum namespace_kind kind,
				  uint32_t id)
{
	return hash_get(&checkpoint->namespaces.by_id, (uint64_t)kind << 32 | id);
}

struct namespace *namespace_of_task(struct checkpoint *checkpoint, const struct task *task,
				    enum namespace_kind kind)
{
	const TaskKobjIdsEntry *ids = task->threads[0].core ? task->threads[0].core->ids : NULL;

	return ids ? namespace_by_id(checkpoint, kind, get_id(ids, kind)) : NULL;
}

/* ---- dump: which namespaces ---------------------------------------------------------------- */

/* The inode of a namespace file; ~0 when this kernel has no such kind. */
static int namespace_inode(int dirfd, const char *directory, const char *name, uint64_t *inode)
{
	struct stat stat;
	char path[64];

	snprintf(path, sizeof(path), "%s%s", directory, name);
	if (fstatat(dirfd, path, &stat, 0) < 0) {
		*inode = ~0ull;
		return errno == ENOENT ? 0 : -errno;
	}
	*inode = stat.st_ino;
	return 0;
}

static const char *file_name(size_t file)
{
	return file < NAMESPACE_KINDS ? kinds[file].name
				      : for_children[file - NAMESPACE_KINDS].name;
}

/* stasis' own, read when they are first asked for. */
static int own_inode(struct checkpoint *checkpoint, size_t file, uint64_t *inode)
{
	uint64_t *own = &checkpoint->own_namespaces[file];
	int error = *own ? 0 : namespace_inode(AT_FDCWD, "/proc/self/ns/", file_name(file), own);

	*inode = *own;
	return error ? FAIL(-error, SUBJECT("dump"), "mount /proc", "cannot read ns/%s: %s",
			    file_name(file), strerror(-error))
		     : 0;
}

/* Who may do what in it is decided by the user namespace that it belongs to. */
static int check_owner(struct checkpoint *checkpoint, struct subject subject,
		       enum namespace_kind kind, int fd)
{
	autofd int owner = kind == NAMESPACE_USER ? -1 : ioctl(fd, NS_GET_USERNS);
	uint64_t ours;
	struct stat stat;
	int error;

	if (kind == NAMESPACE_USER)
		return 0;
	error = own_inode(checkpoint, NAMESPACE_USER, &ours);
	if (error)
		return error;
	if (owner >= 0 && fstat(owner, &stat) == 0 && stat.st_ino == ours)
		return 0;
	return REFUSE(subject, elsewhere, "its %s belongs to another user namespace than stasis'",
		      kinds[kind].what);
}

/* A namespace that is not stasis' own.  NULL after a report.  Takes the descriptor. */
static struct namespace *meet(struct checkpoint *checkpoint, struct subject subject,
			      enum namespace_kind kind, uint64_t inode, int fd)
{
	struct namespace_table *table = &checkpoint->namespaces;
	struct namespace *namespace;

	if (!kinds[kind].carried) {
		REFUSE(subject, elsewhere,
		       "it has a %s of its own, which stasis cannot checkpoint yet",
		       kinds[kind].what);
		close(fd);
		return NULL;
	}
	if (check_owner(checkpoint, subject, kind, fd)) {
		close(fd);
		return NULL;
	}
	namespace = add(checkpoint, kind, NAMESPACE_KINDS + 1 + table->all.count);
	namespace->inode = inode;
	namespace->fd = fd;
	hash_put(&table->by_inode, inode, namespace);
	return namespace;
}

/* setns(2) and unshare(2) act on threads: one may have left what its process is in. */
static int describe_thread(struct checkpoint *checkpoint, const struct task *task, pid_t tid,
			   const uint64_t *of_process)
{
	char directory[32];
	int result = 0;

	snprintf(directory, sizeof(directory), "task/%d/ns/", tid);
	for (size_t i = 0; i < NAMESPACE_FILES; i++) {
		uint64_t theirs;

		if (i < NAMESPACE_KINDS && kinds[i].of_process)
			continue;

		int error = namespace_inode(task->proc, directory, file_name(i), &theirs);

		if (error)
			result = FAIL(-error, SUBJECT("thread %d of pid %d", tid, task->pid), NULL,
				      "cannot read ns/%s: %s", file_name(i), strerror(-error));
		else if (theirs != of_process[i] || (i >= NAMESPACE_KINDS && theirs == ~0ull))
			result = REFUSE(
				SUBJECT("thread %d of pid %d", tid, task->pid),
				"let the thread end before the dump",
				"it has another %s%s than its process, which stasis cannot "
				"checkpoint yet",
				kinds[i < NAMESPACE_KINDS ? i
							  : for_children[i - NAMESPACE_KINDS].kind]
					.what,
				i < NAMESPACE_KINDS ? "" : " for its children");
	}
	return result;
}

/* The namespace of a file of the task.  NULL after a report. */
static struct namespace *namespace_of_file(struct checkpoint *checkpoint, const struct task *task,
					   size_t file, enum namespace_kind kind, uint64_t inode)
{
	struct namespace *namespace = hash_get(&checkpoint->namespaces.by_inode, inode);
	char path[32];
	int fd;

	if (namespace)
		return namespace;
	snprintf(path, sizeof(path), "ns/%s", file_name(file));
	fd = openat(task->proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		FAIL(errno, task_subject(task), NULL, "cannot open %s: %s", path, strerror(errno));
		return NULL;
	}
	return meet(checkpoint, task_subject(task), kind, inode, fd);
}

static int describe_kind(struct checkpoint *checkpoint, struct task *task, enum namespace_kind kind,
			 uint64_t inode)
{
	struct namespace *namespace = namespace_of_file(checkpoint, task, kind, kind, inode);

	if (!namespace)
		return -EOPNOTSUPP;
	if (!namespace->task)
	namespace->task = task;
	if (kind == NAMESPACE_PID)
		task->pids = namespace;
	if (task->state != TASK_DEAD)
		set_id(task->threads[0].core->ids, kind, namespace->id);
	return 0;
}

/* That its children are born into, by ns/pid_for_children; it has no inode before the first is. */
static int describe_for_children(struct checkpoint *checkpoint, struct task *task,
				 const struct for_children *row, uint64_t inode)
{
	TaskKobjIdsEntry *ids = task->threads[0].core->ids;
	struct namespace *namespace;

	if (row->kind != NAMESPACE_PID)
		return REFUSE(task_subject(task), elsewhere,
			      "its children will have a %s of their own, which stasis "
			      "cannot checkpoint yet",
			      kinds[row->kind].what);
	ids->has_pid_for_children_ns_id = true;
	if (inode == ~0ull)
		return 0;
	namespace = namespace_of_file(checkpoint, task, NAMESPACE_KINDS + (row - for_children),
				      row->kind, inode);
	if (!namespace)
		return -EOPNOTSUPP;
	ids->pid_for_children_ns_id = namespace->id;
	return 0;
}

int namespaces_describe_zombie(struct checkpoint *checkpoint, struct task *task)
{
	uint64_t inode, own;
	int error = namespace_inode(task->proc, "ns/", kinds[NAMESPACE_PID].name, &inode);

	if (error)
		return FAIL(-error, task_subject(task), NULL, "cannot read ns/pid: %s",
			    strerror(-error));
	error = own_inode(checkpoint, NAMESPACE_PID, &own);
	return error || inode == own ? error
				     : describe_kind(checkpoint, task, NAMESPACE_PID, inode);
}

int namespaces_describe(struct checkpoint *checkpoint, struct task *task)
{
	uint64_t inodes[NAMESPACE_FILES], own;
	int result = 0;

	namespaces_own_ids(task->threads[0].core->ids);
	for (size_t i = 0; i < NAMESPACE_FILES; i++) {
		int error = namespace_inode(task->proc, "ns/", file_name(i), &inodes[i]);

		if (error)
			result = FAIL(-error, task_subject(task), NULL, "cannot read ns/%s: %s",
				      file_name(i), strerror(-error));
		else if ((error = own_inode(checkpoint, i, &own)))
			result = error;
		else if (i < NAMESPACE_KINDS && inodes[i] != own &&
			 (error = describe_kind(checkpoint, task, i, inodes[i])))
			result = error;
	}
	for (size_t i = NAMESPACE_KINDS; !result && i < NAMESPACE_FILES; i++) {
		const struct for_children *row = &for_children[i - NAMESPACE_KINDS];

		if (inodes[i] != inodes[row->kind])
			result = describe_for_children(checkpoint, task, row, inodes[i]);
	}
	/* The threads of a process that is refused as a whole would only repeat it. */
	for (size_t i = 1; !result && i < task->thread_count; i++)
		describe_thread(checkpoint, task, task->threads[i].tid, inodes);
	return result;
}

struct namespace *namespace_of_fd(struct checkpoint *checkpoint, int fd, enum namespace_kind *kind)
{
	int flag = ioctl(fd, NS_GET_NSTYPE);
	struct namespace *namespace;
	struct stat stat;
	uint64_t own;

	*kind = namespace_kind_of_flag(flag);
	if (*kind == NAMESPACE_NONE || fstat(fd, &stat) < 0) {
		FAIL(EOPNOTSUPP, SUBJECT("namespace"),
		     "report it: this kernel is newer than stasis",
		     "stasis does not know this kind of namespace (%#x)", (unsigned int)flag);
		return NULL;
	}
	if (own_inode(checkpoint, *kind, &own) || stat.st_ino == own)
		return NULL;
	namespace = hash_get(&checkpoint->namespaces.by_inode, stat.st_ino);
	if (namespace)
		return namespace;
	/* All that have a process of the tree in them, or may get one, are known. */
	if (*kind == NAMESPACE_PID) {
		REFUSE(SUBJECT("pid namespace [%llu]", (unsigned long long)stat.st_ino),
		       "close what holds it", "no process of the tree is in it");
		return NULL;
	}

	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0) {
		FAIL(errno, SUBJECT("namespace"), NULL, "its descriptor cannot be copied: %s",
		     strerror(errno));
		return NULL;
	}
	namespace = meet(checkpoint,
			 SUBJECT("%s [%llu]", kinds[*kind].what, (unsigned long long)stat.st_ino),
			 *kind, stat.st_ino, copy);
	if (namespace && checkpoint->namespaces.surveyed)
		namespace_survey(checkpoint, namespace);
	return namespace;
}

/* ---- what they hold ------------------------------------------------------------------------ */

typedef int content_function(struct checkpoint *checkpoint, struct namespace *namespace);

struct work {
	content_function *function;
	struct checkpoint *checkpoint;
	struct namespace *namespace;
};

static int do_work(void *argument)
{
	struct work *work = argument;

	return work->function(work->checkpoint, work->namespace);
}

static int inside(struct checkpoint *checkpoint, struct namespace *namespace,
		  content_function *function)
{
	struct work work = {function, checkpoint, namespace};

	return namespace_enter(&namespace->fd, 1, 0, do_work, &work,
			       namespace_subject(namespace).text);
}

static const struct namespace_content *content_of(const struct namespace *namespace)
{
	static const struct namespace_content nothing = {0};

	return kinds[namespace->kind].content ? kinds[namespace->kind].content : &nothing;
}

int namespace_survey(struct checkpoint *checkpoint, struct namespace *namespace)
{
	content_function *describe = content_of(namespace)->describe;

	return describe ? inside(checkpoint, namespace, describe) : 0;
}

int namespaces_survey(struct checkpoint *checkpoint)
{
	int result = pid_namespaces_survey(checkpoint);

	/* By index: more may be found meanwhile. */
	for (size_t i = 0; i < checkpoint->namespaces.all.count; i++) {
		int error = namespace_survey(checkpoint, checkpoint->namespaces.all.items[i]);

		if (error)
			result = error;
	}
	checkpoint->namespaces.surveyed = true;
	return result;
}

int namespaces_check(struct checkpoint *checkpoint)
{
	int result = 0;

	array_each (&checkpoint->namespaces.all, item) {
		content_function *check = content_of(*item)->check;
		int error = check && (*item)->state ? check(checkpoint, *item) : 0;

		if (error)
			result = error;
	}
	return result;
}

int namespaces_store(struct checkpoint *checkpoint)
{
	int error = 0;

	array_each (&checkpoint->namespaces.all, item)
		if (!error && content_of(*item)->store)
			error = inside(checkpoint, *item, content_of(*item)->store);
	return error ? error : pid_namespaces_store(checkpoint);
}

int namespaces_write(struct checkpoint *checkpoint)
{
	int error = 0;

	array_each (&checkpoint->namespaces.all, item)
		if (!error && content_of(*item)->write)
			error = content_of(*item)->write(checkpoint, *item);
	return error;
}

void namespaces_own_ids(TaskKobjIdsEntry *ids)
{
	for (size_t i = 0; i < NAMESPACE_KINDS; i++)
		set_id(ids, i, i + 1);
}

/* ---- restore ------------------------------------------------------------------------------- */

int namespace_read_one(struct checkpoint *checkpoint, struct namespace *namespace,
		       enum image_type type, void *message_pointer)
{
	char name[64];
	int error = image_read_one(checkpoint->images, type, namespace->id, checkpoint->arena,
				   message_pointer);

	return error == -ENOENT ? FAIL(ENOENT, SUBJECT("%s", image_name(type, namespace->id, name)),
				       "the checkpoint is incomplete: dump again",
				       "is missing for its %s", kinds[namespace->kind].what)
				: error;
}

/* task: who is in it; NULL: nobody. */
static int read_kind(struct checkpoint *checkpoint, struct task *task, enum namespace_kind kind,
		     uint32_t id)
{
	struct namespace *namespace = namespace_by_id(checkpoint, kind, id);

	if (!id || id == get_id(checkpoint->own_ids, kind))
		return 0;
	if (namespace) {
		if (!namespace->task)
		namespace->task = task;
		return 0;
	}
	if (!kinds[kind].carried)
		return REFUSE(task ? task_subject(task) : SUBJECT("inventory.img"),
			      "restore it with the program that wrote it",
			      "it had a %s of its own, which stasis cannot restore yet",
			      kinds[kind].what);
	namespace = add(checkpoint, kind, id);
	namespace->task = task;

	content_function *read = content_of(namespace)->read;

	return read ? read(checkpoint, namespace) : 0;
}

/* Those that only a descriptor or a mount holds: no task's ids name them. */
static int read_held(struct checkpoint *checkpoint)
{
	const InventoryEntry *inventory = checkpoint->inventory;
	int result = 0;

	for (size_t i = 0; i < inventory->n_namespaces; i++) {
		const InventoryNamespace *entry = inventory->namespaces[i];
		enum namespace_kind kind = namespace_kind_of_flag(entry->ns_cflag);
		int error = kind == NAMESPACE_NONE || !entry->id
				    ? FAIL(EBADMSG, SUBJECT("inventory.img"),
					   "the checkpoint is damaged: take another copy of it",
					   "names a namespace of an unknown kind (%#x)",
					   entry->ns_cflag)
				    : read_kind(checkpoint, NULL, kind, entry->id);

		if (error)
			result = error;
	}
	return result;
}

void namespaces_list(struct checkpoint *checkpoint, InventoryEntry *inventory)
{
	const struct namespace_table *table = &checkpoint->namespaces;

	inventory->namespaces =
		arena_new_array(checkpoint->arena, InventoryNamespace *, table->all.count);
	array_each (&table->all, item) {
		InventoryNamespace *entry =
			ARENA_MESSAGE(checkpoint->arena, inventory_namespace, InventoryNamespace);

		entry->id = (*item)->id;
		entry->ns_cflag = kinds[(*item)->kind].flag;
		inventory->namespaces[inventory->n_namespaces++] = entry;
	}
}

int namespaces_read(struct checkpoint *checkpoint)
{
	int result = 0;

	/* An old image that does not say which are new: none. */
	if (!checkpoint->own_ids)
		checkpoint->own_ids = checkpoint->tree.tasks[0]->threads[0].core->ids;
	tree_each_task (&checkpoint->tree, task)
		for (size_t i = 0; task->state != TASK_DEAD && i < NAMESPACE_KINDS; i++) {
			uint32_t id = get_id(task->threads[0].core->ids, i);
			int error = read_kind(checkpoint, task, i, id);

			if (error)
				result = error;
		}

	int held = read_held(checkpoint);

	if (!result)
		result = held;
	return result ? result : pid_namespaces_check(checkpoint);
}

static int make_one(void *argument)
{
	struct work *work = argument;
	struct namespace *namespace = work->namespace;
	char path[32];
	int error = work->function ? work->function(work->checkpoint, namespace) : 0;

	if (error)
		return error;
	snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[namespace->kind].name);
	namespace->fd = open(path, O_RDONLY | O_CLOEXEC);
	return namespace->fd < 0 ? FAIL(errno, namespace_subject(namespace), "mount /proc",
					"cannot open %s: %s", path, strerror(errno))
				 : 0;
}

int namespaces_make(struct checkpoint *checkpoint)
{
	struct phase phase = phase_begin("namespaces", NULL);
	int error = 0;

	array_each (&checkpoint->namespaces.all, item) {
		struct work work = {content_of(*item)->make, checkpoint, *item};
		const struct kind *kind = &kinds[(*item)->kind];

		/* The others are made elsewhere: with their tasks, or by src/mount/. */
		if (!error && work.function)
			error = namespace_enter(NULL, 0, kind->flag, make_one, &work,
						namespace_subject(*item).text);
	}
	phase_end(&phase);
	return error;
}

static int enter_remotely(struct checkpoint *checkpoint, struct task *task, const int *fds,
			  size_t count)
{
	struct remote *remote = task_leader(task);
	int numbers[NAMESPACE_KINDS];
	struct batch batch;
	int error = remote_send_fds(&checkpoint->channel, remote, fds, count, numbers);

	if (error)
		return FAIL(-error, task_subject(task), NULL,
			    "cannot be sent the descriptors of its namespaces: %s",
			    strerror(-error));
	batch_begin(&batch, remote);
	for (size_t i = 0; i < count; i++)
		batch_call(&batch, SYS_setns, numbers[i], 0);
	for (size_t i = 0; i < count; i++)
		batch_call(&batch, SYS_close, numbers[i]);
	error = batch_run(&batch);
	error = error ? FAIL(-error, task_subject(task), NULL,
			     "cannot be made to enter its namespaces: %s", strerror(-error))
		      : batch_check(&batch, "its namespaces");
	batch_end(&batch);
	return error;
}

int namespace_open(const struct namespace *namespace, enum namespace_kind kind)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[kind].name);
	fd = namespace ? fcntl(namespace->fd, F_DUPFD_CLOEXEC, 0)
		       : open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int namespaces_join(struct checkpoint *checkpoint, struct task *task)
{
	int fds[NAMESPACE_KINDS], error = 0;
	size_t count = 0;

	for (size_t i = 0; i < NAMESPACE_KINDS; i++) {
		struct namespace *namespace = namespace_of_task(checkpoint, task, i);
		struct namespace *inherited =
			task->parent ? namespace_of_task(checkpoint, task->parent, i) : NULL;

		if (error || i == NAMESPACE_PID || namespace == inherited)
			continue;
		fds[count] = namespace_open(namespace, i);
		if (fds[count] < 0)
			error = FAIL(-fds[count], task_subject(task), NULL,
				     "no descriptor of its %s: %s", kinds[i].what,
				     strerror(-fds[count]));
		else
			count++;
	}
	if (!error && count)
		error = enter_remotely(checkpoint, task, fds, count);
	while (count)
		close(fds[--count]);
	return error;
}

int namespaces_finish(struct checkpoint *checkpoint)
{
	int error = 0;

	array_each (&checkpoint->namespaces.all, item) {
		const struct namespace_content *content = content_of(*item);

		if (!error && content->finish_tasks)
			error = content->finish_tasks(checkpoint, *item);
		if (!error && content->finish)
			error = inside(checkpoint, *item, content->finish);
	}
	return error;
}

void namespaces_close(struct checkpoint *checkpoint)
{
	array_each (&checkpoint->namespaces.all, item)
		fd_close(&(*item)->fd);
	array_free(&checkpoint->namespaces.all);
	hash_free(&checkpoint->namespaces.by_inode);
	hash_free(&checkpoint->namespaces.by_id);
}
