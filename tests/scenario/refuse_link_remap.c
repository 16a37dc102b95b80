/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that need an option: the answer names it, for all of them. */
#include "scenario.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int hidden, large;

static void setup(void)
{
	write_text("file", "content");
	must(mkdir("elsewhere", 0700));
	must(link("file", "elsewhere/hidden"));
	hidden = must(open("file", O_RDWR));
	must(unlink("file"));
	large = must(open("large", O_RDWR | O_CREAT, 0600));
	static char bytes[2 << 20];
	pattern_fill(bytes, sizeof(bytes), 1);
	must(write(large, bytes, sizeof(bytes)));
	must(unlink("large"));
}

static void verify(void)
{
	struct stat now;

	fstat(hidden, &now);
	same("links", 1, now.st_nlink);
	fstat(large, &now);
	same("size", 2 << 20, now.st_size);
}

const struct scenario scenario = {
	.about = "files that need --link-remap and --ghost-limit",
	.setup = setup,
	.verify = verify,
	.refused = "--link-remap\n--ghost-limit",
};
