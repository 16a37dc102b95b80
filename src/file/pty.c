/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pseudo terminals whose master is in the tree: tmux, script, expect and the like.  A pair is known
 * by its devpts and its index there.  On restore all pairs are made together, in the order of their
 * indexes, since a devpts gives the lowest that is free.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "checkpoint/grow.h"
#include "file/internal.h"
#include "file/tty.h"
#include "task/proc.h"
#include "task/task.h"

enum { MOST_INDEXES = 1 << 20 /* NR_UNIX98_PTY_MAX */ };

static const char close_it[] = "close it before the dump";

/* ---- dump: masters -------------------------------------------------------------------------- */

static TermiosEntry *describe_locks(struct checkpoint *checkpoint, const struct termios *locks)
{
	TermiosEntry *entry = ARENA_MESSAGE(checkpoint->arena, termios_entry, TermiosEntry);

	entry->c_iflag = locks->c_iflag;
	entry->c_oflag = locks->c_oflag;
	entry->c_cflag = locks->c_cflag;
	entry->c_lflag = locks->c_lflag;
	entry->c_line = locks->c_line;
	entry->n_c_cc = NCCS;
	entry->c_cc = arena_new_array(checkpoint->arena, uint32_t, NCCS);
	for (size_t i = 0; i < NCCS; i++)
		entry->c_cc[i] = locks->c_cc[i];
	return entry;
}

/* What only the master can tell. */
static int describe_master(struct checkpoint *checkpoint, struct pair *pair, int fd)
{
	struct pollfd poll_ = {.fd = fd, .events = POLLIN | POLLPRI};
	struct subject subject = description_subject(pair->file);
	int locked, packets, discipline;
	struct termios locks;
	pid_t group = 0, session = 0;

	if (ioctl(fd, TIOCGPTLCK, &locked) < 0 || ioctl(fd, TIOCGPKT, &packets) < 0 ||
	    ioctl(fd, TIOCGETD, &discipline) < 0 || ioctl(fd, TIOCGLCKTRMIOS, &locks) < 0 ||
	    poll(&poll_, 1, 0) < 0)
		return FAIL(errno, subject, NULL, "its state cannot be read: %s", strerror(errno));
	if (discipline || pair->slave->termios->c_line)
		return REFUSE(subject, close_it, "line discipline %u is not carried over",
			      discipline ? (unsigned)discipline : pair->slave->termios->c_line);
	if (poll_.revents & POLLPRI)
		return REFUSE(subject, "let the program read it before the dump",
			      "it has a change of state that was not read yet (TIOCPKT)");
	if (ioctl(fd, TIOCGSID, &session) == 0)
		ioctl(fd, TIOCGPGRP, &group);
	pair->master->locked = pair->slave->locked = locked;
	pair->master->packet_mode = packets;
	pair->slave->termios_locked = describe_locks(checkpoint, &locks);
	pair->slave->sid = session;
	pair->slave->pgrp = group;
	/* A hangup: all slaves have been closed. */
	pair->slave->has_opened = true;
	pair->slave->opened = session || (poll_.revents & POLLHUP);
	return 0;
}

int pair_describe(struct checkpoint *checkpoint, struct description *description)
{
	struct tty_state *state = tty_state(checkpoint);
	struct terminal *terminal = description->state;
	/* With O_PATH it is not opened, which would change it. */
	autofd int node = ioctl(description->fd, TIOCGPTPEER, O_PATH | O_CLOEXEC);
	struct pair *pair = arena_new_object(checkpoint->arena, struct pair);
	struct stat stat;

	if (node < 0 || fstat(node, &stat) < 0)
		return REFUSE(description_subject(description),
			      "have its devpts mounted at pts beside it",
			      "its slave cannot be reached: %s", strerror(errno));
	*pair = (struct pair){.file = description, .held = -1};
	pair->slave = tty_describe(checkpoint, description, &stat);
	pair->master =
		pair->slave ? tty_describe(checkpoint, description, &description->stat) : NULL;
	if (!pair->master)
		return -EOPNOTSUPP;
	pair->master->pty = pair->slave->pty;
	pair->master->has_peer = true;
	pair->master->peer = pair->slave->id;
	pair->slave->exclusive = false; /* that was the master's */
	pair->slave->has_mode = true;
	pair->slave->mode = stat.st_mode & 07777;
	terminal->info = pair->master;
	terminal->pair = pair;
	*array_push(&state->pairs) = pair;
	hash_put(&state->by_place, hash_mix(stat.st_dev, stat.st_rdev), pair);

	int error = describe_master(checkpoint, pair, description->fd);

	if (!error && pair->slave->sid)
		hash_put(&state->by_session, pair->slave->sid, pair);
	return error;
}

/* ---- dump: slaves --------------------------------------------------------------------------- */

/* Is the descriptor, of /dev/tty, of the controlling terminal that its task has now? */
static bool is_own(const struct description *description)
{
	struct batch batch;
	uint64_t address;
	bool result;

	batch_begin(&batch, task_leader(description->task));
	batch_data(&batch, sizeof(pid_t), &address);
	batch_call(&batch, SYS_ioctl, description->number, TIOCGSID, address);
	result = batch_run(&batch) == 0 && batch_result(&batch, 0) == 0;
	batch_end(&batch);
	return result;
}

struct pair *pair_of(struct checkpoint *checkpoint, const struct description *description)
{
	struct tty_state *state = tty_state(checkpoint);
	const struct stat *stat = &description->stat;

	if (tty_is_pts(stat->st_rdev))
		return hash_get(&state->by_place, hash_mix(stat->st_dev, stat->st_rdev));
	if (tty_is_controlling(stat->st_rdev) && is_own(description))
		return hash_get(&state->by_session, description->task->stat->session);
	return NULL;
}

int pair_join(struct checkpoint *checkpoint, struct description *description, struct pair *pair)
{
	struct terminal *terminal = description->state;
	struct termios2 termios;

	/* After a vhangup(2), the pair may be in use again, but not by who had it open. */
	if (ioctl(description->fd, TCGETS2, &termios) < 0)
		return REFUSE(description_subject(description), close_it,
			      "the terminal is gone: %s", strerror(errno));
	terminal->pair = pair;
	terminal->info = pair->slave;
	pair->slave->opened = true;
	return 0;
}

/* ---- dump: sessions ------------------------------------------------------------------------- */

/* Tasks by their numbers as stasis sees them, and any task of a group by the group's. */
struct numbers {
	struct hash tasks, groups;
};

/* The session that it controls, and the group in its foreground. */
static int check_session(struct pair *pair, const struct numbers *numbers)
{
	struct subject subject = description_subject(pair->file);
	TtyInfoEntry *slave = pair->slave;
	const struct task *leader = hash_get(&numbers->tasks, slave->sid);
	const struct task *member = hash_get(&numbers->groups, slave->pgrp);

	if (!slave->sid)
		return 0;
	if (!leader)
		return REFUSE(subject, "dump its session too",
			      "its slave is the terminal of session %u, which is not dumped",
			      slave->sid);
	/* All slaves were closed: the session has lost it, even if it is opened again. */
	if (!leader->stat->terminal) {
		slave->sid = slave->pgrp = 0;
		return 0;
	}
	/* In another pid namespace, nobody can tell what it was called there. */
	if (slave->pgrp && !member && (leader->pid != leader->id || leader->depth))
		return REFUSE(subject, "let a shell take the terminal back (tcsetpgrp)",
			      "the process group %u in its foreground has ended", slave->pgrp);
	slave->sid = leader->id;
	if (member)
		slave->pgrp = member->pgid;
	return 0;
}

/* Whether a task has the terminal of its session, as it would after a restore. */
static int check_task(struct checkpoint *checkpoint, const struct task *task,
		      const struct numbers *numbers)
{
	struct tty_state *state = tty_state(checkpoint);
	struct pair *pair = hash_get(&state->by_session, task->stat->session);
	dev_t terminal = task->stat->terminal;

	if (pair && !pair->slave->sid)
		pair = NULL;
	if (pair && !terminal)
		*array_push(&pair->without) = task->id;
	if (!terminal || (pair && pair->slave->rdev == terminal) ||
	    !hash_get(&numbers->tasks, task->stat->session))
		return 0;
	return REFUSE(task_subject(task), "start it without a terminal, or dump who has the master",
		      "the terminal of its session (%u:%u) is from outside the dumped tree",
		      major(terminal), minor(terminal));
}

/* Opening a slave that has never been open cannot be undone: the master would see a hangup. */
static int check_unopened(const struct pair *pair)
{
	autofd int fd = pair->slave->opened ? -1 : file_fetch(pair->file);
	int available = 0;

	if (fd < 0 || ioctl(fd, TIOCINQ, &available) < 0 || !available)
		return 0;
	return REFUSE(description_subject(pair->file), "let the program read them before the dump",
		      "it has %d bytes that were not read, and its slave is not open", available);
}

int pairs_check(struct checkpoint *checkpoint)
{
	struct tty_state *state = tty_state(checkpoint);
	struct numbers numbers = {0};
	int result = 0;

	tree_each_task (&checkpoint->tree, task) {
		hash_put(&numbers.tasks, task->pid, task);
		hash_put(&numbers.groups, task->stat->pgrp, task);
	}
	array_each (&state->pairs, pair) {
		int error = check_session(*pair, &numbers);

		if (!error)
			error = check_unopened(*pair);
		result = result ? result : error;
	}
	tree_each_task (&checkpoint->tree, task)
		if (task->state != TASK_DEAD) {
			int error = check_task(checkpoint, task, &numbers);

			result = result ? result : error;
		}
	hash_free(&numbers.tasks);
	hash_free(&numbers.groups);
	array_each (&state->pairs, each) {
		struct pair *pair = *each;

		pair->slave->n_without = pair->without.count;
		pair->slave->without = pair->without.items;
	}
	return result;
}

/* ---- dump: contents ------------------------------------------------------------------------- */

struct ends {
	int master, slave;
};

/* The slave, by a description of our own, also while it is locked. */
static int open_ends(const struct pair *pair, struct ends *ends)
{
	autofd int node = -1;
	int unlocked = 0, locked = 1;

	ends->master = file_fetch(pair->file);
	if (ends->master < 0)
		return ends->master;
	node = ioctl(ends->master, TIOCGPTPEER, O_PATH | O_CLOEXEC);
	if (node < 0 || (pair->master->locked && ioctl(ends->master, TIOCSPTLCK, &unlocked) < 0))
		return -errno;
	ends->slave = file_reopen(node, O_RDWR | O_NONBLOCK);
	if (pair->master->locked && ioctl(ends->master, TIOCSPTLCK, &locked) < 0)
		return -errno;
	return ends->slave < 0 ? ends->slave : 0;
}

static TtyDataEntry *data_entry(struct checkpoint *checkpoint, const TtyInfoEntry *reader,
				const void *data, size_t size)
{
	TtyDataEntry *entry = ARENA_MESSAGE(checkpoint->arena, tty_data_entry, TtyDataEntry);

	entry->tty_id = reader->id;
	entry->data.data = arena_copy(checkpoint->arena, data, size);
	entry->data.len = size;
	return entry;
}

static void keep(struct checkpoint *checkpoint, struct pair *pair,
		 const struct pty_content *content)
{
	size_t lines = content->line_count;

	if (content->output_size)
		pair->output =
			data_entry(checkpoint, pair->master, content->output, content->output_size);
	if (content->input_size + lines) {
		pair->input =
			data_entry(checkpoint, pair->slave, content->input, content->input_size);
		pair->input->n_line_ends = lines;
		pair->input->line_ends =
			arena_copy(checkpoint->arena, content->line_ends, lines * sizeof(uint32_t));
	}
	pair->slave->has_stopped = content->stopped;
	pair->slave->stopped = content->stopped;
}

/*
 * What is taken is put back at once, by a process of its own: it goes on if stasis is killed in
 * between.
 */
static int take_all(const struct ends *ends, struct pty_content *contents, size_t count)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		sigset_t all;

		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		for (size_t i = 0; i < count; i++)
			contents[i].error = pty_take(ends[i].master, ends[i].slave, &contents[i]);
		_exit(0);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status ? -EIO : 0;
}

static int store(struct checkpoint *checkpoint, struct pair **pairs, struct ends *ends,
		 struct pty_content *contents, size_t count)
{
	int error = 0, exclusive;

	for (size_t i = 0; i < count && !error; i++) {
		error = open_ends(pairs[i], &ends[i]);
		if (!error && ioctl(ends[i].slave, TIOCGEXCL, &exclusive) < 0)
			error = -errno;
		if (!error)
			pairs[i]->slave->exclusive = exclusive;
	}
	if (!error)
		error = take_all(ends, contents, count);
	for (size_t i = 0; i < count && !error; i++) {
		error = contents[i].error;
		if (error)
			return FAIL(-error, description_subject(pairs[i]->file),
				    "let the programs read what waits in the terminal",
				    "what waits to be read cannot be stored: %s", strerror(-error));
		keep(checkpoint, pairs[i], &contents[i]);
	}
	return error ? FAIL(-error, SUBJECT("pseudo terminals"), NULL,
			    "what waits to be read cannot be stored: %s", strerror(-error))
		     : 0;
}

int pairs_store(struct checkpoint *checkpoint)
{
	struct tty_state *state = tty_state(checkpoint);
	size_t most = state->pairs.count, count = 0, size = most * sizeof(struct pty_content);
	struct pair **pairs = arena_new_array(checkpoint->arena, struct pair *, most);
	struct ends *ends = arena_new_array(checkpoint->arena, struct ends, most);
	struct pty_content *contents;
	int error;

	array_each (&state->pairs, pair)
		if ((*pair)->slave->opened) {
			ends[count] = (struct ends){-1, -1};
			pairs[count++] = *pair;
		}
	if (!count)
		return 0;
	contents = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (contents == MAP_FAILED)
		die_of_memory();
	error = store(checkpoint, pairs, ends, contents, count);
	munmap(contents, size);
	for (size_t i = 0; i < count; i++) {
		fd_close(&ends[i].slave);
		fd_close(&ends[i].master);
	}
	return error;
}

/* ---- restore: reading ----------------------------------------------------------------------- */

static int damaged(const TtyInfoEntry *info, const char *what)
{
	return FAIL(EBADMSG, SUBJECT("terminal %#x of tty-info.img", info->id),
		    "take another copy of the checkpoint", "%s", what);
}

static bool is_size(const WinsizeEntry *size)
{
	return size && size->ws_row <= UINT16_MAX && size->ws_col <= UINT16_MAX &&
	       size->ws_xpixel <= UINT16_MAX && size->ws_ypixel <= UINT16_MAX;
}

static int check_pair(struct checkpoint *checkpoint, const struct pair *pair)
{
	const TtyInfoEntry *slave = pair->slave;
	const struct task *leader = hash_get(&checkpoint->tree.by_id, slave->sid);

	if (!pair->master->pty || !slave->pty || slave->pty->index != pair->master->pty->index ||
	    slave->pty->index >= MOST_INDEXES)
		return damaged(slave, "it has an impossible index");
	if (!slave->termios || slave->termios->c_line || !is_size(slave->winsize))
		return damaged(slave, "it has impossible settings");
	if (slave->sid && (!leader || leader->sid != leader->id || leader->state == TASK_DEAD))
		return damaged(slave, "it controls a session that is not there");
	if (slave->sid && !slave->opened)
		return damaged(slave, "it controls a session and has never been opened");
	return 0;
}

static int add_pair(struct checkpoint *checkpoint, TtyInfoEntry *master)
{
	struct tty_state *state = tty_state(checkpoint);
	struct pair *pair = arena_new_object(checkpoint->arena, struct pair);
	int error;

	*pair = (struct pair){.master = master, .held = -1};
	pair->slave = hash_get(&state->by_id, master->peer);
	if (!pair->slave || pair->slave == master || !master->pty)
		return damaged(master, "it is a master without a slave");
	pair->place = (uint64_t)pair->slave->dev << 32 | master->pty->index;
	error = check_pair(checkpoint, pair);
	if (error)
		return error;
	*array_push(&state->pairs) = pair;
	if (hash_put(&state->by_info, master->id, pair) ||
	    hash_put(&state->by_info, pair->slave->id, pair) ||
	    hash_put(&state->by_place, pair->place, pair) ||
	    (pair->slave->sid && hash_put(&state->by_session, pair->slave->sid, pair)))
		return damaged(master, "it is part of two pairs");
	return 0;
}

static int add_data(struct checkpoint *checkpoint, TtyDataEntry *entry)
{
	struct pair *pair = hash_get(&tty_state(checkpoint)->by_info, entry->tty_id);
	bool is_output = pair && pair->master->id == entry->tty_id;
	uint32_t last = 0;

	for (size_t i = 0; i < entry->n_line_ends; i++) {
		if (entry->line_ends[i] < last || entry->line_ends[i] > entry->data.len)
			pair = NULL;
		last = entry->line_ends[i];
	}
	if (!pair || !pair->slave->opened || entry->data.len > PTY_CONTENT_MOST ||
	    (entry->n_line_ends && entry->data.len > PTY_LINES_MOST) ||
	    entry->n_line_ends > PTY_LINES_MOST || (is_output ? pair->output : pair->input))
		return FAIL(EBADMSG, SUBJECT("terminal %#x of tty-data.img", entry->tty_id),
			    "take another copy of the checkpoint", "its data cannot be right");
	*(is_output ? &pair->output : &pair->input) = entry;
	return 0;
}

int pairs_read(struct checkpoint *checkpoint)
{
	struct tty_state *state = tty_state(checkpoint);
	struct image_reader *reader = NULL;
	TtyDataEntry *entry;
	int result = 0, got;

	array_each (&state->infos, info)
		if ((*info)->has_peer) {
			int error = add_pair(checkpoint, *info);

			result = result ? result : error;
		}
	if (result)
		return result;
	got = image_open(checkpoint->images, IMAGE_TTY_DATA, 0, checkpoint->arena, &reader);
	if (got == -ENOENT)
		return 0;
	while (!got && (got = image_get(reader, &entry)) == 1)
		got = add_data(checkpoint, entry);
	image_close(reader);
	return got;
}

/* ---- restore: making ------------------------------------------------------------------------ */

static struct subject pair_subject(const struct pair *pair)
{
	return SUBJECT("%s, pseudo terminal %u", description_subject(pair->file).text,
		       pair->slave->pty->index);
}

static int cannot(const struct pair *pair, const char *what)
{
	int error = errno;

	return FAIL(error, pair_subject(pair), NULL, "%s: %s", what, strerror(error));
}

static int open_file(struct checkpoint *checkpoint, struct description *description)
{
	const struct terminal *terminal = description->state;

	description->fd = path_open(checkpoint, terminal->path, description->flags);
	if (description->fd < 0)
		return description->fd;
	return file_set_flags(description) ? cannot(terminal->pair, "its flags cannot be set") : 0;
}

typedef ARRAY(int) descriptors;

/* An index is free again only a moment after the last who had the terminal is gone. */
enum { PATIENCE = 1000, NAP_US = 2000 };

/* Others are opened, and kept for a while, until it is the turn of this one's index. */
static int open_master(struct checkpoint *checkpoint, struct pair *pair, descriptors *others)
{
	unsigned int wanted = pair->slave->pty->index, index = 0;
	struct description *file = pair->file;

	for (int naps = 0; naps < PATIENCE;) {
		int error = open_file(checkpoint, file);

		if (error)
			return error;
		if (ioctl(file->fd, TIOCGPTN, &index) < 0)
			return cannot(pair, "is no master of a pseudo terminal");
		if (index == wanted)
			return 0;
		if (index < wanted) {
			*array_push(others) = fd_steal(&file->fd);
		} else {
			fd_close(&file->fd);
			usleep(NAP_US);
			naps++;
		}
	}
	return FAIL(EEXIST, pair_subject(pair),
		    "end the program that has it, or dump in a mount namespace with a devpts of "
		    "its own",
		    "the index is in use here");
}

/* Owner and permissions of the slave's name; and the slave, if it has ever been opened. */
static int make_slave(struct pair *pair)
{
	const TtyInfoEntry *slave = pair->slave;
	int master = pair->file->fd, unlocked = 0;
	autofd int node = ioctl(master, TIOCGPTPEER, O_PATH | O_CLOEXEC);
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", node);
	if (node < 0 ||
	    (slave->has_uid && slave->has_gid && chown(path, slave->uid, slave->gid) < 0) ||
	    (slave->has_mode && chmod(path, slave->mode & 07777) < 0))
		return cannot(pair, "the owner of its slave cannot be set");
	if (!slave->opened)
		return 0;
	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return cannot(pair, "cannot be unlocked");
	pair->held = file_reopen(node, O_RDWR | O_NONBLOCK);
	if (pair->held >= 0)
		return 0;
	errno = -pair->held;
	return cannot(pair, "its slave cannot be opened");
}

static int fill(const struct pair *pair, const struct termios2 *termios)
{
	struct pty_content *content = calloc(1, sizeof(*content));
	int error;

	if (!content)
		die_of_memory();
	if (pair->output) {
		content->output_size = pair->output->data.len;
		memcpy(content->output, pair->output->data.data, content->output_size);
	}
	if (pair->input) {
		content->input_size = pair->input->data.len;
		memcpy(content->input, pair->input->data.data, content->input_size);
		content->line_count = pair->input->n_line_ends;
		for (size_t i = 0; i < content->line_count; i++)
			content->line_ends[i] = pair->input->line_ends[i];
	}
	content->stopped = pair->slave->has_stopped ? pair->slave->stopped : 0;
	error = pty_put(pair->file->fd, pair->held, content, termios);
	free(content);
	return error;
}

static int set_locks(int fd, const TermiosEntry *entry)
{
	struct termios locks;

	if (!entry)
		return 0;
	if (ioctl(fd, TIOCGLCKTRMIOS, &locks) < 0)
		return -errno;
	locks.c_iflag = entry->c_iflag;
	locks.c_oflag = entry->c_oflag;
	locks.c_cflag = entry->c_cflag;
	locks.c_lflag = entry->c_lflag;
	locks.c_line = entry->c_line;
	for (size_t i = 0; i < NCCS && i < entry->n_c_cc; i++)
		locks.c_cc[i] = entry->c_cc[i];
	return ioctl(fd, TIOCSLCKTRMIOS, &locks) < 0 ? -errno : 0;
}

/* While nobody is in its foreground, who would be told of a new size. */
static int set_up(const struct pair *pair)
{
	const TtyInfoEntry *slave = pair->slave;
	const WinsizeEntry *entry = slave->winsize;
	struct winsize size = {.ws_row = entry->ws_row,
			       .ws_col = entry->ws_col,
			       .ws_xpixel = entry->ws_xpixel,
			       .ws_ypixel = entry->ws_ypixel};
	int master = pair->file->fd, error;
	struct termios2 termios;

	if (ioctl(master, TIOCSWINSZ, &size) < 0)
		return cannot(pair, "its size cannot be set");
	error = tty_settings(master, slave->termios, &termios);
	if (!error && pair->held >= 0)
		error = fill(pair, &termios);
	else if (!error)
		error = ioctl(master, TCSETS2, &termios) < 0 ? -errno : 0;
	if (!error)
		error = set_locks(master, slave->termios_locked);
	errno = -error;
	return error ? cannot(pair, "its settings and contents cannot be set") : 0;
}

/*
 * /dev/tty is opened by a process that it is the controlling terminal of: one for the purpose,
 * which shares our descriptors.
 */
static int open_controlling(const char *name, unsigned int flags, int slave, int number)
{
	sigset_t all;
	int fd, error = 0;

	sigfillset(&all); /* giving up a terminal is told by signals */
	sigprocmask(SIG_BLOCK, &all, NULL);
	if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
		return errno;
	fd = open(name, flags | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || dup3(fd, number, O_CLOEXEC) < 0)
		error = errno;
	fd_close(&fd);
	return ioctl(slave, TIOCNOTTY) < 0 && !error ? errno : error;
}

static int make_controlling(struct checkpoint *checkpoint, struct description *description)
{
	const struct terminal *terminal = description->state;
	const struct pair *pair = terminal->pair;
	const char *name =
		path_reach(checkpoint, terminal->path, terminal->path->entry->reg->name, false);
	int status;
	pid_t pid;

	if (!name)
		return -EIO;
	description->fd = fcntl(pair->held, F_DUPFD_CLOEXEC, 0);
	if (description->fd < 0)
		return cannot(pair, "cannot be opened once more");
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(open_controlling(name, description->flags, pair->held, description->fd));
	if (pid < 0)
		return cannot(pair, "no process can be made for it");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return cannot(pair, "the process for it is lost");
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
	if (errno)
		return FAIL(errno, description_subject(description), NULL,
			    "cannot be opened as the controlling terminal: %s", strerror(errno));
	return file_set_flags(description) ? cannot(pair, "its flags cannot be set") : 0;
}

/* All that is open of slaves. */
static int open_slaves(struct checkpoint *checkpoint)
{
	int error = 0;

	array_each (&checkpoint->files.descriptions, each) {
		struct description *description = *each;
		struct terminal *terminal = description->state;

		if (error || description->kind != &tty_kind || !terminal->pair ||
		    description == terminal->pair->file)
			continue;
		if (terminal->pair->held < 0)
			return file_damaged(description,
					    "it is of a terminal that was never opened");
		error = tty_is_controlling(terminal->path->entry->reg->rdev)
				? make_controlling(checkpoint, description)
				: open_file(checkpoint, description);
	}
	return error;
}

/* What would be in the way of opening. */
static int shut(const struct pair *pair)
{
	int master = pair->file->fd, on = 1;

	if ((pair->master->packet_mode && ioctl(master, TIOCPKT, &on) < 0) ||
	    (pair->master->exclusive && ioctl(master, TIOCEXCL) < 0) ||
	    (pair->slave->exclusive && pair->held >= 0 && ioctl(pair->held, TIOCEXCL) < 0) ||
	    ioctl(master, TIOCSPTLCK, &(int){pair->master->locked}) < 0)
		return cannot(pair, "its mode cannot be set");
	return 0;
}

static int by_place(const void *a, const void *b)
{
	uint64_t one = (*(struct pair *const *)a)->place, other = (*(struct pair *const *)b)->place;

	return one < other ? -1 : one > other;
}

int pairs_make(struct checkpoint *checkpoint)
{
	struct tty_state *state = tty_state(checkpoint);
	descriptors others = {0};
	int error = 0;

	if (state->made || !state->pairs.count)
		return 0;
	state->made = true;
	qsort(state->pairs.items, state->pairs.count, sizeof(struct pair *), by_place);
	array_each (&state->pairs, pair)
		if (!error)
			error = open_master(checkpoint, *pair, &others);
	array_each (&others, fd)
		close(*fd);
	array_free(&others);
	array_each (&state->pairs, pair) {
		if (!error)
			error = make_slave(*pair);
		if (!error)
			error = set_up(*pair);
	}
	if (!error)
		error = open_slaves(checkpoint);
	array_each (&state->pairs, pair)
		if (!error)
			error = shut(*pair);
	return error;
}

/* ---- restore: sessions ---------------------------------------------------------------------- */

/* A call that a task makes with the slave. */
static int control(struct checkpoint *checkpoint, const struct pair *pair, struct task *task,
		   unsigned long request, const pid_t *argument)
{
	struct batch batch;
	int number, error;

	error = remote_send_fds(&checkpoint->channel, task_leader(task), &pair->held, 1, &number);
	if (error)
		return FAIL(-error, task_subject(task), NULL, "cannot be given its terminal: %s",
			    strerror(-error));
	batch_begin(&batch, task_leader(task));
	batch_call(&batch, SYS_ioctl, number, request,
		   argument ? batch_input(&batch, argument, sizeof(*argument)) : 0);
	batch_call(&batch, SYS_close, number);
	error = batch_run(&batch);
	error = error ? FAIL(-error, task_subject(task), NULL, "cannot be given its terminal: %s",
			     strerror(-error))
		      : batch_check(&batch, "controlling terminal");
	batch_end(&batch);
	return error;
}

int files_control(struct checkpoint *checkpoint, struct task *task)
{
	struct tty_state *state = tty_state(checkpoint);
	struct pair *pair = hash_get(&state->by_session, task->sid);
	int error;

	if (!pair || task->sid != task->id)
		return 0;
	error = pairs_make(checkpoint);
	return error ? error : control(checkpoint, pair, task, TIOCSCTTY, NULL);
}

struct foreground {
	struct checkpoint *checkpoint;
	const struct pair *pair;
	struct task *leader;
	pid_t group; /* as the leader's pid namespace calls it */
};

static int take_foreground(void *argument)
{
	const struct foreground *foreground = argument;

	return control(foreground->checkpoint, foreground->pair, foreground->leader, TIOCSPGRP,
		       &foreground->group);
}

/* The group may have ended, and nobody taken the terminal since: it is made for the moment. */
static int set_group(struct checkpoint *checkpoint, const struct pair *pair, struct task *leader)
{
	pid_t id = pair->slave->pgrp;
	struct foreground foreground = {
		.checkpoint = checkpoint, .pair = pair, .leader = leader, .group = id};

	if (!id || id == leader->sid)
		return 0;
	tree_each_task (&checkpoint->tree, task)
		if (task->pgid == id && task->depth >= leader->depth) {
			if (leader->depth)
				foreground.group = task->inner[leader->depth - 1].pgid;
			return take_foreground(&foreground);
		}
	return tree_lend_group(checkpoint, leader, id, take_foreground, &foreground);
}

/* Those that gave the terminal up have inherited it again. */
static int set_foreground(struct checkpoint *checkpoint, const struct pair *pair)
{
	const TtyInfoEntry *slave = pair->slave;
	struct task *leader = hash_get(&checkpoint->tree.by_id, slave->sid);
	int error = slave->sid ? set_group(checkpoint, pair, leader) : 0;

	if (!slave->sid)
		return 0;
	for (size_t i = 0; i < slave->n_without && !error; i++) {
		struct task *task = hash_get(&checkpoint->tree.by_id, slave->without[i]);

		if (!task || task->state == TASK_DEAD || task == leader)
			return damaged(slave, "a task is to give it up that does not have it");
		error = control(checkpoint, pair, task, TIOCNOTTY, NULL);
	}
	return error;
}

int pairs_foreground(struct checkpoint *checkpoint)
{
	struct tty_state *state = tty_state(checkpoint);
	int error = 0;

	array_each (&state->pairs, pair) {
		if (!error)
			error = set_foreground(checkpoint, *pair);
		/* The last slave that is closed is one more hangup. */
		fd_close(&(*pair)->held);
	}
	return error;
}

void pairs_close(struct checkpoint *checkpoint)
{
	array_each (&tty_state(checkpoint)->pairs, pair) {
		fd_close(&(*pair)->held);
		array_free(&(*pair)->without);
	}
}
