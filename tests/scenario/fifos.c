/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FIFOs: with data, non-blocking, for both directions, without a name. */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int reader, writer, both, unlinked_reader, unlinked_writer, lonely;
static pid_t other;

static void verify_child(void *unused)
{
	char text[16] = "";

	same("read in the child", 5, read(reader, text, 5));
	same_bytes("read in the child", "hello", text, 5);
}

static void setup(void)
{
	must(mkfifo("fifo", 0640));
	reader = must(open("fifo", O_RDONLY | O_NONBLOCK));
	writer = must(open("fifo", O_WRONLY));
	must(fcntl(reader, F_SETFL, 0));
	must(write(writer, "hello world", 11));
	must(mkfifo("both", 0600));
	both = must(open("both", O_RDWR | O_NONBLOCK | O_CLOEXEC));
	must(write(both, "loop", 4));
	must(mkfifo("unlinked", 0610));
	unlinked_reader = must(open("unlinked", O_RDONLY | O_NONBLOCK));
	unlinked_writer = must(open("unlinked", O_WRONLY));
	must(write(unlinked_writer, "nameless", 8));
	must(unlink("unlinked"));
	must(mkfifo("lonely", 0600));
	lonely = must(open("lonely", O_RDONLY | O_NONBLOCK));
	other = child(NULL, verify_child, NULL);
}

static void verify(void)
{
	char text[16] = "";
	struct stat now, named;

	child_verify(other);
	same("read of the rest", 6, read(reader, text, sizeof(text)));
	same_bytes("rest", " world", text, 6);
	fstat(writer, &now);
	stat("fifo", &named);
	same("inode", named.st_ino, now.st_ino);
	same("read of both", 4, read(both, text, sizeof(text)));
	same("read of an empty one", -1, read(both, text, sizeof(text)));
	same("its error", EAGAIN, errno);
	same("read of the unlinked", 8, read(unlinked_reader, text, sizeof(text)));
	same_bytes("unlinked", "nameless", text, 8);
	same("write to the unlinked", 2, write(unlinked_writer, "ok", 2));
	same("read of what was written", 2, read(unlinked_reader, text, sizeof(text)));
	fstat(unlinked_reader, &now);
	same("mode of the unlinked", S_IFIFO | 0610, now.st_mode);
	same("links of the unlinked", 0, now.st_nlink);
	same("read without a writer", 0, read(lonely, text, sizeof(text)));
	/* The name leads to what is open. */
	int fd = open("fifo", O_WRONLY | O_NONBLOCK);
	check(fd >= 0, "the FIFO has no reader");
	same("write by name", 1, write(fd, "n", 1));
	same("read of it", 1, read(reader, text, sizeof(text)));
	close(fd);
}

const struct scenario scenario = {
	.about = "FIFOs",
	.setup = setup,
	.verify = verify,
};
