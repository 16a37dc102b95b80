/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A regular file, open with a position, flags and a close-on-exec flag. */
#include "scenario.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int reader, writer;
static int flags;

static void setup(void)
{
	char text[16];

	writer = must(open("file", O_WRONLY | O_CREAT | O_APPEND, 0640));
	must(write(writer, "0123456789abcdef", 16));
	reader = must(open("file", O_RDONLY | O_CLOEXEC));
	must(read(reader, text, 7));
	flags = must(fcntl(writer, F_GETFL));
}

static void verify(void)
{
	char text[16];

	same("position of the reader", 7, lseek(reader, 0, SEEK_CUR));
	same("position of the writer", 16, lseek(writer, 0, SEEK_CUR));
	same("close-on-exec of the reader", FD_CLOEXEC, fcntl(reader, F_GETFD));
	same("close-on-exec of the writer", 0, fcntl(writer, F_GETFD));
	same("flags of the writer", flags, fcntl(writer, F_GETFL));
	same("bytes read", 9, read(reader, text, sizeof(text)));
	check(memcmp(text, "789abcdef", 9) == 0, "the reader reads '%.9s'", text);
	same("bytes written", 3, write(writer, "xyz", 3));
	same("bytes read of what was appended", 3, read(reader, text, sizeof(text)));
	check(memcmp(text, "xyz", 3) == 0, "the reader reads '%.3s'", text);
}

const struct scenario scenario = {
	.about = "a regular file with a position and flags",
	.setup = setup,
	.verify = verify,
};
