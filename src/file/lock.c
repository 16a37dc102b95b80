/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Locks and leases: found, and refused until they can be carried over. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"
#include "file/internal.h"

/* The inode of the first pid namespace (PROC_PID_INIT_INO of the kernel). */
enum { FIRST_PID_NAMESPACE = 0xEFFFFFFC };

/*
 * Reading /proc/locks makes the kernel wait for all its processors (milliseconds); asking a
 * descriptor takes some microseconds.  So many are asked before the list is read.
 */
enum { ASK_EACH = 500 };

/* What /proc/locks tells: the numbers of the inodes that are locked, for a quick look. */
struct lock_table {
	struct hash inodes;
	bool complete; /* else any inode may be locked */
};

/* The number of the inode of a line of /proc/locks, or 0. */
uint64_t lock_inode(const char *line)
{
	/* 1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 0 EOF */
	unsigned int device_major, device_minor;
	unsigned long long inode;
	const char *colon = strchr(line, ':');
	const char *at = colon ? strchr(colon + 1, ':') : NULL;

	while (at && at > line && at[-1] != ' ')
		at--;
	if (at && sscanf(at, "%x:%x:%llu", &device_major, &device_minor, &inode) == 3)
		return inode;
	return 0;
}

static struct lock_table *read_locks(struct checkpoint *checkpoint)
{
	struct lock_table *table = arena_new_object(checkpoint->arena, struct lock_table);
	autofree char *text = NULL;
	struct stat namespace;

	/* In a nested pid namespace, locks taken by processes outside (or gone) are not listed. */
	table->complete = fd_read_file(AT_FDCWD, "/proc/locks", &text, NULL) == 0 &&
			  stat("/proc/self/ns/pid", &namespace) == 0 &&
			  namespace.st_ino == FIRST_PID_NAMESPACE;
	for (char *line = text, *next; line && *line; line = next) {
		next = strchrnul(line, '\n');
		if (*next)
			*next++ = 0;
		uint64_t inode = lock_inode(line);

		if (inode)
			hash_put(&table->inodes, inode, table);
	}
	return table;
}

/*
 * Of regular files their file system may have to ask somebody else: a server, which may even be
 * one of the processes that stand still.
 */
void lock_ask(const struct description *description)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (!S_ISREG(description->stat.st_mode) && fcntl(description->fd, F_GETLK, &lock) == 0)
		description->inode->unlocked = lock.l_type == F_UNLCK;
}

int lock_survey(struct checkpoint *checkpoint, struct task *task, int number,
		struct description *description)
{
	struct file_state *state = checkpoint->files.state;
	autofree char *text = NULL;
	char path[32];
	int error;

	/* What the description has (flock, leases) any of its descriptors shows. */
	if (description->lock_seen && description->inode->unlocked)
		return 0;
	if (!state->locks && ++state->lock_surveys > ASK_EACH)
		state->locks = read_locks(checkpoint);
	/*
	 * Locks of a process (fcntl) are listed in any case, for it is there.  Those of an open
	 * file (flock, leases) may not be, but are seen through any descriptor of it.
	 */
	if (state->locks && !hash_get(&state->locks->inodes, description->stat.st_ino) &&
	    (state->locks->complete || description->lock_seen || *description->link != '/'))
		return 0;
	description->lock_seen = true;
	/* Filesystems may show another device there than stat() does: ask the descriptor itself. */
	snprintf(path, sizeof(path), "fdinfo/%d", number);
	error = fd_read_file(task->proc, path, &text, NULL);
	if (!error && !file_info(text, "lock:"))
		return 0;

	struct subject subject =
		SUBJECT("%s, fd %d (%s)", task_subject(task).text, number, description->link);

	if (error)
		return FAIL(-error, subject, NULL, "its locks cannot be read: %s",
			    strerror(-error));
	return REFUSE(subject, "release it before the dump",
		      "locks and leases (fcntl, flock, F_SETLEASE) are a later capability");
}

void lock_close(struct checkpoint *checkpoint)
{
	if (checkpoint->files.state->locks)
		hash_free(&checkpoint->files.state->locks->inodes);
}
