/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fills new filesystems with their contents: see contents.h.  The archive may be hostile. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>

#include "base/fd.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "image/image.h"
#include "mount/archive.h"
#include "mount/contents.h"
#include "mount/filesystem.h"

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

/*
 * A file or directory that is the root of mounts and has no name in the end.  The kernel attaches
 * only mounts whose root has one, so until the seal it has a name that no other file has.
 */
struct deleted {
	struct deleted *next;
	int fd; /* O_PATH */
	const char *directory, *name;
	char meanwhile[32];
	mode_t type;
	int flags;
};

/* A directory that was made because a path leads through it. */
struct implied {
	struct implied *next;
	const char *path;
	bool is_entry; /* of the archive, too */
};

/* superblock->state */
struct contents {
	struct later *first, *last;
	struct path path; /* of the last */
	struct deleted *deleted;
	size_t deleted_count;
	struct hash deleted_of; /* short id of a mount -> struct deleted */
	struct implied *implied;
};

/* A directory in the new filesystem, as the walk has reached it. */
struct place {
	int fd; /* O_PATH */
	struct path path;
	struct filler *filler; /* who makes directories that are missing; NULL: nobody */
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
	struct implied *implied; /* the latest first */
	struct hash implied_of;  /* inode -> struct implied */
	/* Of the entry. */
	bool is_socket;
	const char *deleted; /* ids of mounts; or NULL */
	int flags;
	struct attribute *attributes;
};

/* zlib's words, without the number of the descriptor in front of them. */
static const char *decompression_error(gzFile file)
{
	int code;
	const char *message = gzerror(file, &code), *text = strstr(message, ">: ");

	return text ? text + 3 : message;
}

static ssize_t read_compressed(struct archive *archive, void *argument, const void **data)
{
	struct filler *filler = argument;
	int size, code;

	errno = 0;
	size = gzread(filler->file, filler->buffer, CONTENTS_BUFFER);
	gzerror(filler->file, &code);
	if (size < 0 || (code != Z_OK && code != Z_STREAM_END)) {
		libarchive.archive_set_error(archive, code == Z_ERRNO ? errno : EBADMSG, "%s",
					     code == Z_ERRNO ? strerror(errno)
							     : decompression_error(filler->file));
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
		SUBJECT("image %s", image_name(IMAGE_TMPFS, contents_id(filler->superblock), name)),
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
	return FAIL(error, contents_subject(filler->superblock, &filler->path), remedy, "%s: %s",
		    what, strerror(error));
}

static int open_directory(int from, const char *name)
{
	const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	return syscall(SYS_openat2, from, name, &how, sizeof(how));
}

/* Makes a directory that a path leads through; its entry may follow. */
static int imply(struct place *place, const char *name)
{
	struct filler *filler = place->filler;
	struct arena *arena = filler->checkpoint->arena;
	struct implied *implied = arena_new_object(arena, struct implied);
	int fd = mkdirat(place->fd, name, 0755) ? -1 : open_directory(place->fd, name);
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat))
		return fd;
	*implied = (struct implied){
		.next = filler->implied,
		.path = place->path.length ? arena_printf(arena, "%s/%s", place->path.text, name)
					   : arena_strdup(arena, name),
	};
	filler->implied = implied;
	hash_put(&filler->implied_of, stat.st_ino, implied);
	return fd;
}

/* One directory down. */
static int step_down(struct place *place, const char *name, size_t size)
{
	char text[NAME_MAX + 1];
	int fd;

	if (size > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(text, name, size);
	text[size] = 0;
	fd = open_directory(place->fd, text);
	if (fd < 0 && errno == ENOENT && place->filler)
		fd = imply(place, text);
	if (fd < 0)
		return -errno;
	fd_close(&place->fd);
	place->fd = fd;
	path_add(&place->path, name, size);
	return 0;
}

static int step_up(struct place *place)
{
	const char *slash = memrchr(place->path.text, '/', place->path.length);
	int fd = openat(place->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	fd_close(&place->fd);
	place->fd = fd;
	path_cut(&place->path, slash ? slash - place->path.text : 0);
	return 0;
}

/*
 * Goes to the directory of this path: up to what both have in common, and down.  ".." is safe:
 * nobody else is in this filesystem, and its root is the end.  0 or a negative errno.
 */
static int go_to(struct place *place, const char *path, size_t length)
{
	size_t common = path_common(&place->path, path, length);
	int error = 0;

	while (!error && place->path.length > common)
		error = step_up(place);
	while (!error && common < length) {
		const char *name = path + common + (common > 0);
		const char *slash = memchr(name, '/', path + length - name);
		size_t size = (slash ?: path + length) - name;

		error = step_down(place, name, size);
		common = name - path + size;
	}
	return error;
}

/* The last name of a path; *length: of the directory's path. */
static const char *last_name(const struct path *path, size_t *length)
{
	const char *slash = memrchr(path->text, '/', path->length);

	*length = slash ? slash - path->text : 0;
	return slash ? slash + 1 : path->text;
}

/* A path of the archive, without "." and empty parts.  ".." is hostile. */
static int take_path(struct path *path, const char *text)
{
	/* It begins as the one before did, most of the time. */
	size_t common = path->text ? path_common(path, text, strlen(text)) : 0;

	path_cut(path, common);
	for (text += common; *text;) {
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

/* One of our own. */
static void take_own(struct filler *filler, const char *name, const void *value, size_t size)
{
	char *text = arena_alloc(filler->checkpoint->arena, size + 1);

	memcpy(text, value, size);
	if (!strcmp(name, TYPE_ATTRIBUTE))
		filler->is_socket = !strcmp(text, "socket");
	else if (!strcmp(name, FLAGS_ATTRIBUTE))
		filler->flags = strtoul(text, NULL, 16) & CONTENTS_FLAGS;
	else if (!strcmp(name, DELETED_ATTRIBUTE))
		filler->deleted = text;
}

/* The extended attributes of the entry, and ours among them. */
static int take_attributes(struct filler *filler)
{
	struct arena *arena = filler->checkpoint->arena;
	const char *name;
	const void *value;
	size_t size;

	filler->is_socket = false;
	filler->deleted = NULL;
	filler->flags = 0;
	filler->attributes = NULL;
	if (libarchive.archive_entry_acl_types(filler->entry))
		return damaged(filler, "an access control list that stasis did not write");
	libarchive.archive_entry_xattr_reset(filler->entry);
	while (libarchive.archive_entry_xattr_next(filler->entry, &name, &value, &size) ==
	       ARCHIVE_OK) {
		struct attribute *attribute;

		if (!strncmp(name, NAME_ATTRIBUTE, strlen(NAME_ATTRIBUTE))) {
			name = plain_name(arena, name + strlen(NAME_ATTRIBUTE));
		} else if (!strncmp(name, OWN_ATTRIBUTE, strlen(OWN_ATTRIBUTE))) {
			take_own(filler, name, value, size);
			continue;
		} else {
			name = arena_strdup(arena, name);
		}
		if (!name)
			return damaged(filler, "an attribute without a name");
		attribute = arena_new_object(arena, struct attribute);
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
	fd_path path;

	path_of_fd(directory, name, path);
	for (; attribute; attribute = attribute->next)
		if (lsetxattr(path, attribute->name, attribute->value, attribute->size, 0))
			return -errno;
	return 0;
}

/* An atime of 0 is not in the archive: libarchive takes it for none. */
static void get_times(struct archive_entry *entry, struct timespec times[2])
{
	times[0] = (struct timespec){libarchive.archive_entry_atime(entry),
				     libarchive.archive_entry_atime_nsec(entry)};
	times[1] = (struct timespec){libarchive.archive_entry_mtime(entry),
				     libarchive.archive_entry_mtime_nsec(entry)};
}

static void put_off(struct filler *filler, bool is_directory)
{
	struct arena *arena = filler->checkpoint->arena;
	struct contents *contents = filler->contents;
	struct later *later = arena_new_object(arena, struct later);

	*later = (struct later){
		.kept = path_common(&contents->path, filler->path.text, filler->path.length),
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
	const uid_t uid = libarchive.archive_entry_uid(filler->entry);
	const gid_t gid = libarchive.archive_entry_gid(filler->entry);
	const mode_t mode = libarchive.archive_entry_perm(filler->entry);

	if (fd >= 0)
		return fchown(fd, uid, gid) || fchmod(fd, mode) ? -errno : 0;
	if (fchownat(filler->place.fd, filler->name, uid, gid, AT_SYMLINK_NOFOLLOW) ||
	    (type != S_IFLNK && fchmodat(filler->place.fd, filler->name, mode, 0)))
		return -errno;
	return 0;
}

static int set_flags(int fd, int flags)
{
	autofd int file = -1;
	fd_path path;

	if (!flags)
		return 0;
	file = open(path_of_fd(fd, NULL, path), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return file < 0 || ioctl(file, FS_IOC_SETFLAGS, &flags) ? -errno : 0;
}

/* Its name may be another's; its mounts have it by descriptor. */
static int keep_deleted(struct filler *filler, mode_t type)
{
	struct arena *arena = filler->checkpoint->arena;
	struct deleted *deleted = arena_new_object(arena, struct deleted);
	const int directory = filler->place.fd;

	deleted->fd = openat(directory, filler->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (deleted->fd < 0)
		return -errno;
	deleted->directory = arena_printf(arena, "%.*s", (int)filler->place.path.length,
					  filler->place.path.text ?: "");
	deleted->name = arena_strdup(arena, filler->name);
	deleted->type = type;
	deleted->flags = filler->flags;
	snprintf(deleted->meanwhile, sizeof(deleted->meanwhile), ".stasis-deleted-%zu",
		 filler->contents->deleted_count++);
	if (renameat2(directory, filler->name, directory, deleted->meanwhile, RENAME_NOREPLACE)) {
		int error = -errno;

		fd_close(&deleted->fd);
		return error;
	}
	deleted->next = filler->contents->deleted;
	filler->contents->deleted = deleted;
	for (const char *text = filler->deleted; *text;) {
		char *end;
		unsigned long id = strtoul(text, &end, 10);

		if (end == text)
			return -EBADMSG;
		hash_put(&filler->contents->deleted_of, id, deleted);
		text = end + (*end == ',');
	}
	return 0;
}

/* The name it had is what its mounts show of it, so it goes by that name: what has it now steps
 * aside. */
static int delete_by_name(const struct deleted *deleted, int directory)
{
	bool taken = false;

	if (renameat2(directory, deleted->meanwhile, directory, deleted->name, RENAME_NOREPLACE)) {
		taken = errno == EEXIST;
		if (!taken || renameat2(directory, deleted->meanwhile, directory, deleted->name,
					RENAME_EXCHANGE))
			return -errno;
	}
	if (unlinkat(directory, deleted->name, deleted->type == S_IFDIR ? AT_REMOVEDIR : 0) ||
	    (taken &&
	     renameat2(directory, deleted->meanwhile, directory, deleted->name, RENAME_NOREPLACE)))
		return -errno;
	return set_flags(deleted->fd, deleted->flags);
}

static int finish_entry(struct filler *filler, int fd, mode_t type)
{
	struct timespec times[2];
	int error = set_owner(filler, fd, type);

	if (error)
		return fill_failed(filler, -error, "its owner and mode cannot be set");
	if (type == S_IFDIR && !filler->deleted) {
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
	if (filler->deleted) {
		error = keep_deleted(filler, type);
		return error ? fill_failed(filler, -error, "it cannot be removed") : 0;
	}
	if (filler->flags)
		put_off(filler, false);
	return 0;
}

static int fill_data(struct filler *filler, int fd)
{
	const int64_t size = libarchive.archive_entry_size(filler->entry);
	const void *data;
	int64_t offset;
	size_t length;
	int result, error;

	while ((result = libarchive.archive_read_data_block(filler->archive, &data, &length,
							    &offset)) == ARCHIVE_OK) {
		if (offset < 0 || offset > size || (int64_t)length > size - offset)
			return damaged(filler, "data beyond the end of a file");
		error = fd_pwrite_all(fd, data, length, offset);
		if (error)
			return fill_failed(filler, -error, "it cannot be written");
	}
	if (result != ARCHIVE_EOF)
		return damaged(filler,
			       libarchive.archive_error_string(filler->archive) ?: "damage");
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
	const char *name;
	size_t length;
	int error = place.fd < 0 ? -errno : 0;

	if (!error && take_path(&path, target))
		error = -EBADMSG;
	if (!error)
		path_add(&place.path, filler->place.path.text ?: "", filler->place.path.length);
	if (!error) {
		name = last_name(&path, &length);
		error = go_to(&place, path.text, length);
		if (!error && linkat(place.fd, name, filler->place.fd, filler->name, 0))
			error = -errno;
	}
	fd_close(&place.fd);
	free(place.path.text);
	free(path.text);
	if (error == -EBADMSG)
		return damaged(filler, "a link that leads nowhere");
	return error ? fill_failed(filler, -error, "its second name cannot be made") : 0;
}

/* It can be there already: the root, or implied by another's path. */
static int make_directory(struct filler *filler)
{
	struct implied *implied;
	struct stat stat;

	if (!*filler->name || !mkdirat(filler->place.fd, filler->name, 0700))
		return 0;
	if (errno != EEXIST || fstatat(filler->place.fd, filler->name, &stat, AT_SYMLINK_NOFOLLOW))
		return -errno;
	implied = hash_get(&filler->implied_of, stat.st_ino);
	if (!implied)
		return -EEXIST;
	implied->is_entry = true;
	return 0;
}

static int make_node(struct filler *filler, mode_t type)
{
	const int directory = filler->place.fd;

	switch (type) {
	case S_IFDIR:
		return make_directory(filler);
	case S_IFLNK:
		return symlinkat(libarchive.archive_entry_symlink(filler->entry) ?: "", directory,
				 filler->name)
			       ? -errno
			       : 0;
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return mknodat(directory, filler->name, type | 0600,
			       libarchive.archive_entry_rdev(filler->entry))
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

	if (!contents_listed(names, filler->path.text))
		return damaged(filler, "a file that this filesystem does not store");
	if (fstatat(filler->place.fd, filler->name, &stat, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : fill_failed(filler, errno, "it cannot be read");
	return finish_entry(filler, -1, type);
}

static int fill_entry(struct filler *filler)
{
	const char *text = libarchive.archive_entry_pathname(filler->entry);
	const char *link = libarchive.archive_entry_hardlink(filler->entry);
	const char *const *names = filler->superblock->filesystem->names;
	mode_t type = libarchive.archive_entry_filetype(filler->entry);
	size_t length;
	int error;

	if (!text || *text == '/' || take_path(&filler->path, text))
		return damaged(filler, "a name that leads out of the filesystem");
	filler->name = last_name(&filler->path, &length);
	error = go_to(&filler->place, filler->path.text, length);
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
			name = last_name(&path, &length);
		}
		error = go_to(&place, path.text, length);
		if (!error)
			error = set(later, place.fd, name);
	}
	if (error)
		FAIL(-error, contents_subject(superblock, &path), NULL,
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

/* Directories that only led to what was deleted were deleted, too: inner ones come first. */
static int remove_implied(const struct contents *contents, struct place *place)
{
	struct path path = {0};
	int error = 0;

	for (const struct implied *implied = contents->implied; implied && !error;
	     implied = implied->next) {
		const char *name;
		size_t length;

		if (implied->is_entry)
			continue;
		take_path(&path, implied->path);
		name = last_name(&path, &length);
		error = go_to(place, path.text, length);
		if (!error && unlinkat(place->fd, name, AT_REMOVEDIR) && errno != ENOTEMPTY)
			error = -errno;
	}
	free(path.text);
	return error;
}

/* What is the root of mounts and has no name loses the one it had until they were attached. */
static int delete_all(struct contents *contents, struct superblock *superblock)
{
	struct place place = {.fd = openat(superblock->fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC)};
	int error = place.fd < 0 ? -errno : 0;

	for (const struct deleted *deleted = contents->deleted; deleted && !error;
	     deleted = deleted->next) {
		error = go_to(&place, deleted->directory, strlen(deleted->directory));
		if (!error)
			error = delete_by_name(deleted, place.fd);
	}
	if (!error)
		error = remove_implied(contents, &place);
	fd_close(&place.fd);
	free(place.path.text);
	return error ? FAIL(-error, superblock_subject(superblock), NULL,
			    "what was deleted on it cannot be deleted again: %s", strerror(-error))
		     : 0;
}

/* Flags last: nothing can be done to what is immutable. */
static int seal_later(const struct later *later, int directory, const char *name)
{
	autofd int fd = -1;

	if (later->is_directory && utimensat(directory, name, later->times, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (!later->flags)
		return 0;
	fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : set_flags(fd, later->flags);
}

static int read_archive(struct filler *filler)
{
	int result, error = 0;

	libarchive.archive_read_support_format_tar(filler->archive);
	if (libarchive.archive_read_open(filler->archive, filler, NULL, read_compressed, NULL))
		return damaged(filler,
			       libarchive.archive_error_string(filler->archive) ?: "no archive");
	while (!error && (result = libarchive.archive_read_next_header2(
				  filler->archive, filler->entry)) != ARCHIVE_EOF) {
		if (result == ARCHIVE_OK)
			error = fill_entry(filler);
		else
			error = damaged(filler, libarchive.archive_error_string(filler->archive)
							?: "damage");
	}
	/* The check sum is at the end. */
	while (!error && (result = gzread(filler->file, filler->buffer, CONTENTS_BUFFER)) != 0)
		if (result < 0)
			error = damaged(filler, decompression_error(filler->file));
	return error;
}

int contents_fill(struct checkpoint *checkpoint, struct superblock *superblock)
{
	struct filler filler = {
		.checkpoint = checkpoint,
		.superblock = superblock,
		.contents = arena_new_object(checkpoint->arena, struct contents),
		.place = {.fd = -1, .filler = &filler},
	};
	int error = libarchive_load(), fd;

	if (error)
		return error;
	fd = image_open_raw(checkpoint->images, IMAGE_TMPFS, contents_id(superblock));
	if (fd < 0)
		return fd;
	superblock->state = filler.contents;
	filler.file = gzdopen(fd, "rb");
	filler.buffer = malloc(CONTENTS_BUFFER);
	filler.archive = libarchive.archive_read_new();
	filler.entry = libarchive.archive_entry_new();
	filler.place.fd = openat(superblock->fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!filler.file || !filler.buffer || !filler.archive || !filler.entry)
		die_of_memory();
	gzbuffer(filler.file, CONTENTS_BUFFER);
	if (filler.place.fd < 0)
		error = fill_failed(&filler, errno, "it cannot be opened");
	else
		error = read_archive(&filler);
	if (gzclose_r(filler.file) != Z_OK && !error)
		error = damaged(&filler, "the file ends too early");
	filler.contents->implied = filler.implied;
	if (!error)
		error = each_later(superblock, superblock->fd, set_attributes_later);
	hash_free(&filler.implied_of);
	libarchive.archive_read_free(filler.archive);
	libarchive.archive_entry_free(filler.entry);
	fd_close(&filler.place.fd);
	free(filler.place.path.text);
	free(filler.path.text);
	free(filler.contents->path.text);
	filler.contents->path = (struct path){0};
	free(filler.buffer);
	return error;
}

int contents_deleted(const struct superblock *superblock, uint32_t mount_id)
{
	const struct contents *contents = superblock->state;
	const struct deleted *deleted = contents ? hash_get(&contents->deleted_of, mount_id) : NULL;

	return deleted ? deleted->fd : -1;
}

int contents_seal(struct checkpoint *checkpoint, struct superblock *superblock)
{
	struct contents *contents = superblock->state;
	int error = 0;

	if (!contents)
		return 0;
	if (contents->deleted || contents->implied)
		error = delete_all(contents, superblock);
	for (struct deleted *deleted = contents->deleted; deleted; deleted = deleted->next)
		fd_close(&deleted->fd);
	hash_free(&contents->deleted_of);
	return error ? error : each_later(superblock, superblock->fd, seal_later);
}
