/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "task/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "task/task.h"

/* ---- reading ------------------------------------------------------------------------------ */

static int proc_open(const struct task *task, const char *name, int flags)
{
	char path[96];
	int fd;

	if (task->proc >= 0) {
		fd = openat(task->proc, name, flags | O_CLOEXEC);
	} else {
		snprintf(path, sizeof(path), "/proc/%d/%s", task->pid, name);
		fd = open(path, flags | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

ssize_t proc_read(const struct task *task, const char *name, char *text, size_t size)
{
	autofd int fd = proc_open(task, name, O_RDONLY);
	size_t length = 0;

	if (fd < 0)
		return fd;
	while (length < size) {
		ssize_t got = read(fd, text + length, size - length);

		if (got < 0)
			return -errno;
		if (got == 0) {
			text[length] = '\0';
			return length;
		}
		length += got;
	}
	return -E2BIG;
}

ssize_t proc_read_all(const struct task *task, const char *name, char **text)
{
	char path[96];
	size_t size;
	int error;

	snprintf(path, sizeof(path), "/proc/%d/%s", task->pid, name);
	error = fd_read_file(task->proc >= 0 ? task->proc : AT_FDCWD, task->proc >= 0 ? name : path,
			     text, &size);
	return error ? error : (ssize_t)size;
}

int proc_write(const struct task *task, const char *name, const char *text)
{
	autofd int fd = proc_open(task, name, O_WRONLY);

	if (fd < 0)
		return fd;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* ---- status ------------------------------------------------------------------------------- */

/* How the value of a line is written. */
enum form { FOUR_IDS, MASK, NUMBER, OCTAL, GROUPS, NUMBERS };

static const struct status_line {
	const char *name;
	enum form form;
	size_t offset;
	bool optional; /* needs a kernel option, or what a zombie has no more */
} status_lines[] = {
#define LINE(name, form, field)                                                                    \
	{                                                                                          \
		name, form, offsetof(struct proc_status, field)                                    \
	}
	{"Umask", OCTAL, offsetof(struct proc_status, umask), true},
	LINE("TracerPid", NUMBER, tracer),
	LINE("Uid", FOUR_IDS, uids),
	LINE("Gid", FOUR_IDS, gids),
	LINE("Groups", GROUPS, groups),
	{"NStgid", NUMBERS, offsetof(struct proc_status, tgids), true},
	{"NSpid", NUMBERS, offsetof(struct proc_status, pids), true},
	{"NSpgid", NUMBERS, offsetof(struct proc_status, pgids), true},
	{"NSsid", NUMBERS, offsetof(struct proc_status, sids), true},
	{"VmLck", NUMBER, offsetof(struct proc_status, locked), true},
	LINE("SigPnd", MASK, pending),
	LINE("ShdPnd", MASK, shared_pending),
	LINE("SigBlk", MASK, blocked),
	LINE("SigIgn", MASK, ignored),
	LINE("SigCgt", MASK, caught),
	LINE("CapInh", MASK, inheritable),
	LINE("CapPrm", MASK, permitted),
	LINE("CapEff", MASK, effective),
	LINE("CapBnd", MASK, bounding),
	LINE("CapAmb", MASK, ambient),
	LINE("NoNewPrivs", NUMBER, no_new_privs),
	{"Seccomp", NUMBER, offsetof(struct proc_status, seccomp), true},
#undef LINE
};

enum { STATUS_LINES = sizeof(status_lines) / sizeof(*status_lines) };

static bool parse_groups(const char *value, struct proc_status *status)
{
	size_t room = 0;
	char *end;

	for (;; value = end) {
		value += strspn(value, " \t");
		if (*value == '\n' || !*value)
			return true;
		if (status->group_count == room) {
			room = room ? room * 2 : 32;
			status->groups = realloc(status->groups, room * sizeof(*status->groups));
			if (!status->groups)
				die_of_memory();
		}
		status->groups[status->group_count++] = strtoul(value, &end, 10);
		if (end == value)
			return false;
	}
}

static bool parse_numbers(const char *value, struct proc_numbers *numbers)
{
	char *end;

	for (;; value = end) {
		value += strspn(value, " \t");
		if (*value == '\n' || !*value)
			return numbers->count;
		if (numbers->count == PROC_PID_NAMESPACES)
			return false;
		numbers->items[numbers->count++] = strtol(value, &end, 10);
		if (end == value)
			return false;
	}
}

static bool parse_value(const struct status_line *line, const char *value,
			struct proc_status *status)
{
	void *field = (char *)status + line->offset;
	uint32_t *ids = field;
	char *end;

	switch (line->form) {
	case FOUR_IDS:
		return sscanf(value, "%u %u %u %u", &ids[0], &ids[1], &ids[2], &ids[3]) == 4;
	case MASK:
		*(uint64_t *)field = strtoull(value, &end, 16);
		return end != value;
	case NUMBER:
		*(unsigned int *)field = strtoul(value, &end, 10);
		return end != value;
	case OCTAL:
		*(uint32_t *)field = strtoul(value, &end, 8);
		return end != value;
	case GROUPS:
		return parse_groups(value, status);
	case NUMBERS:
		return parse_numbers(value, field);
	}
	return false;
}

static bool is_line(const char *line, const struct status_line *wanted, size_t *length)
{
	*length = strlen(wanted->name);
	return !strncmp(line, wanted->name, *length) && line[*length] == ':';
}

int proc_status_parse(const char *text, struct proc_status *status)
{
	size_t next = 0;

	*status = (struct proc_status){0};
	/* The kernel's order is the table's, so one pass does; a missing line stops the search. */
	for (const char *line = text; line && *line && next < STATUS_LINES;) {
		size_t found = next, length;

		while (!is_line(line, &status_lines[found], &length) &&
		       status_lines[found].optional && found + 1 < STATUS_LINES)
			found++;
		if (is_line(line, &status_lines[found], &length)) {
			if (!parse_value(&status_lines[found], line + length + 1, status))
				break;
			next = found + 1;
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	while (next < STATUS_LINES && status_lines[next].optional)
		next++;
	if (next == STATUS_LINES)
		return 0;
	proc_status_free(status);
	return -EINVAL;
}

int proc_status_read(const struct thread *thread, struct proc_status *status)
{
	char name[48], text[4096];
	ssize_t length;

	*status = (struct proc_status){0};
	snprintf(name, sizeof(name), "task/%d/status", thread->tid);
	length = proc_read(thread->task, name, text, sizeof(text));
	if (length >= 0)
		return proc_status_parse(text, status);
	if (length != -E2BIG)
		return length;

	/* Hundreds of groups. */
	autofree char *more = NULL;

	length = proc_read_all(thread->task, name, &more);
	return length < 0 ? length : proc_status_parse(more, status);
}

void proc_status_free(struct proc_status *status)
{
	free(status->groups);
	status->groups = NULL;
	status->group_count = 0;
}

/* ---- stat --------------------------------------------------------------------------------- */

/* Fields behind the flags, counted from 1 as in proc_pid_stat(5). */
static const struct stat_field {
	int number;
	bool is_address; /* else an int */
	size_t offset;
} stat_fields[] = {
#define ADDRESS(number, field)                                                                     \
	{                                                                                          \
		number, true, offsetof(struct proc_stat, field)                                    \
	}
	ADDRESS(26, start_code),  ADDRESS(27, end_code),
	ADDRESS(28, start_stack), {38, false, offsetof(struct proc_stat, exit_signal)},
	ADDRESS(45, start_data),  ADDRESS(46, end_data),
	ADDRESS(47, start_brk),   ADDRESS(48, arg_start),
	ADDRESS(49, arg_end),     ADDRESS(50, env_start),
	ADDRESS(51, env_end),     {52, false, offsetof(struct proc_stat, exit_code)},
#undef ADDRESS
};

enum { STAT_FIELDS = sizeof(stat_fields) / sizeof(*stat_fields), FLAGS_FIELD = 9 };

static void parse_field(const struct stat_field *field, const char *text, struct proc_stat *stat)
{
	void *value = (char *)stat + field->offset;

	if (field->is_address)
		*(uint64_t *)value = strtoull(text, NULL, 10);
	else
		*(int *)value = atoi(text);
}

int proc_stat_parse(const char *text, struct proc_stat *stat)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned int terminal;
	int skipped = 0;

	*stat = (struct proc_stat){0};
	if (!open || !close || close < open || (size_t)(close - open) > sizeof(stat->comm))
		return -EINVAL;
	memcpy(stat->comm, open + 1, close - open - 1);
	if (sscanf(close + 1, " %c %d %d %d %u %d %u%n", &stat->state, &stat->ppid, &stat->pgrp,
		   &stat->session, &terminal, &stat->foreground, &stat->flags, &skipped) < 7 ||
	    !skipped)
		return -EINVAL;
	/* As the kernel encodes device numbers of 32 bits. */
	stat->terminal =
		makedev(terminal >> 8 & 0xfff, (terminal & 0xff) | (terminal >> 12 & 0xfff00));

	const char *field = close + 1 + skipped;
	size_t next = 0;

	for (int number = FLAGS_FIELD + 1; next < STAT_FIELDS && *field; number++) {
		field += strspn(field, " ");
		if (*field == '\n')
			break;
		if (number == stat_fields[next].number)
			parse_field(&stat_fields[next++], field, stat);
		field += strcspn(field, " \n");
	}
	return next == STAT_FIELDS ? 0 : -EINVAL;
}

int proc_stat_read(const struct thread *thread, struct proc_stat *stat)
{
	char name[48], text[1024];
	ssize_t length;

	snprintf(name, sizeof(name), "task/%d/stat", thread->tid);
	length = proc_read(thread->task, name, text, sizeof(text));
	return length < 0 ? length : proc_stat_parse(text, stat);
}
