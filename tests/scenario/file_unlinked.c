/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files without a name: with content and holes, several descriptions of one, read-only, of mode 0,
 * empty, in a directory that is gone, unnamed from the start, directories that were removed.
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE = 300000, HOLE = 512 << 20 };

static int holes, first, second, read_only, empty, unnamed, directory, shared, in_removed;
static struct stat before[9];
static int *const all[] = {&holes,   &first,     &second, &read_only, &empty,
			   &unnamed, &directory, &shared, &in_removed};
static pid_t other;

static int make(const char *name, size_t size, uint32_t seed)
{
	static char bytes[SIZE];
	int fd = must(open(name, O_RDWR | O_CREAT | O_EXCL, 0600));

	pattern_fill(bytes, size, seed);
	must(write(fd, bytes, size));
	return fd;
}

static void content(const char *what, int fd, off_t offset, size_t size, uint32_t seed)
{
	static char bytes[SIZE];

	same(what, size, pread(fd, bytes, size, offset));
	pattern_check(what, bytes, size, seed);
}

static void verify_child(void *unused)
{
	same("position in the child", 1000, lseek(shared, 0, SEEK_CUR));
	content("file shared with the child", shared, 0, 2000, 6);
	same("write of the child", 1, write(shared, "c", 1));
}

static void setup(void)
{
	struct timespec times[2] = {{1000000000, 123456789}, {1100000000, 987654321}};

	holes = make("holes", 5000, 1);
	must(ftruncate(holes, HOLE));
	must(pwrite(holes, "end of the file", 15, HOLE - 15));
	must(pwrite(holes, "middle", 6, HOLE / 2 + 1));
	must(fchmod(holes, 04751));
	must(fchown(holes, 1234, 4321));
	must(futimens(holes, times));
	must(unlink("holes"));

	/* Two descriptions of one file, of different kinds. */
	first = make("twice", SIZE, 2);
	second = must(open("twice", O_WRONLY | O_APPEND));
	must(unlink("twice"));
	must(lseek(first, 12345, SEEK_SET));

	int fd = make("read only", 3000, 3);
	read_only = must(open("read only", O_RDONLY));
	must(fchmod(read_only, 0));
	close(fd);
	must(unlink("read only"));
	empty = make("empty (deleted)", 0, 0);
	must(unlink("empty (deleted)"));
	unnamed = open(".", O_RDWR | O_TMPFILE, 0640);
	if (unnamed < 0)
		unnamed = must(open("/dev/shm", O_RDWR | O_TMPFILE, 0640));
	must(write(unnamed, "unnamed", 7));

	must(mkdir("directory", 0710));
	directory = must(open("directory", O_RDONLY | O_DIRECTORY));
	must(rmdir("directory"));
	must(mkdir("removed", 0700));
	in_removed = make("removed/file", 2000, 7);
	must(unlink("removed/file"));
	must(rmdir("removed"));

	shared = make("shared", 2000, 6);
	must(lseek(shared, 1000, SEEK_SET));
	must(unlink("shared"));
	/* A name that leads to another file now. */
	write_text("twice", "another file of that name");
	other = child(NULL, verify_child, NULL);
	for (int i = 0; i < 9; i++)
		must(fstat(*all[i], &before[i]));
}

static void verify(void)
{
	char text[16] = "";

	child_verify(other); /* before a position it shares changes */
	for (int i = 0; i < 9; i++) {
		struct stat now;
		char what[32];
		snprintf(what, sizeof(what), "file %d: ", i);
		fstat(*all[i], &now);
		same("links", before[i].st_nlink, now.st_nlink);
		check(before[i].st_mode == now.st_mode, "%s mode %o instead of %o", what,
		      now.st_mode, before[i].st_mode);
		check(before[i].st_size == now.st_size || S_ISDIR(now.st_mode),
		      "%s size %ld instead of %ld", what, (long)now.st_size,
		      (long)before[i].st_size);
		check(before[i].st_uid == now.st_uid && before[i].st_gid == now.st_gid,
		      "%s owner %d:%d", what, now.st_uid, now.st_gid);
		check(before[i].st_dev == now.st_dev, "%s is on another device", what);
	}
	struct stat now;
	fstat(holes, &now);
	check(now.st_blocks < 2048, "the holes have %ld blocks", (long)now.st_blocks);
	same("time of modification", before[0].st_mtim.tv_sec, now.st_mtim.tv_sec);
	same("its nanoseconds", before[0].st_mtim.tv_nsec, now.st_mtim.tv_nsec);
	content("file with holes", holes, 0, 5000, 1);
	same("read at the end", 15, pread(holes, text, 16, HOLE - 15));
	check(memcmp(text, "end of the file", 15) == 0, "the end is '%.15s'", text);
	same("read in the middle", 6, pread(holes, text, 6, HOLE / 2 + 1));
	check(memcmp(text, "middle", 6) == 0, "the middle is '%.6s'", text);

	same("position", 12345, lseek(first, 0, SEEK_CUR));
	content("file with two descriptions", first, 0, SIZE, 2);
	same("append", 3, write(second, "new", 3));
	same("read of what was appended", 3, pread(first, text, 16, SIZE));
	struct stat a, b;
	fstat(first, &a);
	fstat(second, &b);
	same("inode of both descriptions", a.st_ino, b.st_ino);
	same_string("the other file of that name", "another file of that name", file_text("twice"));

	content("read-only file", read_only, 0, 3000, 3);
	same("write to a read-only file", -1, write(read_only, "x", 1));
	same("read of an empty file", 0, read(empty, text, 1));
	same("read of an unnamed file", 7, pread(unnamed, text, 16, 0));
	check(memcmp(text, "unnamed", 7) == 0, "the unnamed file has '%.7s'", text);
	same("entry of a removed directory", -1, openat(directory, "x", O_CREAT | O_WRONLY, 0600));
	same("error in a removed directory", ENOENT, errno);
	content("file in a removed directory", in_removed, 0, 2000, 7);
	same("position after the child's write", 1001, lseek(shared, 0, SEEK_CUR));
	/* Nothing was left in the directory. */
	same("name of an unlinked file", -1, access("holes", F_OK));
	same("name of a removed directory", -1, access("directory", F_OK));
}

const struct scenario scenario = {
	.about = "files and directories that were unlinked",
	.setup = setup,
	.verify = verify,
	.dump_options = "--ghost-limit 1G",
	.images_limit = 4 << 20,
};
