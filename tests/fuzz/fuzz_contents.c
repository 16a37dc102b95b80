/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fd.h"
#include "base/report.h"
#include "checkpoint/checkpoint.h"
#include "fuzz.h"
#include "image/image.h"
#include "mount/filesystem.h"

/* The archive of a filesystem's contents: a small, detached tmpfs is filled with it.  Needs root.
 */

static int image_directory(void)
{
	static int directory = -1;

	if (directory < 0) {
		/* Nothing to be cleaned up: it is mounted nowhere. */
		autofd int context = fsopen("tmpfs", FSOPEN_CLOEXEC), view = -1;

		if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
			abort();
		view = fsmount(context, FSMOUNT_CLOEXEC, 0);
		directory = openat(view, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (directory < 0)
			abort();
	}
	return directory;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct options options = {0};
	struct checkpoint checkpoint = {
		.options = &options,
		.arena = arena_new(),
		.images = image_directory(),
	};
	struct superblock superblock = {
		.type = "tmpfs",
		.source = "fuzz",
		.options = "size=1m,nr_inodes=100",
		.device = makedev(0, 1),
		.fd = -1,
	};
	autofd int image = image_create_raw(checkpoint.images, IMAGE_TMPFS, 1);

	if (image < 0 || fd_write_all(image, data, size))
		abort();
	filesystem_make(&checkpoint, &superblock);
	contents_seal(&checkpoint, &superblock);
	fd_close(&superblock.fd);
	report_clear();
	arena_free(checkpoint.arena);
	return 0;
}

struct writer {
	struct archive *archive;
	struct archive_entry *entry;
};

static struct archive_entry *begin(struct writer *writer, const char *path, mode_t mode)
{
	archive_entry_clear(writer->entry);
	archive_entry_copy_pathname(writer->entry, path);
	archive_entry_set_mode(writer->entry, mode);
	archive_entry_set_mtime(writer->entry, 1, 2);
	archive_entry_set_atime(writer->entry, 3, 4);
	archive_entry_set_size(writer->entry, 0);
	return writer->entry;
}

static void end(struct writer *writer, const char *data)
{
	archive_write_header(writer->archive, writer->entry);
	if (*data)
		archive_write_data(writer->archive, data, strlen(data));
}

/* last: what no archive of ours has. */
static void add_files(struct writer *writer, const char *last)
{
	begin(writer, ".", S_IFDIR | 0755);
	end(writer, "");
	archive_entry_xattr_add_entry(begin(writer, "gone/file", S_IFREG | 0600), "stasis.deleted",
				      "1,2", 3);
	end(writer, "");
	begin(writer, "a", S_IFDIR | 0755);
	archive_entry_xattr_add_entry(writer->entry, "trusted.a", "value", 5);
	archive_entry_xattr_add_entry(writer->entry, "stasis.flags", "10", 2);
	end(writer, "");
	archive_entry_set_size(begin(writer, "a/b", S_IFREG | 0644), 4);
	archive_entry_xattr_add_entry(writer->entry, "stasis.x.747275737465642e61", "value", 5);
	end(writer, "data");
	archive_entry_copy_symlink(begin(writer, "link", S_IFLNK | 0777), "..");
	end(writer, "");
	archive_entry_copy_hardlink(begin(writer, "hard", S_IFREG | 0644), "a/b");
	archive_entry_unset_size(writer->entry);
	end(writer, "");
	archive_entry_set_rdev(begin(writer, "null", S_IFCHR | 0666), makedev(1, 3));
	end(writer, "");
	archive_entry_xattr_add_entry(begin(writer, "socket", S_IFREG | 0666), "stasis.type",
				      "socket", 6);
	end(writer, "");
	archive_entry_set_size(begin(writer, "sparse", S_IFREG | 0644), 100000);
	archive_entry_sparse_add_entry(writer->entry, 99996, 4);
	archive_write_header(writer->archive, writer->entry);
	for (int i = 0; i < 25000; i++)
		archive_write_data(writer->archive, "data", 4);
	begin(writer, last, S_IFREG | 0644);
	end(writer, "");
}

/* Archives as they are before they are compressed: gzread() takes both. */
void fuzz_seeds(void (*add)(const void *data, size_t size))
{
	static char buffer[1 << 18];
	static const char *const last[] = {"last", "../up", "/absolute", "a/../d", "link/inside"};

	for (size_t i = 0; i < 2 * sizeof(last) / sizeof(*last); i++) {
		struct writer writer = {archive_write_new(), archive_entry_new()};
		size_t size = 0;

		if (i % 2)
			archive_write_set_format_gnutar(writer.archive);
		else
			archive_write_set_format_pax(writer.archive);
		archive_write_set_bytes_in_last_block(writer.archive, 1);
		if (archive_write_open_memory(writer.archive, buffer, sizeof(buffer), &size))
			abort();
		add_files(&writer, last[i / 2]);
		archive_write_close(writer.archive);
		add(buffer, size);
		archive_write_free(writer.archive);
		archive_entry_free(writer.entry);
	}
	add("\x1f\x8b\x08\0\0\0\0\0\0\3", 10);
}
