/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filesystems that show a namespace, or other mounts: where and when they are made. */
#include "mount/superblock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "mount/filesystem.h"

/* ---- dump ----------------------------------------------------------------------------------- */

/* Process 1 of what a proc shows tells which pid namespace that is. */
int superblock_describe(struct checkpoint *checkpoint, struct superblock *superblock)
{
	const struct filesystem *filesystem = superblock->filesystem;
	enum namespace_kind kind;
	struct namespace *namespace;

	if (!filesystem || filesystem->namespace != NAMESPACE_PID || superblock->fd < 0)
		return 0;
	autofd int fd = openat(superblock->fd, "1/ns/pid", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return REFUSE(superblock_subject(superblock), "unmount it",
			      "it shows a pid namespace whose first process has ended");
	namespace = namespace_of_fd(checkpoint, fd, &kind);
	if (namespace && !namespace->task)
		return REFUSE(superblock_subject(superblock), "unmount it",
			      "it shows a pid namespace that no process of the tree is in");
	superblock->pid_namespace = namespace ? namespace->id : 0;
	return 0;
}

/* ---- restore: when -------------------------------------------------------------------------- */

enum { DEEPEST_LAYERS = 8 };

bool superblock_is_made_inside(const struct superblock *superblock)
{
	return superblock->phase > 0;
}

static struct namespace *pid_namespace(struct checkpoint *checkpoint,
				       const struct superblock *superblock)
{
	return superblock->pid_namespace
		       ? namespace_by_id(checkpoint, NAMESPACE_PID, superblock->pid_namespace)
		       : NULL;
}

/* The mount that a path leads to, when all mounts are there. */
static const struct mount *mount_at(const struct mount_tree *tree, const char *path)
{
	const struct mount *mount = tree->root;

	for (size_t i = 0; i < mount->child_count;) {
		const struct mount *child = mount->children[i++];

		if (path_contains(child->path, path)) {
			mount = child;
			i = 0;
		}
	}
	return mount;
}

static unsigned int phase_of(const struct superblock *superblock, int depth);

/* One layer after another: "lowerdir=/a:/b,upperdir=/c,workdir=/d". */
static unsigned int phase_of_layers(const struct superblock *superblock, int depth)
{
	char *copy = strdup(superblock->options), *list = copy, *option;
	unsigned int phase = 1;

	while (copy && (option = strsep(&list, ","))) {
		char *path = strchr(option, '='), *layer;

		if (!path++ || !strstr(option, "dir"))
			continue;
		while ((layer = strsep(&path, ":"))) {
			const struct mount *mount;

			if (*layer != '/' || !superblock->mounts)
				continue;
			mount = mount_at(superblock->mounts->tree, layer);
			if (mount->superblock != superblock &&
			    phase_of(mount->superblock, depth + 1) >= phase)
				phase = phase_of(mount->superblock, depth + 1) + 1;
		}
	}
	free(copy);
	return phase;
}

static unsigned int phase_of(const struct superblock *superblock, int depth)
{
	if (strcmp(superblock->type, "overlay") || superblock->providers.count)
		return 0;
	return depth < DEEPEST_LAYERS ? phase_of_layers(superblock, depth) : 0;
}

void superblocks_order(struct checkpoint *checkpoint)
{
	const struct task *root = checkpoint->tree.tasks[0];

	array_each (&checkpoint->mounts.graph->superblocks, each) {
		struct superblock *superblock = *each;
		struct namespace *namespace = pid_namespace(checkpoint, superblock);

		superblock->phase = phase_of(superblock, 0);
		superblock->late = namespace && namespace->task != root;
	}
}

/* ---- restore: making ------------------------------------------------------------------------ */

struct work {
	struct checkpoint *checkpoint;
	struct superblock *const *superblocks;
	size_t count;
};

/* In a mount namespace to throw away, see filesystem_make(). */
static int make(void *argument)
{
	struct work *work = argument;
	int error = 0;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return FAIL(errno, superblock_subject(work->superblocks[0]), NULL,
			    "no place to make it in: %s", strerror(errno));
	for (size_t i = 0; i < work->count && !error; i++)
		error = filesystem_make(work->checkpoint, work->superblocks[i]);
	return error;
}

/* fsopen(), fsconfig() and fsmount() by a task; the number of the mount's descriptor there. */
static int make_remotely(struct task *task, const struct superblock *superblock,
			 const filesystem_settings *settings)
{
	struct remote *remote = task_leader(task);
	struct batch batch;
	int context, error, mount = -1;

	batch_begin(&batch, remote);
	batch_call(&batch, SYS_fsopen,
		   batch_input(&batch, superblock->type, strlen(superblock->type) + 1),
		   FSOPEN_CLOEXEC);
	error = batch_run(&batch);
	context = error ? error : (int)batch_result(&batch, 0);
	batch_reset(&batch);
	if (context < 0) {
		batch_end(&batch);
		return context;
	}
	array_each (settings, setting)
		batch_call(&batch, SYS_fsconfig, context,
			   setting->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			   batch_input(&batch, setting->name, strlen(setting->name) + 1),
			   setting->value
				   ? batch_input(&batch, setting->value, strlen(setting->value) + 1)
				   : 0,
			   0);
	batch_call(&batch, SYS_fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0);
	batch_call(&batch, SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
	batch_call(&batch, SYS_close, context);
	error = batch_run(&batch);
	for (size_t i = 0; !error && i <= settings->count; i++)
		if (batch_result(&batch, i) < 0)
			error = batch_result(&batch, i);
	if (!error)
		mount = batch_result(&batch, settings->count + 1);
	batch_end(&batch);
	return error ? error : mount;
}

static int fetch(struct task *task, int number)
{
	int fd = syscall(SYS_pidfd_getfd, task->pidfd, number, 0), error = fd < 0 ? -errno : fd;

	remote_syscall(task_leader(task), SYS_close, number);
	return error;
}

/* A proc shows the pid namespace of who mounts it. */
static int make_in_task(struct checkpoint *checkpoint, struct superblock *superblock,
			struct task *task)
{
	filesystem_settings settings = {0};
	int error = filesystem_settings_of(checkpoint, superblock, &settings);

	if (!error) {
		error = make_remotely(task, superblock, &settings);
		superblock->fd = error < 0 ? -1 : fetch(task, error);
		error = error < 0 ? error : superblock->fd < 0 ? superblock->fd : 0;
		if (error)
			FAIL(-error, superblock_subject(superblock), NULL,
			     "cannot be made by process %d: %s", task->pid, strerror(-error));
	}
	array_free(&settings);
	return error ? error : filesystem_fill(checkpoint, superblock);
}

/* Other filesystems show the namespaces of the tasks that have them mounted. */
static struct namespace *shown_namespace(struct checkpoint *checkpoint,
					 const struct superblock *superblock)
{
	enum namespace_kind kind =
		superblock->filesystem ? superblock->filesystem->namespace : NAMESPACE_NONE;
	const struct namespace *holder =
		superblock->mounts ? superblock->mounts->tree->namespace : NULL;

	return kind != NAMESPACE_NONE && holder && holder->task
		       ? namespace_of_task(checkpoint, holder->task, kind)
		       : NULL;
}

/* namespace: that they show; NULL: stasis' own. */
static int make_in(struct checkpoint *checkpoint, struct namespace *namespace,
		   struct superblock *const *superblocks, size_t count)
{
	struct work work = {checkpoint, superblocks, count};

	return namespace_enter(namespace ? &namespace->fd : NULL, namespace ? 1 : 0, CLONE_NEWNS,
			       make, &work, "the namespace of a filesystem");
}

int superblocks_make(struct checkpoint *checkpoint, struct superblock *const *superblocks,
		     size_t count)
{
	ARRAY(struct superblock *) plain = {0};
	int error = 0;

	for (size_t i = 0; i < count && !error; i++) {
		struct superblock *superblock = superblocks[i];
		struct namespace *pids = pid_namespace(checkpoint, superblock);
		struct namespace *shown = shown_namespace(checkpoint, superblock);

		if (pids)
			error = make_in_task(checkpoint, superblock, pids->task);
		else if (shown)
			error = make_in(checkpoint, shown, &superblock, 1);
		else if (strcmp(superblock->type, "nsfs"))
			*array_push(&plain) = superblock;
	}
	if (!error && plain.count)
		error = make_in(checkpoint, NULL, plain.items, plain.count);
	array_free(&plain);
	return error;
}
