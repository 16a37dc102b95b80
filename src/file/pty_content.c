/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What waits in a pseudo terminal: output for the master, input for the slave, of which canonical
 * mode makes lines, and whether output stands still.  Linux has no way to look without taking, so
 * all is taken, and put in again in the way it came: output by the slave without processing, input
 * by the master with every character quoted that could mean something.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "file/tty.h"

enum { EOF_CHARACTER = 4, STOP_CHARACTER = 19, QUOTE_CHARACTER = 22 };
enum { PATIENCE = 20000, NAP_US = 100 };

static bool is_canonical(const struct termios2 *termios)
{
	return (termios->c_lflag & ICANON) && !(termios->c_lflag & EXTPROC);
}

/* Also has what is on its way to the reader arrive. */
static bool polls(int fd, short event)
{
	struct pollfd poll_ = {.fd = fd, .events = event};

	return poll(&poll_, 1, 0) == 1 && (poll_.revents & event);
}

static bool awaits(int fd, short event, bool expected)
{
	for (int i = 0; i < PATIENCE; i++) {
		if (polls(fd, event) == expected)
			return true;
		usleep(NAP_US);
	}
	return false;
}

/* The settings with which nothing is changed on the way; lines are made if they were. */
static struct termios2 quiet(const struct termios2 *termios)
{
	struct termios2 result = *termios;

	result.c_iflag = 0;
	result.c_oflag = 0;
	result.c_lflag &= ICANON | EXTPROC;
	memset(result.c_cc, 0, sizeof(result.c_cc));
	result.c_cc[VMIN] = 1;
	if (is_canonical(termios)) {
		result.c_lflag |= IEXTEN;
		result.c_cc[VEOF] = EOF_CHARACTER;
		result.c_cc[VLNEXT] = QUOTE_CHARACTER;
	}
	return result;
}

/* ---- taking --------------------------------------------------------------------------------- */

/* All that can be read without waiting, of a terminal that makes no lines. */
static int take_bytes(int fd, unsigned char *data, size_t *size)
{
	int available = 0;

	while (polls(fd, POLLIN), ioctl(fd, TIOCINQ, &available) == 0 && available > 0) {
		size_t room = PTY_CONTENT_MOST - *size;
		ssize_t got;

		if (!room)
			return -E2BIG;
		got = read(fd, data + *size, (size_t)available < room ? (size_t)available : room);
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		*size += got;
	}
	return 0;
}

static int take_lines(int slave, const struct termios2 *termios, struct pty_content *content)
{
	struct termios2 raw = *termios;

	while (polls(slave, POLLIN)) {
		size_t room = PTY_CONTENT_MOST - content->input_size;
		ssize_t got;

		if (!room || content->line_count == PTY_LINES_MOST)
			return -E2BIG;
		got = read(slave, content->input + content->input_size, room);
		if (got < 0)
			return -errno;
		content->input_size += got;
		content->line_ends[content->line_count++] = content->input_size;
	}
	/* A line that is not complete is shown only without lines. */
	raw.c_lflag &= ~(ICANON | ECHO | ISIG);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (ioctl(slave, TCSETS2, &raw) < 0)
		return -errno;
	return take_bytes(slave, content->input, &content->input_size);
}

/* A terminal that is stopped takes no output; TCOON moves what tcflow() stopped. */
static int find_stop(int slave, struct pty_content *content)
{
	if (polls(slave, POLLOUT))
		return 0;
	if (ioctl(slave, TCXONC, TCOON) < 0)
		return -errno;
	content->stopped =
		polls(slave, POLLOUT) ? TTY_STOP__STOPPED_BY_CALL : TTY_STOP__STOPPED_BY_CHARACTER;
	return 0;
}

static int take(int master, int slave, const struct termios2 *termios, struct pty_content *content)
{
	int error = is_canonical(termios) ? take_lines(slave, termios, content)
					  : take_bytes(slave, content->input, &content->input_size);

	if (!error)
		error = take_bytes(master, content->output, &content->output_size);
	return error ? error : find_stop(slave, content);
}

int pty_take(int master, int slave, struct pty_content *content)
{
	struct termios2 termios;
	int packets = 0, lines = 0, error, put;

	if (ioctl(slave, TCGETS2, &termios) < 0 || ioctl(slave, TIOCINQ, &lines) < 0)
		return -errno;
	/* More may wait before a full buffer, and quoted it would not fit there. */
	if (is_canonical(&termios) && lines > PTY_LINES_FULL)
		return -E2BIG;
	if (ioctl(master, TIOCGPKT, &packets) < 0 ||
	    (packets && ioctl(master, TIOCPKT, &(int){0}) < 0))
		return -errno;
	error = take(master, slave, &termios, content);
	/* Whatever went wrong: what was taken goes back. */
	put = pty_put(master, slave, content, &termios);
	if (packets && ioctl(master, TIOCPKT, &packets) < 0 && !put)
		put = -errno;
	return error ? error : put;
}

/* ---- putting -------------------------------------------------------------------------------- */

static size_t quote(unsigned char *to, const unsigned char *from, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		to[2 * i] = QUOTE_CHARACTER;
		to[2 * i + 1] = from[i];
	}
	return 2 * size;
}

/* Stops output by a character that comes last: when it shows, all before it has arrived. */
static int stop(int master, int slave, struct termios2 *termios)
{
	static const char character = STOP_CHARACTER;

	termios->c_iflag |= IXON;
	termios->c_cc[VSTOP] = character;
	if (ioctl(slave, TCSETS2, termios) < 0 || write(master, &character, 1) != 1)
		return -errno;
	return awaits(slave, POLLOUT, false) ? 0 : -ETIMEDOUT;
}

static int start(int slave, struct termios2 *termios)
{
	termios->c_iflag &= ~IXON;
	return ioctl(slave, TCSETS2, termios) < 0 ? -errno : 0;
}

static int put_lines(int master, int slave, const struct pty_content *content,
		     struct termios2 *termios)
{
	unsigned char text[2 * PTY_CONTENT_MOST + PTY_LINES_MOST];
	size_t size = 0, at = 0;
	int error;

	for (size_t i = 0; i < content->line_count; i++) {
		size_t length = content->line_ends[i] - at;
		bool newline = length && content->input[at + length - 1] == '\n';

		size += quote(text + size, content->input + at, length - newline);
		text[size++] = newline ? '\n' : EOF_CHARACTER;
		at += length;
	}
	size += quote(text + size, content->input + at, content->input_size - at);
	error = fd_write_all(master, text, size);
	if (!error)
		error = stop(master, slave, termios);
	return error ? error : start(slave, termios);
}

static int put_bytes(int from, int to, const unsigned char *data, size_t size)
{
	int error = fd_write_all(from, data, size), available = 0;

	for (int i = 0; !error && i < PATIENCE; i++) {
		polls(to, POLLIN);
		if (ioctl(to, TIOCINQ, &available) < 0)
			return -errno;
		/* The reader's buffer holds so much and no more; the rest waits before it. */
		if ((size_t)available >= size || available >= 4095)
			return 0;
		usleep(NAP_US);
	}
	return error ? error : -ETIMEDOUT;
}

/* Output, while the terminal is quiet. */
static int put_output(int master, int slave, const struct pty_content *content)
{
	return content->output_size
		       ? put_bytes(slave, master, content->output, content->output_size)
		       : 0;
}

int pty_put(int master, int slave, const struct pty_content *content,
	    const struct termios2 *termios)
{
	struct termios2 still = quiet(termios), after = *termios;
	int error = ioctl(slave, TCSETS2, &still) < 0 ? -errno : 0;

	if (!error)
		error = put_output(master, slave, content);
	if (!error && content->input_size + content->line_count)
		error = is_canonical(termios)
				? put_lines(master, slave, content, &still)
				: put_bytes(master, slave, content->input, content->input_size);
	/* From here on IXON stays, or output would start again. */
	if (!error && content->stopped == TTY_STOP__STOPPED_BY_CHARACTER)
		error = stop(master, slave, &still);
	if (ioctl(slave, TCSETS2, &after) < 0 && !error)
		error = -errno;
	if (!error && content->stopped == TTY_STOP__STOPPED_BY_CALL)
		error = ioctl(slave, TCXONC, TCOOFF) < 0 ? -errno : 0;
	return error;
}
