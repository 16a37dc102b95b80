/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ghosts: files that are open and have no name left.  The file itself is part of the checkpoint:
 * what it is in ghost-file-ID.img, and in the same image its contents, without holes.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "file/remap.h"
#include "images/ghost-file.pb-c.h"

enum {
	/* chattr(1) flags that FS_IOC_SETFLAGS can set on a file and that mean something. */
	KEPT_INODE_FLAGS = FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL |
			   FS_NOATIME_FL | FS_NOCOW_FL | FS_COMPR_FL | FS_DIRSYNC_FL,
	MOST_TRIES = 100,
};

struct ghost {
	uint32_t id;
	GhostFileEntry *entry;

	struct description *source; /* dump: how to reach it */

	/* Restore. */
	struct description *members;     /* a ring, by next */
	const struct description *named; /* by whose path it is made, */
	const char *name;                /* its name in that path's terms, while it has one */
	const char *path;                /* and ours */
	bool filled;
	bool has_name;
	int writer;                      /* and until it is filled: to do that */
	int holder;                      /* O_PATH: keeps it */
	struct description *created_for; /* made by O_TMPFILE: this is its description, */
	int created;                     /* here */
};

/* All ghosts, and the same by id. */
struct ghost_state {
	ARRAY(struct ghost *) all;
	struct hash by_id;
};

static struct ghost_state *ghost_state(struct checkpoint *checkpoint)
{
	struct file_state *files = checkpoint->files.state;

	if (!files->ghosts)
		files->ghosts = arena_new_object(checkpoint->arena, struct ghost_state);
	return files->ghosts;
}

static struct ghost *new_ghost(struct checkpoint *checkpoint, uint32_t id)
{
	struct ghost *ghost = arena_new_object(checkpoint->arena, struct ghost);

	*ghost = (struct ghost){.id = id, .writer = -1, .holder = -1, .created = -1};
	*(struct ghost **)array_push(&ghost_state(checkpoint)->all) = ghost;
	hash_put(&ghost_state(checkpoint)->by_id, id, ghost);
	return ghost;
}

static const char *self_fd(int fd, char path[32])
{
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return path;
}

/* ---- dump ----------------------------------------------------------------------------------- */

static int describe_xattrs(struct checkpoint *checkpoint, struct ghost *ghost, const char *path)
{
	char names[XATTR_LIST_MAX], value[XATTR_SIZE_MAX];
	ssize_t size = listxattr(path, names, sizeof(names));
	size_t count = 0;

	if (size < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (char *name = names; name < names + size; name += strlen(name) + 1)
		count++;
	ghost->entry->xattrs = arena_new_array(checkpoint->arena, GhostXattrEntry *, count);
	for (char *name = names; name < names + size; name += strlen(name) + 1) {
		GhostXattrEntry *entry =
			ARENA_MESSAGE(checkpoint->arena, ghost_xattr_entry, GhostXattrEntry);
		ssize_t length = getxattr(path, name, value, sizeof(value));

		if (length < 0)
			return -errno;
		entry->name = arena_strdup(checkpoint->arena, name);
		entry->value.data = arena_copy(checkpoint->arena, value, length);
		entry->value.len = length;
		ghost->entry->xattrs[ghost->entry->n_xattrs++] = entry;
	}
	return 0;
}

/* What is beside the contents and what stat() tells. */
static int describe_attributes(struct checkpoint *checkpoint, struct ghost *ghost,
			       const struct description *description)
{
	mode_t mode = description->stat.st_mode;
	char path[32], target[PATH_MAX];
	int flags = 0;

	if (S_ISLNK(mode)) {
		ssize_t length = readlinkat(description->fd, "", target, sizeof(target) - 1);

		if (length < 0)
			return -errno;
		target[length] = 0;
		ghost->entry->symlnk_target = arena_strdup(checkpoint->arena, target);
		return 0;
	}
	self_fd(description->fd, path);
	if (S_ISREG(mode) || S_ISDIR(mode)) {
		autofd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOATIME | O_CLOEXEC);

		if (fd < 0)
			return -errno;
		if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
			flags = 0; /* a filesystem without them */
	}
	if (flags & FS_VERITY_FL)
		return REFUSE(description_subject(description), "close it before the dump",
			      "it was removed and is protected by fs-verity");
	if (flags & KEPT_INODE_FLAGS) {
		ghost->entry->has_inode_flags = true;
		ghost->entry->inode_flags = flags & KEPT_INODE_FLAGS;
	}
	return describe_xattrs(checkpoint, ghost, path);
}

static Timeval *describe_time(struct checkpoint *checkpoint, const struct timespec *time)
{
	Timeval *entry = ARENA_MESSAGE(checkpoint->arena, timeval, Timeval);

	entry->tv_sec = time->tv_sec;
	entry->tv_usec = time->tv_nsec / 1000;
	return entry;
}

static GhostFileEntry *ghost_entry(struct checkpoint *checkpoint, const struct stat *stat)
{
	GhostFileEntry *entry = ARENA_MESSAGE(checkpoint->arena, ghost_file_entry, GhostFileEntry);

	entry->uid = stat->st_uid;
	entry->gid = stat->st_gid;
	entry->mode = stat->st_mode;
	entry->has_dev = entry->has_ino = true;
	entry->dev = stat->st_dev;
	entry->ino = stat->st_ino;
	if (S_ISCHR(stat->st_mode) || S_ISBLK(stat->st_mode)) {
		entry->has_rdev = true;
		entry->rdev = stat->st_rdev;
	}
	entry->atim = describe_time(checkpoint, &stat->st_atim);
	entry->mtim = describe_time(checkpoint, &stat->st_mtim);
	entry->has_atim_nsec = entry->has_mtim_nsec = true;
	entry->atim_nsec = stat->st_atim.tv_nsec;
	entry->mtim_nsec = stat->st_mtim.tv_nsec;
	if (S_ISREG(stat->st_mode)) {
		entry->has_chunks = entry->chunks = true;
		entry->has_size = true;
		entry->size = stat->st_size;
	}
	return entry;
}

/* While the ghost has its name again, can it be opened on this mount too? */
static bool same_place(struct checkpoint *checkpoint, const struct ghost *ghost,
		       const struct description *other)
{
	const struct description *source = ghost->source;

	return path_translate(checkpoint, source, source->entry->reg->name, other) &&
	       path_translate(checkpoint, other, other->entry->reg->name, source);
}

struct ghost *ghost_describe(struct checkpoint *checkpoint, struct description *description)
{
	const struct stat *stat = &description->stat;
	uint64_t blocks = (uint64_t)stat->st_blocks * 512;
	uint64_t size = blocks < (uint64_t)stat->st_size ? blocks : (uint64_t)stat->st_size;
	uint64_t limit = checkpoint->options->ghost_limit;
	struct file_inode *inode = description->inode;
	struct ghost *ghost;
	int error;

	if (description->mount && description->mount->uid_map) {
		REFUSE(description_subject(description), "close it before the dump",
		       "it was removed, and it is open on an id mapped mount");
		return NULL;
	}
	if (inode->shown) {
		REFUSE(description_subject(description), "close it before the dump",
		       "it was removed, and a mount shows it that it was not opened on");
		return NULL;
	}
	if (inode->ghost && !same_place(checkpoint, inode->ghost, description)) {
		REFUSE(description_subject(description), "close it before the dump",
		       "it was removed, and is open by another name and mount as well");
		return NULL;
	}
	if (inode->ghost)
		return inode->ghost;
	if (S_ISREG(stat->st_mode) && size > limit) {
		REFUSE(description_subject(description),
		       "raise the limit (--ghost-limit), or close it before the dump",
		       "it was removed and its %llu bytes are more than --ghost-limit, %llu",
		       (unsigned long long)size, (unsigned long long)limit);
		return NULL;
	}
	if (S_ISSOCK(stat->st_mode)) {
		REFUSE(description_subject(description), "close it before the dump",
		       "a socket's file that was removed is not carried over");
		return NULL;
	}
	ghost = new_ghost(checkpoint, ++checkpoint->files.state->last_ghost_id);
	ghost->entry = ghost_entry(checkpoint, stat);
	ghost->source = description;
	error = describe_attributes(checkpoint, ghost, description);
	if (error && error != -EOPNOTSUPP)
		FAIL(-error, description_subject(description), NULL,
		     "its attributes cannot be read: %s", strerror(-error));
	if (!error)
		inode->ghost = ghost;
	return inode->ghost;
}

int files_describe_removed(struct checkpoint *checkpoint, int fd, struct subject subject,
			   uint32_t *ghost_id)
{
	struct description *description = arena_new_object(checkpoint->arena, struct description);

	if (!file_state(checkpoint)) {
		close(fd);
		return -EIO;
	}
	*description = (struct description){
		.fd = fd,
		.number = -1,
		.purpose = arena_strdup(checkpoint->arena, subject.text),
	};
	if (fstat(fd, &description->stat) < 0 || !(description->link = file_link(checkpoint, fd)))
		return FAIL(errno, subject, NULL, "cannot be looked at: %s", strerror(errno));
	description->inode = file_inode(checkpoint, &description->stat);
	if (!description->inode->shown) {
		description->inode->shown = ghost_describe(checkpoint, description);
		description->inode->ghost = NULL;
	}
	if (!description->inode->shown)
		return -EOPNOTSUPP;
	*ghost_id = description->inode->shown->id;
	return 0;
}

uint32_t ghost_id(const struct ghost *ghost)
{
	return ghost->id;
}

static int write_chunk(int from, int to, uint64_t offset, uint64_t size)
{
	GhostChunkEntry chunk = GHOST_CHUNK_ENTRY__INIT;
	unsigned char packed[64];
	uint32_t length;
	off_t position = offset;

	chunk.off = offset;
	chunk.len = size;
	length = ghost_chunk_entry__pack(&chunk, packed + sizeof(length));
	memcpy(packed, &(uint32_t){htole32(length)}, sizeof(length));

	int error = fd_write_all(to, packed, sizeof(length) + length);

	while (!error && size) {
		ssize_t done = sendfile(to, from, &position, size < SSIZE_MAX ? size : SSIZE_MAX);

		if (done <= 0)
			return done ? -errno : -ENODATA; /* it got shorter? it is frozen */
		size -= done;
	}
	return error;
}

/* All that is not a hole. */
static int write_chunks(int from, int to, uint64_t size)
{
	int error = 0;

	for (off_t end = 0; (uint64_t)end < size && !error;) {
		off_t begin = lseek(from, end, SEEK_DATA);

		if (begin < 0)
			return errno == ENXIO ? 0 : -errno;
		end = lseek(from, begin, SEEK_HOLE);
		error = end < 0 ? -errno : write_chunk(from, to, begin, end - begin);
	}
	return error;
}

static int store_ghost(struct checkpoint *checkpoint, struct ghost *ghost)
{
	struct image_writer *writer = image_create(checkpoint->images, IMAGE_GHOST_FILE, ghost->id);
	autofd int fd = -1, image = -1;
	char name[64];
	int error;

	image_put(writer, ghost->entry);
	if (!ghost->entry->chunks)
		return image_finish(writer);
	error = image_finish_raw(writer, &image);
	if (error)
		return error;
	fd = file_fetch(ghost->source);
	if (fd >= 0) {
		autofd int path = fd;

		fd = file_reopen(path, O_RDONLY | O_NOATIME);
	}
	if (fd < 0)
		return FAIL(-fd, description_subject(ghost->source), NULL,
			    "cannot be opened for reading: %s", strerror(-fd));
	error = write_chunks(fd, image, ghost->entry->size);
	if (!error)
		return 0;
	image_remove(checkpoint->images, IMAGE_GHOST_FILE, ghost->id);
	return FAIL(-error, SUBJECT("image %s", image_name(IMAGE_GHOST_FILE, ghost->id, name)),
		    error == -ENOSPC ? "free some space, or name a directory with more of it (-D)"
				     : NULL,
		    "cannot be written: %s", strerror(-error));
}

int ghosts_store(struct checkpoint *checkpoint)
{
	int error = 0;

	array_each (&ghost_state(checkpoint)->all, ghost)
		if (!error)
			error = store_ghost(checkpoint, *ghost);
	return error;
}

/* ---- restore: reading ----------------------------------------------------------------------- */

static int check_ghost(const struct ghost *ghost)
{
	const GhostFileEntry *entry = ghost->entry;
	const char *problem = NULL;
	char name[64];

	switch (entry->mode & S_IFMT) {
	case S_IFREG:
		if (entry->chunks && !entry->has_size)
			problem = "it has no size";
		else if (entry->size > INT64_MAX)
			problem = "its size is too large";
		break;
	case S_IFLNK:
		if (!entry->symlnk_target)
			problem = "it has no target";
		break;
	case S_IFCHR:
	case S_IFBLK:
		if (!entry->has_rdev)
			problem = "it has no device number";
		break;
	case S_IFDIR:
	case S_IFIFO:
		break;
	default:
		problem = "it is of no known type";
	}
	return problem ? FAIL(EBADMSG,
			      SUBJECT("image %s", image_name(IMAGE_GHOST_FILE, ghost->id, name)),
			      "the checkpoint is damaged: take another copy of it", "%s", problem)
		       : 0;
}

/* Opens the image and reads what is before the contents; the reader is the caller's to close. */
static int open_image(struct checkpoint *checkpoint, struct ghost *ghost,
		      struct image_reader **reader)
{
	char name[64];
	int got = image_open(checkpoint->images, IMAGE_GHOST_FILE, ghost->id, checkpoint->arena,
			     reader);

	if (!got)
		got = image_get(*reader, &ghost->entry);
	if (got == 0 || got == -ENOENT)
		return FAIL(ENOENT,
			    SUBJECT("image %s", image_name(IMAGE_GHOST_FILE, ghost->id, name)),
			    "the checkpoint is incomplete: take another copy of it",
			    "is missing or empty");
	return got < 0 ? got : check_ghost(ghost);
}

struct ghost *ghost_read(struct checkpoint *checkpoint, uint32_t id, struct description *file)
{
	struct ghost *ghost = hash_get(&ghost_state(checkpoint)->by_id, id);

	if (!ghost) {
		struct image_reader *reader = NULL;
		int error;

		ghost = new_ghost(checkpoint, id);
		error = open_image(checkpoint, ghost, &reader);
		image_close(reader);
		if (error)
			return NULL;
	}
	file->next = ghost->members ? ghost->members->next : file;
	if (ghost->members)
		ghost->members->next = file;
	ghost->members = file;
	return ghost;
}

/* ---- restore: making it -----------------------------------------------------------------------
 */

static int cannot_make(const struct description *description, int error)
{
	return FAIL(error, description_subject(description),
		    "make the directory and the filesystem of the file writable",
		    "the removed file cannot be made again: %s", strerror(error));
}

/* The file's directory, or what is left of the way to it on its mount. */
static const char *find_directory(struct checkpoint *checkpoint,
				  const struct description *description, bool to_change)
{
	char *directory = arena_strdup(checkpoint->arena, description->entry->reg->name), *slash;
	const char *top = description->mount ? description->mount->path : "/";
	struct stat stat_;

	while ((slash = strrchr(directory, '/')) && slash > directory) {
		const char *path;

		*slash = 0;
		if (!path_contains(top, directory))
			break;
		path = path_reach(checkpoint, description, directory, to_change);
		if (path && stat(path, &stat_) == 0 && S_ISDIR(stat_.st_mode))
			return directory;
	}
	return strcmp(top, "/") ? top : "/.";
}

static int create(const struct ghost *ghost, const char *path, int *writer)
{
	const GhostFileEntry *entry = ghost->entry;

	switch (entry->mode & S_IFMT) {
	case S_IFREG:
		*writer = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		return *writer < 0 ? -errno : 0;
	case S_IFDIR:
		return mkdir(path, 0700) < 0 ? -errno : 0;
	case S_IFLNK:
		return symlink(entry->symlnk_target, path) < 0 ? -errno : 0;
	default:
		return mknod(path, (entry->mode & S_IFMT) | 0600, entry->rdev) < 0 ? -errno : 0;
	}
}

/* By the name it had if that is free, for its name is seen in /proc; else by another. */
static int create_named(struct checkpoint *checkpoint, struct ghost *ghost,
			const struct description *named)
{
	const char *directory = find_directory(checkpoint, named, true);
	int error = -EEXIST;

	ghost->named = named;
	ghost->name = arena_printf(checkpoint->arena, "%s%s", directory,
				   strrchr(named->entry->reg->name, '/'));
	for (int tries = 0; tries < MOST_TRIES && error == -EEXIST; tries++) {
		ghost->path = path_reach(checkpoint, named, ghost->name, true);
		if (!ghost->path)
			return -EIO;
		error = create(ghost, ghost->path, &ghost->writer);
		if (!error) {
			ghost->has_name = true;
			return 0;
		}
		uint32_t random = 0;

		if (getrandom(&random, sizeof(random), 0) < 0)
			return -errno;
		ghost->name =
			arena_printf(checkpoint->arena, "%s/.stasis-ghost-%08x", directory, random);
	}
	return error;
}

/*
 * A file made with O_TMPFILE, which never had a name and may still be given one: the open file
 * that made it shows that by its flags, so it makes it again.
 */
static int create_unnamed(struct checkpoint *checkpoint, struct ghost *ghost,
			  struct description *maker)
{
	const char *directory = find_directory(checkpoint, maker, false);
	const char *path = path_reach(checkpoint, maker, directory, false);
	/* O_APPEND and the like are set when it is filled. */
	unsigned int flags = O_TMPFILE | (maker->flags & (O_ACCMODE | O_SYNC | O_NOFOLLOW));

	if (!path)
		return -EIO;
	ghost->created = open(path, flags | O_CLOEXEC, 0600);
	if (ghost->created < 0)
		return -errno;
	ghost->created_for = maker;
	ghost->writer = file_reopen(ghost->created, O_WRONLY);
	return ghost->writer < 0 ? ghost->writer : 0;
}

static int unlink_name(struct ghost *ghost)
{
	int flag = S_ISDIR(ghost->entry->mode) ? AT_REMOVEDIR : 0;

	ghost->has_name = false;
	return unlinkat(AT_FDCWD, ghost->path, flag) < 0 ? -errno : 0;
}

/*
 * An open file keeps O_NOFOLLOW among its flags, and by way of /proc it could not have it.  Nor
 * would it be on its own mount, if that is not the one by which the file is made.
 */
static bool is_opened_by_name(const struct ghost *ghost)
{
	const struct description *each = ghost->members;

	do
		if (each->flags & O_NOFOLLOW || each->mount)
			return true;
	while ((each = each->next) != ghost->members);
	return false;
}

/*
 * There is no other way to a file with that name in /proc, " (deleted)", than to have it there
 * under that name.  A restore that is killed in that moment leaves it behind, so the moment ends
 * as soon as it is held, if it can.
 */
static int create_ghost(struct checkpoint *checkpoint, struct ghost *ghost)
{
	struct description *each = ghost->members, *maker = NULL;
	char path[32];
	int error;

	do
		if (S_ISREG(ghost->entry->mode) && (each->flags & KERNEL_O_TMPFILE) &&
		    (each->flags & O_ACCMODE) != O_RDONLY)
			maker = each;
	while ((each = each->next) != ghost->members);
	error = maker ? create_unnamed(checkpoint, ghost, maker)
		      : create_named(checkpoint, ghost, each);
	if (!error) {
		int from = ghost->created >= 0 ? ghost->created : ghost->writer;

		/* Not O_NOFOLLOW through /proc, where the link is the way. */
		ghost->holder = ghost->has_name ? open(ghost->path, O_PATH | O_NOFOLLOW | O_CLOEXEC)
						: open(self_fd(from, path), O_PATH | O_CLOEXEC);
		error = ghost->holder < 0 ? -errno : 0;
	}
	if (!error && ghost->has_name && !is_opened_by_name(ghost))
		error = unlink_name(ghost);
	return error ? cannot_make(ghost->members, -error) : 0;
}

const char *ghost_name(struct checkpoint *checkpoint, struct ghost *ghost,
		       const struct description *description, unsigned int *flags)
{
	if (ghost->holder < 0 && create_ghost(checkpoint, ghost))
		return NULL;
	if (ghost->has_name) {
		const char *name =
			path_translate(checkpoint, ghost->named, ghost->name, description);

		if (name)
			return path_reach(checkpoint, description, name, false);
		FAIL(ENOENT, description_subject(description), NULL,
		     "the removed file cannot be seen on its mount");
		return NULL;
	}
	*flags &= ~O_NOFOLLOW; /* the last part of this path is a link of /proc */
	return arena_printf(checkpoint->arena, "/proc/self/fd/%d", ghost->holder);
}

int ghost_take(struct ghost *ghost, const struct description *description)
{
	return ghost->created_for == description ? fd_steal(&ghost->created) : -1;
}

/* ---- restore: what is in a ghost --------------------------------------------------------------
 */

static int copy(int from, uint64_t offset, int to, uint64_t at, uint64_t size)
{
	off_t position = offset;

	if (lseek(to, at, SEEK_SET) < 0)
		return -errno;
	while (size) {
		ssize_t done = sendfile(to, from, &position, size < SSIZE_MAX ? size : SSIZE_MAX);

		if (done <= 0)
			return done ? -errno : -ENODATA;
		size -= done;
	}
	return 0;
}

static int fill_chunks(struct ghost *ghost, struct image_reader *reader)
{
	const ProtobufCMessageDescriptor *type = &ghost_chunk_entry__descriptor;
	GhostChunkEntry *chunk;
	uint64_t offset;
	int got;

	while ((got = image_get_type(reader, type, &chunk)) == 1) {
		int image = image_position(reader, &offset);

		if (chunk->off > ghost->entry->size || chunk->len > ghost->entry->size - chunk->off)
			return -EBADMSG;
		got = image_skip_raw(reader, chunk->len);
		if (!got)
			got = copy(image, offset, ghost->writer, chunk->off, chunk->len);
		if (got)
			return got;
	}
	return got;
}

static int fill_contents(struct ghost *ghost, struct image_reader *reader)
{
	uint64_t offset;

	if (ghost->entry->chunks)
		return ftruncate(ghost->writer, ghost->entry->size) < 0
			       ? -errno
			       : fill_chunks(ghost, reader);
	int image = image_position(reader, &offset);

	return copy(image, offset, ghost->writer, 0, image_left(reader));
}

static struct timespec restored_time(const Timeval *time, bool exact, uint32_t nanoseconds)
{
	if (!time)
		return (struct timespec){.tv_nsec = UTIME_OMIT};
	if (!exact)
		nanoseconds = time->tv_usec * 1000;
	return (struct timespec){.tv_sec = time->tv_sec, .tv_nsec = nanoseconds % 1000000000};
}

/* Owner before mode, which it would change; times and flags last, which the others would. */
static int fill_attributes(const struct ghost *ghost)
{
	const GhostFileEntry *entry = ghost->entry;
	struct timespec times[] = {
		restored_time(entry->atim, entry->has_atim_nsec, entry->atim_nsec),
		restored_time(entry->mtim, entry->has_mtim_nsec, entry->mtim_nsec),
	};
	char path[32];

	self_fd(ghost->holder, path);
	if (fchownat(ghost->holder, "", entry->uid, entry->gid, AT_EMPTY_PATH) < 0)
		return -errno;
	if (!S_ISLNK(entry->mode) && chmod(path, entry->mode & 07777) < 0)
		return -errno;
	for (size_t i = 0; i < entry->n_xattrs; i++)
		if (setxattr(path, entry->xattrs[i]->name, entry->xattrs[i]->value.data,
			     entry->xattrs[i]->value.len, 0) < 0)
			return -errno;
	if (utimensat(ghost->holder, "", times, AT_EMPTY_PATH) < 0)
		return -errno;
	if (!entry->inode_flags)
		return 0;

	autofd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
	int flags = 0;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return -errno;
	flags = (flags & ~KEPT_INODE_FLAGS) | (entry->inode_flags & KEPT_INODE_FLAGS);
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 ? -errno : 0;
}

static int fill(struct checkpoint *checkpoint, struct ghost *ghost)
{
	struct image_reader *reader = NULL;
	int error = 0;

	if (ghost->writer >= 0)
		error = open_image(checkpoint, ghost, &reader);
	if (!error && reader)
		error = fill_contents(ghost, reader);
	image_close(reader);
	/* A program's file can not be executed while it is open for writing. */
	fd_close(&ghost->writer);
	return error ? error : fill_attributes(ghost);
}

int files_make_removed(struct checkpoint *checkpoint, uint32_t ghost_id, const char *path)
{
	struct subject subject = SUBJECT("removed file %u", ghost_id);
	struct image_reader *reader = NULL;
	struct ghost *ghost;
	int error;

	if (!file_state(checkpoint))
		return -EIO;
	ghost = new_ghost(checkpoint, ghost_id);
	error = open_image(checkpoint, ghost, &reader);
	image_close(reader);
	if (error)
		return error;
	error = create(ghost, path, &ghost->writer);
	if (!error) {
		ghost->holder = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		error = ghost->holder < 0 ? -errno : fill(checkpoint, ghost);
	}
	return error ? FAIL(-error, subject, NULL, "cannot be made again: %s", strerror(-error))
		     : 0;
}

int ghost_unname(struct checkpoint *checkpoint, struct ghost *ghost)
{
	const struct description *description = ghost->members;
	char name[64];
	int error;

	if (ghost->has_name && (error = unlink_name(ghost)))
		return cannot_make(description, -error);
	if (ghost->filled || ghost->holder < 0)
		return 0;
	ghost->filled = true;
	error = fill(checkpoint, ghost);
	return error ? FAIL(-error,
			    SUBJECT("image %s", image_name(IMAGE_GHOST_FILE, ghost->id, name)),
			    NULL, "the removed file %s cannot be filled: %s",
			    description->entry->reg->name, strerror(-error))
		     : 0;
}

void ghosts_close(struct checkpoint *checkpoint, bool failed)
{
	struct ghost_state *state = checkpoint->files.state->ghosts;

	if (!state)
		return;
	array_each (&state->all, each) {
		struct ghost *ghost = *each;

		if (ghost->has_name)
			unlink_name(ghost);
		fd_close(&ghost->writer);
		fd_close(&ghost->holder);
		fd_close(&ghost->created);
	}
	array_free(&state->all);
	hash_free(&state->by_id);
}
