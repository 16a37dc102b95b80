/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contents of filesystems that have them in memory: a pax archive in tmpfs-dev-ID.tar.gz.img.  What
 * pax has no word for is an extended attribute whose name begins with "stasis.", which no
 * filesystem takes:
 *
 *	stasis.type	"socket": tar has none, the entry is an empty file
 *	stasis.flags	flags of the inode as FS_IOC_GETFLAGS has them, in hexadecimal
 *	stasis.x.HEX	an extended attribute whose name has bytes that pax does not take
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "image/image.h"
#include "mount/filesystem.h"

#define TYPE_ATTRIBUTE  "stasis.type"
#define FLAGS_ATTRIBUTE "stasis.flags"
#define NAME_ATTRIBUTE  "stasis.x."

enum {
	BUFFER = 1 << 20,
	ZEROS = 1 << 30,
	/* libarchive reads no more than a mebibyte of what describes one file. */
	LARGEST_HEADER = 1000000,
	/* chattr(1) flags that filesystems in memory keep. */
	KEPT_FLAGS = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_CASEFOLD_FL,
};

/* The kernel's own number of the device, as CRIU names the file by it. */
static unsigned long image_id(const struct superblock *superblock)
{
	return (unsigned long)major(superblock->device) << 20 | minor(superblock->device);
}

/* A path that grows and shrinks at its end. */
struct path {
	char *text;
	size_t length, room;
};

static void path_cut(struct path *path, size_t length)
{
	path->length = length;
	if (path->text)
		path->text[length] = 0;
}

/* Adds bytes, behind a '/' if there is something already. */
static void path_add(struct path *path, const char *name, size_t size)
{
	size_t need = path->length + size + 2;

	if (need > path->room) {
		path->room = need * 2;
		path->text = realloc(path->text, path->room);
		if (!path->text)
			die_of_memory();
	}
	if (path->length)
		path->text[path->length++] = '/';
	memcpy(path->text + path->length, name, size);
	path_cut(path, path->length + size);
}

static bool is_listed(const char *const *names, const char *name)
{
	while (*names && strcmp(*names, name))
		names++;
	return *names;
}

/* "tmpfs at /run, file a/b" */
static struct subject file_subject(const struct superblock *superblock, const char *name)
{
	char text[160];
	size_t length = strlen(name);

	/* The end of a long path says more than its beginning. */
	snprintf(text, sizeof(text), "%s%s", length > 150 ? "..." : "",
		 length > 150 ? name + length - 150 : name);
	return SUBJECT("%s, %s", superblock_subject(superblock).text, text);
}

static const char *path_in(int directory, const char *name, char path[64 + NAME_MAX])
{
	snprintf(path, 64 + NAME_MAX, "/proc/self/fd/%d/%s", directory, name);
	return path;
}

/* ---- dump ----------------------------------------------------------------------------------- */

/* A directory that is being read. */
struct level {
	ARRAY(char) names;   /* each with its NUL */
	ARRAY(size_t) order; /* where they are in names, in the order they were made */
	size_t next;         /* in order */
	size_t length;       /* of the path of the directory around it */
	dev_t device;
	ino_t inode;
};

struct writer {
	struct checkpoint *checkpoint;
	const struct superblock *superblock;
	gzFile file;
	bool compressed; /* what is written now */
	struct archive *archive;
	struct archive_entry *entry;
	struct hash links; /* inode -> its first path, of files with several names */
	struct path path;  /* of the directory, then of the file */
	ARRAY(struct level) levels;
	char *buffer, *value;
	char *zeros;   /* ZEROS of them, which are never looked at */
	int directory; /* that is being read */
	bool newest_first, order_is_known;
};

/*
 * The application waits: what has few zeros is stored as it is, for deflate takes many times as long
 * as writing.  What has many is headers of small files, or empty space.
 */
static void choose_compression(struct writer *writer, const unsigned char *data, size_t size)
{
	size_t zeros = 0;
	bool compressed;

	for (size_t i = 0; i < size; i++)
		zeros += !data[i];
	compressed = zeros > size / 2;
	if (compressed != writer->compressed)
		gzsetparams(writer->file, compressed ? 1 : 0, Z_RLE);
	writer->compressed = compressed;
}

static ssize_t write_compressed(struct archive *archive, void *argument, const void *data,
				size_t size)
{
	struct writer *writer = argument;

	errno = 0;
	choose_compression(writer, data, size);
	if (gzwrite(writer->file, data, size) == (int)size)
		return size;
	archive_set_error(archive, errno ?: EIO, "%s", strerror(errno ?: EIO));
	return -1;
}

static int store_failed(const struct writer *writer, int error, const char *what)
{
	return FAIL(error, file_subject(writer->superblock, writer->path.text ?: "/"), NULL,
		    "%s: %s", what, strerror(error));
}

static int image_failed(const struct writer *writer, int error)
{
	char name[64];

	return FAIL(
		error,
		SUBJECT("image %s", image_name(IMAGE_TMPFS, image_id(writer->superblock), name)),
		error == ENOSPC ? "free some space, or name a directory with more of it (-D)"
				: NULL,
		"cannot be written: %s", strerror(error));
}

static int archive_failed(const struct writer *writer)
{
	return image_failed(writer, archive_errno(writer->archive) ?: EIO);
}

/* pax writes "SCHILY.xattr.NAME=value". */
static void add_attribute(struct writer *writer, const char *name, const void *value, size_t size)
{
	char plain[sizeof(NAME_ATTRIBUTE) + 2 * XATTR_NAME_MAX];
	size_t length = strlen(name);
	bool odd = strchr(name, '=') != NULL;

	for (const char *byte = name; *byte; byte++)
		odd |= *byte <= ' ' || *byte >= 0x7f;
	if (odd) {
		strcpy(plain, NAME_ATTRIBUTE);
		for (size_t i = 0; i < length; i++)
			sprintf(plain + strlen(NAME_ATTRIBUTE) + 2 * i, "%02x",
				(unsigned char)name[i]);
		name = plain;
	}
	archive_entry_xattr_add_entry(writer->entry, name, value, size);
}

static int add_attributes(struct writer *writer, const char *path)
{
	char list[1024], *names = list;
	autofree char *more = NULL;
	ssize_t size = llistxattr(path, list, sizeof(list));
	size_t total = 0;

	while (size < 0 && errno == ERANGE) {
		size = llistxattr(path, NULL, 0);
		free(more);
		names = more = malloc(size + 1);
		if (!more)
			die_of_memory();
		size = llistxattr(path, names, size);
	}
	if (size < 0)
		return errno == ENOTSUP
			       ? 0
			       : store_failed(writer, errno, "its attributes cannot be read");
	for (char *name = names; name < names + size; name += strlen(name) + 1) {
		ssize_t length = lgetxattr(path, name, writer->value, XATTR_SIZE_MAX);

		if (length < 0)
			return store_failed(writer, errno, "its attributes cannot be read");
		add_attribute(writer, name, writer->value, length);
		total += length + strlen(name) + 64;
	}
	return total > LARGEST_HEADER ? store_failed(writer, E2BIG, "its attributes are too large")
				      : 0;
}

static int add_flags(struct writer *writer, int fd)
{
	char text[16];
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return 0; /* a filesystem without them */
	if (flags & ~KEPT_FLAGS)
		return REFUSE(file_subject(writer->superblock, writer->path.text),
			      "take it away (chattr(1))", "flags %#x are not understood",
			      flags & ~KEPT_FLAGS);
	if (flags & KEPT_FLAGS)
		archive_entry_xattr_add_entry(
			writer->entry, FLAGS_ATTRIBUTE, text,
			snprintf(text, sizeof(text), "%x", flags & KEPT_FLAGS));
	return 0;
}

/* Where data is, if there are holes. */
static int add_holes(struct writer *writer, int fd, const struct stat *stat)
{
	off_t begin, end = 0;

	if (stat->st_blocks >= (stat->st_size + 511) / 512)
		return 0;
	while ((begin = lseek(fd, end, SEEK_DATA)) >= 0) {
		end = lseek(fd, begin, SEEK_HOLE);
		if (end < 0)
			break;
		archive_entry_sparse_add_entry(writer->entry, begin, end - begin);
	}
	if (errno != ENXIO)
		return store_failed(writer, errno, "it cannot be read");
	if (end == 0)
		archive_entry_sparse_add_entry(writer->entry, 0, 0);
	return 0;
}

/* libarchive wants holes, too, and looks at their sizes only. */
static int put_hole(struct writer *writer, off_t size)
{
	while (size) {
		ssize_t done = archive_write_data(writer->archive, writer->zeros,
						  size < ZEROS ? size : ZEROS);

		if (done <= 0)
			return archive_failed(writer);
		size -= done;
	}
	return 0;
}

static int put_data(struct writer *writer, int fd, off_t offset, off_t end)
{
	while (offset < end) {
		off_t left = end - offset;
		ssize_t size = pread(fd, writer->buffer, left < BUFFER ? left : BUFFER, offset);

		if (size <= 0)
			return store_failed(writer, size ? errno : EIO, "it cannot be read");
		if (archive_write_data(writer->archive, writer->buffer, size) != size)
			return archive_failed(writer);
		offset += size;
	}
	return 0;
}

/* The data of a regular file; where it is is in the entry. */
static int put_file(struct writer *writer, int fd, const struct stat *stat)
{
	int64_t offset, length;
	off_t at = 0;
	int error = 0;

	if (!archive_entry_sparse_reset(writer->entry))
		return put_data(writer, fd, 0, stat->st_size);
	while (!error && archive_entry_sparse_next(writer->entry, &offset, &length) == ARCHIVE_OK) {
		error = put_hole(writer, offset - at);
		if (!error)
			error = put_data(writer, fd, offset, offset + length);
		at = offset + length;
	}
	return error ? error : put_hole(writer, stat->st_size - at);
}

static void set_attributes(struct writer *writer, const char *path, const struct stat *stat)
{
	struct archive_entry *entry = writer->entry;

	archive_entry_clear(entry);
	archive_entry_copy_pathname(entry, path);
	archive_entry_set_mode(entry, stat->st_mode);
	archive_entry_set_uid(entry, stat->st_uid);
	archive_entry_set_gid(entry, stat->st_gid);
	archive_entry_set_mtime(entry, stat->st_mtim.tv_sec, stat->st_mtim.tv_nsec);
	archive_entry_set_atime(entry, stat->st_atim.tv_sec, stat->st_atim.tv_nsec);
	if (S_ISCHR(stat->st_mode) || S_ISBLK(stat->st_mode))
		archive_entry_set_rdev(entry, stat->st_rdev);
	if (S_ISSOCK(stat->st_mode)) {
		archive_entry_set_filetype(entry, AE_IFREG);
		archive_entry_xattr_add_entry(entry, TYPE_ATTRIBUTE, "socket", 6);
	}
	archive_entry_set_size(entry, S_ISREG(stat->st_mode) ? stat->st_size : 0);
}

/* Is it another name of a file that was there already?  Then that is all that is written of it. */
static bool is_link(struct writer *writer, const struct stat *stat)
{
	const char *first;

	if (S_ISDIR(stat->st_mode) || stat->st_nlink < 2)
		return false;
	first = hash_get(&writer->links, stat->st_ino);
	if (!first) {
		hash_put(&writer->links, stat->st_ino,
			 arena_strdup(writer->checkpoint->arena, writer->path.text));
		return false;
	}
	archive_entry_copy_hardlink(writer->entry, first);
	archive_entry_unset_size(writer->entry);
	return true;
}

static int put_header(struct writer *writer)
{
	return archive_write_header(writer->archive, writer->entry) == ARCHIVE_OK
		       ? 0
		       : archive_failed(writer);
}

/* One file: `name` in the directory, whose path is writer->path; fd: of files and directories. */
static int put_entry(struct writer *writer, const char *name, int fd, const struct stat *stat)
{
	char path[64 + NAME_MAX];
	int error;

	if (S_ISLNK(stat->st_mode)) {
		autofree char *target = fd_readlink(writer->directory, name);

		if (!target)
			return store_failed(writer, errno, "it cannot be read");
		archive_entry_copy_symlink(writer->entry, target);
	}
	error = add_attributes(writer, path_in(writer->directory, name, path));
	if (!error && fd >= 0)
		error = add_flags(writer, fd);
	if (!error && S_ISREG(stat->st_mode))
		error = add_holes(writer, fd, stat);
	if (!error)
		error = put_header(writer);
	if (!error && S_ISREG(stat->st_mode))
		error = put_file(writer, fd, stat);
	return error;
}

static int add_names(struct level *level, DIR *stream)
{
	const struct dirent *each;

	while (errno = 0, each = readdir(stream)) {
		if (!strcmp(each->d_name, ".") || !strcmp(each->d_name, ".."))
			continue;
		*array_push(&level->order) = level->names.count;
		for (const char *byte = each->d_name; *byte; byte++)
			*array_push(&level->names) = *byte;
		array_push(&level->names);
	}
	return -errno;
}

/*
 * Directories list their files in the order they were made, or the other way round (all but Linux
 * 6.6 to 6.12), and so they will again if they are made in this order.
 */
static bool lists_newest_first(const char *type)
{
	autofd int context = fsopen(type, FSOPEN_CLOEXEC), view = -1, root = -1;
	struct level level = {0};
	DIR *stream = NULL;
	bool newest_first;

	if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return false;
	view = fsmount(context, FSMOUNT_CLOEXEC, 0);
	root = view < 0 ? -1 : openat(view, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || mkdirat(root, "1", 0700) || mkdirat(root, "2", 0700))
		return false;
	stream = fdopendir(root);
	if (!stream)
		return false;
	root = -1;
	newest_first = !add_names(&level, stream) && level.names.count && *level.names.items == '2';
	closedir(stream);
	array_free(&level.names);
	array_free(&level.order);
	return newest_first;
}

static void put_in_order(struct writer *writer, struct level *level)
{
	size_t *order = level->order.items;

	if (level->order.count < 2)
		return;
	if (!writer->order_is_known)
		writer->newest_first = lists_newest_first(writer->superblock->type);
	writer->order_is_known = true;
	for (size_t i = 0, j = level->order.count - 1; writer->newest_first && i < j; i++, j--) {
		size_t place = order[i];

		order[i] = order[j];
		order[j] = place;
	}
}

/* Goes into the directory fd, which becomes the writer's: its names are read. */
static int enter(struct writer *writer, int fd, const struct stat *stat)
{
	struct level *level = array_push(&writer->levels);
	DIR *stream = fdopendir(fd);
	int error;

	level->device = stat->st_dev;
	level->inode = stat->st_ino;
	if (!stream) {
		close(fd);
		return store_failed(writer, errno, "it cannot be read");
	}
	error = add_names(level, stream);
	fd_close(&writer->directory);
	writer->directory = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	closedir(stream);
	if (error || writer->directory < 0)
		return store_failed(writer, error ? -error : errno, "it cannot be read");
	put_in_order(writer, level);
	return 0;
}

/* Back to the directory around; it is the same as before, or something went on meanwhile. */
static int leave(struct writer *writer)
{
	struct level *level = &writer->levels.items[--writer->levels.count];
	const struct level *above = level - 1;
	struct stat stat;
	int fd;

	path_cut(&writer->path, level->length);
	array_free(&level->names);
	array_free(&level->order);
	if (!writer->levels.count)
		return 0;
	fd = openat(writer->directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd_close(&writer->directory);
	writer->directory = fd;
	if (fd < 0 || fstat(fd, &stat))
		return store_failed(writer, errno, "it cannot be opened");
	if (stat.st_dev != above->device || stat.st_ino != above->inode)
		return store_failed(writer, ESTALE, "it was moved during the dump");
	return 0;
}

static int store_file(struct writer *writer, const char *name)
{
	size_t length = writer->path.length;
	autofd int fd = -1;
	struct stat stat;
	int error;

	path_add(&writer->path, name, strlen(name));
	if (writer->path.length > LARGEST_HEADER)
		return store_failed(writer, ENAMETOOLONG, "it cannot be stored");
	if (fstatat(writer->directory, name, &stat, AT_SYMLINK_NOFOLLOW))
		return store_failed(writer, errno, "it cannot be read");
	set_attributes(writer, writer->path.text, &stat);
	if (is_link(writer, &stat)) {
		error = put_header(writer);
	} else {
		if (S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode)) {
			fd = openat(writer->directory, name,
				    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
			if (fd < 0)
				return store_failed(writer, errno, "it cannot be opened");
		}
		error = put_entry(writer, name, fd, &stat);
	}
	if (!error && S_ISDIR(stat.st_mode)) {
		error = enter(writer, fd_steal(&fd), &stat);
		writer->levels.items[writer->levels.count - 1].length = length;
	} else {
		path_cut(&writer->path, length);
	}
	return error;
}

/* A file of the kernel's own, if it has it: its attributes. */
static int store_listed(struct writer *writer, const char *name)
{
	struct stat stat;

	if (fstatat(writer->directory, name, &stat, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : store_failed(writer, errno, "it cannot be read");
	set_attributes(writer, name, &stat);
	archive_entry_set_size(writer->entry, 0);
	return put_header(writer);
}

/* The whole tree, from the directory on; no recursion, trees can be deep. */
static int store_tree(struct writer *writer, int root)
{
	const char *const *names = writer->superblock->filesystem->names;
	struct stat stat;
	int error;

	writer->directory = root;
	if (fstat(root, &stat))
		return store_failed(writer, errno, "it cannot be read");
	set_attributes(writer, ".", &stat);
	error = put_entry(writer, ".", root, &stat);
	for (; names && *names && !error; names++)
		error = store_listed(writer, *names);
	if (!error && !names)
		error = enter(writer, fcntl(root, F_DUPFD_CLOEXEC, 0), &stat);
	while (!error && writer->levels.count) {
		struct level *level = &writer->levels.items[writer->levels.count - 1];

		if (level->next == level->order.count)
			error = leave(writer);
		else
			error = store_file(writer,
					   level->names.items + level->order.items[level->next++]);
	}
	return error;
}

static struct archive *new_archive(void)
{
	struct archive *archive = archive_write_new();

	if (!archive)
		die_of_memory();
	archive_write_set_format_pax(archive);
	/* Names are bytes. */
	archive_write_set_options(archive, "hdrcharset=BINARY,xattrheader=SCHILY");
	archive_write_set_bytes_per_block(archive, BUFFER / 4);
	archive_write_set_bytes_in_last_block(archive, 1);
	return archive;
}

static void close_writer(struct writer *writer)
{
	array_each (&writer->levels, level) {
		array_free(&level->names);
		array_free(&level->order);
	}
	array_free(&writer->levels);
	archive_write_free(writer->archive);
	archive_entry_free(writer->entry);
	hash_free(&writer->links);
	fd_close(&writer->directory);
	munmap(writer->zeros, ZEROS);
	free(writer->path.text);
	free(writer->buffer);
	free(writer->value);
}

static int write_archive(struct writer *writer, int root)
{
	int error;

	if (archive_write_open(writer->archive, writer, NULL, write_compressed, NULL))
		return archive_failed(writer);
	error = store_tree(writer, root);
	if (!error && archive_write_close(writer->archive))
		error = archive_failed(writer);
	if (error)
		archive_write_fail(writer->archive);
	return error;
}

/*
 * The filesystem as it is under all that is mounted on it, through a mount on which nothing changes
 * the times of access.
 */
static int open_uncovered(void *argument)
{
	const struct mount_attr attributes = {
		.attr_set = MOUNT_ATTR_NOATIME,
		.attr_clr = MOUNT_ATTR__ATIME,
	};
	struct superblock *superblock = argument;
	autofd int view =
		open_tree(superblock->fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int fd = -1;

	if (view >= 0 && !mount_setattr(view, "", AT_EMPTY_PATH, (struct mount_attr *)&attributes,
					sizeof(attributes)))
		fd = openat(view, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A mount can be cloned only from inside a namespace that has it. */
static int open_root(struct superblock *superblock)
{
	const struct mount_tree *before = NULL;
	int fd = open_uncovered(superblock);

	for (const struct mount *mount = superblock->mounts; mount && fd == -EINVAL;
	     mount = mount->next_of_superblock) {
		const struct namespace *namespace = mount->tree ? mount->tree->namespace : NULL;

		if (namespace && mount->tree != before)
			fd = namespace_enter(&namespace->fd, 1, 0, open_uncovered, superblock,
					     "to read a filesystem");
		before = mount->tree;
	}
	if (fd < 0)
		FAIL(-fd, superblock_subject(superblock), NULL, "its contents cannot be read: %s",
		     strerror(-fd));
	return fd;
}

int contents_store(struct checkpoint *checkpoint, struct superblock *superblock)
{
	const unsigned long id = image_id(superblock);
	autofd int root = open_root(superblock);
	struct writer writer = {
		.checkpoint = checkpoint,
		.superblock = superblock,
		.directory = -1,
	};
	int error, fd;

	if (root < 0)
		return root;
	fd = image_create_raw(checkpoint->images, IMAGE_TMPFS, id);
	if (fd < 0)
		return fd;
	writer.file = gzdopen(fd, "wb0");
	writer.buffer = malloc(BUFFER);
	writer.value = malloc(XATTR_SIZE_MAX);
	writer.zeros =
		mmap(NULL, ZEROS, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	writer.archive = new_archive();
	writer.entry = archive_entry_new();
	if (!writer.file || !writer.buffer || !writer.value || writer.zeros == MAP_FAILED ||
	    !writer.entry)
		die_of_memory();
	gzbuffer(writer.file, BUFFER);
	error = write_archive(&writer, fd_steal(&root));
	errno = 0;
	if (gzclose_w(writer.file) != Z_OK && !error)
		error = image_failed(&writer, errno ?: EIO);
	if (error)
		image_remove(checkpoint->images, IMAGE_TMPFS, id);
	close_writer(&writer);
	return error;
}

int contents_refuse(struct checkpoint *checkpoint, struct superblock *superblock)
{
	autofd int root = open_root(superblock);
	const struct dirent *each;
	int error = 0;
	DIR *stream;

	if (root < 0)
		return root;
	stream = fdopendir(root);
	if (!stream)
		return FAIL(errno, superblock_subject(superblock), NULL, "cannot be read: %s",
			    strerror(errno));
	root = -1;
	while (!error && (each = readdir(stream)))
		if (strcmp(each->d_name, ".") && strcmp(each->d_name, "..") &&
		    !is_listed(superblock->filesystem->names, each->d_name))
			error = REFUSE(superblock_subject(superblock), "remove what is in it",
				       "it has files (%s), which are not carried over",
				       each->d_name);
	closedir(stream);
	return error;
}

/* ---- restore -------------------------------------------------------------------------------- */

struct attribute {
	struct attribute *next;
	const char *name;
	const void *value;
	size_t size;
};

/* What is set when the tree is complete. */
struct later {
	struct later *next;
	size_t kept; /* the path: so much of the one before, */
	char *rest;  /* and this */
	bool is_directory;
	struct attribute *attributes; /* of a directory: default ACLs would be inherited */
	int flags;
	struct timespec times[2];
};

/* superblock->state */
struct contents {
	struct later *first, *last;
	struct path path; /* of the last */
};

/* A directory in the new filesystem, as the walk has reached it. */
struct place {
	int fd; /* O_PATH */
	struct path path;
};

struct filler {
	struct checkpoint *checkpoint;
	struct superblock *superblock;
	struct contents *contents;
	gzFile file;
	struct archive *archive;
	struct archive_entry *entry;
	struct path path;   /* of the entry */
	const char *name;   /* its last part */
	struct place place; /* where it is */
	char *buffer;
	/* Of the entry. */
	bool is_socket;
	int flags;
	struct attribute *attributes;
};

static ssize_t read_compressed(struct archive *archive, void *argument, const void **data)
{
	struct filler *filler = argument;
	int size, code;
	const char *message;

	errno = 0;
	size = gzread(filler->file, filler->buffer, BUFFER);
	message = gzerror(filler->file, &code);
	if (size < 0 || (code != Z_OK && code != Z_STREAM_END)) {
		archive_set_error(archive, code == Z_ERRNO ? errno : EBADMSG, "%s",
				  code == Z_ERRNO ? strerror(errno) : message);
		return -1;
	}
	*data = filler->buffer;
	return size;
}

static int damaged(const struct filler *filler, const char *what)
{
	char name[64];

	return FAIL(
		EBADMSG,
		SUBJECT("image %s", image_name(IMAGE_TMPFS, image_id(filler->superblock), name)),
		"the file is damaged or incomplete: take another copy of the checkpoint", "%s%s%s",
		what, filler->path.length ? " at " : "",
		filler->path.length ? filler->path.text : "");
}

static int fill_failed(const struct filler *filler, int error, const char *what)
{
	const char *remedy = NULL;

	if (error == ENOSPC)
		remedy = "its limits are what they were, or a part of this machine's memory: "
			 "is there enough?";
	else if (error == ENOMEM)
		remedy = "free some memory";
	return FAIL(error, file_subject(filler->superblock, filler->path.text ?: "/"), remedy,
		    "%s: %s", what, strerror(error));
}

/* One directory down, which is made if it is only implied. */
static int step_down(int from, const char *name)
{
	const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	int fd = syscall(SYS_openat2, from, name, &how, sizeof(how));

	if (fd < 0 && errno == ENOENT && !mkdirat(from, name, 0755))
		fd = syscall(SYS_openat2, from, name, &how, sizeof(how));
	return fd;
}

/* The length of what two paths have in common, in whole names. */
static size_t common_length(const struct path *path, const char *other, size_t length)
{
	size_t common = 0;

	for (size_t i = 0;; i++) {
		bool ends = i == path->length || path->text[i] == '/';
		bool other_ends = i == length || other[i] == '/';

		if (ends && other_ends)
			common = i;
		if (i == path->length || i == length || path->text[i] != other[i])
			return common;
	}
}

/*
 * Goes to the directory of this path: up to what both have in common, and down.  ".." is safe:
 * nobody else is in this filesystem, and its root is the end.  0 or a negative errno.
 */
static int go_to(struct place *place, const char *path, size_t length)
{
	size_t common = common_length(&place->path, path, length);

	while (place->path.length > common) {
		const char *slash = memrchr(place->path.text, '/', place->path.length);
		int fd = openat(place->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			return -errno;
		fd_close(&place->fd);
		place->fd = fd;
		path_cut(&place->path, slash ? (size_t)(slash - place->path.text) : 0);
	}
	while (common < length) {
		const char *name = path + common + (common > 0);
		size_t size = strchrnul(name, '/') - name;
		char text[NAME_MAX + 1];
		int fd;

		if (size > length - (name - path))
			size = length - (name - path);
		if (size > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(text, name, size);
		text[size] = 0;
		fd = step_down(place->fd, text);
		if (fd < 0)
			return -errno;
		fd_close(&place->fd);
		place->fd = fd;
		path_add(&place->path, name, size);
		common = name - path + size;
	}
	return 0;
}

/* A path of the archive, without "." and empty parts.  ".." is hostile. */
static int take_path(struct path *path, const char *text)
{
	path_cut(path, 0);
	while (*text) {
		size_t size = strcspn(text, "/");

		if (size == 2 && !memcmp(text, "..", 2))
			return -EBADMSG;
		if (size && !(size == 1 && *text == '.'))
			path_add(path, text, size);
		text += size + (text[size] == '/');
	}
	if (!path->text)
		path_add(path, "", 0);
	return 0;
}

/* "HEX" of an attribute whose name pax does not take. */
static const char *plain_name(struct arena *arena, const char *hex)
{
	size_t length = strlen(hex) / 2;
	char *name = arena_alloc(arena, length + 1);

	for (size_t i = 0; i < length; i++) {
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1 || !byte)
			return NULL;
		name[i] = byte;
	}
	return name;
}

/* The extended attributes of the entry, and ours among them. */
static int take_attributes(struct filler *filler)
{
	struct arena *arena = filler->checkpoint->arena;
	const char *name;
	const void *value;
	size_t size;

	filler->is_socket = false;
	filler->flags = 0;
	filler->attributes = NULL;
	if (archive_entry_acl_types(filler->entry))
		return damaged(filler, "an access control list that stasis did not write");
	archive_entry_xattr_reset(filler->entry);
	while (archive_entry_xattr_next(filler->entry, &name, &value, &size) == ARCHIVE_OK) {
		struct attribute *attribute;
		char text[16] = "";

		if (size < sizeof(text) && !strncmp(name, "stasis.", 7))
			memcpy(text, value, size);
		if (!strcmp(name, TYPE_ATTRIBUTE) && !strcmp(text, "socket")) {
			filler->is_socket = true;
			continue;
		}
		if (!strcmp(name, FLAGS_ATTRIBUTE) && *text) {
			filler->flags = strtoul(text, NULL, 16) & KEPT_FLAGS;
			continue;
		}
		attribute = arena_new_object(arena, struct attribute);
		if (!strncmp(name, NAME_ATTRIBUTE, strlen(NAME_ATTRIBUTE)))
			name = plain_name(arena, name + strlen(NAME_ATTRIBUTE));
		else
			name = arena_strdup(arena, name);
		if (!name)
			return damaged(filler, "an attribute without a name");
		*attribute = (struct attribute){
			.next = filler->attributes,
			.name = name,
			.value = arena_copy(arena, value, size),
			.size = size,
		};
		filler->attributes = attribute;
	}
	return 0;
}

static int set_attribute_list(const struct attribute *attribute, int directory, const char *name)
{
	char path[64 + NAME_MAX];

	path_in(directory, name, path);
	for (; attribute; attribute = attribute->next)
		if (lsetxattr(path, attribute->name, attribute->value, attribute->size, 0))
			return -errno;
	return 0;
}

/* An atime of 0 is not in the archive: libarchive takes it for none. */
static void get_times(struct archive_entry *entry, struct timespec times[2])
{
	times[0] = (struct timespec){archive_entry_atime(entry), archive_entry_atime_nsec(entry)};
	times[1] = (struct timespec){archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
}

static void put_off(struct filler *filler, bool is_directory)
{
	struct arena *arena = filler->checkpoint->arena;
	struct contents *contents = filler->contents;
	struct later *later = arena_new_object(arena, struct later);

	*later = (struct later){
		.kept = common_length(&contents->path, filler->path.text, filler->path.length),
		.is_directory = is_directory,
		.attributes = is_directory ? filler->attributes : NULL,
		.flags = filler->flags,
	};
	later->rest = arena_strdup(arena, filler->path.text + later->kept +
						  (later->kept && filler->path.text[later->kept]));
	get_times(filler->entry, later->times);
	if (contents->last)
		contents->last->next = later;
	else
		contents->first = later;
	contents->last = later;
	path_cut(&contents->path, later->kept);
	if (*later->rest)
		path_add(&contents->path, later->rest, strlen(later->rest));
}

/* The mode comes last of these: a change of the owner takes bits away. */
static int set_owner(struct filler *filler, int fd, mode_t type)
{
	const uid_t uid = archive_entry_uid(filler->entry);
	const gid_t gid = archive_entry_gid(filler->entry);
	const mode_t mode = archive_entry_perm(filler->entry);

	if (fd >= 0)
		return fchown(fd, uid, gid) || fchmod(fd, mode) ? -errno : 0;
	if (fchownat(filler->place.fd, filler->name, uid, gid, AT_SYMLINK_NOFOLLOW) ||
	    (type != S_IFLNK && fchmodat(filler->place.fd, filler->name, mode, 0)))
		return -errno;
	return 0;
}

static int finish_entry(struct filler *filler, int fd, mode_t type)
{
	struct timespec times[2];
	int error = set_owner(filler, fd, type);

	if (error)
		return fill_failed(filler, -error, "its owner and mode cannot be set");
	if (type == S_IFDIR) {
		put_off(filler, true);
		return 0;
	}
	error = set_attribute_list(filler->attributes, filler->place.fd, filler->name);
	if (error)
		return fill_failed(filler, -error, "its extended attributes cannot be set");
	get_times(filler->entry, times);
	if (fd >= 0 ? futimens(fd, times)
		    : utimensat(filler->place.fd, filler->name, times, AT_SYMLINK_NOFOLLOW))
		return fill_failed(filler, errno, "its times cannot be set");
	if (filler->flags)
		put_off(filler, false);
	return 0;
}

static int fill_data(struct filler *filler, int fd)
{
	const int64_t size = archive_entry_size(filler->entry);
	const void *data;
	int64_t offset;
	size_t length;
	int result, error;

	while ((result = archive_read_data_block(filler->archive, &data, &length, &offset)) ==
	       ARCHIVE_OK) {
		if (offset < 0 || offset > size || (int64_t)length > size - offset)
			return damaged(filler, "data beyond the end of a file");
		error = fd_pwrite_all(fd, data, length, offset);
		if (error)
			return fill_failed(filler, -error, "it cannot be written");
	}
	if (result != ARCHIVE_EOF)
		return damaged(filler, archive_error_string(filler->archive) ?: "damage");
	if (ftruncate(fd, size))
		return fill_failed(filler, errno, "it cannot be written");
	return 0;
}

static int fill_regular(struct filler *filler)
{
	autofd int fd = openat(filler->place.fd, filler->name,
			       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int error;

	if (fd < 0)
		return fill_failed(filler, errno, "it cannot be made");
	error = fill_data(filler, fd);
	return error ? error : finish_entry(filler, fd, S_IFREG);
}

/* A second name of what is there; directories cannot have any. */
static int fill_link(struct filler *filler, const char *target)
{
	struct place place = {.fd = fcntl(filler->place.fd, F_DUPFD_CLOEXEC, 0)};
	struct path path = {0};
	const char *slash;
	int error = place.fd < 0 ? -errno : 0;

	if (!error && take_path(&path, target))
		error = -EBADMSG;
	if (!error)
		path_add(&place.path, filler->place.path.text ?: "", filler->place.path.length);
	if (!error) {
		slash = memrchr(path.text, '/', path.length);
		error = go_to(&place, path.text, slash ? slash - path.text : 0);
		if (!error && linkat(place.fd, slash ? slash + 1 : path.text, filler->place.fd,
				     filler->name, 0))
			error = -errno;
	}
	fd_close(&place.fd);
	free(place.path.text);
	free(path.text);
	if (error == -EBADMSG)
		return damaged(filler, "a link that leads nowhere");
	return error ? fill_failed(filler, -error, "its second name cannot be made") : 0;
}

static int make_node(struct filler *filler, mode_t type)
{
	const int directory = filler->place.fd;

	switch (type) {
	case S_IFDIR:
		/* It can have been implied by another's path. */
		return !*filler->name || !mkdirat(directory, filler->name, 0700) || errno == EEXIST
			       ? 0
			       : -errno;
	case S_IFLNK:
		return symlinkat(archive_entry_symlink(filler->entry) ?: "", directory,
				 filler->name)
			       ? -errno
			       : 0;
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return mknodat(directory, filler->name, type | 0600,
			       archive_entry_rdev(filler->entry))
			       ? -errno
			       : 0;
	default:
		return -EBADMSG;
	}
}

/* A file of the kernel's own, if this one has it. */
static int fill_listed(struct filler *filler, const char *const *names, mode_t type)
{
	struct stat stat;

	if (!is_listed(names, filler->path.text))
		return damaged(filler, "a file that this filesystem does not store");
	if (fstatat(filler->place.fd, filler->name, &stat, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : fill_failed(filler, errno, "it cannot be read");
	return finish_entry(filler, -1, type);
}

static int fill_entry(struct filler *filler)
{
	const char *text = archive_entry_pathname(filler->entry), *slash;
	const char *link = archive_entry_hardlink(filler->entry);
	const char *const *names = filler->superblock->filesystem->names;
	mode_t type = archive_entry_filetype(filler->entry);
	int error;

	if (!text || *text == '/' || take_path(&filler->path, text))
		return damaged(filler, "a name that leads out of the filesystem");
	slash = memrchr(filler->path.text, '/', filler->path.length);
	filler->name = slash ? slash + 1 : filler->path.text;
	error = go_to(&filler->place, filler->path.text, slash ? slash - filler->path.text : 0);
	if (error)
		return fill_failed(filler, -error, "its directory cannot be reached");
	if (link)
		return fill_link(filler, link);
	if (!*filler->name && type != S_IFDIR)
		return damaged(filler, "the root is no directory");
	error = take_attributes(filler);
	if (error)
		return error;
	if (names && filler->path.length)
		return fill_listed(filler, names, type);
	if (filler->is_socket)
		type = S_IFSOCK;
	if (type == S_IFREG)
		return fill_regular(filler);
	error = make_node(filler, type);
	if (error == -EBADMSG)
		return damaged(filler, "a file of unknown type");
	if (error)
		return fill_failed(filler, -error, "it cannot be made");
	if (!*filler->name)
		filler->name = ".";
	return finish_entry(filler, -1, type);
}

/* Calls a function for all that was put off, in the directory that it is or is in. */
static int each_later(struct superblock *superblock, int root,
		      int (*set)(const struct later *later, int directory, const char *name))
{
	struct contents *contents = superblock->state;
	struct place place = {.fd = fcntl(root, F_DUPFD_CLOEXEC, 0)};
	struct path path = {0};
	int error = place.fd < 0 ? -errno : 0;

	for (const struct later *later = contents->first; later && !error; later = later->next) {
		const char *name = ".";
		size_t length;

		path_cut(&path, later->kept);
		path_add(&path, later->rest, strlen(later->rest));
		if (!*later->rest)
			path_cut(&path, later->kept);
		length = path.length;
		if (!later->is_directory) {
			const char *slash = memrchr(path.text, '/', length);

			name = slash ? slash + 1 : path.text;
			length = slash ? slash - path.text : 0;
		}
		error = go_to(&place, path.text, length);
		if (!error)
			error = set(later, place.fd, name);
	}
	if (error)
		FAIL(-error, file_subject(superblock, path.text ?: "/"), NULL,
		     "its attributes cannot be set: %s", strerror(-error));
	fd_close(&place.fd);
	free(place.path.text);
	free(path.text);
	return error;
}

static int set_attributes_later(const struct later *later, int directory, const char *name)
{
	return set_attribute_list(later->attributes, directory, name);
}

/* Flags last: nothing can be done to what is immutable. */
static int seal_later(const struct later *later, int directory, const char *name)
{
	autofd int fd = -1;

	if (later->is_directory && utimensat(directory, name, later->times, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (!later->flags)
		return 0;
	fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 || ioctl(fd, FS_IOC_SETFLAGS, &later->flags) ? -errno : 0;
}

static int read_archive(struct filler *filler)
{
	int result, error = 0;

	archive_read_support_format_tar(filler->archive);
	if (archive_read_open(filler->archive, filler, NULL, read_compressed, NULL))
		return damaged(filler, archive_error_string(filler->archive) ?: "no archive");
	while (!error && (result = archive_read_next_header2(filler->archive, filler->entry)) !=
				 ARCHIVE_EOF) {
		if (result == ARCHIVE_OK)
			error = fill_entry(filler);
		else
			error = damaged(filler, archive_error_string(filler->archive) ?: "damage");
	}
	/* The check sum is at the end. */
	while (!error && (result = gzread(filler->file, filler->buffer, BUFFER)) != 0)
		if (result < 0)
			error = damaged(filler, gzerror(filler->file, &result));
	return error;
}

int contents_fill(struct checkpoint *checkpoint, struct superblock *superblock)
{
	struct filler filler = {
		.checkpoint = checkpoint,
		.superblock = superblock,
		.contents = arena_new_object(checkpoint->arena, struct contents),
		.place.fd = -1,
	};
	int fd = image_open_raw(checkpoint->images, IMAGE_TMPFS, image_id(superblock));
	int error;

	if (fd < 0)
		return fd;
	superblock->state = filler.contents;
	filler.file = gzdopen(fd, "rb");
	filler.buffer = malloc(BUFFER);
	filler.archive = archive_read_new();
	filler.entry = archive_entry_new();
	filler.place.fd = openat(superblock->fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!filler.file || !filler.buffer || !filler.archive || !filler.entry)
		die_of_memory();
	gzbuffer(filler.file, BUFFER);
	if (filler.place.fd < 0)
		error = fill_failed(&filler, errno, "it cannot be opened");
	else
		error = read_archive(&filler);
	if (gzclose_r(filler.file) != Z_OK && !error)
		error = damaged(&filler, "the file ends too early");
	if (!error)
		error = each_later(superblock, superblock->fd, set_attributes_later);
	archive_read_free(filler.archive);
	archive_entry_free(filler.entry);
	fd_close(&filler.place.fd);
	free(filler.place.path.text);
	free(filler.path.text);
	free(filler.contents->path.text);
	filler.contents->path = (struct path){0};
	free(filler.buffer);
	return error;
}

int contents_seal(struct checkpoint *checkpoint, struct superblock *superblock)
{
	return superblock->state ? each_later(superblock, superblock->fd, seal_later) : 0;
}
