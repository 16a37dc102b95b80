/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that are open but whose name leads nowhere.  One without any name left is a *ghost*: the
 * file itself is part of the checkpoint.  One that has other names is given a new one by the dump
 * (--link-remap), a *link*, which goes away after the restore.
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
#include "base/log.h"
#include "file/internal.h"
#include "images/ghost-file.pb-c.h"
#include "images/remap-file-path.pb-c.h"

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
	struct image_reader *reader; /* behind the entry: the contents */
	struct description *members; /* a ring, by next */
	char *name;                  /* while it has one, */
	bool has_name;
	int writer;                      /* and until it is filled: to do that */
	int holder;                      /* O_PATH: keeps it */
	struct description *created_for; /* made by O_TMPFILE: this is its description, */
	int created;                     /* here */
};

/* An entry of remap-fpath.img. */
struct remap {
	struct description *file;
	struct ghost *ghost; /* one of these */
	struct description *link;
};

struct remap_state {
	ARRAY(struct remap *) remaps;
	ARRAY(struct ghost *) ghosts;
	ARRAY(struct description *) links;
	struct hash by_id; /* of ghosts */
};

static struct remap_state *remap_state(struct checkpoint *checkpoint)
{
	struct file_state *state = checkpoint->files.state;

	if (!state->remaps)
		state->remaps = arena_new_object(checkpoint->arena, struct remap_state);
	return state->remaps;
}

static struct remap *remap_add(struct checkpoint *checkpoint, struct description *description)
{
	struct remap *remap = arena_new_object(checkpoint->arena, struct remap);

	remap->file = description;
	*(struct remap **)array_push(&remap_state(checkpoint)->remaps) = remap;
	return remap;
}

static const char *self_fd(int fd, char path[32])
{
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return path;
}

/* ---- dump: links ---------------------------------------------------------------------------- */

static int describe_link(struct checkpoint *checkpoint, struct description *description)
{
	struct file_inode *inode = description->inode;
	struct subject subject = description_subject(description);

	if (S_ISDIR(description->stat.st_mode))
		return REFUSE(subject, NULL, "a directory that was removed and still has a name");
	if (!checkpoint->options->link_remap)
		return REFUSE(subject,
			      "dump with --link-remap, which gives it a name until the restore",
			      "its name was removed, and it has others that are not known");
	if (!inode->link) {
		struct description *link = description_new(checkpoint, description, &regular_kind);
		RegFileEntry *entry = arena_copy(checkpoint->arena, description->entry->reg,
						 sizeof(RegFileEntry));

		entry->id = link->id;
		link->entry->reg = entry;
		inode->link = link;
		*(struct description **)array_push(&remap_state(checkpoint)->links) = link;
	}
	remap_add(checkpoint, description)->link = inode->link;
	return 0;
}

static int store_link(struct checkpoint *checkpoint, struct description *link)
{
	const char *old = link->entry->reg->name;
	int directory = strrchr(old, '/') - old;
	autofd int fd = file_fetch(link);
	unsigned int number = link->id;

	if (fd < 0)
		return FAIL(-fd, description_subject(link), NULL, "cannot be fetched: %s",
			    strerror(-fd));
	/* Names of earlier dumps may be there. */
	for (int tries = 0; tries < MOST_TRIES; tries++, number += 1000) {
		char *name = arena_printf(checkpoint->arena, "%.*s/link_remap.%u", directory, old,
					  number);

		if (linkat(fd, "", AT_FDCWD, name, AT_EMPTY_PATH) == 0) {
			link->entry->reg->name = name;
			link->state = link; /* there is something to take back */
			return 0;
		}
		if (errno != EEXIST)
			break;
	}
	return FAIL(errno, description_subject(link), "close it before the dump",
		    "cannot be given a name beside its old one: %s", strerror(errno));
}

/* ---- dump: ghosts --------------------------------------------------------------------------- */

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

static int describe_ghost(struct checkpoint *checkpoint, struct description *description)
{
	const struct stat *stat = &description->stat;
	uint64_t blocks = (uint64_t)stat->st_blocks * 512;
	uint64_t size = blocks < (uint64_t)stat->st_size ? blocks : (uint64_t)stat->st_size;
	struct file_inode *inode = description->inode;
	int error;

	if (S_ISREG(stat->st_mode) && size > checkpoint->options->ghost_limit)
		return REFUSE(description_subject(description),
			      "raise the limit (--ghost-limit), or close it before the dump",
			      "it was removed and its %llu bytes are more than --ghost-limit, %llu",
			      (unsigned long long)size,
			      (unsigned long long)checkpoint->options->ghost_limit);
	if (S_ISSOCK(stat->st_mode))
		return REFUSE(description_subject(description), "close it before the dump",
			      "a socket's file that was removed is not carried over");
	if (!inode->ghost) {
		struct ghost *ghost = arena_new_object(checkpoint->arena, struct ghost);

		*ghost = (struct ghost){.id = ++checkpoint->files.state->last_ghost_id,
					.entry = ghost_entry(checkpoint, stat),
					.source = description,
					.writer = -1,
					.holder = -1,
					.created = -1};
		error = describe_attributes(checkpoint, ghost, description);
		if (error && error != -EOPNOTSUPP)
			FAIL(-error, description_subject(description), NULL,
			     "its attributes cannot be read: %s", strerror(-error));
		if (error)
			return error;
		inode->ghost = ghost;
		*(struct ghost **)array_push(&remap_state(checkpoint)->ghosts) = ghost;
	}
	remap_add(checkpoint, description)->ghost = inode->ghost;
	return 0;
}

int remap_describe(struct checkpoint *checkpoint, struct description *description)
{
	/* Some filesystems count one link of a directory that was removed. */
	if (!description->stat.st_nlink || S_ISDIR(description->stat.st_mode))
		return describe_ghost(checkpoint, description);
	return describe_link(checkpoint, description);
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

int remap_store(struct checkpoint *checkpoint)
{
	struct remap_state *state = remap_state(checkpoint);
	int error = 0;

	array_each (&state->ghosts, ghost)
		if (!error)
			error = store_ghost(checkpoint, *ghost);
	array_each (&state->links, link)
		if (!error)
			error = store_link(checkpoint, *link);
	return error;
}

int remap_write(struct checkpoint *checkpoint)
{
	struct remap_state *state = remap_state(checkpoint);
	struct image_writer *writer;

	if (!state->remaps.count)
		return image_remove(checkpoint->images, IMAGE_REMAP_FPATH, 0);
	writer = image_create(checkpoint->images, IMAGE_REMAP_FPATH, 0);
	array_each (&state->remaps, each) {
		struct remap *remap = *each;
		RemapFilePathEntry entry = REMAP_FILE_PATH_ENTRY__INIT;

		entry.orig_id = remap->file->id;
		entry.has_remap_type = true;
		entry.remap_type = remap->ghost ? REMAP_TYPE__GHOST : REMAP_TYPE__LINKED;
		entry.remap_id = remap->ghost ? remap->ghost->id : remap->link->id;
		image_put(writer, &entry);
	}
	return image_finish(writer);
}

/* ---- restore: reading ------------------------------------------------------------------------ */

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

static int read_ghost(struct checkpoint *checkpoint, uint32_t id, struct ghost **result)
{
	struct remap_state *state = remap_state(checkpoint);
	struct ghost *ghost = hash_get(&state->by_id, id);
	char name[64];
	int got;

	*result = ghost;
	if (ghost)
		return 0;
	*result = ghost = arena_new_object(checkpoint->arena, struct ghost);
	*ghost = (struct ghost){.id = id, .writer = -1, .holder = -1, .created = -1};
	hash_put(&state->by_id, id, ghost);
	*(struct ghost **)array_push(&state->ghosts) = ghost;
	got = image_open(checkpoint->images, IMAGE_GHOST_FILE, id, checkpoint->arena,
			 &ghost->reader);
	if (!got)
		got = image_get(ghost->reader, &ghost->entry);
	if (got == 0 || got == -ENOENT)
		return FAIL(ENOENT, SUBJECT("image %s", image_name(IMAGE_GHOST_FILE, id, name)),
			    "the checkpoint is incomplete: take another copy of it",
			    "is missing or empty");
	return got < 0 ? got : check_ghost(ghost);
}

static int read_remap(struct checkpoint *checkpoint, const RemapFilePathEntry *entry)
{
	struct description *file = hash_get(&checkpoint->files.by_id, entry->orig_id);
	RemapType type = entry->has_remap_type ? entry->remap_type : REMAP_TYPE__GHOST;
	struct remap *remap;
	int error;

	if (!file || !file->entry->reg || file->state)
		return FAIL(EBADMSG, SUBJECT("remap-fpath.img"),
			    "the checkpoint is damaged: take another copy of it",
			    "an entry is of no file, or comes twice (%u)", entry->orig_id);
	remap = remap_add(checkpoint, file);
	file->state = remap;
	if (type == REMAP_TYPE__GHOST) {
		error = read_ghost(checkpoint, entry->remap_id, &remap->ghost);
		if (error)
			return error;
		file->next = remap->ghost->members ? remap->ghost->members->next : file;
		if (remap->ghost->members)
			remap->ghost->members->next = file;
		remap->ghost->members = file;
		return 0;
	}
	remap->link = hash_get(&checkpoint->files.by_id, entry->remap_id);
	if (type == REMAP_TYPE__LINKED && remap->link && remap->link->entry->reg) {
		*(struct description **)array_push(&remap_state(checkpoint)->links) = remap->link;
		return 0;
	}
	return type == REMAP_TYPE__LINKED
		       ? file_damaged(file, "its other name is missing")
		       : REFUSE(description_subject(file), NULL,
				"files of a process in /proc are a later capability");
}

int remap_read(struct checkpoint *checkpoint)
{
	struct image_reader *reader = NULL;
	RemapFilePathEntry *entry;
	int result = 0;
	int got = image_open(checkpoint->images, IMAGE_REMAP_FPATH, 0, checkpoint->arena, &reader);

	if (got == -ENOENT)
		return 0;
	while (!got && (got = image_get(reader, &entry)) == 1) {
		got = read_remap(checkpoint, entry);
		result = result ? result : got;
		got = 0;
	}
	image_close(reader);
	return result ? result : got;
}

/* ---- restore: making ghosts ------------------------------------------------------------------ */

static struct ghost *ghost_of(const struct description *description)
{
	struct remap *remap = description->state;

	return remap ? remap->ghost : NULL;
}

bool remap_made(const struct description *description)
{
	return ghost_of(description);
}

struct description *remap_next(struct description *description)
{
	return ghost_of(description) ? description->next : description;
}

static int cannot_make(const struct description *description, int error)
{
	return FAIL(error, description_subject(description),
		    "make the directory and the filesystem of the file writable",
		    "the removed file cannot be made again: %s", strerror(error));
}

/* The file's directory, or what is left of the way to it. */
static char *find_directory(struct checkpoint *checkpoint, const char *name)
{
	char *directory = arena_strdup(checkpoint->arena, name), *slash;
	struct stat stat_;

	while ((slash = strrchr(directory, '/')) && slash > directory) {
		*slash = 0;
		if (stat(directory, &stat_) == 0 && S_ISDIR(stat_.st_mode))
			return directory;
	}
	directory[0] = '.'; /* "/." */
	return arena_strdup(checkpoint->arena, "/.");
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
static int create_named(struct checkpoint *checkpoint, struct ghost *ghost, const char *old)
{
	char *directory = find_directory(checkpoint, old);
	int error = -EEXIST;

	ghost->name = arena_printf(checkpoint->arena, "%s%s", directory, strrchr(old, '/'));
	for (int tries = 0; tries < MOST_TRIES && error == -EEXIST; tries++) {
		error = create(ghost, ghost->name, &ghost->writer);
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
	char *directory = find_directory(checkpoint, maker->entry->reg->name);
	/* O_APPEND and the like are set when it is filled. */
	unsigned int flags = O_TMPFILE | (maker->flags & (O_ACCMODE | O_SYNC | O_NOFOLLOW));

	ghost->created = open(directory, flags | O_CLOEXEC, 0600);
	if (ghost->created < 0)
		return -errno;
	ghost->created_for = maker;
	ghost->writer = file_reopen(ghost->created, O_WRONLY);
	return ghost->writer < 0 ? ghost->writer : 0;
}

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
		      : create_named(checkpoint, ghost, each->entry->reg->name);
	if (!error) {
		int from = ghost->created >= 0 ? ghost->created : ghost->writer;

		/* Not O_NOFOLLOW through /proc, where the link is the way. */
		ghost->holder = ghost->has_name ? open(ghost->name, O_PATH | O_NOFOLLOW | O_CLOEXEC)
						: open(self_fd(from, path), O_PATH | O_CLOEXEC);
		error = ghost->holder < 0 ? -errno : 0;
	}
	return error ? cannot_make(ghost->members, -error) : 0;
}

const char *remap_name(struct checkpoint *checkpoint, struct description *description,
		       unsigned int *flags)
{
	struct remap *remap = description->state;
	struct ghost *ghost = ghost_of(description);

	if (!remap)
		return description->entry->reg->name;
	if (!ghost)
		return remap->link->entry->reg->name;
	if (ghost->holder < 0 && create_ghost(checkpoint, ghost))
		return NULL;
	if (ghost->has_name)
		return ghost->name;
	*flags &= ~O_NOFOLLOW; /* the last part of this path is a link of /proc */
	return arena_printf(checkpoint->arena, "/proc/self/fd/%d", ghost->holder);
}

int remap_take(struct description *description)
{
	struct ghost *ghost = ghost_of(description);

	return ghost && ghost->created_for == description ? fd_steal(&ghost->created) : -1;
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

static int fill_chunks(struct ghost *ghost)
{
	const ProtobufCMessageDescriptor *type = &ghost_chunk_entry__descriptor;
	GhostChunkEntry *chunk;
	uint64_t offset;
	int got;

	while ((got = image_get_type(ghost->reader, type, &chunk)) == 1) {
		int image = image_position(ghost->reader, &offset);

		if (chunk->off > ghost->entry->size || chunk->len > ghost->entry->size - chunk->off)
			return -EBADMSG;
		got = image_skip_raw(ghost->reader, chunk->len);
		if (!got)
			got = copy(image, offset, ghost->writer, chunk->off, chunk->len);
		if (got)
			return got;
	}
	return got;
}

static int fill_contents(struct ghost *ghost)
{
	uint64_t offset;

	if (ghost->entry->chunks)
		return ftruncate(ghost->writer, ghost->entry->size) < 0 ? -errno
									: fill_chunks(ghost);
	int image = image_position(ghost->reader, &offset);

	return copy(image, offset, ghost->writer, 0, image_left(ghost->reader));
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

int remap_unname(struct checkpoint *checkpoint, struct description *description)
{
	struct ghost *ghost = ghost_of(description);
	char name[64];
	int error = 0;

	if (!ghost || !ghost->reader)
		return 0;
	if (ghost->has_name) {
		bool directory = S_ISDIR(ghost->entry->mode);

		ghost->has_name = false;
		if (unlinkat(AT_FDCWD, ghost->name, directory ? AT_REMOVEDIR : 0) < 0)
			return cannot_make(description, errno);
	}
	if (ghost->holder < 0)
		return 0; /* it could not be made */
	if (ghost->writer >= 0)
		error = fill_contents(ghost);
	/* A program's file can not be executed while it is open for writing. */
	fd_close(&ghost->writer);
	if (!error)
		error = fill_attributes(ghost);
	image_close(ghost->reader);
	ghost->reader = NULL;
	return error ? FAIL(-error,
			    SUBJECT("image %s", image_name(IMAGE_GHOST_FILE, ghost->id, name)),
			    NULL, "the removed file %s cannot be filled: %s",
			    description->entry->reg->name, strerror(-error))
		     : 0;
}

/* ---- the end -------------------------------------------------------------------------------- */

/* The dump's links are there for the restore only. */
static void remove_links(const struct remap_state *state, bool dump)
{
	array_each (&state->links, link) {
		const char *name = (*link)->entry->reg->name;
		const char *base = strrchr(name, '/');

		if (dump && (*link)->state != *link)
			continue; /* not made */
		if (base && !strncmp(base, "/link_remap.", 12) && unlink(name) < 0 &&
		    errno != ENOENT)
			log_warn("the link %s cannot be removed: %s", name, strerror(errno));
	}
}

void remap_close(struct checkpoint *checkpoint, bool failed)
{
	struct remap_state *state = checkpoint->files.state->remaps;
	bool dump = checkpoint->files.inodes.count;

	if (!state)
		return;
	if (dump == failed)
		remove_links(state, dump);
	array_each (&state->ghosts, each) {
		struct ghost *ghost = *each;

		if (ghost->has_name)
			unlinkat(AT_FDCWD, ghost->name,
				 S_ISDIR(ghost->entry->mode) ? AT_REMOVEDIR : 0);
		fd_close(&ghost->writer);
		fd_close(&ghost->holder);
		fd_close(&ghost->created);
		image_close(ghost->reader);
	}
	array_free(&state->remaps);
	array_free(&state->ghosts);
	array_free(&state->links);
	hash_free(&state->by_id);
}
