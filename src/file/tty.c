/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Terminals that come from outside the tree (--shell-job).  On restore the terminal of stasis takes
 * the place of the one there was, with its settings; the size is the new one's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <asm/termbits.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "file/internal.h"
#include "task/proc.h"
#include "images/tty.pb-c.h"
#include "task/proc.h"
#include "task/task.h"

/* Documentation/admin-guide/devices.txt */
enum { VT_MAJOR = 4, TTY_MAJOR = 5, PTS_MAJOR = 136, PTS_LAST_MAJOR = 143 };
enum { CTTY_MINOR = 0, PTMX_MINOR = 2, FIRST_SERIAL_MINOR = 64 };

struct tty_state {
	dev_t device; /* dump: of the one terminal there may be; 0: none yet */
	ARRAY(TtyInfoEntry *) terminals;
	struct hash by_id;
	int own; /* restore: stasis' own terminal */
	bool opened;
};

static struct tty_state *tty_state(struct checkpoint *checkpoint)
{
	struct file_state *files = checkpoint->files.state;

	if (!files->terminals)
		files->terminals = arena_new_object(checkpoint->arena, struct tty_state);
	return files->terminals;
}

/* ---- dump ----------------------------------------------------------------------------------- */

static bool is_pts(dev_t device)
{
	return major(device) >= PTS_MAJOR && major(device) <= PTS_LAST_MAJOR;
}

static bool is_controlling(dev_t device)
{
	return major(device) == TTY_MAJOR && minor(device) == CTTY_MINOR;
}

static bool recognize(const struct description *description)
{
	dev_t device = description->stat.st_rdev;

	return S_ISCHR(description->stat.st_mode) && !(description->flags & O_PATH) &&
	       (major(device) == VT_MAJOR || major(device) == TTY_MAJOR || is_pts(device) ||
		isatty(description->fd));
}

/* The controlling terminal of the task and its foreground group: fields 7 and 8 of stat. */
static int read_session(const struct task *task, dev_t *device, pid_t *foreground)
{
	char text[1024];
	ssize_t size = proc_read(task, "stat", text, sizeof(text));
	const char *end = size < 0 ? NULL : strrchr(text, ')');
	unsigned int number;

	if (!end || sscanf(end + 1, " %*c %*d %*d %*d %u %d", &number, foreground) != 2)
		return size < 0 ? (int)size : -EINVAL;
	*device = makedev(number >> 8 & 0xfff, (number & 0xff) | (number >> 12 & 0xfff00));
	return 0;
}

/* A process group as the images call it, which is `number` to stasis; outside the tree, the same.
 */
static pid_t group_id(const struct checkpoint *checkpoint, pid_t number)
{
	tree_each_task (&checkpoint->tree, task)
		if (task->stat->pgrp == number)
			return task->pgid;
	return number;
}

/* Is it the one terminal that a shell gave to the tree? */
static int survey(struct checkpoint *checkpoint, struct description *description, dev_t controlling)
{
	struct tty_state *state = tty_state(checkpoint);
	struct subject subject = description_subject(description);
	dev_t device = description->stat.st_rdev;

	if (device == makedev(TTY_MAJOR, PTMX_MINOR))
		return REFUSE(subject, "close it before the dump",
			      "pseudo terminals whose master is dumped are a later capability");
	if (!checkpoint->options->shell_job)
		return REFUSE(subject,
			      "dump with --shell-job, or start the program without a terminal",
			      "it is a terminal from outside the dumped tree");
	if (controlling && hash_get(&checkpoint->tree.by_id, description->task->sid))
		return REFUSE(subject, "dump a job of the shell, not the shell itself",
			      "it is the terminal of a session that is dumped, which is a later "
			      "capability");
	if (is_controlling(device))
		device = controlling;
	if (controlling && device != controlling)
		return REFUSE(subject, "close it before the dump",
			      "it is not the terminal of the session");
	if (state->device && device != state->device)
		return REFUSE(subject, "close it before the dump",
			      "the programs have several terminals (%u:%u and %u:%u)",
			      major(state->device), minor(state->device), major(device),
			      minor(device));
	state->device = device;
	return 0;
}

static TermiosEntry *describe_settings(struct checkpoint *checkpoint,
				       const struct termios2 *termios)
{
	TermiosEntry *entry = ARENA_MESSAGE(checkpoint->arena, termios_entry, TermiosEntry);

	entry->c_iflag = termios->c_iflag;
	entry->c_oflag = termios->c_oflag;
	entry->c_cflag = termios->c_cflag;
	entry->c_lflag = termios->c_lflag;
	entry->c_line = termios->c_line;
	entry->c_ispeed = termios->c_ispeed;
	entry->c_ospeed = termios->c_ospeed;
	entry->n_c_cc = NCCS;
	entry->c_cc = arena_new_array(checkpoint->arena, uint32_t, NCCS);
	for (size_t i = 0; i < NCCS; i++)
		entry->c_cc[i] = termios->c_cc[i];
	return entry;
}

static TtyType type_of(dev_t device)
{
	if (is_controlling(device))
		return TTY_TYPE__CTTY;
	if (is_pts(device))
		return TTY_TYPE__PTY;
	if (major(device) == TTY_MAJOR)
		return TTY_TYPE__CONSOLE;
	if (major(device) == VT_MAJOR && minor(device) < FIRST_SERIAL_MINOR)
		return TTY_TYPE__VT;
	return TTY_TYPE__SERIAL;
}

static int describe_terminal(struct checkpoint *checkpoint, struct description *description,
			     TtyInfoEntry *info)
{
	WinsizeEntry *size = ARENA_MESSAGE(checkpoint->arena, winsize_entry, WinsizeEntry);
	dev_t device = description->stat.st_rdev;
	struct termios2 termios;
	struct winsize winsize;
	int exclusive = 0;

	if (ioctl(description->fd, TCGETS2, &termios) < 0 ||
	    ioctl(description->fd, TIOCGWINSZ, &winsize) < 0 ||
	    (ioctl(description->fd, TIOCGEXCL, &exclusive) < 0 && errno != ENOTTY))
		return REFUSE(description_subject(description), "close it before the dump",
			      "the terminal is gone: %s", strerror(errno));
	info->type = type_of(device);
	info->exclusive = exclusive;
	info->rdev = device;
	info->has_dev = info->has_uid = info->has_gid = true;
	info->dev = description->stat.st_dev;
	info->uid = description->stat.st_uid;
	info->gid = description->stat.st_gid;
	info->termios = describe_settings(checkpoint, &termios);
	size->ws_row = winsize.ws_row;
	size->ws_col = winsize.ws_col;
	size->ws_xpixel = winsize.ws_xpixel;
	size->ws_ypixel = winsize.ws_ypixel;
	info->winsize = size;
	if (is_pts(device)) {
		info->pty = ARENA_MESSAGE(checkpoint->arena, tty_pty_entry, TtyPtyEntry);
		info->pty->index = (major(device) - PTS_MAJOR) * 256 + minor(device);
	}
	return 0;
}

/* One entry a device: /dev/tty and what it stands for are two. */
static int find_terminal(struct checkpoint *checkpoint, struct description *description,
			 pid_t foreground, bool controlling, TtyInfoEntry **result)
{
	struct tty_state *state = tty_state(checkpoint);
	TtyInfoEntry *info;

	array_each (&state->terminals, each)
		if ((*each)->rdev == description->stat.st_rdev) {
			*result = *each;
			return 0;
		}
	*result = info = ARENA_MESSAGE(checkpoint->arena, tty_info_entry, TtyInfoEntry);
	info->id = state->terminals.count + 1;
	if (controlling) {
		info->sid = description->task->sid;
		info->pgrp = foreground > 0 ? group_id(checkpoint, foreground) : 0;
	}
	*(TtyInfoEntry **)array_push(&state->terminals) = info;
	return describe_terminal(checkpoint, description, info);
}

static int describe(struct checkpoint *checkpoint, struct description *description)
{
	TtyFileEntry *entry = ARENA_MESSAGE(checkpoint->arena, tty_file_entry, TtyFileEntry);
	struct description *path;
	TtyInfoEntry *info = NULL;
	dev_t controlling = 0;
	pid_t foreground = 0;
	int error = read_session(description->task, &controlling, &foreground);

	description->entry->tty = entry;
	if (error)
		return FAIL(-error, task_subject(description->task), NULL,
			    "its terminal is not known: %s", strerror(-error));
	error = survey(checkpoint, description, controlling);
	if (!error)
		error = find_terminal(checkpoint, description, foreground, controlling, &info);
	if (error)
		return error;
	path = description_new(checkpoint, description, &regular_kind);
	entry->id = description->id;
	entry->tty_info_id = info->id;
	entry->flags = description->flags;
	entry->fown = description->owner;
	entry->has_regf_id = true;
	entry->regf_id = path->id;
	path_fill(checkpoint, path); /* not used: another terminal takes its place */
	return 0;
}

int ttys_write(struct checkpoint *checkpoint)
{
	struct tty_state *state = tty_state(checkpoint);
	struct image_writer *writer;

	if (!state->terminals.count)
		return image_remove(checkpoint->images, IMAGE_TTY_INFO, 0);
	writer = image_create(checkpoint->images, IMAGE_TTY_INFO, 0);
	array_each (&state->terminals, info)
		image_put(writer, *info);
	return image_finish(writer);
}

/* ---- restore -------------------------------------------------------------------------------- */

static int take(struct checkpoint *checkpoint, struct description *description)
{
	const TtyFileEntry *entry = description->entry->tty;

	if (!entry)
		return file_damaged(description, "it is no terminal");
	if (!checkpoint->options->shell_job)
		return FAIL(ENOTTY, description_subject(description),
			    "restore with --shell-job in the terminal that it is to have",
			    "it is a terminal from outside the dumped tree");
	description->flags = entry->flags;
	description->owner = entry->fown;
	return 0;
}

int ttys_read(struct checkpoint *checkpoint)
{
	struct tty_state *state = tty_state(checkpoint);
	struct image_reader *reader = NULL;
	TtyInfoEntry *info;
	int result = 0;
	int got = image_open(checkpoint->images, IMAGE_TTY_INFO, 0, checkpoint->arena, &reader);

	if (got == -ENOENT)
		got = 0;
	while (reader && !got && (got = image_get(reader, &info)) == 1) {
		hash_put(&state->by_id, info->id, info);
		*(TtyInfoEntry **)array_push(&state->terminals) = info;
		got = 0;
	}
	image_close(reader);
	array_each (&checkpoint->files.descriptions, each) {
		struct description *description = *each;
		TtyFileEntry *entry = description->entry->tty;

		if (description->kind != &tty_kind || !entry)
			continue;
		description->state = hash_get(&state->by_id, entry->tty_info_id);
		if (!description->state)
			result = file_damaged(description, "tty-info.img does not have it");
	}
	return result ? result : got;
}

/* One of our standard descriptors, else the terminal of our session. */
static int own_terminal(struct checkpoint *checkpoint)
{
	struct tty_state *state = tty_state(checkpoint);

	if (state->opened)
		return state->own;
	state->opened = true;
	state->own = -1;
	for (int fd = 0; fd <= 2 && state->own < 0; fd++)
		if (isatty(fd))
			state->own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (state->own < 0)
		state->own = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	return state->own;
}

static int make(struct checkpoint *checkpoint, struct description *description)
{
	const TtyInfoEntry *info = description->state;
	unsigned int flags = description->flags | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
	int own = own_terminal(checkpoint);

	if (own >= 0 && info->type == TTY_TYPE__CTTY)
		description->fd = open("/dev/tty", flags);
	else if (own >= 0)
		description->fd = file_reopen(own, flags);
	if (own < 0 || description->fd < 0)
		return FAIL(ENOTTY, description_subject(description),
			    "run stasis restore in a terminal", "there is no terminal to give it");
	return file_set_flags(description) ? FAIL(errno, description_subject(description), NULL,
						  "its flags cannot be set: %s", strerror(errno))
					   : 0;
}

/* We may be in the background ourselves. */
static int set_terminal(int fd, unsigned long request, const void *argument)
{
	sigset_t stop, before;
	int result;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTTOU);
	sigprocmask(SIG_BLOCK, &stop, &before);
	result = ioctl(fd, request, argument) < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	return result;
}

static int restore_settings(const struct tty_state *state, const TtyInfoEntry *info)
{
	const TermiosEntry *entry = info->termios;
	struct termios2 termios;

	if (ioctl(state->own, TCGETS2, &termios) < 0)
		return -errno;
	termios.c_iflag = entry->c_iflag;
	termios.c_oflag = entry->c_oflag;
	termios.c_cflag = entry->c_cflag;
	termios.c_lflag = entry->c_lflag;
	termios.c_line = entry->c_line;
	termios.c_ispeed = entry->c_ispeed;
	termios.c_ospeed = entry->c_ospeed;
	for (size_t i = 0; i < NCCS && i < entry->n_c_cc; i++)
		termios.c_cc[i] = entry->c_cc[i];
	return set_terminal(state->own, TCSETS2, &termios);
}

/* The group as it is now: that of a shell's job is the one that stasis itself is in. */
static pid_t foreground_group(struct checkpoint *checkpoint, const struct tty_state *state)
{
	array_each (&state->terminals, each)
		tree_each_task (&checkpoint->tree, task)
			if ((*each)->pgrp && task->pgid == (pid_t)(*each)->pgrp)
				return getpgid(task->pid);
	return 0;
}

int files_foreground(struct checkpoint *checkpoint)
{
	struct tty_state *state = checkpoint->files.state->terminals;
	pid_t group;
	int error = 0;

	if (!state || !state->opened || state->own < 0)
		return 0;
	if (tcgetpgrp(state->own) != getpgrp()) {
		log_warn("stasis runs in the background: the terminal is left as it is");
		return 0;
	}
	array_each (&state->terminals, info)
		if (!error && (*info)->termios)
			error = restore_settings(state, *info);
	group = foreground_group(checkpoint, state);
	if (!error && group > 0 && group != getpgrp())
		error = set_terminal(state->own, TIOCSPGRP, &group);
	return error ? FAIL(-error, SUBJECT("the terminal"), NULL,
			    "its settings and foreground group cannot be set: %s", strerror(-error))
		     : 0;
}

void ttys_close(struct checkpoint *checkpoint, bool failed)
{
	struct tty_state *state = checkpoint->files.state->terminals;

	if (!state)
		return;
	if (state->opened)
		fd_close(&state->own);
	array_free(&state->terminals);
	hash_free(&state->by_id);
}

const struct file_kind tty_kind = {
	.name = "terminal",
	.type = FD_TYPES__TTY,
	.recognize = recognize,
	.describe = describe,
	.read = take,
	.make = make,
};
