/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Regular files and directories, and whatever was opened with O_PATH. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/names.h"
#include "file/internal.h"

static const char deleted[] = " (deleted)";

/* ---- dump ----------------------------------------------------------------------------------- */

/* Filesystems whose open files hold more than a path and a position tell. */
static const struct special_filesystem {
	unsigned long magic;
	const char *name;
} special_filesystems[] = {
	{HUGETLBFS_MAGIC, "hugetlbfs"},
	{TRACEFS_MAGIC, "tracefs"},
	{DEBUGFS_MAGIC, "debugfs"},
	{BPF_FS_MAGIC, "bpf"},
	{SECRETMEM_MAGIC, "memfd_secret"},
	{0x19800202 /* include/uapi has no name */, "mqueue"},
	{NSFS_MAGIC, "nsfs"},
	{0x50494446 /* PID_FS_MAGIC, Linux 6.9 */, "pidfs"},
};

/* /proc/42/maps is bound to a process, and to its memory at the time of open(). */
static bool of_a_process(const char *link)
{
	while ((link = strchr(link, '/'))) {
		size_t digits = 0;

		for (link++; isdigit((unsigned char)link[digits]); digits++)
			;
		if (digits && (link[digits] == '/' || !link[digits]))
			return true;
	}
	return false;
}

static int survey_filesystem(const struct description *description)
{
	struct subject subject = description_subject(description);
	struct statfs statfs;

	if (fstatfs(description->fd, &statfs) < 0)
		return FAIL(errno, subject, NULL, "its filesystem is not known: %s",
			    strerror(errno));
	if (statfs.f_type == PROC_SUPER_MAGIC && of_a_process(description->link))
		return REFUSE(subject, "close it before the dump",
			      "files of a process in /proc are a later capability");
	for (size_t i = 0; i < sizeof(special_filesystems) / sizeof(*special_filesystems); i++)
		if ((unsigned long)statfs.f_type == special_filesystems[i].magic)
			return REFUSE(subject, "close it before the dump",
				      "open files of the filesystem %s are a later capability",
				      special_filesystems[i].name);
	return 0;
}

enum lead { ELSEWHERE, OTHER_MOUNT, THERE };

/*
 * Does the path lead to the file?  A file that was opened in another mount namespace (an inherited
 * /dev/null, say) is on another mount, which makes no difference if that is of the same kind; what
 * is seen from a directory may well differ.
 */
static enum lead leads_to(const struct description *description, const char *path)
{
	struct statx here, there;
	struct statfs mount_here, mount_there;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_INO | STATX_MNT_ID,
		  &there) < 0 ||
	    there.stx_ino != description->stat.st_ino ||
	    makedev(there.stx_dev_major, there.stx_dev_minor) != description->stat.st_dev ||
	    statx(description->fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &here) < 0)
		return ELSEWHERE;
	if (here.stx_mnt_id == there.stx_mnt_id)
		return THERE;
	if (!S_ISDIR(description->stat.st_mode) && fstatfs(description->fd, &mount_here) == 0 &&
	    statfs(path, &mount_there) == 0 && mount_here.f_flags == mount_there.f_flags)
		return THERE;
	return OTHER_MOUNT;
}

/* Some network filesystems only rename a file that is removed while it is open. */
static bool is_removed_in_secret(const struct description *description)
{
	const char *base = strrchr(description->link, '/') + 1;
	struct statfs statfs;

	if (!strncmp(base, ".nfs", 4))
		return fstatfs(description->fd, &statfs) == 0 && statfs.f_type == NFS_SUPER_MAGIC;
	if (!strncmp(base, ".fuse_hidden", 12))
		return fstatfs(description->fd, &statfs) == 0 && statfs.f_type == FUSE_SUPER_MAGIC;
	return false;
}

static bool ends_deleted(const char *link)
{
	size_t length = strlen(link), suffix = strlen(deleted);

	return length > suffix && !strcmp(link + length - suffix, deleted);
}

static char *without_deleted(struct checkpoint *checkpoint, const char *link)
{
	char *name = arena_strdup(checkpoint->arena, link);

	name[strlen(link) - strlen(deleted)] = 0;
	return name;
}

/*
 * On a mount of the tree.  What covers a place there does not matter, and the kernel's name of a
 * file that was not removed is its name; only one that ends in " (deleted)" has to be looked for.
 */
static int find_name_on_mount(struct checkpoint *checkpoint, struct description *description)
{
	RegFileEntry *entry = description->entry->reg;
	const struct mount *mount = description->mount;

	if (mount->skipped)
		return REFUSE(description_subject(description), "close it before the dump",
			      "it is on the mount %s, which --skip-mnt leaves out", mount->path);
	entry->has_mnt_id = true;
	entry->mnt_id = mount->short_id;
	if (!path_contains(mount->path, description->link) &&
	    !(ends_deleted(description->link) &&
	      path_contains(mount->path, without_deleted(checkpoint, description->link))))
		return REFUSE(description_subject(description), "close it before the dump",
			      "it is out of reach on its mount %s", mount->path);
	if (is_removed_in_secret(description))
		return REFUSE(description_subject(description), "close it before the dump",
			      "it was removed, and its filesystem keeps it only while it is open");
	if (!ends_deleted(description->link) ||
	    (description->stat.st_nlink && mount_looks_like(checkpoint, description->mount,
							    description->link, &description->stat)))
		return 0;
	entry->name = without_deleted(checkpoint, description->link);
	/* The mount itself shows what was removed: it is made again with the mount. */
	if (mount->root_deleted && !strcmp(entry->name, mount->path))
		return 0;
	if (description->stat.st_nlink &&
	    mount_looks_like(checkpoint, description->mount, entry->name, &description->stat))
		return 0;
	return remap_describe(checkpoint, description);
}

/*
 * The text of the link is only a hint, since any file may be called "x (deleted)": where it leads
 * decides.
 */
static int find_name(struct checkpoint *checkpoint, struct description *description)
{
	RegFileEntry *entry = description->entry->reg;
	enum lead lead;

	if (*description->link != '/')
		return REFUSE(description_subject(description),
			      "open it under the root directory that stasis sees",
			      "no path leads to it from here");
	lead = leads_to(description, description->link);
	if (lead == THERE && is_removed_in_secret(description))
		return REFUSE(description_subject(description), "close it before the dump",
			      "it was removed, and its filesystem keeps it only while it is open");
	if (lead == THERE)
		return 0;
	if (lead == OTHER_MOUNT)
		return REFUSE(description_subject(description), "open it anew, where stasis runs",
			      "it is on a mount of another namespace, or on one that is covered");
	if (checkpoint->mounts.graph && !mount_is_own(checkpoint, description->fd))
		return REFUSE(description_subject(description), "leave or close it before the dump",
			      "it is on a mount that was unmounted or never attached, which is a "
			      "later capability");
	if (!ends_deleted(description->link))
		return REFUSE(description_subject(description),
			      "unmount what covers it, or close it before the dump",
			      "its path leads to another file now, or nowhere");
	entry->name = without_deleted(checkpoint, description->link);
	/* Removed and linked again by the same name? */
	if (leads_to(description, entry->name) == THERE)
		return 0;
	return remap_describe(checkpoint, description);
}

void path_fill(struct checkpoint *checkpoint, struct description *description)
{
	RegFileEntry *entry = ARENA_MESSAGE(checkpoint->arena, reg_file_entry, RegFileEntry);
	mode_t mode = description->stat.st_mode;

	description->entry->reg = entry;
	entry->id = description->id;
	entry->flags = description->flags;
	entry->pos = description->position;
	entry->fown = description->owner;
	entry->has_mode = true;
	entry->mode = mode;
	/* A log goes on growing while the program that only appends to it is away. */
	if (S_ISREG(mode) &&
	    !((description->flags & O_APPEND) && (description->flags & O_ACCMODE) == O_WRONLY)) {
		entry->has_size = true;
		entry->size = description->stat.st_size;
	}
	if (S_ISCHR(mode) || S_ISBLK(mode)) {
		entry->has_rdev = true;
		entry->rdev = description->stat.st_rdev;
	}
	entry->name = description->link;
}

int path_describe(struct checkpoint *checkpoint, struct description *description)
{
	path_fill(checkpoint, description);
	return description->mount ? find_name_on_mount(checkpoint, description)
				  : find_name(checkpoint, description);
}

static bool recognize(const struct description *description)
{
	mode_t mode = description->stat.st_mode;

	return (S_ISREG(mode) || S_ISDIR(mode) || (description->flags & O_PATH)) &&
	       *description->link == '/';
}

static int describe(struct checkpoint *checkpoint, struct description *description)
{
	int error = survey_filesystem(description);

	return error ? error : path_describe(checkpoint, description);
}

/* ---- restore -------------------------------------------------------------------------------- */

int path_read(struct checkpoint *checkpoint, struct description *description)
{
	const RegFileEntry *entry = description->entry->reg;

	if (!entry || entry->id != description->id)
		return file_damaged(description, "it has no path, or another file's");
	if (*entry->name != '/')
		return file_damaged(description, "its path does not begin at the root");
	if (entry->ext)
		return REFUSE(description_subject(description), NULL,
			      "external files (--external) are a later capability");
	description->flags = entry->flags;
	description->owner = entry->fown;
	if (!checkpoint->mounts.graph || !entry->has_mnt_id || entry->mnt_id < 0)
		return 0;
	description->mount = mount_by_image_id(checkpoint, entry->mnt_id);
	if (!description->mount || !path_contains(description->mount->path, entry->name))
		return file_damaged(description, "it is on no mount of the checkpoint");
	mount_want(checkpoint, description->mount, entry->name);
	return 0;
}

const char *path_translate(struct checkpoint *checkpoint, const struct description *from,
			   const char *name, const struct description *to)
{
	const struct mount *old = from->mount, *new = to->mount;
	const char *inner;

	if (old == new)
		return name;
	if (!old || !new || old->superblock != new->superblock)
		return NULL;
	inner = path_join(checkpoint->arena, old->root, path_below(old->path, name));
	return path_contains(new->root, inner)
		       ? path_join(checkpoint->arena, new->path, path_below(new->root, inner))
		       : NULL;
}

const char *path_reach(struct checkpoint *checkpoint, const struct description *description,
		       const char *name, bool to_change)
{
	return description->mount ? mount_reach(checkpoint, description->mount, name, to_change)
				  : name;
}

static int check_file(struct checkpoint *checkpoint, const struct description *description, int fd)
{
	const char *remedy = "bring the file back as it was when it was dumped";
	const RegFileEntry *entry = description->entry->reg;
	struct subject subject = description_subject(description);
	mode_t mode = entry->mode;
	struct stat stat;

	if (fstat(fd, &stat) < 0)
		return FAIL(errno, subject, NULL, "%s", strerror(errno));
	if (entry->has_mode && (stat.st_mode & S_IFMT) != (mode & S_IFMT))
		return FAIL(ESTALE, subject, remedy,
			    "it is a file of another type now (mode %o, was %o)", stat.st_mode,
			    mode);
	if (entry->has_rdev && stat.st_rdev != entry->rdev)
		return FAIL(ESTALE, subject, remedy, "it is another device now (%u:%u, was %u:%u)",
			    major(stat.st_rdev), minor(stat.st_rdev), major(entry->rdev),
			    minor(entry->rdev));
	if (entry->has_mode && stat.st_mode != mode && !checkpoint->options->skip_file_rwx_check)
		return FAIL(ESTALE, subject,
			    "change it back, or restore with --skip-file-rwx-check",
			    "its permissions have changed (mode %o, was %o)", stat.st_mode & 07777,
			    mode & 07777);
	if (entry->has_size && (uint64_t)stat.st_size != entry->size)
		return FAIL(ESTALE, subject, remedy, "its size has changed (%llu bytes, was %llu)",
			    (unsigned long long)stat.st_size, (unsigned long long)entry->size);
	return 0;
}

int path_open(struct checkpoint *checkpoint, struct description *description, unsigned int flags)
{
	const char *name = remap_name(checkpoint, description, &flags);
	char text[NAMES_SIZE];
	int error, fd;

	if (!name)
		return -EIO;
	flags &= ~(KERNEL_O_TMPFILE | O_ASYNC | O_CREAT | O_TRUNC | O_EXCL);
	if (!(flags & O_PATH))
		flags |= O_NONBLOCK | O_NOCTTY;
	fd = remap_take(description);
	if (fd < 0)
		fd = open(name, flags | O_CLOEXEC);
	if (fd < 0) {
		bool gone = errno == ENOENT || errno == ENOTDIR;

		return FAIL(errno, description_subject(description),
			    gone ? "bring the file back as it was when it was dumped" : NULL,
			    "cannot be opened (%s) by the path %s: %s",
			    open_flags_name(flags, text), name, strerror(errno));
	}
	error = remap_made(description) ? 0 : check_file(checkpoint, description, fd);
	if (!error)
		return fd;
	close(fd);
	return error;
}

static int open_one(struct checkpoint *checkpoint, struct description *description)
{
	const RegFileEntry *entry = description->entry->reg;
	int fd = path_open(checkpoint, description, description->flags);

	if (fd < 0)
		return fd;
	description->fd = fd;
	if (description->flags & O_PATH)
		return 0;
	/* It was opened with O_NONBLOCK, or made by O_TMPFILE with few flags. */
	if (fcntl(fd, F_SETFL, description->flags & SETTABLE_FLAGS) < 0)
		return FAIL(errno, description_subject(description), NULL,
			    "its flags cannot be set: %s", strerror(errno));
	if (entry->pos && lseek(fd, entry->pos, SEEK_SET) < 0)
		return FAIL(errno, description_subject(description), NULL,
			    "cannot go to position %llu: %s", (unsigned long long)entry->pos,
			    strerror(errno));
	return 0;
}

/* While a ghost has a name, all that is open of it is opened. */
static int make(struct checkpoint *checkpoint, struct description *description)
{
	struct description *each = description;
	int error = 0, unnamed;

	do {
		if (each->fd < 0 && each->kind == &regular_kind)
			error = open_one(checkpoint, each);
		each = remap_next(each);
	} while (!error && each != description);
	unnamed = remap_unname(checkpoint, description);
	return error ? error : unnamed;
}

const struct file_kind regular_kind = {
	.name = "file",
	.type = FD_TYPES__REG,
	.recognize = recognize,
	.describe = describe,
	.read = path_read,
	.make = make,
};
