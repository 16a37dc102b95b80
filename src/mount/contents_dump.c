/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes the contents of filesystems: see contents.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>

#include "base/fd.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "image/image.h"
#include "mount/archive.h"
#include "mount/contents.h"
#include "mount/reach.h"
#include "mount/filesystem.h"

enum {
	/* libarchive reads no more than a mebibyte of what describes one file. */
	LARGEST_HEADER = 1000000,
	ZEROS = 1 << 30,
};

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
	const char *root;  /* path of the source before; or NULL */
	struct path path;  /* of the directory, then of the file */
	ARRAY(struct level) levels;
	char *buffer, *value;
	char *zeros;   /* ZEROS of them, which are never looked at */
	int directory; /* that is being read */
	bool newest_first, order_is_known;
};

/*
 * The application waits: what has few zeros is stored as it is, for deflate takes many times as
 * long as writing.  What has many is headers of small files, or empty space.
 */
static void choose_compression(struct writer *writer, const unsigned char *data, size_t size)
{
	size_t zeros = 0;
	bool compressed;

	for (size_t i = 0; i < size; i++)
		zeros += !data[i];
	compressed = zeros > size / 2;
	if (compressed != writer->compressed)
		gzsetparams(writer->file, compressed ? 1 : 0, Z_DEFAULT_STRATEGY);
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
	libarchive.archive_set_error(archive, errno ?: EIO, "%s", strerror(errno ?: EIO));
	return -1;
}

static int store_failed(const struct writer *writer, int error, const char *what)
{
	return FAIL(error, contents_subject(writer->superblock, &writer->path), NULL, "%s: %s",
		    what, strerror(error));
}

static int image_failed(const struct writer *writer, int error)
{
	char name[64];

	return FAIL(
		error,
		SUBJECT("image %s", image_name(IMAGE_TMPFS, contents_id(writer->superblock), name)),
		error == ENOSPC ? "free some space, or name a directory with more of it (-D)"
				: NULL,
		"cannot be written: %s", strerror(error));
}

static int archive_failed(const struct writer *writer)
{
	return image_failed(writer, libarchive.archive_errno(writer->archive) ?: EIO);
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
	libarchive.archive_entry_xattr_add_entry(writer->entry, name, value, size);
}

static int add_attributes(struct writer *writer, int fd)
{
	fd_path path;
	char list[1024], *names = list;
	autofree char *more = NULL;
	ssize_t size = listxattr(path_of_fd(fd, NULL, path), list, sizeof(list));
	size_t total = 0;

	while (size < 0 && errno == ERANGE) {
		size = listxattr(path, NULL, 0);
		free(more);
		names = more = malloc(size + 1);
		if (!more)
			die_of_memory();
		size = listxattr(path, names, size);
	}
	if (size < 0)
		return errno == ENOTSUP
			       ? 0
			       : store_failed(writer, errno, "its attributes cannot be read");
	for (char *name = names; name < names + size; name += strlen(name) + 1) {
		ssize_t length = getxattr(path, name, writer->value, XATTR_SIZE_MAX);

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
	if (flags & ~CONTENTS_FLAGS)
		return REFUSE(contents_subject(writer->superblock, &writer->path),
			      "take it away (chattr(1))", "flags %#x are not understood",
			      flags & ~CONTENTS_FLAGS);
	if (flags & CONTENTS_FLAGS)
		libarchive.archive_entry_xattr_add_entry(
			writer->entry, FLAGS_ATTRIBUTE, text,
			snprintf(text, sizeof(text), "%x", flags & CONTENTS_FLAGS));
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
		libarchive.archive_entry_sparse_add_entry(writer->entry, begin, end - begin);
	}
	if (errno != ENXIO)
		return store_failed(writer, errno, "it cannot be read");
	if (end == 0)
		libarchive.archive_entry_sparse_add_entry(writer->entry, 0, 0);
	return 0;
}

/* libarchive wants holes, too, and looks at their sizes only. */
static int put_hole(struct writer *writer, off_t size)
{
	if (!writer->zeros)
		writer->zeros = mmap(NULL, ZEROS, PROT_READ,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (writer->zeros == MAP_FAILED)
		die_of_memory();
	while (size) {
		ssize_t done = libarchive.archive_write_data(writer->archive, writer->zeros,
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
		ssize_t size = pread(fd, writer->buffer,
				     left < CONTENTS_BUFFER ? left : CONTENTS_BUFFER, offset);

		if (size <= 0)
			return store_failed(writer, size ? errno : EIO, "it cannot be read");
		if (libarchive.archive_write_data(writer->archive, writer->buffer, size) != size)
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

	if (!libarchive.archive_entry_sparse_reset(writer->entry))
		return put_data(writer, fd, 0, stat->st_size);
	while (!error && libarchive.archive_entry_sparse_next(writer->entry, &offset, &length) ==
				 ARCHIVE_OK) {
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

	libarchive.archive_entry_clear(entry);
	libarchive.archive_entry_copy_pathname(entry, path);
	libarchive.archive_entry_set_mode(entry, stat->st_mode);
	libarchive.archive_entry_set_uid(entry, stat->st_uid);
	libarchive.archive_entry_set_gid(entry, stat->st_gid);
	libarchive.archive_entry_set_mtime(entry, stat->st_mtim.tv_sec, stat->st_mtim.tv_nsec);
	libarchive.archive_entry_set_atime(entry, stat->st_atim.tv_sec, stat->st_atim.tv_nsec);
	if (S_ISCHR(stat->st_mode) || S_ISBLK(stat->st_mode))
		libarchive.archive_entry_set_rdev(entry, stat->st_rdev);
	if (S_ISSOCK(stat->st_mode)) {
		libarchive.archive_entry_set_filetype(entry, AE_IFREG);
		libarchive.archive_entry_xattr_add_entry(entry, TYPE_ATTRIBUTE, "socket", 6);
	}
	libarchive.archive_entry_set_size(entry, S_ISREG(stat->st_mode) ? stat->st_size : 0);
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
	libarchive.archive_entry_copy_hardlink(writer->entry, first);
	libarchive.archive_entry_unset_size(writer->entry);
	return true;
}

static int put_header(struct writer *writer)
{
	return libarchive.archive_write_header(writer->archive, writer->entry) == ARCHIVE_OK
		       ? 0
		       : archive_failed(writer);
}

/*
 * One file, whose attributes that stat() tells are in the entry already.  fd: regular files and
 * directories are open for reading, for others O_PATH will do.
 */
static int put_entry(struct writer *writer, int fd, const struct stat *stat)
{
	const bool is_file = S_ISREG(stat->st_mode);
	int error;

	if (S_ISLNK(stat->st_mode)) {
		autofree char *target = fd_readlink(fd, "");

		if (!target)
			return store_failed(writer, errno, "it cannot be read");
		libarchive.archive_entry_copy_symlink(writer->entry, target);
	}
	error = add_attributes(writer, fd);
	if (!error && (is_file || S_ISDIR(stat->st_mode)))
		error = add_flags(writer, fd);
	if (!error && is_file)
		error = add_holes(writer, fd, stat);
	if (!error)
		error = put_header(writer);
	if (!error && is_file)
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

/*
 * Goes into the directory fd, which becomes the writer's: its names are read.  length: of the path
 * of the directory around it.
 */
static int enter(struct writer *writer, int fd, const struct stat *stat, size_t length)
{
	struct level *level = array_push(&writer->levels);
	DIR *stream = fdopendir(fd);
	int error;

	level->length = length;
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

static int open_to_read(int directory, const char *name, mode_t mode)
{
	if (S_ISREG(mode) || S_ISDIR(mode))
		return openat(directory, name,
			      O_RDONLY | O_NOATIME | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
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
		fd = open_to_read(writer->directory, name, stat.st_mode);
		if (fd < 0)
			return store_failed(writer, errno, "it cannot be opened");
		error = put_entry(writer, fd, &stat);
	}
	if (!error && S_ISDIR(stat.st_mode))
		return enter(writer, fd_steal(&fd), &stat, length);
	path_cut(&writer->path, length);
	return error;
}

/* A file of the kernel's own, if it has it: its attributes. */
static int store_listed(struct writer *writer, int root, const char *name)
{
	struct stat stat;

	if (fstatat(root, name, &stat, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : store_failed(writer, errno, "it cannot be read");
	set_attributes(writer, name, &stat);
	libarchive.archive_entry_set_size(writer->entry, 0);
	return put_header(writer);
}

/* All that is in the directory; no recursion, trees can be deep. */
static int store_tree(struct writer *writer, int fd, const struct stat *stat)
{
	int error = enter(writer, fd, stat, 0);

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

/* Directories above what can be reached, of which nothing is known; each once. */
static int store_above(struct writer *writer)
{
	const struct stat stat = {.st_mode = S_IFDIR | 0755};
	const char *before = writer->root ?: "";
	size_t known = path_common(&writer->path, before, strlen(before));
	char *path = writer->path.text;
	int error = 0;

	writer->root = arena_strdup(writer->checkpoint->arena, path);
	for (char *end = strchr(path + known + (known > 0), '/'); end && !error;
	     end = strchr(end + 1, '/')) {
		*end = 0;
		set_attributes(writer, path, &stat);
		error = put_header(writer);
		*end = '/';
	}
	return error;
}

/* ---- sources: mounts that show what is in a filesystem -------------------------------------- */

/* Paths in the order of a walk: what is in a directory follows it at once. */
static int compare_roots(const void *a, const void *b)
{
	const struct mount *const *one = a, *const *other = b;
	const unsigned char *left = (const unsigned char *)(*one)->root;
	const unsigned char *right = (const unsigned char *)(*other)->root;

	while (*left && *left == *right)
		left++, right++;
	return (*left == '/' ? 1
		: *left      ? *left + 1
			     : 0) -
	       (*right == '/' ? 1
		: *right      ? *right + 1
			      : 0);
}

typedef ARRAY(struct mount *) mount_list;

/*
 * Those that together show all that can be reached: the outermost roots; and all whose root was
 * deleted.
 */
static void find_sources(const struct superblock *superblock, mount_list *roots,
			 mount_list *deleted)
{
	size_t kept = 0;

	for (struct mount *mount = superblock->mounts; mount; mount = mount->next_of_superblock)
		*array_push(mount->root_deleted ? deleted : roots) = mount;
	if (roots->count)
		qsort(roots->items, roots->count, sizeof(*roots->items), compare_roots);
	array_each (roots, mount)
		if (!kept || !path_contains(roots->items[kept - 1]->root, (*mount)->root))
			roots->items[kept++] = *mount;
	roots->count = kept;
}

void contents_want(struct superblock *superblock)
{
	mount_list roots = {0}, deleted = {0};

	find_sources(superblock, &roots, &deleted);
	array_each (&roots, mount)
		(*mount)->has_files = true;
	array_each (&deleted, mount)
		(*mount)->has_files = true;
	array_free(&roots);
	array_free(&deleted);
}

/* Its descriptor, O_PATH.  The superblock's is that of its only source. */
static int source_fd(const struct superblock *superblock, const struct mount *mount)
{
	return mount->fd >= 0 ? mount->fd : superblock->fd;
}

/*
 * A clone of the mount, on which nothing is mounted and nothing changes the times of access; a
 * negative errno.
 */
static int clone_source(void *argument)
{
	const int *source = argument;
	struct mount_attr attributes = {
		.attr_set = MOUNT_ATTR_NOATIME,
		.attr_clr = MOUNT_ATTR__ATIME,
	};
	autofd int view =
		open_tree(*source, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (view < 0 || mount_setattr(view, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)))
		return -errno;
	return fd_steal(&view);
}

/*
 * A mount can be cloned only from inside its namespace.  One that was unmounted (mounts_reach())
 * has nothing mounted on it.
 */
static int open_source(const struct superblock *superblock, const struct mount *mount)
{
	int source = source_fd(superblock, mount);
	/* It may be a clone already (clone_views()). */
	int view = mount->fd >= 0 && mount_id_of_fd(source) != mount->id
			   ? fcntl(source, F_DUPFD_CLOEXEC, 0)
			   : clone_source(&source);

	if (view == -EINVAL && mount->tree && mount->tree->namespace)
		view = namespace_enter(&mount->tree->namespace->fd, 1, 0, clone_source, &source,
				       "to read a filesystem");
	if (view == -EINVAL) {
		view = fcntl(source, F_DUPFD_CLOEXEC, 0);
		if (view < 0)
			view = -errno;
	}
	return view;
}

/* The root of a source, as put_entry() wants it; writer->path becomes its path.  Reports. */
static int open_root(struct writer *writer, const struct mount *mount, struct stat *stat)
{
	const char *root = mount->root + strspn(mount->root, "/");
	autofd int view = open_source(writer->superblock, mount), fd = -1;
	fd_path path;

	path_cut(&writer->path, 0);
	path_add(&writer->path, root, strlen(root));
	if (view < 0 || fstat(view, stat))
		return store_failed(writer, view < 0 ? -view : errno, "it cannot be opened");
	if (!S_ISREG(stat->st_mode) && !S_ISDIR(stat->st_mode))
		return fd_steal(&view);
	fd = open(path_of_fd(view, NULL, path), O_RDONLY | O_NOATIME | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? store_failed(writer, errno, "it cannot be opened") : fd_steal(&fd);
}

static int store_source(struct writer *writer, const struct mount *mount)
{
	const char *const *names = writer->superblock->filesystem->names;
	struct stat stat;
	autofd int fd = open_root(writer, mount, &stat);
	int error;

	if (fd < 0)
		return fd;
	error = store_above(writer);
	set_attributes(writer, writer->path.length ? writer->path.text : ".", &stat);
	if (!error)
		error = is_link(writer, &stat) ? put_header(writer) : put_entry(writer, fd, &stat);
	for (; names && *names && !error; names++)
		error = store_listed(writer, fd, *names);
	if (!error && !names && S_ISDIR(stat.st_mode))
		error = store_tree(writer, fd_steal(&fd), &stat);
	return error;
}

/* ---- files and directories that were deleted ------------------------------------------------ */

struct deleted {
	ino_t inode;
	struct mount *mount;
};
typedef ARRAY(struct deleted) deleted_list;

static int compare_inodes(const void *a, const void *b)
{
	const struct deleted *one = a, *other = b;

	if (one->inode != other->inode)
		return one->inode < other->inode ? -1 : 1;
	return one->mount->short_id < other->mount->short_id ? -1 : 1;
}

/* Several mounts can have the same root: they come one after the other. */
static int sort_deleted(const struct superblock *superblock, const mount_list *mounts,
			deleted_list *list)
{
	struct stat stat;

	array_each (mounts, mount) {
		if (fstat(source_fd(superblock, *mount), &stat))
			return FAIL(errno, superblock_subject(superblock), NULL,
				    "the deleted %s cannot be read: %s", (*mount)->root,
				    strerror(errno));
		*array_push(list) = (struct deleted){stat.st_ino, *mount};
	}
	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items), compare_inodes);
	return 0;
}

/* One of them, and which mounts it is the root of. */
static int store_deleted(struct writer *writer, const struct deleted *deleted, size_t count)
{
	struct stat stat;
	autofd int fd = open_root(writer, deleted->mount, &stat);
	autofree char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		die_of_memory();
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s%u", i ? "," : "", deleted[i].mount->short_id);
	if (fclose(out))
		die_of_memory();
	if (fd < 0)
		return fd;
	set_attributes(writer, writer->path.text, &stat);
	libarchive.archive_entry_xattr_add_entry(writer->entry, DELETED_ATTRIBUTE, text, size);
	return put_entry(writer, fd, &stat);
}

static int store_all_deleted(struct writer *writer, const mount_list *mounts)
{
	deleted_list list = {0};
	int error = sort_deleted(writer->superblock, mounts, &list);

	for (size_t i = 0, next; i < list.count && !error; i = next) {
		for (next = i + 1; next < list.count;)
			if (list.items[next].inode == list.items[i].inode)
				next++;
			else
				break;
		error = store_deleted(writer, &list.items[i], next - i);
	}
	array_free(&list);
	return error;
}

/* ---- the archive ---------------------------------------------------------------------------- */

static struct archive *new_archive(void)
{
	struct archive *archive = libarchive.archive_write_new();

	if (!archive)
		die_of_memory();
	libarchive.archive_write_set_format_pax(archive);
	/* Names are bytes. */
	libarchive.archive_write_set_options(archive, "hdrcharset=BINARY,xattrheader=SCHILY");
	libarchive.archive_write_set_bytes_per_block(archive, CONTENTS_BUFFER / 4);
	libarchive.archive_write_set_bytes_in_last_block(archive, 1);
	return archive;
}

static void close_writer(struct writer *writer)
{
	array_each (&writer->levels, level) {
		array_free(&level->names);
		array_free(&level->order);
	}
	array_free(&writer->levels);
	libarchive.archive_write_free(writer->archive);
	libarchive.archive_entry_free(writer->entry);
	hash_free(&writer->links);
	fd_close(&writer->directory);
	if (writer->zeros)
		munmap(writer->zeros, ZEROS);
	free(writer->path.text);
	free(writer->buffer);
	free(writer->value);
}

static int store_sources(struct writer *writer)
{
	mount_list roots = {0}, deleted = {0};
	int error;

	find_sources(writer->superblock, &roots, &deleted);
	error = store_all_deleted(writer, &deleted);
	array_each (&roots, mount)
		if (!error)
			error = store_source(writer, *mount);
	array_free(&roots);
	array_free(&deleted);
	return error;
}

static int write_archive(struct writer *writer)
{
	int error;

	if (libarchive.archive_write_open(writer->archive, writer, NULL, write_compressed, NULL))
		return archive_failed(writer);
	error = store_sources(writer);
	if (!error && libarchive.archive_write_close(writer->archive))
		error = archive_failed(writer);
	if (error)
		libarchive.archive_write_fail(writer->archive);
	return error;
}

int contents_store(struct checkpoint *checkpoint, struct superblock *superblock)
{
	const unsigned long id = contents_id(superblock);
	struct writer writer = {
		.checkpoint = checkpoint,
		.superblock = superblock,
		.directory = -1,
	};
	int fd = image_create_raw(checkpoint->images, IMAGE_TMPFS, id), error;

	if (fd < 0)
		return fd;
	writer.file = gzdopen(fd, "wb0");
	writer.buffer = malloc(CONTENTS_BUFFER);
	writer.value = malloc(XATTR_SIZE_MAX);
	writer.archive = new_archive();
	writer.entry = libarchive.archive_entry_new();
	if (!writer.file || !writer.buffer || !writer.value || !writer.entry)
		die_of_memory();
	gzbuffer(writer.file, CONTENTS_BUFFER);
	error = write_archive(&writer);
	errno = 0;
	if (gzclose_w(writer.file) != Z_OK && !error)
		error = image_failed(&writer, errno ?: EIO);
	if (error)
		image_remove(checkpoint->images, IMAGE_TMPFS, id);
	close_writer(&writer);
	return error;
}

/* ---- survey --------------------------------------------------------------------------------- */

static int check_sources(const struct superblock *superblock, const mount_list *roots,
			 const mount_list *deleted)
{
	int error = 0;

	array_each (roots, mount) {
		if (source_fd(superblock, *mount) < 0)
			error = REFUSE(superblock_subject(superblock),
				       "move away what covers it, or unmount it",
				       "its contents cannot be reached through the mount at %s",
				       (*mount)->path);
		else if (strcmp((*mount)->root, "/"))
			log_warn("%s: only what is below %s can be reached and is stored",
				 superblock_subject(superblock).text, (*mount)->root);
	}
	array_each (deleted, mount) {
		struct stat stat;

		if (source_fd(superblock, *mount) < 0 ||
		    fstat(source_fd(superblock, *mount), &stat))
			error = REFUSE(superblock_subject(superblock), "unmount it",
				       "the mount at %s, whose root was deleted, is out of reach",
				       (*mount)->path);
		else if (!S_ISDIR(stat.st_mode) && stat.st_nlink)
			error = REFUSE(superblock_subject(superblock),
				       "unmount it, or remove the file's other names",
				       "the root of the mount at %s was deleted, and has another "
				       "name still",
				       (*mount)->path);
	}
	return error;
}

int contents_describe(struct checkpoint *checkpoint, struct superblock *superblock)
{
	mount_list roots = {0}, deleted = {0};
	int error;

	find_sources(superblock, &roots, &deleted);
	error = check_sources(superblock, &roots, &deleted);
	if (!error)
		error = libarchive_load();
	array_free(&roots);
	array_free(&deleted);
	return error;
}

/* A name in the directory that is not the kernel's own; or NULL. */
static const char *foreign_name(DIR *stream, const char *const *names)
{
	const struct dirent *each;

	while ((each = readdir(stream)))
		if (strcmp(each->d_name, ".") && strcmp(each->d_name, "..") &&
		    !contents_listed(names, each->d_name))
			return each->d_name;
	return NULL;
}

static int refuse_contents(const struct superblock *superblock, const struct mount *mount)
{
	autofd int view = open_source(superblock, mount);
	fd_path path;
	DIR *stream = view < 0 ? NULL : opendir(path_of_fd(view, NULL, path));
	const char *name;

	if (!stream)
		return FAIL(view < 0 ? -view : errno, superblock_subject(superblock), NULL,
			    "cannot be read: %s", strerror(view < 0 ? -view : errno));
	name = foreign_name(stream, superblock->filesystem->names);
	closedir(stream);
	return name ? REFUSE(superblock_subject(superblock), "remove what is in it",
			     "it has files, which are not carried over, such as %s", name)
		    : 0;
}

int contents_refuse(struct checkpoint *checkpoint, struct superblock *superblock)
{
	mount_list roots = {0}, deleted = {0};
	int error;

	find_sources(superblock, &roots, &deleted);
	error = check_sources(superblock, &roots, &deleted);
	if (!error && (deleted.count || roots.count != 1 || strcmp(roots.items[0]->root, "/")))
		error = REFUSE(superblock_subject(superblock), "remove what is in it",
			       "it has files, which are not carried over");
	if (!error)
		error = refuse_contents(superblock, roots.items[0]);
	if (!error)
		error = libarchive_load();
	array_free(&roots);
	array_free(&deleted);
	return error;
}
