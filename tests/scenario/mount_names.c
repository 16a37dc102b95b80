/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mountpoints with any byte in their names, mounts of files, mounts over mounts, and over the root.
 */
#include "scenario.h"
#include "mounting.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[] = {
	"a space",
	"a\ttab",
	"a\nnew line",
	"back\\slash",
	"a#number",
	"\\040",
	"\xff\xfe not UTF-8",
	"\xc3\xa4",
	"//deleted",
	"x (deleted)",
	"-",
	"\x01\x7f",
};

static void setup(void)
{
	char path[300];

	own_namespace();
	new_tmpfs("m");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *name = names[i] + strspn(names[i], "/");

		snprintf(path, sizeof(path), "m/%s", name);
		new_directory(path);
		must(mount(name, path, "tmpfs", 0, "size=64k"));
		snprintf(path, sizeof(path), "m/%s/sub %s", name, name);
		new_directory(path);
		must(mount(path, path, NULL, MS_BIND, NULL));
	}
	memset(path, 'n', sizeof(path));
	memcpy(path, "m/", 2);
	path[2 + 255] = 0;
	new_directory(path);
	bind_mount("m/a", path);
	new_file("m/over", "below");
	bind_mount("m", "m2");
	must(mount("m/f", "m/over", NULL, MS_BIND, NULL));
	must(mount("first", "m2", "tmpfs", 0, "size=64k"));
	must(mount("second", "m2", "tmpfs", 0, "size=64k"));
	must(mount("third", "m2", "tmpfs", 0, "size=64k"));
	must(mount("over the root", "/", "tmpfs", 0, "size=64k"));
}

static void verify(void)
{
	same_file("m/over", "m");
}

const struct scenario scenario = {
	.about = "names with any byte, mounts over mounts",
	.setup = setup,
	.verify = verify,
	.modes = "once twice again",
};
