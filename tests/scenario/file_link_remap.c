/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file whose name is gone but which has another name nobody knows: --link-remap.  And one whose
 * other name is open, too.
 */
#include "scenario.h"

#include <fcntl.h>
#include <string.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static int fd, both[2];

static void setup(void)
{
	must(mkdir("elsewhere", 0700));
	write_text("file", "linked content");
	must(link("file", "elsewhere/hidden"));
	fd = must(open("file", O_RDWR));
	must(lseek(fd, 7, SEEK_SET));
	must(unlink("file"));

	write_text("one", "two names");
	must(link("one", "two"));
	both[0] = must(open("one", O_RDONLY));
	both[1] = must(open("two", O_RDWR));
	must(unlink("one"));
}

static void verify(void)
{
	struct stat a, b;
	char text[16] = "";

	fstat(fd, &a);
	same("stat of the other name", 0, stat("elsewhere/hidden", &b));
	same("inode of the other name", a.st_ino, b.st_ino);
	same("links", 1, a.st_nlink);
	same("position", 7, lseek(fd, 0, SEEK_CUR));
	same("read", 7, read(fd, text, sizeof(text)));
	check(memcmp(text, "content", 7) == 0, "the file has '%.7s'", text);
	fstat(both[0], &a);
	fstat(both[1], &b);
	same("inode of both", a.st_ino, b.st_ino);
	same("links of both", 1, a.st_nlink);
	same("name that is gone", -1, access("file", F_OK));
	/* No link of stasis' own is left. */
	DIR *directory = opendir(".");
	struct dirent *entry;
	while ((entry = readdir(directory)))
		check(strncmp(entry->d_name, "link_remap", 10) != 0, "'%s' was left behind",
		      entry->d_name);
	closedir(directory);
}

const struct scenario scenario = {
	.about = "files whose name is gone but which have another (--link-remap)",
	.setup = setup,
	.verify = verify,
	.dump_options = "--link-remap",
	/*
	 * Not running: the link is there as long as the checkpoint may need it.  Not again: the
	 * link is gone after the first restore, and copies of the files are others.
	 */
	.modes = "once twice again",
};
