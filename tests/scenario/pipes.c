/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pipes of all kinds: sizes, full ones, packets, half-closed ones, several descriptions of one
 * end, ends opened again through /proc, non-blocking ends.
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int full[2], packets[2], large[2], no_writer, no_reader, again[2], reopened[2], both;
static int splits[2];
static size_t full_size;

static void drain_expect(const char *what, int fd, const char *text)
{
	char bytes[64] = "";

	same(what, strlen(text), read(fd, bytes, sizeof(bytes)));
	same_bytes(what, text, bytes, strlen(text));
}

static int reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return must(open(path, flags));
}

static void setup(void)
{
	static char bytes[1 << 20];
	int pair[2];

	pattern_fill(bytes, sizeof(bytes), 1);
	must(pipe2(full, O_NONBLOCK | O_CLOEXEC));
	ssize_t wrote;
	while ((wrote = write(full[1], bytes + full_size, 4096)) > 0)
		full_size += wrote;

	must(pipe2(packets, O_DIRECT));
	must(write(packets[1], "first", 5));
	must(write(packets[1], "second packet", 13));
	must(write(packets[1], "3", 1));

	must(pipe(large));
	must(fcntl(large[1], F_SETPIPE_SZ, 1 << 20));
	must(write(large[1], bytes, 777777));
	must(read(large[0], bytes, 1000)); /* begins inside a page */

	must(pipe(pair));
	must(write(pair[1], "left behind", 11));
	close(pair[1]);
	no_writer = pair[0];
	must(pipe(pair));
	close(pair[0]);
	no_reader = pair[1];

	/* Two descriptions of each end, one of them non-blocking, one for both directions. */
	must(pipe(again));
	reopened[0] = reopen(again[0], O_RDONLY | O_NONBLOCK);
	reopened[1] = reopen(again[1], O_WRONLY);
	both = reopen(again[0], O_RDWR);
	must(write(again[1], "several ends", 12));

	/* Small writes share a page or have one each: what is read must be the same. */
	must(pipe(splits));
	must(fcntl(splits[1], F_SETPIPE_SZ, 4096));
	must(write(splits[1], bytes, 3000));
	must(write(splits[1], "short", 5));
}

static void verify(void)
{
	static char bytes[1 << 20], pattern[1 << 20];
	int available = 0;

	signal(SIGPIPE, SIG_IGN);
	pattern_fill(pattern, sizeof(pattern), 1);
	ioctl(full[0], FIONREAD, &available);
	same("bytes in the full pipe", full_size, available);
	same("write to the full pipe", -1, write(full[1], "x", 1));
	same("its error", EAGAIN, errno);
	size_t got = 0;
	ssize_t size;
	while ((size = read(full[0], bytes + got, 5000)) > 0)
		got += size;
	same("bytes of the full pipe", full_size, got);
	same_bytes("the full pipe", pattern, bytes, got);

	same("packet mode", O_DIRECT, fcntl(packets[1], F_GETFL) & O_DIRECT);
	drain_expect("first packet", packets[0], "first");
	drain_expect("second packet", packets[0], "second packet");
	drain_expect("third packet", packets[0], "3");

	same("size of a large pipe", 1 << 20, fcntl(large[0], F_GETPIPE_SZ));
	ioctl(large[0], FIONREAD, &available);
	same("bytes in the large pipe", 776777, available);
	for (got = 0; got < 776777 && (size = read(large[0], bytes + got, 776777 - got)) > 0;)
		got += size;
	same_bytes("the large pipe", pattern + 1000, bytes, 776777);
	same("room in the large pipe", 1 << 20, write(large[1], pattern, 1 << 20));

	drain_expect("pipe without a writer", no_writer, "left behind");
	same("its end", 0, read(no_writer, bytes, 1));
	same("write without a reader", -1, write(no_reader, "x", 1));
	same("its error", EPIPE, errno);

	drain_expect("reopened end", reopened[0], "several ends");
	same("its flags", O_NONBLOCK, fcntl(reopened[0], F_GETFL) & O_NONBLOCK);
	same("the other's flags", 0, fcntl(again[0], F_GETFL) & O_NONBLOCK);
	same("write to the reopened end", 3, write(reopened[1], "one", 3));
	drain_expect("the first end", again[0], "one");
	same("write to both directions", 3, write(both, "two", 3));
	drain_expect("both directions", both, "two");
	close(again[1]);
	close(reopened[1]);
	same("a writer is left", -1, read(reopened[0], bytes, 1));
	close(both);
	same("no writer is left", 0, read(reopened[0], bytes, 1));

	same("size of a small pipe", 4096, fcntl(splits[0], F_GETPIPE_SZ));
	same("a long read", 3005, read(splits[0], bytes, 5000));
	same_bytes("small writes", "short", bytes + 3000, 5);
}

const struct scenario scenario = {
	.about = "pipes of all kinds",
	.setup = setup,
	.verify = verify,
};
