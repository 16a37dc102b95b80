/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FIFOs: pipes with a path.  The path, flags and owner are in a regular file's entry beside. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "file/pipe.h"

/* ---- dump ----------------------------------------------------------------------------------- */

static bool recognize(const struct description *description)
{
	return S_ISFIFO(description->stat.st_mode) && !(description->flags & O_PATH) &&
	       *description->link == '/';
}

static int describe(struct checkpoint *checkpoint, struct description *description)
{
	FifoEntry *entry = ARENA_MESSAGE(checkpoint->arena, fifo_entry, FifoEntry);
	struct description *path = description_new(checkpoint, description, &regular_kind);

	description->entry->fifo = entry;
	entry->id = description->id;
	entry->pipe_id = pipe_id(checkpoint, description->inode);
	entry->has_regf_id = true;
	entry->regf_id = path->id;
	return path_describe(checkpoint, path);
}

/*
 * A reader that was opened while there was no writer hears nothing of there being none (POLLHUP)
 * before one has come.  Such a reader looks like one with a writer, but tee() knows.
 */
static int check_waiting(struct description *reader)
{
	autofd int fd = file_fetch(reader);
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	int ends[2], bytes = 0;
	ssize_t copied;

	if (fd < 0 || poll(&poll_fd, 1, 0) < 0 || ioctl(fd, FIONREAD, &bytes) < 0 ||
	    pipe2(ends, O_CLOEXEC) < 0)
		return FAIL(errno, description_subject(reader), NULL, "cannot be looked at: %s",
			    strerror(errno));
	if (poll_fd.revents & POLLHUP) {
		copied = 1;
	} else {
		copied = tee(fd, ends[1], 1, SPLICE_F_NONBLOCK);
		reader->entry->fifo->has_wait_writer = copied == 0;
		reader->entry->fifo->wait_writer = copied == 0;
	}
	close(ends[0]);
	close(ends[1]);
	if ((poll_fd.revents & POLLHUP) || copied == 0)
		return 0;
	return REFUSE(description_subject(reader), "dump that process too",
		      "the writer of this FIFO is a process that is not dumped");
}

static int check(struct checkpoint *checkpoint, struct description *description)
{
	for (struct description *each = description->inode->descriptions; each; each = each->next)
		if (pipe_writes(each) && !(each->flags & O_PATH))
			return pipe_check(checkpoint, description);
	return check_waiting(description);
}

static int store(struct checkpoint *checkpoint, struct description *description)
{
	return pipe_store(checkpoint, description, IMAGE_FIFO_DATA);
}

/* ---- restore -------------------------------------------------------------------------------- */

static struct description *path_of(struct checkpoint *checkpoint,
				   const struct description *description)
{
	return hash_get(&checkpoint->files.by_id, description->entry->fifo->regf_id);
}

static int take(struct checkpoint *checkpoint, struct description *description)
{
	const FifoEntry *entry = description->entry->fifo;

	if (!entry || !entry->has_regf_id)
		return file_damaged(description, "it is no FIFO, or has no path");
	pipe_join(checkpoint, IMAGE_FIFO_DATA, entry->pipe_id, description);
	return 0;
}

/* Its path may come later in files.img. */
int fifos_read(struct checkpoint *checkpoint)
{
	int result = 0;

	array_each (&checkpoint->files.descriptions, each) {
		struct description *description = *each, *path;

		if (description->kind != &fifo_kind || !description->entry->fifo)
			continue;
		path = path_of(checkpoint, description);
		if (!path || path->kind != &regular_kind || !path->entry->reg ||
		    !S_ISFIFO(path->entry->reg->mode)) {
			result = file_damaged(description, "its path is missing");
			continue;
		}
		description->flags = path->flags;
		description->owner = path->owner;
	}
	return result;
}

/* Opens all members that wait for a first writer, or all others. */
static int open_members(struct checkpoint *checkpoint, struct pipe *pipe, bool waiting)
{
	int error = 0;

	for (struct description *each = pipe->members; each && !error; each = each->next) {
		if (each->entry->fifo->wait_writer != waiting)
			continue;
		each->fd = path_open(checkpoint, path_of(checkpoint, each),
				     each->flags & ~(O_DIRECT | O_APPEND));
		error = each->fd < 0 ? each->fd : file_set_flags(each);
	}
	return error;
}

/*
 * While `keeper` holds both ends, everything can be opened without waiting.  Those that wait for a
 * first writer come when it is closed; a reader then keeps what is in the FIFO.
 */
static int open_all(struct checkpoint *checkpoint, struct pipe *pipe)
{
	struct description *path = path_of(checkpoint, pipe->members);
	autofd int keeper = path_open(checkpoint, path, O_RDWR);
	autofd int reader = keeper < 0 ? -1 : path_open(checkpoint, path, O_RDONLY);
	int bytes = 0, error;
	struct stat before;

	if (reader < 0 || fstat(keeper, &before) < 0)
		return -EIO;
	if (ioctl(keeper, FIONREAD, &bytes) < 0 || bytes)
		return FAIL(EBUSY, description_subject(path), "end the program that has it open",
			    "the FIFO is in use and has %d bytes in it", bytes);
	error = pipe_fill(checkpoint, pipe, IMAGE_FIFO_DATA, keeper);
	if (!error)
		error = open_members(checkpoint, pipe, false);
	/* What was written into it by us is no change. */
	if (!error && futimens(keeper, (struct timespec[]){before.st_atim, before.st_mtim}) < 0)
		error = FAIL(errno, description_subject(path), NULL, "its times cannot be set: %s",
			     strerror(errno));
	fd_close(&keeper);
	return error ? error : open_members(checkpoint, pipe, true);
}

static int make(struct checkpoint *checkpoint, struct description *description)
{
	struct pipe *pipe = description->state;
	int error = open_all(checkpoint, pipe), unnamed;

	unnamed = remap_unname(checkpoint, path_of(checkpoint, description));
	return error ? error : unnamed;
}

const struct file_kind fifo_kind = {
	.name = "FIFO",
	.type = FD_TYPES__FIFO,
	.recognize = recognize,
	.describe = describe,
	.check = check,
	.store = store,
	.read = take,
	.make = make,
};
