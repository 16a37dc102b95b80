/* SPDX-License-Identifier: GPL-2.0-or-later */
/* overlayfs with its layers on a tmpfs of the tree, another on top of it, and files of all layers
 * open. */
#include "scenario.h"
#include "mounting.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int lower, upper, removed;

static void overlay(const char *at, const char *options)
{
	new_directory(at);
	if (mount("overlay", at, "overlay", 0, options) < 0)
		skip("no overlayfs on tmpfs here: %m");
}

static void setup(void)
{
	char options[4 * PATH_MAX + 100], work[PATH_MAX];

	must((long)getcwd(work, sizeof(work)));
	own_namespace();
	new_directory("/mnt");
	must(mount("layers", "/mnt", "tmpfs", 0, "size=8m"));
	new_directory("/mnt/lower");
	new_directory("/mnt/upper");
	new_directory("/mnt/work");
	new_directory("/mnt/upper2");
	new_directory("/mnt/work2");
	furnish("/mnt/lower");
	new_file("/mnt/lower/gone", "removed above");
	overlay("/mnt/merged", "lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work");
	snprintf(options, sizeof(options),
		 "lowerdir=/mnt/merged,upperdir=/mnt/upper2,workdir=/mnt/work2");
	overlay("second", options);
	lower = must(open("/mnt/merged/f", O_RDONLY));
	new_file("/mnt/merged/b/new", "in the upper layer");
	upper = must(open("/mnt/merged/b/new", O_RDWR));
	must(unlink("/mnt/merged/gone"));
	removed = must(open("second/f", O_RDONLY));
	new_file("second/f", "changed in the second");
}

static void content(int fd, const char *expected)
{
	char text[100] = "";

	must(pread(fd, text, sizeof(text) - 1, 0));
	same_string("content", expected, text);
}

static void verify(void)
{
	content(lower, "/mnt/lower");
	content(upper, "in the upper layer");
	same_file("/mnt/merged/f", "/mnt/lower");
	same_file("second/f", "changed in the second");
	same("what was removed", -1, access("/mnt/merged/gone", F_OK));
	same("but not below", 0, access("/mnt/lower/gone", F_OK));
	new_file("/mnt/merged/a/later", "later");
	same_file("/mnt/upper/a/later", "later");
}

const struct scenario scenario = {
	.about = "overlayfs",
	.setup = setup,
	.verify = verify,
	.modes = "once twice again",
};
