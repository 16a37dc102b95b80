/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epoll(7).  An entry of an instance is an open file under the number that a descriptor of it had
 * when it was added; the descriptor may be gone since, or the number be another file's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "file/internal.h"
#include "task/task.h"

enum {
	/* Up to so many entries are compared one by one, which takes the kernel a walk over all. */
	COMPARE_ALWAYS = 64,
	EPOLL_HOW = EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE,
};

/* Linux 6.9 */
struct stasis_epoll_params {
	uint32_t busy_poll_usecs;
	uint16_t busy_poll_budget;
	uint8_t prefer_busy_poll, pad;
};
#define STASIS_EPIOCGPARAMS _IOR(0x8A, 0x02, struct stasis_epoll_params)

/* An entry that has fired (EPOLLONESHOT) and waits to be armed again. */
static bool is_disabled(const EventpollTfdEntry *entry)
{
	return (entry->events & EPOLLONESHOT) && !(entry->events & ~EPOLL_HOW);
}

/* ---- dump: reading ----------------------------------------------------------------------------
 */

static bool recognize(const struct description *description)
{
	return !strcmp(description->link, "anon_inode:[eventpoll]");
}

static bool parse(const char *line, EventpollTfdEntry *entry)
{
	unsigned long long data, inode;
	long long position;
	int number;

	if (sscanf(line, "tfd: %d events: %x data: %llx pos:%lli ino:%llx sdev:%x", &number,
		   &entry->events, &data, &position, &inode, &entry->dev) != 6)
		return false;
	entry->tfd = number;
	entry->data = data;
	entry->has_dev = entry->has_inode = entry->has_pos = true;
	entry->inode = inode;
	entry->pos = position;
	return true;
}

static int describe(struct checkpoint *checkpoint, struct description *description)
{
	EventpollFileEntry *epoll =
		ARENA_MESSAGE(checkpoint->arena, eventpoll_file_entry, EventpollFileEntry);
	struct stasis_epoll_params params = {0};
	autofree char *text = NULL;
	int error = file_read_info(description->fd, &text);
	size_t count = 0;

	if (error)
		return FAIL(-error, description_subject(description), NULL,
			    "its entries cannot be read: %s", strerror(-error));
	for (const char *at = text; (at = strstr(at, "tfd:")); at++)
		count++;
	description->entry->epfd = epoll;
	epoll->id = description->id;
	epoll->flags = description->flags;
	epoll->fown = description->owner;
	epoll->tfd = arena_new_array(checkpoint->arena, EventpollTfdEntry *, count);
	for (const char *at = text; (at = strstr(at, "tfd:")); at++) {
		EventpollTfdEntry *entry =
			ARENA_MESSAGE(checkpoint->arena, eventpoll_tfd_entry, EventpollTfdEntry);

		if (!parse(at, entry))
			return FAIL(EINVAL, description_subject(description), NULL,
				    "its entries are not understood: %.40s", at);
		entry->id = description->id;
		epoll->tfd[epoll->n_tfd++] = entry;
	}
	if (ioctl(description->fd, STASIS_EPIOCGPARAMS, &params) == 0 &&
	    (params.busy_poll_usecs || params.busy_poll_budget || params.prefer_busy_poll))
		return REFUSE(description_subject(description), "take them back (EPIOCSPARAMS)",
			      "parameters of busy polling are not carried over");
	return 0;
}

/* ---- dump: what the entries are of -------------------------------------------------------------
 */

/* The descriptor with this number in the task's table, or NULL. */
static const FdinfoEntry *descriptor(const struct task *task, uint32_t number)
{
	size_t low = 0, high = task->fdinfo_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (task->fdinfo[middle]->fd < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < task->fdinfo_count && task->fdinfo[low]->fd == number ? task->fdinfo[low]
									   : NULL;
}

/* Is it the open file that the entry is of?  nth: of the entries with this number. */
static bool is_entry(const struct description *epoll, const struct task *task, uint32_t number,
		     const EventpollTfdEntry *entry, uint32_t nth)
{
	struct kcmp_epoll_slot slot = {.efd = epoll->number, .tfd = entry->tfd, .toff = nth};

	return syscall(SYS_kcmp, task->pid, epoll->task->pid, KCMP_EPOLL_TFD, number, &slot) == 0;
}

static bool is_alone(const struct description *description)
{
	return description->inode->descriptions == description && !description->next;
}

/* Usually the descriptor is still there, in the task that has the instance. */
static struct description *at_number(struct checkpoint *checkpoint, const struct description *epoll,
				     const EventpollTfdEntry *entry)
{
	const FdinfoEntry *there = descriptor(epoll->task, entry->tfd);
	struct description *target = there ? hash_get(&checkpoint->files.by_id, there->id) : NULL;

	return target && target->stat.st_ino == entry->inode ? target : NULL;
}

/* How many entries with this number have been counted; they are the hash's values, as pointers. */
static uintptr_t nth_of(const struct hash *counts, const EventpollTfdEntry *entry)
{
	return (uintptr_t)hash_get(counts, entry->tfd);
}

static void count_entry(struct hash *counts, const EventpollTfdEntry *entry)
{
	hash_put(counts, entry->tfd, (void *)(nth_of(counts, entry) + 1));
}

/*
 * A quick way to ask in large instances: EPOLL_CTL_MOD finds the entry of a file and number, or
 * fails.  It is given what the entry has already, which changes nothing in entries that are not
 * edge-triggered and armed.
 */
static bool can_be_asked(const struct hash *counts, const EventpollTfdEntry *entry)
{
	/* Another entry with this number would get what is this one's. */
	return !(entry->events & EPOLLET) && !is_disabled(entry) && nth_of(counts, entry) == 1;
}

static int ask_some(struct checkpoint *checkpoint, const struct description *epoll,
		    const struct hash *counts, size_t *next, struct batch *batch)
{
	const EventpollFileEntry *entries = epoll->entry->epfd;
	size_t first = *next, i;
	int error;

	for (; *next < entries->n_tfd && batch_fits(batch, 1, 2 * sizeof(struct epoll_event) + 32);
	     ++*next) {
		const EventpollTfdEntry *entry = entries->tfd[*next];
		struct epoll_event event = {.events = entry->events, .data.u64 = entry->data};

		if (can_be_asked(counts, entry) && at_number(checkpoint, epoll, entry))
			batch_call(batch, SYS_epoll_ctl, epoll->number, EPOLL_CTL_MOD, entry->tfd,
				   batch_input(batch, &event, sizeof(event)));
	}
	error = batch->count ? batch_run(batch) : 0;
	i = 0;
	for (; first < *next && !error; first++) {
		EventpollTfdEntry *entry = entries->tfd[first];
		const struct description *target = at_number(checkpoint, epoll, entry);

		if (!can_be_asked(counts, entry) || !target)
			continue;
		entry->has_target_id = batch_result(batch, i++) == 0;
		entry->target_id = target->id;
	}
	batch_reset(batch);
	return error;
}

static int ask_all(struct checkpoint *checkpoint, const struct description *epoll)
{
	const EventpollFileEntry *entries = epoll->entry->epfd;
	struct hash counts = {0};
	struct batch batch;
	size_t next = 0;
	int error = 0;

	for (size_t i = 0; i < entries->n_tfd; i++)
		count_entry(&counts, entries->tfd[i]);
	batch_begin(&batch, task_leader(epoll->task));
	while (next < entries->n_tfd && !error)
		error = ask_some(checkpoint, epoll, &counts, &next, &batch);
	batch_end(&batch);
	hash_free(&counts);
	return error ? FAIL(-error, description_subject(epoll), NULL,
			    "its entries cannot be looked up: %s", strerror(-error))
		     : 0;
}

static struct description *find_at_number(struct checkpoint *checkpoint,
					  const struct description *epoll,
					  const EventpollTfdEntry *entry, uint32_t nth)
{
	struct description *target = at_number(checkpoint, epoll, entry);

	if (!target || entry->has_target_id)
		return target;
	if (epoll->entry->epfd->n_tfd > COMPARE_ALWAYS && is_alone(target))
		return target;
	return is_entry(epoll, epoll->task, entry->tfd, entry, nth) ? target : NULL;
}

/* Else another descriptor keeps the file open. */
static struct description *find_anywhere(struct checkpoint *checkpoint,
					 const struct description *epoll,
					 const EventpollTfdEntry *entry, uint32_t nth)
{
	array_each (&checkpoint->files.descriptions, each)
		if ((*each)->number >= 0 && (*each)->stat.st_ino == entry->inode &&
		    is_entry(epoll, (*each)->task, (*each)->number, entry, nth))
			return *each;
	return NULL;
}

/* A file that was refused: that is problem enough. */
static bool is_refused(struct checkpoint *checkpoint, const EventpollTfdEntry *entry)
{
	array_each (&checkpoint->files.inodes, inode)
		if ((*inode)->number == entry->inode)
			for (struct description *each = (*inode)->descriptions; each;
			     each = each->next)
				if (!each->entry)
					return true;
	return false;
}

static int check(struct checkpoint *checkpoint, struct description *description)
{
	EventpollFileEntry *epoll = description->entry->epfd;
	struct hash seen = {0};
	int result = epoll->n_tfd > COMPARE_ALWAYS ? ask_all(checkpoint, description) : 0;

	if (result)
		return result;

	for (size_t i = 0; i < epoll->n_tfd; i++) {
		EventpollTfdEntry *entry = epoll->tfd[i];
		uint32_t nth = nth_of(&seen, entry);
		struct description *target = find_at_number(checkpoint, description, entry, nth);

		count_entry(&seen, entry);
		if (!target)
			target = find_anywhere(checkpoint, description, entry, nth);
		if (!target && is_refused(checkpoint, entry)) {
			result = -EOPNOTSUPP;
			continue;
		}
		if (!target) {
			result = REFUSE(
				description_subject(description),
				"take it out of the epoll instance, or dump who has it open",
				"it watches what was descriptor %u, which no dumped process has "
				"open any more",
				entry->tfd);
			continue;
		}
		entry->has_target_id = true;
		entry->target_id = target->id;
	}
	hash_free(&seen);
	return result;
}

/* ---- restore ----------------------------------------------------------------------------------
 */

static int take(struct checkpoint *checkpoint, struct description *description)
{
	const EventpollFileEntry *epoll = description->entry->epfd;

	if (!epoll)
		return file_damaged(description, "it is no epoll instance");
	for (size_t i = 0; i < epoll->n_tfd; i++)
		if (epoll->tfd[i]->tfd > INT32_MAX)
			return file_damaged(description, "it watches an impossible descriptor");
	description->flags = epoll->flags;
	description->owner = epoll->fown;
	return 0;
}

static int make(struct checkpoint *checkpoint, struct description *description)
{
	description->fd = epoll_create1(EPOLL_CLOEXEC);
	if (description->fd < 0 || file_set_flags(description) < 0)
		return FAIL(errno, description_subject(description), NULL, "cannot be made: %s",
			    strerror(errno));
	return 0;
}

static int cannot_add(const struct description *description, const EventpollTfdEntry *entry,
		      int error)
{
	return FAIL(-error, description_subject(description), NULL,
		    "it cannot be made to watch descriptor %u again: %s", entry->tfd,
		    strerror(-error));
}

/* The file that the entry is of, which the image of another program may not name. */
static struct description *target_of(struct checkpoint *checkpoint, const struct task *task,
				     const EventpollTfdEntry *entry)
{
	const FdinfoEntry *there = descriptor(task, entry->tfd);

	if (entry->has_target_id)
		return hash_get(&checkpoint->files.by_id, entry->target_id);
	return there ? hash_get(&checkpoint->files.by_id, there->id) : NULL;
}

/*
 * A disabled entry can only be made by one that fires.  What is the file ready for?  An empty pipe
 * gets a byte for the time being; other files are always ready for something, or have nothing that
 * they would wrongly report (EPOLLHUP, EPOLLERR).
 */
struct spark {
	int fd; /* the pipe with a byte too much, or -1 */
	uint32_t ready;
};

static struct spark spark_light(const struct description *target)
{
	struct spark spark = {.fd = file_fetch(target)};
	struct pollfd poll_fd = {.fd = spark.fd, .events = POLLIN | POLLOUT | POLLPRI};

	if (poll(&poll_fd, 1, 0) > 0)
		spark.ready = poll_fd.revents;
	if (!spark.ready && spark.fd >= 0 && target->entry->pipe &&
	    (target->flags & O_ACCMODE) == O_RDONLY) {
		autofd int writer = file_reopen(spark.fd, O_WRONLY | O_NONBLOCK);

		if (writer >= 0 && write(writer, "", 1) == 1) {
			spark.ready = EPOLLIN;
			return spark;
		}
	}
	fd_close(&spark.fd);
	return spark;
}

static int spark_out(struct spark *spark)
{
	char byte;
	int error = spark->fd >= 0 && read(spark->fd, &byte, 1) != 1 ? -EIO : 0;

	fd_close(&spark->fd);
	return error;
}

static void add_call(struct batch *batch, int number, const EventpollTfdEntry *entry,
		     uint32_t ready)
{
	struct epoll_event event = {.events = entry->events | ready, .data.u64 = entry->data};
	uint64_t fired;

	batch_call(batch, SYS_epoll_ctl, number, EPOLL_CTL_ADD, entry->tfd,
		   batch_input(batch, &event, sizeof(event)));
	if (!ready)
		return;
	batch_data(batch, sizeof(event), &fired);
	batch_call(batch, SYS_epoll_wait, number, fired, 1, 0);
}

/*
 * The number is closed, or another file's now: the file has it for a moment only, and what is there
 * stands aside.
 */
static int add_in_place(struct checkpoint *checkpoint, const struct description *description,
			const struct description *target, const EventpollTfdEntry *entry,
			uint32_t ready)
{
	struct remote *remote = task_leader(description->task);
	const FdinfoEntry *there = descriptor(description->task, entry->tfd);
	autofd int fd = file_fetch(target);
	int64_t aside = -1;
	int number, error;
	struct batch batch;

	error = fd < 0 ? fd : remote_send_fds(&checkpoint->channel, remote, &fd, 1, &number);
	if (error)
		return error;
	if (there && number != (int)entry->tfd)
		aside = remote_syscall(remote, SYS_fcntl, entry->tfd, F_DUPFD, 0);
	if (there && aside < 0)
		return aside;
	batch_begin(&batch, remote);
	if (number != (int)entry->tfd) {
		batch_call(&batch, SYS_dup2, number, entry->tfd);
		batch_call(&batch, SYS_close, number);
	}
	add_call(&batch, description->number, entry, ready);
	if (there) {
		batch_call(&batch, SYS_dup3, aside, entry->tfd,
			   there->flags & FD_CLOEXEC ? O_CLOEXEC : 0);
		batch_call(&batch, SYS_close, aside);
	} else {
		batch_call(&batch, SYS_close, entry->tfd);
	}
	error = batch_run(&batch);
	if (!error)
		error = batch_check(&batch, "an entry of an epoll instance");
	batch_end(&batch);
	return error;
}

static int run(struct batch *batch)
{
	int error = batch_run(batch);

	if (!error)
		error = batch_check(batch, "entries of an epoll instance");
	batch_reset(batch);
	return error;
}

/* Adds one entry, with others in the batch if it may wait. */
static int add_entry(struct checkpoint *checkpoint, const struct description *description,
		     const EventpollTfdEntry *entry, struct batch *batch)
{
	const struct description *target = target_of(checkpoint, description->task, entry);
	const FdinfoEntry *there = descriptor(description->task, entry->tfd);
	struct spark spark = {.fd = -1};
	int error = 0, out;

	if (!target || target->number < 0)
		return file_damaged(description, "what it watches is missing");
	if (is_disabled(entry))
		spark = spark_light(target);
	if (there && there->id == target->id) {
		add_call(batch, description->number, entry, spark.ready);
		if (spark.fd >= 0 || !batch_fits(batch, 2, 4 * sizeof(struct epoll_event) + 32))
			error = run(batch);
	} else {
		error = add_in_place(checkpoint, description, target, entry, spark.ready);
	}
	out = spark_out(&spark);
	error = error ? error : out;
	return error ? cannot_add(description, entry, error) : 0;
}

/* Those that have to fire come first, when nothing else can. */
static int add_entries(struct checkpoint *checkpoint, const struct description *description,
		       bool disabled)
{
	const EventpollFileEntry *epoll = description->entry->epfd;
	struct batch batch;
	int error = 0;

	batch_begin(&batch, task_leader(description->task));
	for (size_t i = 0; i < epoll->n_tfd && !error; i++)
		if (is_disabled(epoll->tfd[i]) == disabled)
			error = add_entry(checkpoint, description, epoll->tfd[i], &batch);
	if (!error)
		error = run(&batch);
	batch_end(&batch);
	return error;
}

static int finish(struct checkpoint *checkpoint, struct description *description)
{
	int error;

	if (!description->task)
		return 0; /* nobody has it */
	error = add_entries(checkpoint, description, true);
	return error ? error : add_entries(checkpoint, description, false);
}

const struct file_kind epoll_kind = {
	.name = "epoll",
	.type = FD_TYPES__EVENTPOLL,
	.recognize = recognize,
	.describe = describe,
	.check = check,
	.read = take,
	.make = make,
	.finish = finish,
};
