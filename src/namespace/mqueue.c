/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POSIX message queues, mq_overview(7): files of a filesystem of the ipc namespace, in the image of
 * its limits.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "namespace/ipc.h"
#include "namespace/ipc_internal.h"

static struct subject queue_subject(const struct namespace *namespace, const IpcMqueue *queue)
{
	return SUBJECT("%s, POSIX message queue /%.*s", namespace_subject(namespace).text,
		       (int)queue->name.len, (const char *)queue->name.data);
}

/* Its root directory, mounted nowhere. */
static int open_filesystem(const struct namespace *namespace)
{
	autofd int context = fsopen("mqueue", FSOPEN_CLOEXEC);
	int fd = -1;

	if (context >= 0 && fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
	return fd >= 0 ? fd
		       : FAIL(errno, namespace_subject(namespace), NULL,
			      "its POSIX message queues cannot be reached: %s", strerror(errno));
}

static char *name_of(struct checkpoint *checkpoint, const IpcMqueue *queue)
{
	return arena_printf(checkpoint->arena, "%.*s", (int)queue->name.len,
			    (const char *)queue->name.data);
}

/* ---- dump ---------------------------------------------------------------------------------- */

static int set_times(int fd, const IpcMqueue *queue)
{
	const struct timespec times[] = {{queue->atime, queue->atime_nsec},
					 {queue->mtime, queue->mtime_nsec}};

	return futimens(fd, times) < 0 ? -errno : 0;
}

/* The file of a queue reads "QSIZE:0 NOTIFY:0 SIGNO:0 NOTIFY_PID:0". */
static int check_notification(const struct namespace *namespace, const IpcMqueue *queue, int fd)
{
	char text[128] = "";
	const char *pid;

	if (read(fd, text, sizeof(text) - 1) < 0 || !(pid = strstr(text, "NOTIFY_PID:")))
		return FAIL(EIO, queue_subject(namespace, queue), NULL, "its state cannot be read");
	return atoi(pid + strlen("NOTIFY_PID:"))
		       ? REFUSE(queue_subject(namespace, queue),
				"let the program cancel it (mq_notify with NULL) before the dump",
				"a process waits to be told of a message (mq_notify)")
		       : 0;
}

static int describe_one(struct checkpoint *checkpoint, struct namespace *namespace, int dir,
			const char *name)
{
	IpcVarEntry *limits = ipc_state(namespace)->limits;
	IpcMqueue *queue = ARENA_MESSAGE(checkpoint->arena, ipc_mqueue, IpcMqueue);
	autofd int fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct mq_attr attr;
	struct stat stat;

	queue->name.len = strlen(name);
	queue->name.data = (uint8_t *)arena_strdup(checkpoint->arena, name);
	if (fd < 0 || fstat(fd, &stat) < 0 || syscall(SYS_mq_getsetattr, fd, NULL, &attr) < 0)
		return FAIL(errno, queue_subject(namespace, queue), NULL, "cannot be opened: %s",
			    strerror(errno));
	queue->mode = stat.st_mode & 07777;
	queue->uid = stat.st_uid;
	queue->gid = stat.st_gid;
	queue->atime = stat.st_atim.tv_sec;
	queue->atime_nsec = stat.st_atim.tv_nsec;
	queue->mtime = stat.st_mtim.tv_sec;
	queue->mtime_nsec = stat.st_mtim.tv_nsec;
	queue->maxmsg = attr.mq_maxmsg;
	queue->msgsize = attr.mq_msgsize;
	limits->mqueues[limits->n_mqueues++] = queue;

	int error = check_notification(namespace, queue, fd);

	set_times(fd, queue); /* it was read */
	return error;
}

static int describe(struct checkpoint *checkpoint, struct namespace *namespace)
{
	IpcVarEntry *limits = ipc_state(namespace)->limits;
	autofd int dir = open_filesystem(namespace);
	struct dirent **found;
	struct stat root;
	int count, result = 0;

	if (dir < 0)
		return dir;
	if (fstat(dir, &root) == 0)
		ipc_state(namespace)->mqueue_device = root.st_dev;
	count = scandirat(dir, ".", &found, NULL, alphasort);
	if (count < 0)
		return FAIL(errno, namespace_subject(namespace), NULL,
			    "its POSIX message queues cannot be listed: %s", strerror(errno));
	limits->mqueues = arena_new_array(checkpoint->arena, IpcMqueue *, count);
	for (int i = 0; i < count; i++) {
		int error = !strcmp(found[i]->d_name, ".") || !strcmp(found[i]->d_name, "..")
				    ? 0
				    : describe_one(checkpoint, namespace, dir, found[i]->d_name);

		if (error)
			result = error;
		free(found[i]);
	}
	free(found);
	return result;
}

struct namespace *mqueue_namespace(struct checkpoint *checkpoint, dev_t device)
{
	array_each (&checkpoint->namespaces.all, item)
		if ((*item)->kind == NAMESPACE_IPC && (*item)->state &&
		    ipc_state(*item)->mqueue_device == device)
			return *item;
	return NULL;
}

/* Puts back what was taken. */
static int send_all(int fd, const IpcMqueue *queue)
{
	int error = 0;

	for (size_t i = 0; i < queue->n_messages; i++) {
		const IpcMqueueMessage *message = queue->messages[i];

		if (syscall(SYS_mq_timedsend, fd, message->data.data, message->data.len,
			    message->priority, NULL) < 0)
			error = -errno;
	}
	return error;
}

static int receive_all(int fd, IpcMqueue *queue, size_t count)
{
	while (queue->n_messages < count) {
		IpcMqueueMessage *message = queue->messages[queue->n_messages];
		ssize_t size = syscall(SYS_mq_timedreceive, fd, message->data.data,
				       (size_t)queue->msgsize, &message->priority, NULL);

		if (size < 0)
			return -errno;
		message->data.len = size;
		queue->n_messages++;
	}
	return 0;
}

/*
 * The only way to read messages is to receive them, so they are received and sent again.  That must
 * not be interrupted: it is done in this process, which goes on when stasis is killed, and with all
 * memory ready.  Only who kills this very process in these microseconds takes the messages away.
 */
static int take_and_put_back(int fd, IpcMqueue *queue, size_t count)
{
	struct uninterrupted state;
	int error, again;

	uninterrupted_begin(&state);
	error = receive_all(fd, queue, count);
	again = send_all(fd, queue);
	set_times(fd, queue);
	uninterrupted_end(&state);
	return error ? error : again;
}

static int store_one(struct checkpoint *checkpoint, struct namespace *namespace, int dir,
		     IpcMqueue *queue)
{
	autofd int fd = openat(dir, name_of(checkpoint, queue), O_RDWR | O_NONBLOCK | O_CLOEXEC);
	struct mq_attr attr;
	int error;

	if (fd < 0 || syscall(SYS_mq_getsetattr, fd, NULL, &attr) < 0)
		return FAIL(errno, queue_subject(namespace, queue), NULL, "cannot be opened: %s",
			    strerror(errno));
	queue->messages = arena_new_array(checkpoint->arena, IpcMqueueMessage *, attr.mq_curmsgs);
	for (long i = 0; i < attr.mq_curmsgs; i++) {
		queue->messages[i] =
			ARENA_MESSAGE(checkpoint->arena, ipc_mqueue_message, IpcMqueueMessage);
		queue->messages[i]->data.data = arena_alloc(checkpoint->arena, queue->msgsize);
		/* Memory that is not there yet could be missing later. */
		memset(queue->messages[i]->data.data, 1, queue->msgsize);
	}
	error = attr.mq_curmsgs ? take_and_put_back(fd, queue, attr.mq_curmsgs) : 0;
	return error ? FAIL(-error, queue_subject(namespace, queue), NULL,
			    "its messages cannot be read: %s", strerror(-error))
		     : 0;
}

static int store(struct checkpoint *checkpoint, struct namespace *namespace)
{
	const IpcVarEntry *limits = ipc_state(namespace)->limits;
	autofd int dir = -1;
	int error = 0;

	if (!limits->n_mqueues)
		return 0;
	dir = open_filesystem(namespace);
	if (dir < 0)
		return dir;
	for (size_t i = 0; i < limits->n_mqueues && !error; i++)
		error = store_one(checkpoint, namespace, dir, limits->mqueues[i]);
	return error;
}

/* ---- restore ------------------------------------------------------------------------------- */

static int read_image(struct checkpoint *checkpoint, struct namespace *namespace)
{
	const IpcVarEntry *limits = ipc_state(namespace)->limits;

	for (size_t i = 0; i < limits->n_mqueues; i++) {
		const IpcMqueue *queue = limits->mqueues[i];
		bool good = queue->name.len && !memchr(queue->name.data, '/', queue->name.len) &&
			    !memchr(queue->name.data, '\0', queue->name.len) &&
			    queue->n_messages <= queue->maxmsg;

		for (size_t k = 0; k < queue->n_messages; k++)
			good &= queue->messages[k]->data.len <= queue->msgsize;
		if (!good)
			return FAIL(EBADMSG, queue_subject(namespace, queue),
				    "the checkpoint is damaged: dump again",
				    "no such queue is possible");
	}
	return 0;
}

static int fill(int fd, const IpcMqueue *queue)
{
	int error = send_all(fd, queue);

	if (!error && (fchown(fd, queue->uid, queue->gid) < 0 || fchmod(fd, queue->mode) < 0))
		error = -errno;
	return error ? error : set_times(fd, queue);
}

static int make_one(struct checkpoint *checkpoint, struct namespace *namespace,
		    const IpcMqueue *queue)
{
	struct mq_attr attr = {.mq_maxmsg = queue->maxmsg, .mq_msgsize = queue->msgsize};
	autofd int fd = syscall(SYS_mq_open, name_of(checkpoint, queue),
				O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK | O_CLOEXEC, 0600, &attr);
	int error = fd < 0 ? -errno : fill(fd, queue);

	return error ? FAIL(-error, queue_subject(namespace, queue),
			    error == -EMFILE ? "raise the limit (ulimit -q)" : NULL,
			    "cannot be made and filled: %s", strerror(-error))
		     : 0;
}

static int make(struct checkpoint *checkpoint, struct namespace *namespace)
{
	const IpcVarEntry *limits = ipc_state(namespace)->limits;
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	int error = 0;

	/* That of this process only; without CAP_SYS_RESOURCE as far as it goes. */
	if (limits->n_mqueues && setrlimit(RLIMIT_MSGQUEUE, &limit) < 0 &&
	    getrlimit(RLIMIT_MSGQUEUE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_MSGQUEUE, &limit);
	}
	for (size_t i = 0; i < limits->n_mqueues && !error; i++)
		error = make_one(checkpoint, namespace, limits->mqueues[i]);
	return error;
}

/* ---- descriptors of them ------------------------------------------------------------------- */

bool mqueue_has(const struct namespace *namespace, const char *name)
{
	const IpcVarEntry *limits = ipc_state(namespace)->limits;
	size_t length = strlen(name);

	for (size_t i = 0; i < limits->n_mqueues; i++)
		if (limits->mqueues[i]->name.len == length &&
		    !memcmp(limits->mqueues[i]->name.data, name, length))
			return true;
	return false;
}

struct opening {
	const char *name;
	int flags, fd;
};

static int open_inside(void *argument)
{
	struct opening *opening = argument;

	opening->fd = syscall(SYS_mq_open, opening->name, opening->flags, 0, NULL);
	return opening->fd < 0 ? -errno : 0;
}

int mqueue_open(const struct namespace *namespace, const char *name, int flags)
{
	struct opening opening = {name, flags, -1};
	int error = namespace_enter(&namespace->fd, 1, 0, open_inside, &opening,
				    namespace_subject(namespace).text);

	return error ? error : opening.fd;
}

const struct namespace_content mqueue_part = {
	.describe = describe,
	.store = store,
	.read = read_image,
	.make = make,
};
