/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Terminals: what they have in common, and which is which.  One whose master is in the tree is
 * brought back with it (pty.c); others come from outside (tty_outside.c).
 */
#include "file/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "file/internal.h"

struct tty_state *tty_state(struct checkpoint *checkpoint)
{
	struct file_state *files = checkpoint->files.state;

	if (!files->terminals)
		files->terminals = arena_new_object(checkpoint->arena, struct tty_state);
	return files->terminals;
}

bool tty_is_pts(dev_t device)
{
	return major(device) >= PTS_MAJOR && major(device) <= PTS_LAST_MAJOR;
}

bool tty_is_controlling(dev_t device)
{
	return device == makedev(TTY_MAJOR, CTTY_MINOR);
}

static bool is_master(dev_t device)
{
	return device == makedev(TTY_MAJOR, PTMX_MINOR);
}

/* ---- dump ----------------------------------------------------------------------------------- */

static bool recognize(const struct description *description)
{
	dev_t device = description->stat.st_rdev;

	return S_ISCHR(description->stat.st_mode) && !(description->flags & O_PATH) &&
	       (major(device) == VT_MAJOR || major(device) == TTY_MAJOR || tty_is_pts(device) ||
		isatty(description->fd));
}

static TermiosEntry *termios_entry(struct checkpoint *checkpoint, const struct termios2 *termios)
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
	if (tty_is_controlling(device))
		return TTY_TYPE__CTTY;
	if (tty_is_pts(device) || is_master(device))
		return TTY_TYPE__PTY;
	if (major(device) == TTY_MAJOR)
		return TTY_TYPE__CONSOLE;
	if (major(device) == VT_MAJOR && minor(device) < FIRST_SERIAL_MINOR)
		return TTY_TYPE__VT;
	return TTY_TYPE__SERIAL;
}

TtyInfoEntry *tty_describe(struct checkpoint *checkpoint, const struct description *description,
			   const struct stat *stat)
{
	TtyInfoEntry *info = ARENA_MESSAGE(checkpoint->arena, tty_info_entry, TtyInfoEntry);
	WinsizeEntry *size = ARENA_MESSAGE(checkpoint->arena, winsize_entry, WinsizeEntry);
	struct tty_state *state = tty_state(checkpoint);
	int fd = description->fd, exclusive = 0;
	dev_t device = stat->st_rdev;
	struct termios2 termios;
	struct winsize winsize;

	if (ioctl(fd, TCGETS2, &termios) < 0 || ioctl(fd, TIOCGWINSZ, &winsize) < 0 ||
	    (ioctl(fd, TIOCGEXCL, &exclusive) < 0 && errno != ENOTTY)) {
		REFUSE(description_subject(description), "close it before the dump",
		       "the terminal is gone: %s", strerror(errno));
		return NULL;
	}
	*array_push(&state->infos) = info;
	info->id = state->infos.count;
	info->type = type_of(device);
	info->exclusive = exclusive;
	info->rdev = device;
	info->has_dev = info->has_uid = info->has_gid = true;
	info->dev = stat->st_dev;
	info->uid = stat->st_uid;
	info->gid = stat->st_gid;
	info->termios = termios_entry(checkpoint, &termios);
	size->ws_row = winsize.ws_row;
	size->ws_col = winsize.ws_col;
	size->ws_xpixel = winsize.ws_xpixel;
	size->ws_ypixel = winsize.ws_ypixel;
	info->winsize = size;
	if (tty_is_pts(device)) {
		info->pty = ARENA_MESSAGE(checkpoint->arena, tty_pty_entry, TtyPtyEntry);
		info->pty->index = (major(device) - PTS_MAJOR) * 256 + minor(device);
	}
	return info;
}

static int describe(struct checkpoint *checkpoint, struct description *description)
{
	TtyFileEntry *entry = ARENA_MESSAGE(checkpoint->arena, tty_file_entry, TtyFileEntry);
	struct terminal *terminal = arena_new_object(checkpoint->arena, struct terminal);

	terminal->path = description_new(checkpoint, description, &regular_kind);
	path_fill(checkpoint, terminal->path); /* of one from outside, it is only shown */
	entry->id = description->id;
	entry->flags = description->flags;
	entry->fown = description->owner;
	entry->has_regf_id = true;
	entry->regf_id = terminal->path->id;
	description->entry->tty = entry;
	description->state = terminal;
	return is_master(description->stat.st_rdev) ? pair_describe(checkpoint, description) : 0;
}

/* Whose slave it is can be told when all masters are known. */
static int check(struct checkpoint *checkpoint, struct description *description)
{
	struct terminal *terminal = description->state;
	autofd int fd = file_fetch(description);
	struct pair *pair;
	int error = 0;

	if (fd < 0)
		return FAIL(-fd, description_subject(description), NULL, "cannot be fetched: %s",
			    strerror(-fd));
	description->fd = fd;
	if (!terminal->pair) {
		pair = pair_of(checkpoint, description);
		error = pair ? pair_join(checkpoint, description, pair)
			     : outside_describe(checkpoint, description);
	}
	if (!error && terminal->pair) {
		terminal->path->fd = fd;
		error = path_describe(checkpoint, terminal->path);
		terminal->path->fd = -1;
	}
	if (!error)
		description->entry->tty->tty_info_id = terminal->info->id;
	description->fd = -1;
	return error;
}

int ttys_check(struct checkpoint *checkpoint)
{
	return pairs_check(checkpoint);
}

int ttys_store(struct checkpoint *checkpoint)
{
	return pairs_store(checkpoint);
}

static int write_data(struct checkpoint *checkpoint, const struct tty_state *state)
{
	struct image_writer *writer = NULL;

	array_each (&state->pairs, pair) {
		const TtyDataEntry *both[] = {(*pair)->output, (*pair)->input};

		for (size_t i = 0; i < 2; i++) {
			if (!both[i])
				continue;
			if (!writer)
				writer = image_create(checkpoint->images, IMAGE_TTY_DATA, 0);
			image_put(writer, both[i]);
		}
	}
	return writer ? image_finish(writer) : image_remove(checkpoint->images, IMAGE_TTY_DATA, 0);
}

int ttys_write(struct checkpoint *checkpoint)
{
	struct tty_state *state = tty_state(checkpoint);
	struct image_writer *writer;
	int error;

	if (!state->infos.count)
		return image_remove(checkpoint->images, IMAGE_TTY_INFO, 0);
	writer = image_create(checkpoint->images, IMAGE_TTY_INFO, 0);
	array_each (&state->infos, info)
		image_put(writer, *info);
	error = image_finish(writer);
	return error ? error : write_data(checkpoint, state);
}

/* ---- restore -------------------------------------------------------------------------------- */

static int take(struct checkpoint *checkpoint, struct description *description)
{
	const TtyFileEntry *entry = description->entry->tty;

	if (!entry)
		return file_damaged(description, "it is no terminal");
	description->flags = entry->flags;
	description->owner = entry->fown;
	return 0;
}

static int read_infos(struct checkpoint *checkpoint)
{
	struct tty_state *state = tty_state(checkpoint);
	struct image_reader *reader = NULL;
	TtyInfoEntry *info;
	int got = image_open(checkpoint->images, IMAGE_TTY_INFO, 0, checkpoint->arena, &reader);

	if (got == -ENOENT)
		return 0;
	while (!got && (got = image_get(reader, &info)) == 1) {
		got = 0;
		*array_push(&state->infos) = info;
		if (hash_put(&state->by_id, info->id, info))
			got = FAIL(EBADMSG, SUBJECT("tty-info.img"),
				   "take another copy of the checkpoint", "the id %u comes twice",
				   info->id);
	}
	image_close(reader);
	return got;
}

/* The terminal of an open file. */
static int find_terminal(struct checkpoint *checkpoint, struct description *description)
{
	const TtyFileEntry *entry = description->entry->tty;
	struct tty_state *state = tty_state(checkpoint);
	struct terminal *terminal = arena_new_object(checkpoint->arena, struct terminal);

	terminal->info = hash_get(&state->by_id, entry->tty_info_id);
	if (entry->has_regf_id)
		terminal->path = hash_get(&checkpoint->files.by_id, entry->regf_id);
	description->state = terminal;
	if (!terminal->info)
		return file_damaged(description, "tty-info.img does not have it");
	terminal->pair = hash_get(&state->by_info, terminal->info->id);
	if (!terminal->pair)
		return outside_read(checkpoint, description);
	if (!terminal->path || terminal->path->kind != &regular_kind)
		return file_damaged(description, "its path is missing");
	if (terminal->info == terminal->pair->slave)
		return 0;
	if (terminal->pair->file)
		return file_damaged(description, "its terminal has two masters");
	terminal->pair->file = description;
	return 0;
}

int ttys_read(struct checkpoint *checkpoint)
{
	int result = read_infos(checkpoint);

	if (!result)
		result = pairs_read(checkpoint);
	if (result)
		return result;
	array_each (&checkpoint->files.descriptions, each)
		if ((*each)->kind == &tty_kind && (*each)->entry->tty) {
			int error = find_terminal(checkpoint, *each);

			result = result ? result : error;
		}
	array_each (&tty_state(checkpoint)->pairs, pair)
		if (!(*pair)->file && !result)
			result = FAIL(EBADMSG, SUBJECT("tty-info.img"),
				      "take another copy of the checkpoint",
				      "nobody has the master of terminal %u",
				      (*pair)->slave->pty->index);
	return result;
}

int tty_settings(int fd, const TermiosEntry *entry, struct termios2 *termios)
{
	if (ioctl(fd, TCGETS2, termios) < 0)
		return -errno;
	termios->c_iflag = entry->c_iflag;
	termios->c_oflag = entry->c_oflag;
	termios->c_cflag = entry->c_cflag;
	termios->c_lflag = entry->c_lflag;
	termios->c_line = entry->c_line;
	termios->c_ispeed = entry->c_ispeed;
	termios->c_ospeed = entry->c_ospeed;
	for (size_t i = 0; i < NCCS && i < entry->n_c_cc; i++)
		termios->c_cc[i] = entry->c_cc[i];
	return 0;
}

static int make(struct checkpoint *checkpoint, struct description *description)
{
	const struct terminal *terminal = description->state;

	return terminal->pair ? pairs_make(checkpoint) : outside_make(checkpoint, description);
}

int files_foreground(struct checkpoint *checkpoint)
{
	int error;

	if (!checkpoint->files.state->terminals)
		return 0;
	error = pairs_foreground(checkpoint);
	return error ? error : outside_foreground(checkpoint);
}

void ttys_close(struct checkpoint *checkpoint, bool failed)
{
	struct tty_state *state = checkpoint->files.state->terminals;

	if (!state)
		return;
	pairs_close(checkpoint);
	if (state->opened)
		fd_close(&state->own);
	array_free(&state->infos);
	array_free(&state->pairs);
	hash_free(&state->by_id);
	hash_free(&state->by_place);
	hash_free(&state->by_info);
	hash_free(&state->by_session);
}

const struct file_kind tty_kind = {
	.name = "terminal",
	.type = FD_TYPES__TTY,
	.recognize = recognize,
	.describe = describe,
	.check = check,
	.read = take,
	.make = make,
};
