/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct task;
struct thread;

/* How deep pid namespaces can be: MAX_PID_NS_LEVEL of the kernel, and the first. */
enum { PROC_PID_NAMESPACES = 33 };

/* /proc/PID/task/TID/status, as far as a checkpoint needs it; see proc_pid_status(5). */
struct proc_status {
	uint32_t uids[4], gids[4]; /* real, effective, saved, file system */
	uint32_t *groups;          /* owned: proc_status_free() */
	size_t group_count;
	uint64_t inheritable, permitted, effective, bounding, ambient;
	uint64_t pending, shared_pending, blocked, ignored, caught; /* bit 0 is signal 1 */
	unsigned int no_new_privs, seccomp;
	unsigned int tracer; /* a tid, or 0 */
	unsigned int locked; /* VmLck, in KiB */
	uint32_t umask;
	/* In the pid namespaces from that of /proc to the thread's own; none: an old kernel. */
	struct proc_numbers {
		pid_t items[PROC_PID_NAMESPACES];
		size_t count;
	} tgids, pids, pgids, sids;
};

/* Parses the text; -EINVAL when a line that must be there is missing or is not understood. */
int proc_status_parse(const char *text, struct proc_status *status);
int proc_status_read(const struct thread *thread, struct proc_status *status);
void proc_status_free(struct proc_status *status);

/* /proc/PID/task/TID/stat; see proc_pid_stat(5). */
struct proc_stat {
	char comm[64];
	char state;
	pid_t ppid, pgrp, session;
	dev_t terminal;   /* the controlling one; 0: none */
	pid_t foreground; /* process group there; -1: none */
	uint32_t flags;  /* PF_* */
	int exit_signal; /* what the parent gets when it ends */
	uint32_t exit_code;
	/* Addresses; 0 for a zombie. */
	uint64_t start_code, end_code, start_stack, start_data, end_data, start_brk;
	uint64_t arg_start, arg_end, env_start, env_end;
};

int proc_stat_parse(const char *text, struct proc_stat *stat);
int proc_stat_read(const struct thread *thread, struct proc_stat *stat);

/*
 * A file of the task's /proc/PID, whole and NUL-terminated, in the caller's buffer; longer ones
 * are -E2BIG.  Returns the length or a negative errno.
 */
ssize_t proc_read(const struct task *task, const char *name, char *text, size_t size);
/* The same, of any length, in memory the caller frees. */
ssize_t proc_read_all(const struct task *task, const char *name, char **text);
/* Writes text to it, in one write. */
int proc_write(const struct task *task, const char *name, const char *text);
