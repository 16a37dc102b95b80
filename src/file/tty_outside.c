/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Terminals that come from outside the tree (--shell-job).  On restore the terminal of stasis takes
 * the place of the one there was, with its settings; the size is the new one's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/log.h"
#include "file/internal.h"
#include "file/tty.h"
#include "task/proc.h"
#include "task/task.h"

/* ---- dump ----------------------------------------------------------------------------------- */

/* Is it the one terminal that a shell gave to the tree? */
static int survey(struct checkpoint *checkpoint, struct description *description)
{
	struct tty_state *state = tty_state(checkpoint);
	struct subject subject = description_subject(description);
	dev_t controlling = description->task->stat->terminal;
	dev_t device = description->stat.st_rdev;

	if (!checkpoint->options->shell_job)
		return REFUSE(subject,
			      "dump with --shell-job, or start the program without a terminal",
			      "it is a terminal from outside the dumped tree");
	if (controlling && hash_get(&checkpoint->tree.by_id, description->task->sid))
		return REFUSE(subject, "dump a job of the shell, not the shell itself",
			      "it is the terminal of a session that is dumped, whose master is "
			      "outside");
	if (tty_is_controlling(device))
		device = controlling;
	if (controlling && device != controlling)
		return REFUSE(subject, "close it before the dump",
			      "it is not the terminal of the session");
	if (state->outside && device != state->outside)
		return REFUSE(subject, "close it before the dump",
			      "the programs have several terminals (%u:%u and %u:%u)",
			      major(state->outside), minor(state->outside), major(device),
			      minor(device));
	state->outside = device;
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

/* One entry a device: /dev/tty and what it stands for are two. */
static TtyInfoEntry *find_info(struct checkpoint *checkpoint, struct description *description)
{
	const struct proc_stat *session = description->task->stat;
	struct tty_state *state = tty_state(checkpoint);
	TtyInfoEntry *info;

	array_each (&state->infos, each)
		if ((*each)->rdev == description->stat.st_rdev &&
		    (*each)->dev == description->stat.st_dev)
			return *each;
	info = tty_describe(checkpoint, description, &description->stat);
	if (info && session->terminal) {
		info->sid = description->task->sid;
		info->pgrp =
			session->foreground > 0 ? group_id(checkpoint, session->foreground) : 0;
	}
	return info;
}

int outside_describe(struct checkpoint *checkpoint, struct description *description)
{
	struct terminal *terminal = description->state;
	int error = survey(checkpoint, description);

	if (error)
		return error;
	terminal->info = find_info(checkpoint, description);
	return terminal->info ? 0 : -EOPNOTSUPP;
}

/* ---- restore -------------------------------------------------------------------------------- */

int outside_read(struct checkpoint *checkpoint, struct description *description)
{
	return checkpoint->options->shell_job
		       ? 0
		       : FAIL(ENOTTY, description_subject(description),
			      "restore with --shell-job in the terminal that it is to have",
			      "it is a terminal from outside the dumped tree");
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

int outside_make(struct checkpoint *checkpoint, struct description *description)
{
	const struct terminal *terminal = description->state;
	unsigned int flags = description->flags | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
	int own = own_terminal(checkpoint);

	if (own >= 0 && terminal->info->type == TTY_TYPE__CTTY)
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
	struct termios2 termios;
	int error = tty_settings(state->own, info->termios, &termios);

	return error ? error : set_terminal(state->own, TCSETS2, &termios);
}

/* The group as it is now: that of a shell's job is the one that stasis itself is in. */
static pid_t foreground_group(struct checkpoint *checkpoint, const TtyInfoEntry *info)
{
	tree_each_task (&checkpoint->tree, task)
		if (info->pgrp && task->pgid == (pid_t)info->pgrp)
			return getpgid(task->pid);
	return 0;
}

int outside_foreground(struct checkpoint *checkpoint)
{
	struct tty_state *state = tty_state(checkpoint);
	pid_t group = 0;
	int error = 0;

	if (!state->opened || state->own < 0)
		return 0;
	if (tcgetpgrp(state->own) != getpgrp()) {
		log_warn("stasis runs in the background: the terminal is left as it is");
		return 0;
	}
	array_each (&state->infos, info) {
		if (hash_get(&state->by_info, (*info)->id))
			continue;
		if (!error && (*info)->termios)
			error = restore_settings(state, *info);
		if (!group)
			group = foreground_group(checkpoint, *info);
	}
	if (!error && group > 0 && group != getpgrp())
		error = set_terminal(state->own, TIOCSPGRP, &group);
	return error ? FAIL(-error, SUBJECT("the terminal"), NULL,
			    "its settings and foreground group cannot be set: %s", strerror(-error))
		     : 0;
}
