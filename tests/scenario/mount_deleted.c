/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Binds whose source was removed: directories, files with their contents, files that are open as
 * well. */
#include "scenario.h"
#include "mounting.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int on_directory, on_file;

static void setup(void)
{
	own_namespace();
	new_tmpfs("m");
	new_directory("m/gone");
	must(chmod("m/gone", 0751));
	must(chown("m/gone", 5, 6));
	bind_mount("m/gone", "directory");
	must(rmdir("m/gone"));
	new_directory("m/taken");
	bind_mount("m/taken", "taken");
	must(rmdir("m/taken"));
	new_directory("m/taken"); /* the name is another's now */
	new_file("m/taken/in it", "another");
	new_file("m/file", "the contents of a file that was removed");
	new_file("file", "");
	must(mount("m/file", "file", NULL, MS_BIND, NULL));
	on_file = must(open("file", O_RDWR));
	must(unlink("m/file"));
	new_file("m/closed", "nobody has it open");
	new_file("closed", "");
	must(mount("m/closed", "closed", NULL, MS_BIND, NULL));
	must(chmod("closed", 0604));
	must(unlink("m/closed"));
	new_directory("m/a/c/deep");
	bind_mount("m/a/c/deep", "deep");
	must(rename("m/a/c", "m/b/renamed")); /* not removed: it is elsewhere */
	on_directory = must(open("directory", O_RDONLY | O_DIRECTORY));
}

static void verify(void)
{
	struct stat stat_;

	must(fstat(on_directory, &stat_));
	same("mode of a removed directory", 0751, stat_.st_mode & 07777);
	same("its owner", 5, stat_.st_uid);
	same("its group", 6, stat_.st_gid);
	same("a new file in it", -1, openat(on_directory, "new", O_CREAT | O_WRONLY, 0600));
	same_file("file", "the contents of a file that was removed");
	same_file("closed", "nobody has it open");
	must(stat("closed", &stat_));
	same("mode of a removed file", 0604, stat_.st_mode & 07777);
	same("its links", 0, stat_.st_nlink);
	must(pwrite(on_file, "THE", 3, 0));
	same_file("file", "THE contents of a file that was removed");
	same_file("m/taken/in it", "another");
	same("in the one that was removed", -1, access("taken/in it", F_OK));
	new_file("m/b/renamed/deep/new", "seen");
	same_file("deep/new", "seen");
}

const struct scenario scenario = {
	.about = "binds whose source was removed",
	.setup = setup,
	.verify = verify,
	.modes = "once twice again",
};
