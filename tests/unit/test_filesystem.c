/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filesystems, there and back: each type with many options, and their contents: a tree with
 * everything in it that a filesystem takes, and a comparison that shares no code with what it
 * tests.  Needs root, and works in a mount namespace of its own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/fs.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/fd.h"
#include "base/report.h"
#include "checkpoint/checkpoint.h"
#include "mount/filesystem.h"

struct fixture {
	struct options options;
	struct checkpoint checkpoint;
	char directory[64]; /* with "images" and "place" in it */
	struct mount mount;
	struct superblock superblock; /* dump */
	struct superblock made;       /* restore */
	int source, target;           /* roots */
	char *before;                 /* of the source, before it was read */
};

/* ---- comparing ------------------------------------------------------------------------------ */

/* Everything of a file that should come back, as text. */
static void describe_xattrs(FILE *out, const char *path)
{
	char names[65536], *sorted[1000];
	static char value[65536];
	ssize_t size = llistxattr(path, names, sizeof(names));
	size_t count = 0;

	assert_true(size >= 0);
	for (char *name = names; name < names + size; name += strlen(name) + 1)
		sorted[count++] = name;
	for (size_t i = 0; i < count; i++)
		for (size_t j = i + 1; j < count; j++)
			if (strcmp(sorted[i], sorted[j]) > 0) {
				char *name = sorted[i];

				sorted[i] = sorted[j];
				sorted[j] = name;
			}
	for (size_t i = 0; i < count; i++) {
		ssize_t length = lgetxattr(path, sorted[i], value, sizeof(value));

		assert_true(length >= 0);
		fprintf(out, " %s=", sorted[i]);
		for (ssize_t j = 0; j < length; j++)
			fprintf(out, "%02x", (unsigned char)value[j]);
	}
}

static void describe_data(FILE *out, const char *name, const struct stat *stat)
{
	int fd = open(name, O_RDONLY | O_NOATIME | O_CLOEXEC);
	static unsigned char buffer[65536];
	off_t data, hole = 0;
	uint64_t sum = 14695981039346656037u;

	assert_true(fd >= 0);
	while ((data = lseek(fd, hole, SEEK_DATA)) >= 0) {
		hole = lseek(fd, data, SEEK_HOLE);
		fprintf(out, " %lld-%lld", (long long)data, (long long)hole);
		for (off_t at = data; at < hole;) {
			ssize_t size = pread(fd, buffer, sizeof(buffer), at);

			assert_true(size > 0);
			for (ssize_t i = 0; i < size; i++)
				sum = (sum ^ buffer[i]) * 1099511628211u;
			at += size;
		}
	}
	fprintf(out, " sum %llx", (unsigned long long)sum);
	close(fd);
}

static void describe_file(FILE *out, const char *name, const struct stat *stat)
{
	char target[PATH_MAX], path[300];
	int flags = 0;

	fprintf(out, "%s: mode %o owner %u:%u rdev %llx mtime %lld.%09ld atime %lld.%09ld", name,
		stat->st_mode, stat->st_uid, stat->st_gid, (unsigned long long)stat->st_rdev,
		(long long)stat->st_mtim.tv_sec, stat->st_mtim.tv_nsec,
		(long long)stat->st_atim.tv_sec, stat->st_atim.tv_nsec);
	if (!S_ISDIR(stat->st_mode))
		fprintf(out, " links %u size %lld blocks %lld", (unsigned int)stat->st_nlink,
			(long long)stat->st_size, (long long)stat->st_blocks);
	snprintf(path, sizeof(path), "./%s", name);
	describe_xattrs(out, path);
	if (S_ISLNK(stat->st_mode)) {
		ssize_t length = readlink(name, target, sizeof(target));

		assert_true(length >= 0);
		fprintf(out, " -> %.*s", (int)length, target);
	}
	if (S_ISREG(stat->st_mode) || S_ISDIR(stat->st_mode)) {
		int fd = open(name, O_RDONLY | O_NOATIME | O_CLOEXEC);

		assert_true(fd >= 0);
		ioctl(fd, FS_IOC_GETFLAGS, &flags);
		close(fd);
		fprintf(out, " flags %x", flags);
	}
	if (S_ISREG(stat->st_mode))
		describe_data(out, name, stat);
}

/* The tree, in the order of its names; each file with several names gets a number. */
static void describe_tree(FILE *out, struct hash *links, int depth)
{
	struct stat stat;
	DIR *stream = opendir(".");
	struct dirent *each;

	assert_non_null(stream);
	while ((each = readdir(stream))) {
		if (!strcmp(each->d_name, ".."))
			continue;
		assert_int_equal(lstat(each->d_name, &stat), 0);
		fprintf(out, "%*s", depth, "");
		describe_file(out, each->d_name, &stat);
		if (!S_ISDIR(stat.st_mode) && stat.st_nlink > 1) {
			if (!hash_get(links, stat.st_ino))
				hash_put(links, stat.st_ino, (void *)(links->count + 1));
			fprintf(out, " file %lu", (unsigned long)hash_get(links, stat.st_ino));
		}
		fprintf(out, "\n");
		if (S_ISDIR(stat.st_mode) && strcmp(each->d_name, ".")) {
			assert_int_equal(chdir(each->d_name), 0);
			describe_tree(out, links, depth + 1);
			assert_int_equal(chdir(".."), 0);
		}
	}
	closedir(stream);
}

static char *describe(int root)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct hash links = {0};

	assert_int_equal(fchdir(root), 0);
	describe_tree(out, &links, 0);
	assert_int_equal(chdir("/"), 0);
	hash_free(&links);
	fclose(out);
	return text;
}

static void assert_same(struct fixture *fixture)
{
	autofree char *source = describe(fixture->source), *target = describe(fixture->target);
	char *left = fixture->before, *right = target;

	/* Reading it has not changed anything. */
	if (strcmp(fixture->before, source))
		fail_msg("the source was changed");

	while (*left || *right) {
		size_t length = strcspn(left, "\n"), other = strcspn(right, "\n");

		if (length != other || memcmp(left, right, length))
			fail_msg("was: %.*s\nis:  %.*s", (int)length, left, (int)other, right);
		left += length + (left[length] != 0);
		right += other + (right[other] != 0);
	}
}

/* ---- there and back ------------------------------------------------------------------------- */

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char path[128];

	report_clear();
	strcpy(fixture->directory, "/tmp/stasis-contents.XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	fixture->checkpoint.options = &fixture->options;
	fixture->checkpoint.arena = arena_new();
	snprintf(path, sizeof(path), "%s/images", fixture->directory);
	assert_int_equal(mkdir(path, 0700), 0);
	fixture->checkpoint.images = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/place", fixture->directory);
	assert_int_equal(mkdir(path, 0700), 0);
	fixture->superblock.fd = fixture->made.fd = fixture->source = fixture->target = -1;
	*state = fixture;
	return 0;
}

static int remove_file(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/place", fixture->directory);
	fd_close(&fixture->superblock.fd);
	fd_close(&fixture->made.fd);
	fd_close(&fixture->source);
	fd_close(&fixture->target);
	fd_close(&fixture->checkpoint.images);
	umount2(path, MNT_DETACH);
	nftw(fixture->directory, remove_file, 10, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	arena_free(fixture->checkpoint.arena);
	free(fixture->before);
	free(fixture);
	report_clear();
	return 0;
}

/* What mountinfo shows of the filesystem behind fd: its options and flags. */
static void read_options(struct fixture *fixture, int fd, struct superblock *superblock)
{
	autofree char *info = NULL, *text = NULL;
	char path[64], pattern[64], *line;
	int id;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	assert_int_equal(fd_read_file(AT_FDCWD, path, &info, NULL), 0);
	assert_int_equal(sscanf(strstr(info, "mnt_id:"), "mnt_id: %d", &id), 1);
	snprintf(pattern, sizeof(pattern), "\n%d ", id);
	assert_int_equal(fd_read_file(AT_FDCWD, "/proc/self/mountinfo", &text, NULL), 0);
	line = strstr(text, pattern);
	assert_non_null(line);
	line[1 + strcspn(line + 1, "\n")] = 0;
	line = strstr(line, " - ") + 3;
	superblock->type = arena_strdup(fixture->checkpoint.arena, strtok(line, " "));
	superblock->source = arena_strdup(fixture->checkpoint.arena, strtok(NULL, " "));
	if (!strcmp(superblock->source, "the\\040source"))
		superblock->source = "the source";

	char *options = strtok(NULL, " "), *all = arena_strdup(fixture->checkpoint.arena, "");

	for (char *option = strtok(options, ","); option; option = strtok(NULL, ",")) {
		if (!strcmp(option, "ro"))
			superblock->flags |= MS_RDONLY;
		else if (!strcmp(option, "sync"))
			superblock->flags |= MS_SYNCHRONOUS;
		else if (!strcmp(option, "dirsync"))
			superblock->flags |= MS_DIRSYNC;
		else if (!strcmp(option, "lazytime"))
			superblock->flags |= 1 << 25;
		else if (strcmp(option, "rw"))
			all = arena_printf(fixture->checkpoint.arena, "%s%s%s", all,
					   *all ? "," : "", option);
	}
	superblock->options = all;
}

/* Mounts a filesystem to be dumped; false: there is none of this type with these options. */
static bool mount_source(struct fixture *fixture, const char *type, unsigned long flags,
			 const char *options)
{
	char path[128];
	struct stat stat;

	snprintf(path, sizeof(path), "%s/place", fixture->directory);
	if (mount("the source", path, type, flags, options))
		return false;
	fixture->source = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fixture->source >= 0);
	assert_int_equal(fstat(fixture->source, &stat), 0);
	fixture->superblock.fd = dup(fixture->source);
	fixture->superblock.device = stat.st_dev;
	fixture->mount = (struct mount){
		.path = "/the/place",
		.root = "/",
		.superblock = &fixture->superblock,
		.fd = -1,
	};
	fixture->superblock.mounts = &fixture->mount;
	read_options(fixture, fixture->source, &fixture->superblock);
	return true;
}

static void assert_no_report(void)
{
	if (report_count())
		fail_msg("%s: %s", report_get(0)->subject, report_get(0)->reason);
}

/* Looking changes no times. */
static void set_noatime(int root)
{
	const struct mount_attr attributes = {
		.attr_set = MOUNT_ATTR_NOATIME,
		.attr_clr = MOUNT_ATTR__ATIME,
	};

	assert_int_equal(
		mount_setattr(root, "", AT_EMPTY_PATH, (void *)&attributes, sizeof(attributes)), 0);
}

static void store(struct fixture *fixture)
{
	filesystem_describe(&fixture->checkpoint, &fixture->superblock);
	assert_no_report();
	filesystem_store(&fixture->checkpoint, &fixture->superblock);
	assert_no_report();
}

/* The same, and it is remembered, even times of access. */
static void remember_and_store(struct fixture *fixture)
{
	const struct mount_attr strict = {
		.attr_set = MOUNT_ATTR_STRICTATIME,
		.attr_clr = MOUNT_ATTR__ATIME,
	};

	set_noatime(fixture->source);
	fixture->before = describe(fixture->source);
	assert_int_equal(
		mount_setattr(fixture->source, "", AT_EMPTY_PATH, (void *)&strict, sizeof(strict)),
		0);
	store(fixture);
	set_noatime(fixture->source);
}

static void restore(struct fixture *fixture)
{
	char path[128];

	fixture->made = fixture->superblock;
	fixture->made.fd = -1;
	fixture->made.state = NULL;
	filesystem_make(&fixture->checkpoint, &fixture->made);
	assert_no_report();
	filesystem_seal(&fixture->checkpoint, &fixture->made);
	assert_no_report();
	snprintf(path, sizeof(path), "%s/place", fixture->directory);
	umount2(path, MNT_DETACH);
	assert_int_equal(move_mount(fixture->made.fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH),
			 0);
	fixture->target = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fixture->target >= 0);
	set_noatime(fixture->target);
}

/* ---- trees ---------------------------------------------------------------------------------- */

static void make_file(const char *name, const void *data, size_t size)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, data, size), 0);
	close(fd);
}

static void set_flags(const char *name, int flags)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
	close(fd);
}

static void set_times(const char *name, time_t atime, long atime_ns, time_t mtime, long mtime_ns)
{
	const struct timespec times[] = {{atime, atime_ns}, {mtime, mtime_ns}};

	assert_int_equal(utimensat(AT_FDCWD, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void make_kinds(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(chmod("socket", 0751), 0);
	assert_int_equal(mkfifo("fifo", 0604), 0);
	assert_int_equal(mknod("null", S_IFCHR | 0666, makedev(1, 3)), 0);
	assert_int_equal(mknod("large", S_IFCHR | 0600, makedev(4095, 1048575)), 0);
	assert_int_equal(mknod("block", S_IFBLK | 0600, makedev(254, 0)), 0);
	assert_int_equal(mknod("whiteout", S_IFCHR, makedev(0, 0)), 0);
	assert_int_equal(symlink("/etc/passwd", "link"), 0);
	assert_int_equal(symlink("../../../..", "up"), 0);
	assert_int_equal(symlink("nothing \xff\n", "dangling"), 0);
	assert_int_equal(lchown("link", 1000, 1001), 0);
	make_file("empty", "", 0);
	make_file("text", "some text\n", 10);
	assert_int_equal(mkdir("directory", 0711), 0);
	assert_int_equal(mkdir("sticky", 01777), 0);
	assert_int_equal(chmod("sticky", 03777), 0);
	make_file("sticky/inside", "x", 1);
	make_file("suid", "#!", 2);
	assert_int_equal(chown("suid", 7, 4294967294u), 0);
	assert_int_equal(chmod("suid", 06755), 0);
	assert_int_equal(chmod("empty", 0), 0);
	set_times("link", 1, 999999999, 1234567890, 1);
	set_times("fifo", 0, 0, 0, 1);
	set_times("text", -1, 500000000, -1000, 123456789);
	set_times("null", 0x100000000, 3, 0x7fffffff, 4);
}

static void make_links(void)
{
	make_file("first", "shared", 6);
	assert_int_equal(mkdir("links", 0700), 0);
	assert_int_equal(link("first", "links/second"), 0);
	assert_int_equal(link("first", "third"), 0);
	assert_int_equal(link("link", "links/link"), 0);
	assert_int_equal(link("socket", "links/socket"), 0);
	assert_int_equal(link("fifo", "links/fifo"), 0);
	assert_int_equal(link("null", "links/null"), 0);
}

static void make_names(void)
{
	char name[256] = "";

	memset(name, 'n', 255);
	make_file(name, "long", 4);
	assert_int_equal(mkdir("names", 0700), 0);
	for (int byte = 1; byte < 256; byte++) {
		if (byte == '/')
			continue;
		snprintf(name, sizeof(name), "names/%c", byte);
		if (byte != '.')
			make_file(name, &byte, 1);
		snprintf(name, sizeof(name), "names/x%cy", byte);
		make_file(name, &byte, 1);
	}
	make_file("names/...", "", 0);
	make_file("names/..x", "", 0);
	make_file("\xff\xfe", "", 0);
	make_file("\xc3\xa4\xc3\xb6", "", 0);
	make_file("GNUSparseFile.0", "", 0);
}

static void make_holes(void)
{
	int fd = open("sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(ftruncate(fd, 1ll << 40), 0);
	assert_int_equal(pwrite(fd, "a", 1, 5 * 4096), 1);
	assert_int_equal(pwrite(fd, "b", 1, 7 * 4096 + 1), 1);
	assert_int_equal(pwrite(fd, "c", 1, (1ll << 39) + 5), 1);
	close(fd);
	fd = open("hole", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 1ll << 40), 0);
	close(fd);
	fd = open("end", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(pwrite(fd, "end", 3, 123456789), 3);
	close(fd);
	fd = open("begin", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(pwrite(fd, "begin", 5, 0), 5);
	assert_int_equal(ftruncate(fd, 100001), 0);
	close(fd);
	fd = open("zeros", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(pwrite(fd, (char[10000]){0}, 10000, 0), 10000);
	close(fd);
	fd = open("\xe9\xff sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(pwrite(fd, &i, sizeof(i), i * 8192), sizeof(i));
	close(fd);
	assert_int_equal(link("sparse", "links/sparse"), 0);
}

static void set_xattr(const char *name, const char *attribute, const void *value, size_t size)
{
	if (lsetxattr(name, attribute, value, size, 0))
		fail_msg("%s of %s: %m", attribute, name);
}

/* Entries of system.posix_acl_*: linux/posix_acl_xattr.h. */
struct acl {
	uint32_t version;
	struct {
		uint16_t tag, perm;
		uint32_t id;
	} entries[5];
};

static const struct acl acl = {
	2,
	{{1, 7, -1}, {2, 5, 1234}, {4, 5, -1}, {16, 5, -1}, {32, 1, -1}},
};

static void make_attributes(bool user)
{
	static char large[65536];
	/* cap_net_raw=ep, version 2 */
	static const uint32_t capability[] = {0x02000001, 0x2000, 0, 0, 0};

	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = i * 7 / 3;
	set_xattr("text", "trusted.empty", "", 0);
	set_xattr("text", "trusted.bytes", "\0\1\n=\xff", 5);
	set_xattr("text", "trusted.large", large, sizeof(large));
	set_xattr("text", "trusted.a=b c%\xff\n", "odd", 3);
	set_xattr("text", "security.capability", capability, sizeof(capability));
	set_xattr("suid", "security.something", "else", 4);
	set_xattr("link", "trusted.link", "of a link", 9);
	set_xattr("whiteout", "trusted.w", "1", 1);
	set_xattr("socket", "trusted.s", "1", 1);
	set_xattr("directory", "trusted.overlay.opaque", "y", 1);
	set_xattr(".", "trusted.root", "r", 1);
	set_xattr("text", "system.posix_acl_access", &acl, sizeof(acl));
	assert_int_equal(mkdir("acl", 0770), 0);
	set_xattr("acl", "system.posix_acl_access", &acl, sizeof(acl));
	/* What is made before has none, what is made later inherits it. */
	make_file("acl/before", "", 0);
	set_xattr("acl", "system.posix_acl_default", &acl, sizeof(acl));
	make_file("acl/after", "", 0);
	assert_int_equal(mkdir("acl/below", 0700), 0);
	if (user) {
		set_xattr("text", "user.comment", "hello", 5);
		set_xattr("directory", "user.comment", "hello", 5);
	}
}

static void make_flags(void)
{
	make_file("nodump", "", 0);
	set_flags("nodump", FS_NODUMP_FL);
	make_file("append", "log\n", 4);
	set_flags("append", FS_APPEND_FL | FS_NOATIME_FL);
	assert_int_equal(mkdir("frozen", 0700), 0);
	make_file("frozen/file", "cold", 4);
	assert_int_equal(mkdir("frozen/below", 0700), 0);
	make_file("frozen/below/file", "", 0);
	set_flags("frozen/below", FS_NODUMP_FL);
	assert_int_equal(mkdir("frozen/below/inherits", 0700), 0);
	set_flags("frozen/file", FS_IMMUTABLE_FL);
	set_times("frozen", 5, 6, 7, 8);
	set_flags("frozen", FS_IMMUTABLE_FL);
}

/* Deeper than a path can be long. */
static void make_deep(int depth)
{
	int root = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < depth; i++) {
		char name[64];

		snprintf(name, sizeof(name), "a rather long name of a directory: %d", i);
		make_file("file", &i, sizeof(i));
		assert_int_equal(mkdir(name, 0755), 0);
		assert_int_equal(chdir(name), 0);
	}
	assert_int_equal(fchdir(root), 0);
	close(root);
}

static void make_tree(struct fixture *fixture, bool is_tmpfs)
{
	assert_int_equal(fchdir(fixture->source), 0);
	make_kinds();
	make_links();
	make_names();
	if (is_tmpfs) {
		make_holes();
		make_attributes(true);
		make_flags();
	}
	make_deep(200);
	assert_int_equal(chown(".", 33, 44), 0);
	assert_int_equal(chmod(".", 01750), 0);
	set_times("directory", 11, 12, 13, 14);
	set_times(".", 1, 2, 3, 4);
	assert_int_equal(chdir("/"), 0);
}

static void test_tmpfs(void **state)
{
	struct fixture *fixture = *state;

	assert_true(mount_source(fixture, "tmpfs", 0, "size=100m,nr_inodes=5000,mode=700"));
	make_tree(fixture, true);
	remember_and_store(fixture);
	restore(fixture);
	assert_same(fixture);
}

static void test_ramfs(void **state)
{
	struct fixture *fixture = *state;

	assert_true(mount_source(fixture, "ramfs", 0, "mode=711"));
	make_tree(fixture, false);
	remember_and_store(fixture);
	restore(fixture);
	assert_same(fixture);
}

/* ---- options -------------------------------------------------------------------------------- */

static bool type_is_known(const char *type)
{
	autofree char *text = NULL;
	char pattern[64];

	snprintf(pattern, sizeof(pattern), "\t%s\n", type);
	assert_int_equal(fd_read_file(AT_FDCWD, "/proc/filesystems", &text, NULL), 0);
	return strstr(text, pattern);
}

/* A filesystem with these options looks the same when it was made anew.  false: there is none. */
static bool try_options(void **state, const char *type, unsigned long flags, const char *options)
{
	struct fixture *fixture;
	struct superblock again = {0};
	bool mounted;
	char path[128];

	setup(state);
	fixture = *state;
	snprintf(path, sizeof(path), "%s/place", fixture->directory);
	mounted = mount_source(fixture, type, flags, options);
	if (!mounted) {
		print_message("%s %s: %m\n", type, options);
	} else {
		store(fixture);
		/* An overlay locks its layers. */
		fd_close(&fixture->source);
		fd_close(&fixture->superblock.fd);
		assert_int_equal(umount(path), 0);
		restore(fixture);
		read_options(fixture, fixture->target, &again);
		assert_string_equal(again.type, fixture->superblock.type);
		assert_string_equal(again.source, fixture->superblock.source);
		if (strcmp(again.options, fixture->superblock.options))
			fail_msg("%s %s: %s instead of %s", type, options, again.options,
				 fixture->superblock.options);
		assert_int_equal(again.flags, fixture->superblock.flags);
		assert_true(
			filesystem_same_options(type, again.options, fixture->superblock.options));
	}
	teardown(state);
	return mounted;
}

static void test_options(void **state)
{
	static const struct {
		const char *type, *options;
	} all[] = {
		{"tmpfs", ""},
		{"tmpfs", "size=1m"},
		{"tmpfs", "size=0"},
		{"tmpfs", "size=3%"},
		{"tmpfs", "size=4097"},
		{"tmpfs", "nr_inodes=0"},
		{"tmpfs", "nr_inodes=100,size=0"},
		{"tmpfs", "mode=0"},
		{"tmpfs", "mode=07755,uid=1000,gid=4294967294"},
		{"tmpfs", "huge=always"},
		{"tmpfs", "huge=within_size"},
		{"tmpfs", "huge=advise,size=1g"},
		{"tmpfs", "huge=never"},
		{"tmpfs", "mpol=bind:0"},
		{"tmpfs", "mpol=interleave:0"},
		{"tmpfs", "mpol=prefer=static:0"},
		{"tmpfs", "mpol=local"},
		{"tmpfs", "inode32"},
		{"tmpfs", "inode64"},
		{"tmpfs", "noswap"},
		{"tmpfs", "usrquota,grpquota,usrquota_block_hardlimit=1m"},
		{"tmpfs", "casefold,strict_encoding"},
		{"ramfs", ""},
		{"ramfs", "mode=1777"},
		{"proc", ""},
		{"proc", "hidepid=1,gid=1000"},
		{"proc", "hidepid=invisible,subset=pid"},
		{"proc", "hidepid=ptraceable"},
		{"sysfs", ""},
		{"devpts", ""},
		{"devpts", "newinstance,ptmxmode=0666,mode=620,gid=5"},
		{"devpts", "newinstance,uid=1000,gid=0,max=10,mode=0"},
		{"mqueue", ""},
		{"cgroup", "cpu"},
		{"cgroup", "none,name=systemd"},
		{"cgroup2", ""},
		{"hugetlbfs", ""},
		{"hugetlbfs", "size=8m,nr_inodes=10,mode=700,uid=5,gid=6"},
		{"hugetlbfs", "pagesize=2m,size=50%"},
		{"hugetlbfs", "pagesize=1g"},
		{"hugetlbfs", "min_size=0,size=0"},
		{"bpf", ""},
		{"bpf", "mode=750,uid=7,gid=8"},
		{"bpf", "delegate_cmds=any,delegate_maps=0x5,delegate_progs=0x3"},
		{"bpf", "delegate_attachs=any"},
		{"devtmpfs", ""},
		{"debugfs", ""},
		{"tracefs", ""},
		{"securityfs", ""},
		{"selinuxfs", ""},
		{"pstore", ""},
		{"fusectl", ""},
		{"binfmt_misc", ""},
		{"configfs", ""},
		{"efivarfs", ""},
	};
	static const unsigned long flags[] = {MS_RDONLY, MS_SYNCHRONOUS, MS_DIRSYNC, 1 << 25};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (type_is_known(all[i].type))
			try_options(state, all[i].type, 0, all[i].options);
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		try_options(state, "tmpfs", flags[i], "size=1m");
		try_options(state, "ramfs", flags[i], "");
		try_options(state, "proc", flags[i], "");
		try_options(state, "devpts", flags[i], "gid=5");
	}
}

/* ---- what can be reached -------------------------------------------------------------------- */

static void add_mount(struct fixture *fixture, struct mount *mount, uint32_t id, const char *root,
		      bool deleted)
{
	*mount = (struct mount){
		.short_id = id,
		.path = "/the/place",
		.root = root,
		.root_deleted = deleted,
		.superblock = &fixture->superblock,
		.fd = openat(fixture->source, root + 1, O_PATH | O_NOFOLLOW | O_CLOEXEC),
		.next_of_superblock = fixture->superblock.mounts,
	};
	assert_true(mount->fd >= 0);
	fixture->superblock.mounts = mount;
}

static void assert_deleted(int fd, const char *path, const char *text)
{
	char link[64], target[PATH_MAX], data[100];
	struct stat stat;
	ssize_t length;

	assert_true(fd >= 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, target, sizeof(target) - 1);
	assert_true(length > 0);
	target[length] = 0;
	assert_string_equal(target, path);
	assert_int_equal(fstat(fd, &stat), 0);
	assert_int_equal(stat.st_nlink, 0);
	if (!text) {
		assert_int_equal(stat.st_mode, S_IFDIR | 0751);
		assert_int_equal(stat.st_mtim.tv_sec, 3);
		return;
	}
	fd = open(link, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, data, sizeof(data)), strlen(text));
	assert_memory_equal(data, text, strlen(text));
	close(fd);
}

/* No mount shows the root of the filesystem; some show files that have no names any more. */
static void test_sources(void **state)
{
	struct fixture *fixture = *state;
	struct mount mounts[9];
	size_t count = 0;
	int deleted[4];

	assert_true(mount_source(fixture, "tmpfs", 0, NULL));
	fd_close(&fixture->superblock.fd);
	fixture->superblock.mounts = NULL;
	assert_int_equal(fchdir(fixture->source), 0);
	assert_int_equal(mkdir("a", 0755) | mkdir("a/b", 0755) | mkdir("a/b/c", 0711), 0);
	assert_int_equal(mkdir("a/b!", 0755) | mkdir("hidden", 0755) | mkdir("gone", 0751), 0);
	make_file("a/b/c/file", "file", 4);
	make_file("a/b!/other", "other", 5);
	make_file("a/f", "alone", 5);
	make_file("text", "the old text", 12);
	make_file("hidden/text", "hidden", 6);
	add_mount(fixture, &mounts[count++], 1, "/a/b", false);
	add_mount(fixture, &mounts[count++], 2, "/a/b/c", false);
	add_mount(fixture, &mounts[count++], 3, "/a/b!", false);
	add_mount(fixture, &mounts[count++], 4, "/a/f", false);
	add_mount(fixture, &mounts[count++], 5, "/text", true);
	add_mount(fixture, &mounts[count++], 6, "/text", true);
	add_mount(fixture, &mounts[count++], 7, "/hidden/text", true);
	add_mount(fixture, &mounts[count++], 8, "/gone", true);
	set_times("gone", 1, 2, 3, 4);
	assert_int_equal(unlink("text") | unlink("hidden/text") | rmdir("hidden") | rmdir("gone"),
			 0);
	make_file("text", "the new text", 12);
	add_mount(fixture, &mounts[count++], 9, "/text", false);
	set_times("a/b", 1, 2, 3, 4);
	assert_int_equal(chdir("/"), 0);

	store(fixture);
	fixture->made = fixture->superblock;
	fixture->made.fd = -1;
	filesystem_make(&fixture->checkpoint, &fixture->made);
	assert_no_report();
	assert_int_equal(contents_deleted(&fixture->made, 9), -1);
	for (uint32_t id = 5; id <= 8; id++)
		deleted[id - 5] = fcntl(contents_deleted(&fixture->made, id), F_DUPFD_CLOEXEC, 0);
	filesystem_seal(&fixture->checkpoint, &fixture->made);
	assert_no_report();
	assert_deleted(deleted[0], "/text (deleted)", "the old text");
	assert_deleted(deleted[1], "/text (deleted)", "the old text");
	assert_deleted(deleted[2], "/hidden/text (deleted)", "hidden");
	assert_deleted(deleted[3], "/gone (deleted)", NULL);
	for (size_t i = 0; i < 4; i++)
		close(deleted[i]);

	/* What could not be seen is as it would be if nobody had looked. */
	assert_int_equal(fchdir(fixture->source), 0);
	set_times("a", 0, 0, 0, 0);
	set_times("text", 0, 0, 0, 0);
	assert_int_equal(chmod("text", 0640), 0);
	fixture->target = openat(fixture->made.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	set_times(".", 0, 0, 0, 0);
	assert_int_equal(fchdir(fixture->target), 0);
	set_times("text", 0, 0, 0, 0);
	set_times(".", 0, 0, 0, 0);
	set_noatime(fixture->source);
	set_noatime(fixture->target);
	fixture->before = describe(fixture->source);
	assert_same(fixture);
	while (count)
		fd_close(&mounts[--count].fd);
	fixture->superblock.mounts = NULL;
}

/* ---- overlays ------------------------------------------------------------------------------- */

static void try_overlay(void **state, const char *options)
{
	assert_true(try_options(state, "overlay", 0, options));
}

/* Layers are directories in /tmp/layers, in this mount namespace only. */
static void test_overlay(void **state)
{
	char name[256], options[4096] = "lowerdir=";

	if (!type_is_known("overlay"))
		skip();
	/* An earlier run may have been killed. */
	mkdir("/tmp/stasis-layers", 0700);
	assert_int_equal(mount("layers", "/tmp/stasis-layers", "tmpfs", 0, NULL), 0);
	assert_int_equal(mkdir("/tmp/stasis-layers/a:b c\\,d", 0700), 0);
	for (int i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "/tmp/stasis-layers/%d", i);
		assert_int_equal(mkdir(name, 0700), 0);
	}
	try_overlay(state, "lowerdir=/tmp/stasis-layers/1,upperdir=/tmp/stasis-layers/2,"
			   "workdir=/tmp/stasis-layers/3");
	try_overlay(state, "lowerdir=/tmp/stasis-layers/1:/tmp/stasis-layers/4");
	try_overlay(state, "lowerdir=/tmp/stasis-layers/1,upperdir=/tmp/stasis-layers/2,"
			   "workdir=/tmp/stasis-layers/3,redirect_dir=on,metacopy=on,index=on,"
			   "xino=on,nfs_export=off");
	try_overlay(state, "lowerdir=/tmp/stasis-layers/1,upperdir=/tmp/stasis-layers/5,"
			   "workdir=/tmp/stasis-layers/6,userxattr,default_permissions,uuid=null");
	try_overlay(state, "lowerdir=/tmp/stasis-layers/1,upperdir=/tmp/stasis-layers/7,"
			   "workdir=/tmp/stasis-layers/8,volatile");
	try_overlay(state, "lowerdir=/tmp/stasis-layers/a\\:b c\\\\\\,d:/tmp/stasis-layers/1");
	for (int i = 10; i < 60; i++) {
		snprintf(name, sizeof(name), "/tmp/stasis-layers/layer number %d", i);
		assert_int_equal(mkdir(name, 0700), 0);
		strcat(strcat(options, i > 10 ? ":" : ""), name);
	}
	try_overlay(state, options);
	assert_int_equal(umount("/tmp/stasis-layers"), 0);
	rmdir("/tmp/stasis-layers");
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void assert_reported(int code, const char *text)
{
	assert_int_equal(report_count(), 1);
	assert_int_equal(report_get(0)->code, code);
	if (!strstr(report_get(0)->reason, text))
		fail_msg("\"%s\" is not in \"%s\"", text, report_get(0)->reason);
	report_clear();
}

static void test_refusals(void **state)
{
	static const char *enabled[] = {"otherfs", "unheardfs"};
	struct fixture *fixture = *state;
	struct superblock unknown = {.type = "unheardfs", .options = "a=b", .fd = -1};
	int fd;

	assert_true(mount_source(fixture, "tmpfs", 0, "size=1m"));
	fixture->superblock.options = "size=1024k,unheard=1,mode=700";
	assert_true(filesystem_describe(&fixture->checkpoint, &fixture->superblock) < 0);
	assert_reported(EOPNOTSUPP, "unheard=1");
	fixture->superblock.options = "inode64=1";
	assert_true(filesystem_describe(&fixture->checkpoint, &fixture->superblock) < 0);
	assert_reported(EOPNOTSUPP, "inode64=1");

	assert_true(filesystem_describe(&fixture->checkpoint, &unknown) < 0);
	assert_reported(EOPNOTSUPP, "unheardfs");
	fixture->options.enable_fs = (struct string_list){enabled, 2};
	assert_int_equal(filesystem_describe(&fixture->checkpoint, &unknown), 0);
	assert_true(filesystem_make(&fixture->checkpoint, &unknown) < 0);
	assert_reported(ENODEV, "no such type");

	/* What does not fit any more. */
	fixture->superblock.options = "size=1024k";
	fd = openat(fixture->source, "large", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(fd, (char[4096]){"x"}, 4096), 4096);
	close(fd);
	store(fixture);
	fixture->made = fixture->superblock;
	fixture->made.fd = -1;
	fixture->made.options = "size=16k";
	assert_true(filesystem_make(&fixture->checkpoint, &fixture->made) < 0);
	assert_reported(ENOSPC, "cannot be written");
	fd_close(&fixture->made.fd);
	fixture->made.options = "size=pineapple";
	assert_true(filesystem_make(&fixture->checkpoint, &fixture->made) < 0);
	assert_reported(EINVAL, "size=pineapple");
}

static void test_hugetlbfs(void **state)
{
	struct fixture *fixture = *state;

	if (!type_is_known("hugetlbfs") || !mount_source(fixture, "hugetlbfs", 0, NULL))
		skip();
	close(openat(fixture->source, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_true(filesystem_describe(&fixture->checkpoint, &fixture->superblock) < 0);
	assert_reported(EOPNOTSUPP, "file");
}

static int setup_group(void **state)
{
	umask(022);
	return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tmpfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ramfs, setup, teardown),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_overlay),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hugetlbfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sources, setup, teardown),
	};

	return cmocka_run_group_tests(tests, setup_group, NULL);
}
