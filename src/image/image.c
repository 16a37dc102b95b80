/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/image.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/report.h"
#include "image/format.h"

enum {
	NAME_SIZE = 64,
	READ_AHEAD = 64 * 1024,
	/* An image holds passwords and keys if the application did: for its owner only. */
	IMAGE_MODE = 0600,
	/* protobuf-c unpacks recursively; no real cgroup or AppArmor tree comes near. */
	MOST_NESTING = 64,
};

static const char temporary_inventory[] = "inventory.img.new";

const char *image_name(enum image_type type, unsigned long id, char name[64])
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(name, NAME_SIZE, image_formats[type].file, id);
#pragma GCC diagnostic pop
	return name;
}

/* Writing. */

struct image_writer {
	int dirfd;
	const struct image_format *format;
	char name[NAME_SIZE];
	unsigned char *data;
	size_t size, room;
	const ProtobufCMessageDescriptor *incomplete; /* of a message without a required field */
};

static int write_failed(int code, const char *name)
{
	const char *remedy = NULL;

	code = abs(code);
	if (code == ENOSPC || code == EDQUOT)
		remedy = "free some space, or name a directory with more of it (-D)";
	else if (code == EACCES || code == EPERM || code == EROFS)
		remedy = "name a directory that can be written to (-D)";
	else if (code == EFBIG)
		remedy = "raise the limit on the size of files (ulimit -f)";
	else if (code == EMFILE || code == ENFILE)
		remedy = "raise the limit on open files (ulimit -n)";
	return FAIL(code, SUBJECT("image %s", name), remedy, "cannot be written: %s",
		    strerror(code));
}

static unsigned char *writer_room(struct image_writer *writer, size_t more)
{
	if (writer->room - writer->size < more) {
		size_t room = writer->room ? writer->room : 4096;

		while (room - writer->size < more)
			room *= 2;
		writer->data = realloc(writer->data, room);
		if (!writer->data)
			die_of_memory();
		writer->room = room;
	}
	writer->size += more;
	return writer->data + writer->size - more;
}

static void put_number(struct image_writer *writer, uint32_t number)
{
	number = htole32(number);
	memcpy(writer_room(writer, sizeof(number)), &number, sizeof(number));
}

struct image_writer *image_create(int dirfd, enum image_type type, unsigned long id)
{
	struct image_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		die_of_memory();
	writer->dirfd = dirfd;
	writer->format = image_format(type);
	image_name(type, id, writer->name);
	if (writer->format->prefix)
		put_number(writer, writer->format->prefix);
	if (writer->format->magic)
		put_number(writer, writer->format->magic);
	return writer;
}

void image_put(struct image_writer *writer, const void *message)
{
	if (!protobuf_c_message_check(message)) {
		writer->incomplete = ((const ProtobufCMessage *)message)->descriptor;
		return;
	}

	size_t size = protobuf_c_message_get_packed_size(message);

	if (size > INT32_MAX) {
		writer->incomplete = ((const ProtobufCMessage *)message)->descriptor;
		return;
	}
	put_number(writer, size);
	protobuf_c_message_pack(message, writer_room(writer, size));
}

void image_put_raw(struct image_writer *writer, const void *data, size_t size)
{
	if (size)
		memcpy(writer_room(writer, size), data, size);
}

/*
 * A new file of this name.  One that is there already is replaced, not overwritten: it may be
 * linked into other checkpoints.
 */
static int create_file(int dirfd, const char *name, int access)
{
	const int flags = access | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dirfd, name, flags, IMAGE_MODE);

	if (fd < 0 && errno == EEXIST && (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT))
		fd = openat(dirfd, name, flags, IMAGE_MODE);
	return fd < 0 ? -errno : fd;
}

/* Writes what was collected to a new file; its descriptor, or a negative errno and no file. */
static int write_file(struct image_writer *writer, const char *name)
{
	if (writer->incomplete)
		return FAIL(EINVAL, SUBJECT("image %s", writer->name),
			    "this is a defect of stasis: please report it",
			    "a %s is incomplete or too large", writer->incomplete->name);

	int fd = create_file(writer->dirfd, name, O_WRONLY);
	int error = fd < 0 ? fd : fd_write_all(fd, writer->data, writer->size);

	if (!error || fd < 0)
		return fd < 0 ? write_failed(error, writer->name) : fd;
	close(fd);
	unlinkat(writer->dirfd, name, 0);
	return write_failed(error, writer->name);
}

static void free_writer(struct image_writer *writer)
{
	free(writer->data);
	free(writer);
}

int image_finish_raw(struct image_writer *writer, int *fd)
{
	*fd = write_file(writer, writer->name);
	free_writer(writer);
	return *fd < 0 ? *fd : 0;
}

int image_finish(struct image_writer *writer)
{
	/* The inventory makes a directory a checkpoint: it is there completely or not at all. */
	bool inventory = writer->format == image_format(IMAGE_INVENTORY);
	const char *name = inventory ? temporary_inventory : writer->name;
	int error = write_file(writer, name);

	if (error >= 0) {
		/* Some file systems (NFS, quotas) tell only now that there was no space. */
		error = close(error) ? -errno : 0;
		if (!error && inventory &&
		    renameat(writer->dirfd, name, writer->dirfd, writer->name))
			error = -errno;
		if (error) {
			unlinkat(writer->dirfd, name, 0);
			write_failed(error, writer->name);
		}
	}
	free_writer(writer);
	return error;
}

void image_discard(struct image_writer *writer)
{
	if (writer)
		free_writer(writer);
}

int image_write_one(int dirfd, enum image_type type, unsigned long id, const void *message)
{
	struct image_writer *writer = image_create(dirfd, type, id);

	image_put(writer, message);
	return image_finish(writer);
}

int image_create_raw(int dirfd, enum image_type type, unsigned long id)
{
	char name[NAME_SIZE];
	int fd = create_file(dirfd, image_name(type, id, name), O_RDWR);

	return fd < 0 ? write_failed(fd, name) : fd;
}

int image_create_pages(int dirfd, unsigned long id)
{
	return image_create_raw(dirfd, IMAGE_PAGES, id);
}

int image_remove(int dirfd, enum image_type type, unsigned long id)
{
	char name[NAME_SIZE];

	if (unlinkat(dirfd, image_name(type, id, name), 0) && errno != ENOENT)
		return write_failed(errno, name);
	return 0;
}

/* Reading. */

struct image_reader {
	int fd;
	char *name;
	const struct image_format *format;
	struct arena *arena;
	uint64_t offset, size; /* of what comes next; of the file */
	uint64_t entries;      /* read so far */
	bool lenient;          /* fields that are not known are passed over */
	unsigned char *buffer; /* holds `filled` bytes of the file from `start` on */
	uint64_t start;
	size_t filled, room;
};

static int damaged(const struct image_reader *reader, const char *what)
{
	return FAIL(EBADMSG, SUBJECT("image %s", reader->name),
		    "the file is damaged or incomplete: take another copy of the checkpoint",
		    "%s at offset %llu of %llu", what, (unsigned long long)reader->offset,
		    (unsigned long long)reader->size);
}

static int read_failed(const struct image_reader *reader, int code)
{
	return FAIL(abs(code), SUBJECT("image %s", reader->name), NULL,
		    "cannot be read at offset %llu: %s", (unsigned long long)reader->offset,
		    strerror(abs(code)));
}

/* The next `size` bytes, which the file has, in the buffer; good until the next call. */
static int fetch(struct image_reader *reader, size_t size, const unsigned char **data)
{
	uint64_t end = reader->start + reader->filled;

	if (reader->offset < reader->start || reader->offset + size > end) {
		uint64_t left = reader->size - reader->offset;
		size_t want = size > READ_AHEAD ? size : READ_AHEAD;

		if (want > left)
			want = left;
		if (want > reader->room) {
			free(reader->buffer);
			reader->buffer = malloc(want);
			if (!reader->buffer)
				die_of_memory();
			reader->room = want;
		}
		reader->filled = 0;
		int error = fd_pread_all(reader->fd, reader->buffer, want, reader->offset);

		if (error)
			return read_failed(reader, error);
		reader->start = reader->offset;
		reader->filled = want;
	}
	*data = reader->buffer + (reader->offset - reader->start);
	return 0;
}

static int get_number(struct image_reader *reader, uint32_t *number)
{
	const unsigned char *data;

	if (reader->size - reader->offset < sizeof(*number))
		return damaged(reader, "the file ends within a number");

	int error = fetch(reader, sizeof(*number), &data);

	if (error)
		return error;
	memcpy(number, data, sizeof(*number));
	*number = le32toh(*number);
	reader->offset += sizeof(*number);
	return 0;
}

static int get_magic(struct image_reader *reader)
{
	const struct image_format *expected = reader->format;
	uint32_t magic;
	int error = get_number(reader, &magic);

	if (!error && (magic == IMAGE_MAGIC_COMMON || magic == IMAGE_MAGIC_SERVICE))
		error = get_number(reader, &magic);
	if (error)
		return error;
	if (!expected)
		reader->format = image_format_by_magic(magic);
	if (reader->format && reader->format->magic == magic)
		return 0;

	const struct image_format *other = image_format_by_magic(magic);

	reader->offset -= sizeof(magic);
	if (expected && other)
		return FAIL(EBADMSG, SUBJECT("image %s", reader->name),
			    "the file has a wrong name: take another copy of the checkpoint",
			    "is not a %s image but a %s image", expected->magic_name,
			    other->magic_name);
	return FAIL(EBADMSG, SUBJECT("image %s", reader->name),
		    expected ? "the file is damaged: take another copy of the checkpoint"
			     : "is it an image?  pages-*.img hold raw memory, without messages",
		    "unknown magic number %#x", magic);
}

/* Takes the descriptor.  format: what it has to be, or NULL. */
static int open_reader(int fd, const char *name, const struct image_format *format,
		       struct arena *arena, struct image_reader **result)
{
	struct image_reader *reader = calloc(1, sizeof(*reader));
	struct stat stat;
	int error = 0;

	if (!reader)
		die_of_memory();
	*reader = (struct image_reader){.fd = fd, .format = format, .arena = arena};
	reader->name = strdup(name);
	if (!reader->name)
		die_of_memory();
	if (fstat(fd, &stat))
		error = read_failed(reader, errno);
	else if (!S_ISREG(stat.st_mode))
		error = FAIL(EBADMSG, SUBJECT("image %s", name), NULL, "is not a regular file");
	if (!error) {
		reader->size = stat.st_size;
		error = get_magic(reader);
	}
	if (error) {
		image_close(reader);
		return error;
	}
	*result = reader;
	return 0;
}

int image_open(int dirfd, enum image_type type, unsigned long id, struct arena *arena,
	       struct image_reader **reader)
{
	char name[NAME_SIZE];
	/* O_NONBLOCK: a FIFO in the place of an image is refused, not waited for. */
	int fd = openat(dirfd, image_name(type, id, name), O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0)
		return FAIL(errno, SUBJECT("image %s", name), NULL, "cannot be opened: %s",
			    strerror(errno));
	return open_reader(fd, name, image_format(type), arena, reader);
}

int image_open_file(const char *path, struct arena *arena, struct image_reader **reader,
		    const struct image_format **format)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return FAIL(errno, SUBJECT("image %s", path), NULL, "cannot be opened: %s",
			    strerror(errno));

	int error = open_reader(fd, path, NULL, arena, reader);

	if (!error) {
		(*reader)->lenient = true;
		*format = (*reader)->format;
	}
	return error;
}

void image_use_arena(struct image_reader *reader, struct arena *arena)
{
	reader->arena = arena;
}

static bool get_varint(const unsigned char **data, const unsigned char *end, uint64_t *value)
{
	*value = 0;
	for (unsigned int shift = 0; *data < end && shift < 64; shift += 7) {
		unsigned char byte = *(*data)++;

		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* Does a message that may contain itself do so too often, or has it no wire format at all? */
static bool nests_too_deep(const ProtobufCMessageDescriptor *type, const unsigned char *data,
			   size_t size, unsigned int depth)
{
	enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
	const unsigned char *end = data + size;

	if (depth > MOST_NESTING)
		return true;
	while (data < end) {
		uint64_t tag, value = 0;

		if (!get_varint(&data, end, &tag))
			return true;
		switch (tag & 7) {
		case VARINT:
			if (!get_varint(&data, end, &value))
				return true;
			value = 0;
			break;
		case BYTES:
			if (!get_varint(&data, end, &value))
				return true;
			break;
		case FIXED64:
		case FIXED32:
			value = (tag & 7) == FIXED64 ? 8 : 4;
			break;
		default:
			return true;
		}
		if (value > (uint64_t)(end - data))
			return true;

		const ProtobufCFieldDescriptor *field =
			protobuf_c_message_descriptor_get_field(type, tag >> 3);

		if (field && field->type == PROTOBUF_C_TYPE_MESSAGE && (tag & 7) == BYTES &&
		    nests_too_deep(field->descriptor, data, value, depth + 1))
			return true;
		data += value;
	}
	return false;
}

/* A message, this one or one in it, that has fields its type does not know; or NULL. */
static const ProtobufCMessage *with_unknown_fields(const ProtobufCMessage *message)
{
	const char *base = (const char *)message;
	const ProtobufCMessage *found = message->n_unknown_fields ? message : NULL;

	for (unsigned int i = 0; i < message->descriptor->n_fields && !found; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		const void *value = base + field->offset;
		const ProtobufCMessage *const *messages = value;
		size_t count = 1;

		if (field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			count = *(const size_t *)(base + field->quantifier_offset);
			messages = *(const ProtobufCMessage *const *const *)value;
		}
		for (size_t j = 0; j < count && !found; j++)
			found = messages[j] ? with_unknown_fields(messages[j]) : NULL;
	}
	return found;
}

/* What is not understood is refused: it may be what the application cannot do without. */
static int refuse_unknown_fields(const struct image_reader *reader, const ProtobufCMessage *message)
{
	const ProtobufCMessage *found = with_unknown_fields(message);

	if (!found)
		return 0;
	return REFUSE(SUBJECT("image %s", reader->name),
		      "restore with the program that wrote it, or a newer stasis",
		      "has state this version does not know: field %u of %s",
		      found->unknown_fields[0].tag, found->descriptor->name);
}

int image_get_type(struct image_reader *reader, const ProtobufCMessageDescriptor *type,
		   void *message_pointer)
{
	ProtobufCMessage **message = message_pointer;
	const unsigned char *data;
	uint32_t size;

	*message = NULL;
	if (reader->offset == reader->size)
		return 0;

	int error = get_number(reader, &size);

	if (error)
		return error;
	if (size > reader->size - reader->offset || size > INT32_MAX)
		return damaged(reader, "the file ends within a message");
	error = fetch(reader, size, &data);
	if (error)
		return error;
	if (!reader->format->nests || !nests_too_deep(type, data, size, 0))
		*message =
			protobuf_c_message_unpack(type, arena_protobuf(reader->arena), size, data);
	if (!*message)
		return FAIL(EBADMSG, SUBJECT("image %s", reader->name),
			    "the file is damaged: take another copy of the checkpoint",
			    "no valid %s at offset %llu", type->name,
			    (unsigned long long)reader->offset);
	error = reader->lenient ? 0 : refuse_unknown_fields(reader, *message);
	if (error)
		return error;
	reader->offset += size;
	reader->entries++;
	return 1;
}

int image_get(struct image_reader *reader, void *message_pointer)
{
	const struct image_format *format = reader->format;
	bool first = reader->entries == 0 && format->first;

	return image_get_type(reader, first ? format->first : format->message, message_pointer);
}

int image_get_raw(struct image_reader *reader, void *data, size_t size)
{
	if (size > reader->size - reader->offset)
		return damaged(reader, "the file ends within data");

	/* What the buffer does not have is read to its place at once: it may be much. */
	if (size <= READ_AHEAD) {
		const unsigned char *bytes;
		int error = fetch(reader, size, &bytes);

		if (error)
			return error;
		if (size)
			memcpy(data, bytes, size);
	} else {
		int error = fd_pread_all(reader->fd, data, size, reader->offset);

		if (error)
			return read_failed(reader, error);
	}
	reader->offset += size;
	return 0;
}

int image_skip_raw(struct image_reader *reader, uint64_t size)
{
	if (size > reader->size - reader->offset)
		return damaged(reader, "the file ends within data");
	reader->offset += size;
	return 0;
}

int image_position(const struct image_reader *reader, uint64_t *offset)
{
	*offset = reader->offset;
	return reader->fd;
}

uint64_t image_left(const struct image_reader *reader)
{
	return reader->size - reader->offset;
}

void image_close(struct image_reader *reader)
{
	if (!reader)
		return;
	fd_close(&reader->fd);
	free(reader->name);
	free(reader->buffer);
	free(reader);
}

int image_read_one(int dirfd, enum image_type type, unsigned long id, struct arena *arena,
		   void *message_pointer)
{
	struct image_reader *reader;
	int error = image_open(dirfd, type, id, arena, &reader);

	if (error)
		return error;
	error = image_get(reader, message_pointer);
	if (error == 0)
		error = damaged(reader, "there is no message");
	image_close(reader);
	return error < 0 ? error : 0;
}

int image_open_raw(int dirfd, enum image_type type, unsigned long id)
{
	char name[NAME_SIZE];
	autofd int fd =
		openat(dirfd, image_name(type, id, name), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat))
		return FAIL(errno, SUBJECT("image %s", name), NULL, "cannot be opened: %s",
			    strerror(errno));
	if (!S_ISREG(stat.st_mode))
		return FAIL(EBADMSG, SUBJECT("image %s", name), NULL, "is not a regular file");
	return fd_steal(&fd);
}

int image_open_pages(int dirfd, unsigned long id)
{
	return image_open_raw(dirfd, IMAGE_PAGES, id);
}
