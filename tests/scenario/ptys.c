/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pseudo terminals with both ends in the tree, in the states that they can be in. */
#include "scenario.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct pair {
	int master, slave, index;
} typed, raw, fresh, closed, stopped, held_back, session, modes;

enum { KERNEL_O_LARGEFILE = 0100000 };
/* And what a terminal with the usual settings makes of it. */
enum { ECHOED = 37 };
static const char input[] = "one\ntwo \026\nthree\nfour\004\004half \026\004a li";

static volatile sig_atomic_t resized;
static int tty, copy;

static int open_slave(const struct pair *pair, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/pts/%d", pair->index);
	return must(open(path, flags | O_NOCTTY));
}

static void make(struct pair *pair, const char *ptmx, bool opened)
{
	pair->master = must(open(ptmx, O_RDWR | O_NOCTTY | O_CLOEXEC));
	must(ioctl(pair->master, TIOCGPTN, &pair->index));
	pair->slave = -1;
	if (!opened)
		return;
	must(ioctl(pair->master, TIOCSPTLCK, &(int){0}));
	pair->slave = open_slave(pair, O_RDWR);
}

static struct termios2 settings(int fd)
{
	struct termios2 termios;

	must(ioctl(fd, TCGETS2, &termios));
	return termios;
}

static void type(const struct pair *pair, const char *text, size_t size)
{
	same("typed", size, must(write(pair->master, text, size)));
}

static int available(int fd)
{
	int count = -1;

	poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0);
	must(ioctl(fd, TIOCINQ, &count));
	return count;
}

static int events(int fd)
{
	struct pollfd poll_ = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI};

	must(poll(&poll_, 1, 0));
	return poll_.revents;
}

static void expect(const char *what, int fd, const char *text, size_t size)
{
	char got[4096];
	ssize_t length;

	if (size && !await(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 1)) {
		fail("%s: nothing to read", what);
		return;
	}
	length = read(fd, got, sizeof(got));
	same(what, size, length);
	if (length == (ssize_t)size)
		same_bytes(what, text, got, size);
}

static void on_resize(int signo)
{
	resized = 1;
}

static void session_setup(void *unused)
{
	signal(SIGWINCH, on_resize);
	must(setsid());
	must(ioctl(session.slave, TIOCSCTTY, 0));
	tty = must(open("/dev/tty", O_RDWR | O_CLOEXEC));
}

static pid_t leader, member, loner;
static int word[2];

static void tell(void)
{
	pid_t group = getpid();

	same("size of a message", sizeof(group), write(word[1], &group, sizeof(group)));
}

static void member_setup(void *unused)
{
	signal(SIGWINCH, on_resize);
	signal(SIGTTOU, SIG_IGN);
	must(setpgid(0, 0));
	must(ioctl(tty, TIOCSPGRP, &(pid_t){getpid()}));
	tell();
}

static void member_verify(void *unused)
{
	pid_t group = 0, sid = 0;
	int other = must(open("/dev/tty", O_RDWR));

	must(ioctl(tty, TIOCGPGRP, &group));
	must(ioctl(session.slave, TIOCGSID, &sid));
	same("foreground group, asked by a member", getpid(), group);
	same("session, asked by a member", getsid(0), sid);
	same("size change", 0, resized);
	close(other);
}

static void loner_setup(void *unused)
{
	must(ioctl(tty, TIOCNOTTY));
	tell();
}

static void loner_verify(void *unused)
{
	same("a terminal that was given up", -1, open("/dev/tty", O_RDWR));
}

static void leader_setup(void *unused)
{
	session_setup(NULL);
	member = child(member_setup, member_verify, NULL);
	loner = child(loner_setup, loner_verify, NULL);
	tell();
}

static void leader_verify(void *unused)
{
	pid_t sid = 0;

	must(ioctl(tty, TIOCGSID, &sid));
	same("session of the leader", getpid(), sid);
	same("size change", 0, resized);
	child_verify(member);
	child_verify(loner);
}

static void session_make(void)
{
	struct winsize size = {.ws_row = 33, .ws_col = 111, .ws_xpixel = 5, .ws_ypixel = 7};
	pid_t ids[3];

	make(&session, "/dev/ptmx", true);
	must(ioctl(session.master, TIOCSWINSZ, &size));
	copy = must(dup(session.slave));
	must(pipe(word));
	leader = child(leader_setup, leader_verify, NULL);
	for (int i = 0; i < 3; i++)
		same("size of a message", sizeof(pid_t), read(word[0], &ids[i], sizeof(pid_t)));
	member = ids[0];
}

static void session_verify(void)
{
	struct winsize size;
	pid_t sid = 0, group = 0;

	must(ioctl(session.slave, TIOCGWINSZ, &size));
	same("rows", 33, size.ws_row);
	same("columns", 111, size.ws_col);
	same("width", 5, size.ws_xpixel);
	same("height", 7, size.ws_ypixel);
	must(ioctl(session.master, TIOCGSID, &sid));
	must(ioctl(session.master, TIOCGPGRP, &group));
	same("session of the terminal", leader, sid);
	same("foreground group", member, group);
	same("a copy", 1, isatty(copy));
}

static void modes_make(void)
{
	struct termios2 termios;
	struct termios locks;

	make(&modes, "/dev/pts/ptmx", true);
	close(modes.slave);
	modes.slave = open_slave(&modes, O_WRONLY | O_NONBLOCK);
	termios = settings(modes.master);
	termios.c_lflag &= ~ECHO;
	termios.c_oflag |= OLCUC;
	termios.c_cc[VINTR] = 7;
	termios.c_cflag = (termios.c_cflag & ~CBAUD) | B9600;
	must(ioctl(modes.master, TCSETS2, &termios));
	memset(&locks, 0, sizeof(locks));
	locks.c_lflag = ECHO;
	locks.c_cc[VINTR] = 0xff;
	must(ioctl(modes.master, TIOCSLCKTRMIOS, &locks));
	must(ioctl(modes.master, TIOCPKT, &(int){1}));
	must(ioctl(modes.master, TIOCEXCL));
	must(ioctl(modes.slave, TIOCEXCL));
	must(ioctl(modes.master, TIOCSPTLCK, &(int){1}));
	must(fchown(modes.slave, 1234, 4321));
	must(fchmod(modes.slave, 0642));
}

static void modes_verify(void)
{
	struct termios2 termios = settings(modes.slave);
	struct termios locks;
	struct stat stat;
	int value = 0;

	same("echo", 0, termios.c_lflag & ECHO);
	same("OLCUC", OLCUC, termios.c_oflag & OLCUC);
	same("speed", B9600, termios.c_cflag & CBAUD);
	same("output speed", 9600, termios.c_ospeed);
	same("VINTR", 7, termios.c_cc[VINTR]);
	must(ioctl(modes.master, TIOCGLCKTRMIOS, &locks));
	same("locked flags", ECHO, locks.c_lflag);
	same("locked character", 0xff, locks.c_cc[VINTR]);
	must(ioctl(modes.master, TIOCGPKT, &value));
	same("packet mode", 1, value);
	must(ioctl(modes.master, TIOCGEXCL, &value));
	same("exclusive master", 1, value);
	must(ioctl(modes.slave, TIOCGEXCL, &value));
	same("exclusive slave", 1, value);
	must(ioctl(modes.master, TIOCGPTLCK, &value));
	same("lock", 1, value);
	must(fstat(modes.slave, &stat));
	same("owner", 1234, stat.st_uid);
	same("group", 4321, stat.st_gid);
	same("permissions", 0642, stat.st_mode & 07777);
	same("flags", O_WRONLY | O_NONBLOCK, fcntl(modes.slave, F_GETFL) & ~KERNEL_O_LARGEFILE);
	same("packet's data", 2, write(modes.slave, "ab", 2));
	expect("packet", modes.master, "\0AB", 3);
}

static void setup(void)
{
	struct pair gap;
	struct termios2 termios;

	make(&gap, "/dev/ptmx", false);
	make(&typed, "/dev/ptmx", true);
	type(&typed, input, sizeof(input) - 1);
	make(&raw, "/dev/ptmx", true);
	termios = settings(raw.slave);
	termios.c_lflag &= ~(ICANON | ECHO | ISIG);
	termios.c_iflag = IXON;
	termios.c_oflag = 0;
	termios.c_cc[VMIN] = 200;
	must(ioctl(raw.slave, TCSETS2, &termios));
	type(&raw, "raw\n\004\026 data\0\377", 13);
	check(await(available(raw.slave) == 13), "raw data did not arrive");
	make(&fresh, "/dev/ptmx", false);
	make(&closed, "/dev/ptmx", true);
	same("last words", 6, write(closed.slave, "words\n", 6));
	must(close(closed.slave));
	make(&stopped, "/dev/pts/ptmx", true);
	must(ioctl(stopped.slave, TCXONC, TCOOFF));
	make(&held_back, "/dev/ptmx", true);
	same("before ^S", 6, write(held_back.slave, "before", 6));
	type(&held_back, "\023", 1);
	check(await(!(events(held_back.slave) & POLLOUT)), "^S does not stop");
	session_make();
	modes_make();
	close(gap.master);
	/* What was typed is echoed when it has arrived. */
	check(await(available(typed.master) >= ECHOED), "no echo: %d", available(typed.master));
}

static void typed_verify(void)
{
	char echo[256];
	int size = must(read(typed.master, echo, sizeof(echo)));

	check(size >= ECHOED && !memcmp(echo, "one\r\ntwo ", 9), "another echo of %d bytes", size);
	expect("first line", typed.slave, "one\n", 4);
	expect("line with a quoted newline", typed.slave, "two \nthree\n", 11);
	expect("line without a newline", typed.slave, "four", 4);
	expect("end of file", typed.slave, "", 0);
	same("half a line", 0, available(typed.slave));
	type(&typed, "ne\n", 3);
	expect("completed line", typed.slave, "half \004a line\n", 13);
	expect("its echo", typed.master, "ne\r\n", 4);
}

static void verify(void)
{
	char path[32];

	for (struct pair *const *pair =
		     (struct pair *const[]){&typed, &raw, &fresh, &closed, &stopped, &held_back,
					    &session, &modes, NULL};
	     *pair; pair++) {
		int index = -1;

		must(ioctl((*pair)->master, TIOCGPTN, &index));
		same("index", (*pair)->index, index);
	}
	typed_verify();
	same("raw data", 13, available(raw.slave));
	same("VMIN", 200, settings(raw.slave).c_cc[VMIN]);
	must(ioctl(raw.slave, TCFLSH, TCIFLUSH));
	same("no hangup", POLLOUT, events(fresh.master));
	snprintf(path, sizeof(path), "/dev/pts/%d", fresh.index);
	same("locked", -1, open(path, O_RDWR | O_NOCTTY));
	check(events(closed.master) & POLLHUP, "no hangup: %#x", events(closed.master));
	expect("last words", closed.master, "words\r\n", 7);
	same("after them", -1, read(closed.master, path, 1));
	same("stopped", 0, events(stopped.slave) & POLLOUT);
	must(ioctl(stopped.slave, TCXONC, TCOON));
	same("started", POLLOUT, events(stopped.slave) & POLLOUT);
	same("stopped by ^S", 0, events(held_back.slave) & POLLOUT);
	expect("written before ^S", held_back.master, "before", 6);
	type(&held_back, "\021", 1);
	check(await(events(held_back.slave) & POLLOUT), "^Q does not start");
	session_verify();
	modes_verify();
}

const struct scenario scenario = {
	.about = "pseudo terminals with both ends in the tree",
	.setup = setup,
	.verify = verify,
};
