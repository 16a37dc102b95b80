/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The restore of a task's table of descriptors, cwd, root and umask. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "file/internal.h"
#include "task/task.h"

int file_reopen(int fd, unsigned int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, (flags & ~(O_NOFOLLOW | KERNEL_O_TMPFILE)) | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int file_set_flags(const struct description *description)
{
	return fcntl(description->fd, F_SETFL, description->flags & SETTABLE_FLAGS) < 0 ? -errno
											: 0;
}

/* Are both descriptors of one directory, on one mount? */
static bool same_directory(int one, int other)
{
	struct statx a, b;

	return statx(one, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &a) == 0 &&
	       statx(other, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &b) == 0 &&
	       a.stx_ino == b.stx_ino && a.stx_dev_major == b.stx_dev_major &&
	       a.stx_dev_minor == b.stx_dev_minor && a.stx_mnt_id == b.stx_mnt_id;
}

/* Everything the task is sent, in the order of sending. */
struct parcel {
	int *fds;
	int *numbers;       /* where they land in the task */
	size_t count, sent; /* sent: by themselves, the rest with the calls that move them */
	bool with_root;
	struct remote_delivery delivery; /* of that rest, or of none */
};

/* Opens all that the task has: its descriptors, cwd, and its root if that is not ours. */
static int pack(struct checkpoint *checkpoint, struct task *task, struct parcel *parcel)
{
	autofd int own_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int error = 0, root;

	for (size_t i = 0; i < task->fdinfo_count && !error; i++)
		error = files_open(checkpoint, task->fdinfo[i]->id, &parcel->fds[parcel->count++]);
	if (!error)
		error = files_open(checkpoint, task->fs->cwd_id, &parcel->fds[parcel->count++]);
	if (!error)
		error = files_open(checkpoint, task->fs->root_id, &root);
	if (error)
		return error;
	parcel->with_root = own_root < 0 || !same_directory(root, own_root);
	if (parcel->with_root)
		parcel->fds[parcel->count++] = root;
	return 0;
}

static int unpack_directories(struct task *task, const struct parcel *parcel, struct batch *batch)
{
	int cwd = parcel->numbers[task->fdinfo_count], root = parcel->numbers[parcel->count - 1];

	if (parcel->with_root) {
		batch_call(batch, SYS_fchdir, root);
		batch_call(batch, SYS_chroot, batch_input(batch, ".", 2));
		batch_call(batch, SYS_close, root);
	}
	batch_call(batch, SYS_fchdir, cwd);
	batch_call(batch, SYS_close, cwd);
	if (task->fs->has_umask)
		batch_call(batch, SYS_umask, task->fs->umask);
	return 0;
}

static int report_sending(const struct task *task, int error)
{
	return FAIL(-error, task_subject(task),
		    error == -EMFILE ? "raise the limit of open files (ulimit -Hn)" : NULL,
		    "cannot be given its descriptors: %s", strerror(-error));
}

/* The last that one message takes are part of the batch. */
static int send_files(struct checkpoint *checkpoint, struct task *task, struct parcel *parcel,
		      struct batch *batch)
{
	size_t last = (parcel->count - 1) % REMOTE_FDS_MOST + 1;
	int error;

	parcel->sent = parcel->count - last;
	error = remote_send_fds(&checkpoint->channel, task_leader(task), parcel->fds, parcel->sent,
				NULL);
	if (!error)
		error = remote_deliver(&checkpoint->channel, batch, parcel->fds + parcel->sent,
				       last, &parcel->delivery);
	return error ? report_sending(task, error) : 0;
}

static int run(struct batch *batch, struct task *task, struct parcel *parcel)
{
	int error = batch_run(batch);

	if (!error && parcel->delivery.count) {
		error = remote_delivered_to(batch, &parcel->delivery,
					    parcel->numbers + parcel->sent);
		if (error)
			return report_sending(task, error);
	}
	parcel->delivery.count = 0;
	if (!error)
		error = batch_check(batch, "descriptors");
	batch_reset(batch);
	return error;
}

/*
 * They land at the lowest free numbers in ascending order, so none is above where it has to go:
 * moved from the highest down, none gets into another's way.
 */
static int unpack(struct checkpoint *checkpoint, struct task *task, struct parcel *parcel)
{
	struct batch batch;
	int error;

	batch_begin(&batch, task_leader(task));
	error = send_files(checkpoint, task, parcel, &batch);
	unpack_directories(task, parcel, &batch);
	for (size_t i = task->fdinfo_count; i-- > 0 && !error;) {
		int to = task->fdinfo[i]->fd, from = parcel->numbers[i];
		bool cloexec = task->fdinfo[i]->flags & FD_CLOEXEC;

		if (from != to) {
			batch_call(&batch, SYS_dup3, from, to, cloexec ? O_CLOEXEC : 0);
			batch_call(&batch, SYS_close, from);
		} else if (cloexec) {
			batch_call(&batch, SYS_fcntl, to, F_SETFD, FD_CLOEXEC);
		}
		if (!batch_fits(&batch, 2, 0))
			error = run(&batch, task, parcel);
	}
	if (!error)
		error = run(&batch, task, parcel);
	batch_end(&batch);
	return error;
}

/* A description that no task waits for any more takes none of our own descriptors. */
static void close_handed_out(struct checkpoint *checkpoint, const struct task *task)
{
	for (size_t i = 0; i < task->fdinfo_count; i++) {
		struct description *description =
			hash_get(&checkpoint->files.by_id, task->fdinfo[i]->id);

		if (!--description->users)
			fd_close(&description->fd);
	}
}

int files_restore(struct checkpoint *checkpoint, struct task *task)
{
	size_t most = task->fdinfo_count + 2;
	struct parcel parcel = {.fds = calloc(most, sizeof(int)),
				.numbers = calloc(most, sizeof(int))};
	int error;

	if (!parcel.fds || !parcel.numbers)
		die_of_memory();
	error = pack(checkpoint, task, &parcel);
	for (size_t i = 0; i < parcel.count; i++)
		parcel.numbers[i] = remote_landing(&checkpoint->channel, i);
	if (!error)
		error = unpack(checkpoint, task, &parcel);
	if (!error)
		close_handed_out(checkpoint, task);
	free(parcel.fds);
	free(parcel.numbers);
	return error;
}
