/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fd.h"
#include "base/report.h"
#include "image/format.h"
#include "image/image.h"
#include "images/cgroup.pb-c.h"
#include "images/core.pb-c.h"
#include "images/ghost-file.pb-c.h"
#include "images/inventory.pb-c.h"
#include "images/pagemap.pb-c.h"
#include "images/pstree.pb-c.h"

struct fixture {
	char path[64];
	int dir;
	struct arena *arena;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->path, "/tmp/stasis-test-XXXXXX");
	assert_non_null(mkdtemp(fixture->path));
	fixture->dir = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fixture->dir >= 0);
	fixture->arena = arena_new();
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", fixture->path);
	assert_int_equal(system(command), 0);
	close(fixture->dir);
	arena_free(fixture->arena);
	report_clear();
	free(fixture);
	return 0;
}

static void put_file(struct fixture *fixture, const char *name, const void *data, size_t size)
{
	autofd int fd = openat(fixture->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, data, size), 0);
}

static size_t get_file(struct fixture *fixture, const char *name, unsigned char *data, size_t room)
{
	autofd int fd = openat(fixture->dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	assert_true(fd >= 0);
	size = read(fd, data, room);
	assert_true(size >= 0 && (size_t)size < room);
	return size;
}

static bool exists(struct fixture *fixture, const char *name)
{
	return faccessat(fixture->dir, name, F_OK, 0) == 0;
}

/* Exactly one problem was reported since the last call, about this. */
static void assert_reported(const char *subject, const char *reason)
{
	assert_int_equal(report_count(), 1);
	assert_non_null(strstr(report_get(0)->subject, subject));
	if (!strstr(report_get(0)->reason, reason))
		fail_msg("reported: %s", report_get(0)->reason);
	report_clear();
}

static void write_pstree(struct fixture *fixture, unsigned int count)
{
	struct image_writer *writer = image_create(fixture->dir, IMAGE_PSTREE, 0);

	for (unsigned int i = 1; i <= count; i++) {
		PstreeEntry entry = PSTREE_ENTRY__INIT;

		entry.pid = i;
		entry.ppid = i - 1;
		entry.n_threads = 1;
		entry.threads = &i;
		image_put(writer, &entry);
	}
	assert_int_equal(image_finish(writer), 0);
}

/* Entries that can be read; negative at an error. */
static int count_pstree(struct fixture *fixture)
{
	struct image_reader *reader;
	PstreeEntry *entry;
	int count = 0, got = image_open(fixture->dir, IMAGE_PSTREE, 0, fixture->arena, &reader);

	if (got)
		return got;
	while ((got = image_get(reader, &entry)) == 1)
		assert_int_equal(entry->pid, ++count);
	image_close(reader);
	return got ? got : count;
}

static void messages_come_back(void **state)
{
	struct fixture *fixture = *state;

	write_pstree(fixture, 0);
	assert_int_equal(count_pstree(fixture), 0);
	write_pstree(fixture, 10000);
	assert_int_equal(count_pstree(fixture), 10000);
}

static void format_is_crius(void **state)
{
	static const unsigned char pstree[] = {0x19, 0x43, 0x56, 0x54, 0x30, 0x30, 0x27, 0x50,
					       0x0a, 0x00, 0x00, 0x00, 0x08, 0x01, 0x10, 0x00,
					       0x18, 0x00, 0x20, 0x00, 0x28, 0x01};
	static const unsigned char inventory[] = {0x16, 0x31, 0x31, 0x58, 0x02,
						  0x00, 0x00, 0x00, 0x08, 0x03};
	struct fixture *fixture = *state;
	InventoryEntry entry = INVENTORY_ENTRY__INIT;
	unsigned char data[64];

	write_pstree(fixture, 1);
	assert_int_equal(get_file(fixture, "pstree.img", data, sizeof(data)), sizeof(pstree));
	assert_memory_equal(data, pstree, sizeof(pstree));

	entry.img_version = 3;
	assert_int_equal(image_write_one(fixture->dir, IMAGE_INVENTORY, 0, &entry), 0);
	assert_int_equal(get_file(fixture, "inventory.img", data, sizeof(data)), sizeof(inventory));
	assert_memory_equal(data, inventory, sizeof(inventory));
	assert_false(exists(fixture, "inventory.img.new"));
}

static void names_have_their_ids(void **state)
{
	char name[64];

	assert_string_equal(image_name(IMAGE_CORE, 42, name), "core-42.img");
	assert_string_equal(image_name(IMAGE_GHOST_FILE, 42, name), "ghost-file-2a.img");
	assert_string_equal(image_name(IMAGE_PAGEMAP_SHMEM, 7, name), "pagemap-shmem-7.img");
	assert_string_equal(image_name(IMAGE_FILES, 7, name), "files.img");
	assert_string_equal(image_name(IMAGE_STATS_DUMP, 0, name), "stats-dump");
}

static void every_format_is_complete(void **state)
{
	for (size_t i = 0; i < image_format_count; i++) {
		const struct image_format *format = &image_formats[i];

		assert_non_null(format->file);
		if (!format->magic_name)
			continue;
		assert_non_null(format->magic_name);
		assert_non_null(format->message);
		/* Rows may share a number only if they are of one type. */
		assert_string_equal(image_format_by_magic(format->magic)->magic_name,
				    format->magic_name);
	}
	assert_null(image_format_by_magic(0));
}

static void raw_data_follows_messages(void **state)
{
	struct fixture *fixture = *state;
	struct image_writer *writer = image_create(fixture->dir, IMAGE_GHOST_FILE, 1);
	GhostFileEntry entry = GHOST_FILE_ENTRY__INIT, *read_entry;
	GhostChunkEntry chunk = GHOST_CHUNK_ENTRY__INIT, *read_chunk;
	struct image_reader *reader;
	char data[100000], byte = 'x';
	uint64_t offset;
	int fd;

	memset(data, 'd', sizeof(data));
	entry.mode = 0100644;
	entry.has_chunks = entry.chunks = true;
	image_put(writer, &entry);
	chunk.len = sizeof(data);
	image_put(writer, &chunk);
	image_put_raw(writer, data, sizeof(data));
	chunk.len = 1;
	chunk.off = 1 << 20;
	image_put(writer, &chunk);
	assert_int_equal(image_finish_raw(writer, &fd), 0);
	assert_int_equal(fd_write_all(fd, &byte, 1), 0);
	close(fd);

	assert_int_equal(image_open(fixture->dir, IMAGE_GHOST_FILE, 1, fixture->arena, &reader), 0);
	assert_int_equal(image_get(reader, &read_entry), 1);
	assert_int_equal(read_entry->mode, 0100644);
	assert_int_equal(image_get(reader, &read_chunk), 1);
	assert_int_equal(read_chunk->len, sizeof(data));
	memset(data, 0, sizeof(data));
	assert_int_equal(image_get_raw(reader, data, sizeof(data)), 0);
	assert_int_equal(data[sizeof(data) - 1], 'd');
	assert_int_equal(image_get(reader, &read_chunk), 1);
	assert_int_equal(read_chunk->off, 1 << 20);
	assert_int_equal(image_left(reader), 1);
	fd = image_position(reader, &offset);
	byte = 0;
	assert_int_equal(fd_pread_all(fd, &byte, 1, offset), 0);
	assert_int_equal(byte, 'x');
	assert_int_equal(image_get_raw(reader, data, 2), -EBADMSG);
	assert_reported("ghost-file-1.img", "within data");
	assert_int_equal(image_skip_raw(reader, UINT64_MAX), -EBADMSG);
	assert_reported("ghost-file-1.img", "within data");
	assert_int_equal(image_skip_raw(reader, 1), 0);
	assert_int_equal(image_get(reader, &read_chunk), 0);
	image_close(reader);
}

static void head_comes_first(void **state)
{
	struct fixture *fixture = *state;
	struct image_writer *writer = image_create(fixture->dir, IMAGE_PAGEMAP, 5);
	PagemapHead head = PAGEMAP_HEAD__INIT, *read_head;
	PagemapEntry entry = PAGEMAP_ENTRY__INIT, *read_entry;
	struct image_reader *reader;

	head.pages_id = 9;
	image_put(writer, &head);
	entry.vaddr = 0x1000;
	image_put(writer, &entry);
	assert_int_equal(image_finish(writer), 0);
	assert_int_equal(image_open(fixture->dir, IMAGE_PAGEMAP, 5, fixture->arena, &reader), 0);
	assert_int_equal(image_get(reader, &read_head), 1);
	assert_int_equal(read_head->pages_id, 9);
	assert_int_equal(image_get(reader, &read_entry), 1);
	assert_int_equal(read_entry->vaddr, 0x1000);
	image_close(reader);
}

static void incomplete_message_is_not_written(void **state)
{
	struct fixture *fixture = *state;
	CoreEntry entry = CORE_ENTRY__INIT;
	TaskCoreEntry task = TASK_CORE_ENTRY__INIT;

	entry.tc = &task;
	task.comm = NULL;
	assert_int_equal(image_write_one(fixture->dir, IMAGE_CORE, 1, &entry), -EINVAL);
	assert_reported("core-1.img", "incomplete");
	assert_false(exists(fixture, "core-1.img"));
}

static void failed_write_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct rlimit old, small;
	struct image_writer *writer;
	char data[20000] = {0};
	int error, fd;

	/* No space, in the way that needs no file system of its own. */
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = (struct rlimit){10000, old.rlim_max};
	setrlimit(RLIMIT_FSIZE, &small);
	writer = image_create(fixture->dir, IMAGE_INVENTORY, 0);
	image_put_raw(writer, data, sizeof(data));
	error = image_finish(writer);
	writer = image_create(fixture->dir, IMAGE_FILES, 0);
	image_put_raw(writer, data, sizeof(data));
	fd = 0;
	int error_raw = image_finish_raw(writer, &fd);

	setrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(error, -EFBIG);
	assert_int_equal(error_raw, -EFBIG);
	assert_true(fd < 0);
	assert_int_equal(report_count(), 2);
	assert_non_null(strstr(report_get(0)->remedy, "limit"));
	assert_false(exists(fixture, "inventory.img"));
	assert_false(exists(fixture, "inventory.img.new"));
	assert_false(exists(fixture, "files.img"));
}

static void older_image_is_replaced(void **state)
{
	struct fixture *fixture = *state;
	struct stat stat;
	unsigned char data[64];

	put_file(fixture, "pstree.img", "old", 3);
	assert_int_equal(linkat(fixture->dir, "pstree.img", fixture->dir, "linked", 0), 0);
	write_pstree(fixture, 1);
	assert_int_equal(get_file(fixture, "linked", data, sizeof(data)), 3);
	assert_int_equal(fstatat(fixture->dir, "pstree.img", &stat, 0), 0);
	assert_int_equal(stat.st_mode & 0777, 0600);
	/* And nothing is written through a link. */
	unlinkat(fixture->dir, "pstree.img", 0);
	assert_int_equal(symlinkat("linked", fixture->dir, "pstree.img"), 0);
	write_pstree(fixture, 1);
	assert_int_equal(get_file(fixture, "linked", data, sizeof(data)), 3);
	assert_int_equal(image_remove(fixture->dir, IMAGE_PSTREE, 0), 0);
	assert_false(exists(fixture, "pstree.img"));
	assert_int_equal(image_remove(fixture->dir, IMAGE_PSTREE, 0), 0);
}

static void pages_are_raw(void **state)
{
	struct fixture *fixture = *state;
	unsigned char data[8];
	int fd = image_create_pages(fixture->dir, 3);

	assert_true(fd >= 0);
	assert_int_equal(fd_pwrite_all(fd, "page", 4, 0), 0);
	close(fd);
	assert_int_equal(get_file(fixture, "pages-3.img", data, sizeof(data)), 4);
	fd = image_open_pages(fixture->dir, 3);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(image_open_pages(fixture->dir, 4), -ENOENT);
	assert_reported("pages-4.img", "cannot be opened");
}

static void missing_image_is_the_callers(void **state)
{
	struct fixture *fixture = *state;
	struct image_reader *reader;
	CoreEntry *core;

	assert_int_equal(image_open(fixture->dir, IMAGE_CORE, 1, fixture->arena, &reader), -ENOENT);
	assert_int_equal(image_read_one(fixture->dir, IMAGE_CORE, 1, fixture->arena, &core),
			 -ENOENT);
	assert_int_equal(report_count(), 0);
}

static void truncated_anywhere(void **state)
{
	struct fixture *fixture = *state;
	unsigned char data[256];
	size_t size;

	write_pstree(fixture, 3);
	size = get_file(fixture, "pstree.img", data, sizeof(data));
	for (size_t length = 0; length < size; length++) {
		int count;

		put_file(fixture, "pstree.img", data, length);
		count = count_pstree(fixture);
		/* 8 bytes of magic, then entries of 14: only at an end is it whole. */
		if (length >= 8 && (length - 8) % 14 == 0) {
			assert_int_equal(count, (length - 8) / 14);
		} else {
			assert_int_equal(count, -EBADMSG);
			assert_reported("pstree.img", "the file ends within");
		}
	}
}

static void wrong_magic(void **state)
{
	struct fixture *fixture = *state;
	struct image_reader *reader;

	put_file(fixture, "core-1.img", "\x19\x43\x56\x54\x20\x28\x49\x57", 8);
	assert_int_equal(image_open(fixture->dir, IMAGE_CORE, 1, fixture->arena, &reader),
			 -EBADMSG);
	assert_reported("core-1.img", "not a CORE image but a MM image");
	put_file(fixture, "core-1.img", "\x19\x43\x56\x54\xff\xff\xff\xff", 8);
	assert_int_equal(image_open(fixture->dir, IMAGE_CORE, 1, fixture->arena, &reader),
			 -EBADMSG);
	assert_reported("core-1.img", "unknown magic number 0xffffffff");
}

static void bad_messages(void **state)
{
	/* Behind the magic: sizes and bytes. */
	static const struct {
		const char *data;
		size_t size;
		const char *reason;
	} cases[] = {
		{"\xff\xff\xff\xff", 4, "ends within a message"},
		{"\xff\xff\xff\x7f", 4, "ends within a message"},
		{"\x00\x00\x00\x00", 4, "no valid core_entry"}, /* a required field is missing */
		{"\x02\x00\x00\x00\x08", 5, "ends within a message"},
		{"\x01\x00\x00\x00\x08", 5, "no valid core_entry"},     /* no value */
		{"\x02\x00\x00\x00\x0f\x01", 6, "no valid core_entry"}, /* no such wire type */
		{"\x04\x00\x00\x00\x08\x01\x1a\x7f", 8, "no valid core_entry"},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		unsigned char data[64] = "\x19\x43\x56\x54\x47\x38\x05\x55";
		CoreEntry *core;

		memcpy(data + 8, cases[i].data, cases[i].size);
		put_file(fixture, "core-1.img", data, 8 + cases[i].size);
		assert_int_equal(image_read_one(fixture->dir, IMAGE_CORE, 1, fixture->arena, &core),
				 -EBADMSG);
		assert_reported("core-1.img", cases[i].reason);
	}
	put_file(fixture, "core-1.img", "\x19\x43\x56\x54\x47\x38\x05\x55", 8);
	CoreEntry *core;

	assert_int_equal(image_read_one(fixture->dir, IMAGE_CORE, 1, fixture->arena, &core),
			 -EBADMSG);
	assert_reported("core-1.img", "no message");
}

static void unknown_fields_are_refused(void **state)
{
	/* pid, ppid, pgid, sid, and a field 99 = 1 */
	static const char bytes[] = "\x19\x43\x56\x54\x30\x30\x27\x50\x0b\x00\x00\x00"
				    "\x08\x01\x10\x00\x18\x00\x20\x00\x98\x06\x01";
	struct fixture *fixture = *state;
	const struct image_format *format;
	struct image_reader *reader;
	PstreeEntry *entry;
	char path[128];

	put_file(fixture, "pstree.img", bytes, sizeof(bytes) - 1);
	assert_int_equal(image_read_one(fixture->dir, IMAGE_PSTREE, 0, fixture->arena, &entry),
			 -EOPNOTSUPP);
	assert_reported("pstree.img", "field 99 of pstree_entry");
	/* But it can be looked at. */
	snprintf(path, sizeof(path), "%s/pstree.img", fixture->path);
	assert_int_equal(image_open_file(path, fixture->arena, &reader, &format), 0);
	assert_int_equal(image_get(reader, &entry), 1);
	image_close(reader);
}

/* A directory in a directory in a directory...: it must not exhaust the stack. */
static void nests_too_deep(void **state)
{
	enum { DEPTH = 200000, ROOM = DEPTH * 12 };
	struct fixture *fixture = *state;
	unsigned char *data = malloc(ROOM);
	size_t start = ROOM, end = ROOM;
	const struct image_format *format;
	struct image_reader *reader;
	CgroupEntry *entry;
	char path[128];

	/* Built from the inside: children = 2 of cgroup_dir_entry, dirs = 2 and controllers = 2. */
	for (int i = 0; i < DEPTH; i++) {
		size_t size = end - start;
		unsigned char head[12] = {2 << 3 | 2};
		size_t length = 1;

		for (; size >= 0x80; size >>= 7)
			head[length++] = size | 0x80;
		head[length++] = size;
		start -= length;
		memcpy(data + start, head, length);
	}
	uint32_t size = end - start;

	memcpy(data + start - 4, &size, 4);
	memcpy(data + start - 12, "\x19\x43\x56\x54\x30\x33\x38\x59", 8);
	put_file(fixture, "cgroup.img", data + start - 12, size + 12);
	free(data);
	snprintf(path, sizeof(path), "%s/cgroup.img", fixture->path);
	assert_int_equal(image_open_file(path, fixture->arena, &reader, &format), 0);
	assert_string_equal(format->magic_name, "CGROUP");
	assert_int_equal(image_get(reader, &entry), -EBADMSG);
	assert_reported("cgroup.img", "no valid cgroup_entry");
	image_close(reader);
}

static void only_regular_files(void **state)
{
	struct fixture *fixture = *state;
	struct image_reader *reader;

	assert_int_equal(mkfifoat(fixture->dir, "core-1.img", 0600), 0);
	assert_int_equal(image_open(fixture->dir, IMAGE_CORE, 1, fixture->arena, &reader),
			 -EBADMSG);
	assert_reported("core-1.img", "not a regular file");
	assert_int_equal(mkdirat(fixture->dir, "core-2.img", 0700), 0);
	assert_int_equal(image_open(fixture->dir, IMAGE_CORE, 2, fixture->arena, &reader),
			 -EBADMSG);
	assert_reported("core-2.img", "not a regular file");
	/* A FIFO that is in the way of a new image is replaced, not written to. */
	assert_int_equal(mkfifoat(fixture->dir, "pstree.img", 0600), 0);
	write_pstree(fixture, 1);
	assert_int_equal(count_pstree(fixture), 1);
}

/* Types that were looked at, so that each is once. */
struct seen {
	const ProtobufCMessageDescriptor *types[512];
	size_t count;
};

/* All fields of our own, also in the messages of messages, are in the page about images. */
static void check_documented(const ProtobufCMessageDescriptor *type, const char *page,
			     struct seen *seen)
{
	for (size_t i = 0; i < seen->count; i++)
		if (seen->types[i] == type)
			return;
	assert_true(seen->count < sizeof(seen->types) / sizeof(*seen->types));
	seen->types[seen->count++] = type;
	for (unsigned int i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		char name[128];

		snprintf(name, sizeof(name), "`%s`", field->name);
		if (field->id >= 1000 && !strstr(page, name))
			fail_msg("add %s of %s to docs/images.md", field->name, type->name);
		if (field->type == PROTOBUF_C_TYPE_MESSAGE)
			check_documented(field->descriptor, page, seen);
	}
}

static void own_fields_are_documented(void **state)
{
	const char *path = getenv("STASIS_IMAGES_PAGE");
	struct seen seen = {0};
	char *page;

	if (!path)
		skip();
	assert_int_equal(fd_read_file(AT_FDCWD, path, &page, NULL), 0);
	for (size_t i = 0; i < image_format_count; i++) {
		if (image_formats[i].first)
			check_documented(image_formats[i].first, page, &seen);
		if (image_formats[i].message)
			check_documented(image_formats[i].message, page, &seen);
	}
	free(page);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(messages_come_back),
		TEST(format_is_crius),
		TEST(names_have_their_ids),
		TEST(every_format_is_complete),
		TEST(raw_data_follows_messages),
		TEST(head_comes_first),
		TEST(incomplete_message_is_not_written),
		TEST(failed_write_leaves_nothing),
		TEST(older_image_is_replaced),
		TEST(pages_are_raw),
		TEST(missing_image_is_the_callers),
		TEST(truncated_anywhere),
		TEST(wrong_magic),
		TEST(bad_messages),
		TEST(unknown_fields_are_refused),
		TEST(nests_too_deep),
		TEST(only_regular_files),
		TEST(own_fields_are_documented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
