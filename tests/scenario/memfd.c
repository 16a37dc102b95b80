/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memfds: contents with holes, position, seals, two mappings and two descriptions of one, one
 * without a mapping, one shared with a child.
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, SIZE = 40 * PAGE, HOLE = 100 << 20 };

static int plain, sealed, second, executable;
static char *one, *two, *read_only;
static struct stat before;

static void verify_child(void *unused)
{
	same("position in the child", 777, lseek(plain, 0, SEEK_CUR));
	one[3 * PAGE] = 'c';
}

static pid_t other;

static void setup(void)
{
	char path[64], bytes[PAGE];

	plain = must(memfd_create("plain memory", MFD_ALLOW_SEALING));
	must(ftruncate(plain, HOLE + PAGE));
	pattern_fill(bytes, PAGE, 1);
	must(pwrite(plain, bytes, PAGE, HOLE));
	one = must(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, plain, 0));
	two = must(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, plain, 2 * PAGE));
	pattern_fill(one + PAGE, PAGE, 2);
	must(lseek(plain, 777, SEEK_SET));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", plain);
	second = must(open(path, O_RDONLY | O_CLOEXEC));
	must(lseek(second, 5, SEEK_SET));
	must(fchmod(plain, 0640));

	sealed = must(memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC));
	must(write(sealed, bytes, PAGE));
	read_only = must(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, sealed, 0));
	must(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL));
	executable = must(memfd_create("", MFD_CLOEXEC));
	must(fstat(plain, &before));
	other = child(NULL, verify_child, NULL);
}

static void verify(void)
{
	char bytes[PAGE];
	struct stat now;

	child_verify(other);
	same("written by the child", 'c', two[PAGE]);
	two[2 * PAGE] = 'p';
	same("both mappings are one", 'p', one[4 * PAGE]);
	pattern_check("contents", one + PAGE, PAGE, 2);
	same("read behind the hole", PAGE, pread(plain, bytes, PAGE, HOLE));
	pattern_check("contents behind the hole", bytes, PAGE, 1);
	fstat(plain, &now);
	same("size", HOLE + PAGE, now.st_size);
	same("mode", before.st_mode, now.st_mode);
	check(now.st_blocks < 1024, "the hole has %ld blocks", (long)now.st_blocks);
	same("position of the second description", 5, lseek(second, 0, SEEK_CUR));
	same("write to the second description", -1, write(second, "x", 1));
	fstat(second, &before);
	same("inode of the second description", now.st_ino, before.st_ino);
	same("seals", F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL,
	     fcntl(sealed, F_GET_SEALS));
	same("seals of an unsealed one", 0, fcntl(plain, F_GET_SEALS));
	same("seals of one that cannot be sealed", F_SEAL_SEAL, fcntl(executable, F_GET_SEALS));
	same("write to a sealed memfd", -1, pwrite(sealed, "x", 1, 0));
	same("error of a write to a sealed memfd", EPERM, errno);
	pattern_check("contents of the sealed memfd", read_only, PAGE, 1);
}

const struct scenario scenario = {
	.about = "memfds",
	.setup = setup,
	.verify = verify,
	.images_limit = 8 << 20,
};
