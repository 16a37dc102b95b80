/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mount namespace with a tmpfs and binds of it, and all that can be open on them: files, a
 * directory, the working directory, mappings, a FIFO, files that were removed, files that are
 * covered, files on a mount that is read-only.
 */
#include "scenario.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int file, bound, covered, covered_dir, removed, read_only, directory, path_only, fifo,
	under_root, gone_below;
static char *mapping;
static struct stat before[12];
static int *const all[] = {&file,      &bound,     &covered, &covered_dir, &removed,   &read_only,
			   &directory, &path_only, &fifo,    &under_root,  &gone_below};
enum { COUNT = sizeof(all) / sizeof(*all) };

static int make(const char *path, const char *text)
{
	int fd = must(open(path, O_RDWR | O_CREAT | O_EXCL, 0640));

	must(write(fd, text, strlen(text)));
	return fd;
}

static void setup(void)
{
	must(unshare(CLONE_NEWNS));
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	must(mkdir("m", 0755));
	must(mkdir("n", 0755));
	must(mount("some tmpfs", "m", "tmpfs", MS_NOSUID, "size=10m,mode=711"));
	must(mkdir("m/sub", 0750));
	must(mkdir("m/sub/in", 0755));
	must(mkdir("m/cover", 0755));
	must(mount("m/sub", "n", NULL, MS_BIND, NULL));
	file = make("m/file", "a file");
	close(make("m/sub/in/bound", "a file of the bind"));
	bound = must(open("n/in/bound", O_RDWR));
	covered = make("m/cover/file", "covered");
	covered_dir = must(open("m/cover", O_RDONLY | O_DIRECTORY));
	must(mount("other", "m/cover", "tmpfs", 0, "size=1m"));
	close(make("m/cover/file", "on top"));
	removed = make("n/in/removed", "removed on the bind");
	must(unlink("n/in/removed"));
	gone_below = make("m/sub/in/twice", "removed below");
	must(unlink("m/sub/in/twice"));
	must(mkdir("ro", 0755));
	must(mount("m", "ro", NULL, MS_BIND, NULL));
	must(mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV, NULL));
	close(make("m/unlinked read-only", "seen from a read-only mount"));
	read_only = must(open("ro/unlinked read-only", O_RDONLY));
	must(unlink("m/unlinked read-only"));
	directory = must(open("ro/sub", O_RDONLY | O_DIRECTORY));
	path_only = must(open("n", O_PATH));
	must(mkfifo("m/fifo", 0600));
	fifo = must(open("m/fifo", O_RDWR));
	must(write(fifo, "in the fifo", 11));
	close(make("m/mapped", "what is mapped"));
	int fd = must(open("n/../m/mapped", O_RDWR));

	mapping = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must((long)mapping);
	close(fd);
	under_root = must(open("/", O_RDONLY | O_DIRECTORY));
	must(chdir("m/sub"));
	for (int i = 0; i < COUNT; i++)
		must(fstat(*all[i], &before[i]));
}

static void content(const char *what, int fd, const char *expected)
{
	char text[100] = "";

	must(pread(fd, text, sizeof(text) - 1, 0));
	same_string(what, expected, text);
}

static void verify(void)
{
	struct stat now;
	char text[16] = "";

	for (int i = 0; i < COUNT; i++) {
		must(fstat(*all[i], &now));
		same("mode", before[i].st_mode, now.st_mode);
		same("size", before[i].st_size, now.st_size);
		same("links", before[i].st_nlink, now.st_nlink);
		same("seconds of the time of change", before[i].st_mtim.tv_sec, now.st_mtim.tv_sec);
		same("nanoseconds", before[i].st_mtim.tv_nsec, now.st_mtim.tv_nsec);
	}
	content("file", file, "a file");
	content("file of the bind", bound, "a file of the bind");
	content("covered file", covered, "covered");
	content("removed file", removed, "removed on the bind");
	content("removed file below", gone_below, "removed below");
	content("removed file on a read-only mount", read_only, "seen from a read-only mount");
	same("bytes in the FIFO", 11, read(fifo, text, sizeof(text)));
	same_string("FIFO", "in the fifo", text);
	same_string("mapping", "what is mapped", mapping);
	strcpy(mapping, "What");
	int fd = must(open("../mapped", O_RDONLY)); /* cwd is on the tmpfs */

	same("reading", 5, read(fd, text, 5));
	same_string("the mapping is that file", "What", text);
	same("the covered directory has the file", 0, faccessat(covered_dir, "file", F_OK, 0));
	content("what covers it", openat(AT_FDCWD, "../cover/file", O_RDONLY), "on top");
	same("writing on the read-only mount", -1, openat(directory, "new", O_CREAT | O_WRONLY));
	same("the directory has what the bind has", 0, faccessat(directory, "in/bound", F_OK, 0));
	same("and the path too", 0, faccessat(path_only, "in/bound", F_OK, 0));
}

const struct scenario scenario = {
	.about = "a mount namespace with tmpfs, binds, covered and removed files",
	.setup = setup,
	.verify = verify,
	.modes = "once twice again",
};
