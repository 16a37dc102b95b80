/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pipe(2), and what is in pipes and FIFOs. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "file/pipe.h"
#include "images/pipe-data.pb-c.h"

/* Contents go into one image in the course of files_store(). */
struct pipe_state {
	enum image_type type;
	struct image_writer *writer; /* dump */
	struct image_reader *reader; /* restore: holds the image open */
	struct hash by_id;           /* restore: struct pipe */
};

enum { NEW_PIPE_MODE = S_IRUSR | S_IWUSR };

static struct pipe_state *pipe_state(struct checkpoint *checkpoint, enum image_type type)
{
	struct file_state *files = checkpoint->files.state;
	struct pipe_state **state = type == IMAGE_PIPES_DATA ? &files->pipes : &files->fifos;

	if (!*state) {
		*state = arena_new_object(checkpoint->arena, struct pipe_state);
		(*state)->type = type;
	}
	return *state;
}

/* ---- dump: who holds the ends -----------------------------------------------------------------
 */

static short poll_now(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT};

	return poll(&poll_fd, 1, 0) < 0 ? 0 : poll_fd.revents;
}

static int external(const struct description *description, const char *who)
{
	return REFUSE(description_subject(description),
		      "dump that process too, or start the program with a file in the pipe's place",
		      "%s of this pipe is a process that is not dumped", who);
}

int pipe_check(struct checkpoint *checkpoint, struct description *description)
{
	struct description *reader = NULL, *writer = NULL;
	short events;

	if (description->inode->checked)
		return 0;
	description->inode->checked = true;
	for (struct description *each = description->inode->descriptions; each; each = each->next) {
		if (each->flags & O_PATH)
			continue;
		if (pipe_reads(each))
			reader = each;
		if (pipe_writes(each))
			writer = each;
	}
	if ((reader && writer) || (!reader && !writer))
		return 0;
	autofd int fd = file_fetch(reader ? reader : writer);

	if (fd < 0)
		return FAIL(-fd, description_subject(description), NULL, "cannot be fetched: %s",
			    strerror(-fd));
	/* The kernel counts openers at the other end; there are none, or some that we don't see. */
	events = poll_now(fd);
	if (writer)
		return events & POLLERR ? 0 : external(writer, "the reader");
	if (events & POLLHUP)
		return 0;
	return external(reader, "the writer");
}

/* ---- dump: contents ---------------------------------------------------------------------------
 */

/* -1: not known. */
static int bytes_in(int fd)
{
	int bytes;

	return ioctl(fd, FIONREAD, &bytes) < 0 ? -1 : bytes;
}

/* A pipe of our own with copies of everything that is in another: its reading end, or -errno. */
static int copy_pipe(int from, int size, uint32_t bytes)
{
	int ends[2], error = 0;
	ssize_t done = 0;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	if (fcntl(ends[1], F_SETPIPE_SZ, size) < 0)
		error = -errno;
	else
		done = tee(from, ends[1], bytes, SPLICE_F_NONBLOCK);
	if (!error && done != (ssize_t)bytes)
		error = done < 0 ? -errno : -ENOBUFS;
	close(ends[1]);
	if (error)
		close(ends[0]);
	return error ? error : ends[0];
}

/*
 * One read ends where a packet (O_DIRECT) ends.  Whether what it gave is a packet, bytes of a
 * stream, or these and then a packet, reads that are too short tell, for they lose the rest of a
 * packet.
 */
enum part { PART_PACKET, PART_STREAM, PART_UNKNOWN };

/* Takes the next part, of more than one byte, out of another copy of the pipe. */
static enum part take_part(int copy, char *buffer, uint32_t size)
{
	uint32_t before = bytes_in(copy), lost;

	if (read(copy, buffer, 1) != 1)
		return PART_UNKNOWN;
	if (before - bytes_in(copy) == size)
		return PART_PACKET;
	while (before - bytes_in(copy) < size - 1)
		if (read(copy, buffer, size - 1 - (before - bytes_in(copy))) <= 0)
			return PART_UNKNOWN;
	lost = before - bytes_in(copy) - (size - 1);
	return lost || read(copy, buffer, 1) != 1 ? PART_UNKNOWN : PART_STREAM;
}

/* Reads all of a copy and notes where packets end; a second copy tells what the parts are. */
static int read_parts(struct checkpoint *checkpoint, int copy, int second, bool packets, char *data,
		      PipeDataEntry *entry)
{
	autofree char *unused = malloc(entry->bytes);
	uint32_t done = 0;

	if (!unused)
		die_of_memory();
	entry->packets = arena_new_array(checkpoint->arena, uint32_t, entry->bytes / 2 + 1);
	while (done < entry->bytes) {
		ssize_t size = read(copy, data + done, entry->bytes - done);
		bool last = size == entry->bytes - done;

		if (size <= 0)
			return size ? -errno : -ENODATA;
		/* One byte alone is the same as a packet and as the end of a stream. */
		enum part part = size > 1 ? take_part(second, unused, size)
				 : !last || packets || entry->n_packets ? PART_PACKET
									: PART_STREAM;

		if (size == 1 && read(second, unused, 1) != 1)
			return -ENODATA;
		if (part == PART_UNKNOWN || (part == PART_STREAM && !last))
			return -EOPNOTSUPP;
		if (part == PART_PACKET)
			entry->packets[entry->n_packets++] = size;
		done += size;
	}
	return 0;
}

static int store_contents(struct checkpoint *checkpoint, struct description *description, int fd,
			  struct image_writer *writer, PipeDataEntry *entry)
{
	autofd int reader = pipe_reads(description) ? fcntl(fd, F_DUPFD_CLOEXEC, 0)
						    : file_reopen(fd, O_RDONLY | O_NONBLOCK);
	autofd int copy = reader < 0 ? reader : copy_pipe(reader, entry->size, entry->bytes);
	autofd int second = copy < 0 ? copy : copy_pipe(reader, entry->size, entry->bytes);
	autofree char *data = malloc(entry->bytes);
	bool packets = false;
	int error;

	if (!data)
		die_of_memory();
	for (struct description *each = description->inode->descriptions; each; each = each->next)
		packets |= pipe_writes(each) && (each->flags & O_DIRECT);
	error = second < 0 ? second : read_parts(checkpoint, copy, second, packets, data, entry);
	if (error == -EOPNOTSUPP)
		return REFUSE(description_subject(description), "empty the pipe before the dump",
			      "packets (O_DIRECT) follow bytes of a stream in it");
	if (error)
		return FAIL(-error, description_subject(description),
			    error == -EPERM ? "raise /proc/sys/fs/pipe-max-size" : NULL,
			    "what is in the pipe cannot be copied: %s", strerror(-error));
	image_put(writer, entry);
	image_put_raw(writer, data, entry->bytes);
	return 0;
}

uint32_t pipe_id(struct checkpoint *checkpoint, struct file_inode *inode)
{
	if (!inode->pipe_id)
		inode->pipe_id = ++checkpoint->files.state->last_pipe_id;
	return inode->pipe_id;
}

int pipe_store(struct checkpoint *checkpoint, struct description *description, enum image_type type)
{
	struct pipe_state *state = pipe_state(checkpoint, type);
	struct file_inode *inode = description->inode;
	PipeDataEntry entry = PIPE_DATA_ENTRY__INIT;
	struct description *from = description;

	if (inode->stored)
		return 0;
	inode->stored = true;
	for (struct description *each = inode->descriptions; each; each = each->next)
		if (pipe_reads(each) && !(each->flags & O_PATH))
			from = each;

	autofd int fd = file_fetch(from);
	int size = fd < 0 ? fd : fcntl(fd, F_GETPIPE_SZ), bytes = size < 0 ? size : bytes_in(fd);

	if (bytes < 0)
		return FAIL(fd < 0 ? -fd : errno, description_subject(from), NULL,
			    "the size of the pipe cannot be read");
	if (!state->writer)
		state->writer = image_create(checkpoint->images, type, 0);
	entry.pipe_id = pipe_id(checkpoint, inode);
	entry.bytes = bytes;
	entry.has_size = true;
	entry.size = size;
	if (entry.bytes)
		return store_contents(checkpoint, from, fd, state->writer, &entry);
	image_put(state->writer, &entry);
	return 0;
}

int pipe_images_store(struct checkpoint *checkpoint)
{
	struct pipe_state *states[] = {checkpoint->files.state->pipes,
				       checkpoint->files.state->fifos};
	enum image_type types[] = {IMAGE_PIPES_DATA, IMAGE_FIFO_DATA};
	int error = 0;

	for (size_t i = 0; i < 2 && !error; i++) {
		struct image_writer *writer = states[i] ? states[i]->writer : NULL;

		error = writer ? image_finish(writer)
			       : image_remove(checkpoint->images, types[i], 0);
		if (writer)
			states[i]->writer = NULL;
	}
	return error;
}

/* ---- restore: contents ------------------------------------------------------------------------
 */

static struct pipe *pipe_get(struct checkpoint *checkpoint, struct pipe_state *state, uint32_t id)
{
	struct pipe *pipe = hash_get(&state->by_id, id);

	if (!pipe) {
		pipe = arena_new_object(checkpoint->arena, struct pipe);
		hash_put(&state->by_id, id, pipe);
	}
	return pipe;
}

struct pipe *pipe_join(struct checkpoint *checkpoint, enum image_type type, uint32_t id,
		       struct description *description)
{
	struct pipe *pipe = pipe_get(checkpoint, pipe_state(checkpoint, type), id);

	description->next = pipe->members;
	description->state = pipe;
	pipe->members = description;
	return pipe;
}

static int check_data(const PipeDataEntry *entry, enum image_type type)
{
	uint64_t sum = 0;
	char name[64];

	for (size_t i = 0; i < entry->n_packets; i++)
		sum += entry->packets[i];
	return sum <= entry->bytes
		       ? 0
		       : FAIL(EBADMSG, SUBJECT("image %s", image_name(type, 0, name)),
			      "the checkpoint is damaged: take another copy of it",
			      "the packets of pipe %u are more than it holds", entry->pipe_id);
}

static int read_image(struct checkpoint *checkpoint, enum image_type type)
{
	struct pipe_state *state = pipe_state(checkpoint, type);
	PipeDataEntry *entry;
	int got = image_open(checkpoint->images, type, 0, checkpoint->arena, &state->reader);

	if (got == -ENOENT)
		return 0;
	while (!got && (got = image_get(state->reader, &entry)) == 1) {
		struct pipe *pipe = pipe_get(checkpoint, state, entry->pipe_id);

		pipe->data = entry;
		image_position(state->reader, &pipe->offset);
		got = check_data(entry, type);
		if (!got)
			got = image_skip_raw(state->reader, entry->bytes);
	}
	return got;
}

int pipe_images_read(struct checkpoint *checkpoint)
{
	int error = read_image(checkpoint, IMAGE_PIPES_DATA);

	return error ? error : read_image(checkpoint, IMAGE_FIFO_DATA);
}

void pipe_images_close(struct checkpoint *checkpoint, bool failed)
{
	struct pipe_state *states[] = {checkpoint->files.state->pipes,
				       checkpoint->files.state->fifos};

	for (size_t i = 0; i < 2; i++)
		if (states[i]) {
			image_close(states[i]->reader);
			image_discard(states[i]->writer);
			hash_free(&states[i]->by_id);
		}
}

static int write_parts(const PipeDataEntry *entry, int writer, const char *data)
{
	size_t done = 0;

	if (fcntl(writer, F_SETFL, O_NONBLOCK | (entry->n_packets ? O_DIRECT : 0)) < 0)
		return -errno;
	for (size_t i = 0; i < entry->n_packets; i++) {
		ssize_t size = write(writer, data + done, entry->packets[i]);

		if (size != entry->packets[i])
			return size < 0 ? -errno : -ENOBUFS;
		done += size;
	}
	if (entry->n_packets && fcntl(writer, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return fd_write_all(writer, data + done, entry->bytes - done);
}

int pipe_fill(struct checkpoint *checkpoint, const struct pipe *pipe, enum image_type type,
	      int writer)
{
	struct pipe_state *state = pipe_state(checkpoint, type);
	const PipeDataEntry *entry = pipe->data;
	int error = 0;
	uint64_t offset;

	if (!entry)
		return 0;
	if (entry->has_size && fcntl(writer, F_GETPIPE_SZ) != (int)entry->size &&
	    fcntl(writer, F_SETPIPE_SZ, entry->size) < 0)
		return FAIL(errno, description_subject(pipe->members),
			    "raise /proc/sys/fs/pipe-max-size",
			    "cannot have its size of %u bytes: %s", entry->size, strerror(errno));
	if (!entry->bytes)
		return 0;
	autofree char *data = malloc(entry->bytes);

	if (!data)
		die_of_memory();
	error = fd_pread_all(image_position(state->reader, &offset), data, entry->bytes,
			     pipe->offset);
	if (!error)
		error = write_parts(entry, writer, data);
	return error ? FAIL(-error, description_subject(pipe->members), NULL,
			    "the pipe cannot be filled: %s", strerror(-error))
		     : 0;
}

/* ---- pipes ------------------------------------------------------------------------------------
 */

static bool recognize(const struct description *description)
{
	struct statfs statfs;

	return S_ISFIFO(description->stat.st_mode) && !(description->flags & O_PATH) &&
	       fstatfs(description->fd, &statfs) == 0 && statfs.f_type == PIPEFS_MAGIC;
}

static int describe(struct checkpoint *checkpoint, struct description *description)
{
	PipeEntry *entry = ARENA_MESSAGE(checkpoint->arena, pipe_entry, PipeEntry);

	description->entry->pipe = entry;
	entry->id = description->id;
	entry->pipe_id = pipe_id(checkpoint, description->inode);
	entry->flags = description->flags;
	entry->fown = description->owner;
	entry->has_uid = entry->has_gid = true;
	entry->uid = description->stat.st_uid;
	entry->gid = description->stat.st_gid;
	entry->has_mode = (description->stat.st_mode & 07777) != NEW_PIPE_MODE;
	entry->mode = description->stat.st_mode & 07777;
	return 0;
}

static int store(struct checkpoint *checkpoint, struct description *description)
{
	return pipe_store(checkpoint, description, IMAGE_PIPES_DATA);
}

static int take(struct checkpoint *checkpoint, struct description *description)
{
	const PipeEntry *entry = description->entry->pipe;

	if (!entry)
		return file_damaged(description, "it is no pipe");
	description->flags = entry->flags;
	description->owner = entry->fown;
	pipe_join(checkpoint, IMAGE_PIPES_DATA, entry->pipe_id, description);
	return 0;
}

/* Was it made by pipe(), as most are, or later opened through /proc? */
static bool is_original(const struct description *description)
{
	return !(description->flags & KERNEL_O_LARGEFILE) &&
	       (description->flags & O_ACCMODE) != O_RDWR;
}

/* All descriptions of the pipe; the ends stay open, for others to be opened through. */
static int open_members(struct pipe *pipe, const int ends[2])
{
	bool used[2] = {false, false};
	int error = 0;

	for (struct description *each = pipe->members; each && !error; each = each->next) {
		bool end = pipe_writes(each), original = is_original(each) && !used[end];

		if (original)
			each->fd = fcntl(ends[end], F_DUPFD_CLOEXEC, 0);
		else
			each->fd = file_reopen(ends[0], each->flags & (O_ACCMODE | O_NONBLOCK));
		used[end] |= original;
		error = each->fd >= 0 ? file_set_flags(each) : original ? -errno : each->fd;
	}
	return error;
}

static int set_owner_and_mode(const PipeEntry *entry, int fd)
{
	if (entry->has_uid && entry->has_gid &&
	    (entry->uid != geteuid() || entry->gid != getegid()) &&
	    fchown(fd, entry->uid, entry->gid) < 0)
		return -errno;
	return entry->has_mode && fchmod(fd, entry->mode & 07777) < 0 ? -errno : 0;
}

static int make(struct checkpoint *checkpoint, struct description *description)
{
	struct pipe *pipe = description->state;
	int ends[2], error;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return FAIL(errno, description_subject(description), NULL, "cannot be made: %s",
			    strerror(errno));
	error = pipe_fill(checkpoint, pipe, IMAGE_PIPES_DATA, ends[1]);
	if (!error) {
		error = set_owner_and_mode(description->entry->pipe, ends[0]);
		if (!error)
			error = open_members(pipe, ends);
		if (error)
			FAIL(-error, description_subject(description), NULL, "cannot be opened: %s",
			     strerror(-error));
	}
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	return error;
}

const struct file_kind pipe_kind = {
	.name = "pipe",
	.type = FD_TYPES__PIPE,
	.recognize = recognize,
	.describe = describe,
	.check = pipe_check,
	.store = store,
	.read = take,
	.make = make,
};
