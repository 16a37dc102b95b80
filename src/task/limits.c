/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "task/part.h"

/* Resource limits, setrlimit(2). */

struct limit {
	uint64_t soft, hard; /* struct rlimit64 */
};

static void *limits_ask(struct inquiry *inquiry)
{
	struct limit *limits;
	uint64_t address;

	if (!inquiry->leader)
		return NULL;
	limits = batch_data(inquiry->batch, RLIM_NLIMITS * sizeof(*limits), &address);
	for (int i = 0; i < RLIM_NLIMITS; i++, address += sizeof(*limits))
		batch_call(inquiry->batch, SYS_prlimit64, 0, i, 0, address);
	return limits;
}

static void store_limits(struct inquiry *inquiry, const struct limit *limits)
{
	TaskRlimitsEntry *all = ARENA_MESSAGE(inquiry->arena, task_rlimits_entry, TaskRlimitsEntry);
	all->rlimits = arena_new_array(inquiry->arena, RlimitEntry *, RLIM_NLIMITS);
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		RlimitEntry *entry = ARENA_MESSAGE(inquiry->arena, rlimit_entry, RlimitEntry);

		entry->cur = limits[i].soft;
		entry->max = limits[i].hard;
		all->rlimits[all->n_rlimits++] = entry;
	}
	inquiry->tc->rlimits = all;
}

static int limits_answer(struct inquiry *inquiry, void *asked)
{
	if (inquiry->leader)
		store_limits(inquiry, asked);
	return 0;
}

static bool parse_limit(char **text, uint64_t *limit)
{
	static const char unlimited[] = "unlimited";
	char *begin = *text + strspn(*text, " ");
	bool is_number = strncmp(begin, unlimited, sizeof(unlimited) - 1) != 0;

	*text = begin + sizeof(unlimited) - 1;
	*limit = is_number ? strtoull(begin, text, 10) : RLIM64_INFINITY;
	return *text != begin;
}

/*
 * /proc/PID/limits, as prlimit(2) does not tell root the limits of others without CAP_SYS_RESOURCE:
 * a heading, and a line for each resource in the order of their numbers.
 */
static int limits_describe_zombie(struct inquiry *inquiry)
{
	enum { NAME_COLUMNS = 26 };
	struct limit limits[RLIM_NLIMITS];
	char text[4096], *line = text;
	ssize_t length = proc_read(inquiry->task, "limits", text, sizeof(text));

	for (int i = 0; i < RLIM_NLIMITS && length > 0; i++) {
		line = strchr(line, '\n');
		if (!line || strnlen(++line, NAME_COLUMNS) < NAME_COLUMNS)
			length = -EINVAL;
		else
			line += NAME_COLUMNS;
		if (length > 0 &&
		    !(parse_limit(&line, &limits[i].soft) && parse_limit(&line, &limits[i].hard)))
			length = -EINVAL;
	}
	if (length <= 0)
		return FAIL(-length, thread_subject(inquiry->thread), NULL,
			    "cannot read its /proc/PID/limits: %s", strerror(-length));
	store_limits(inquiry, limits);
	return 0;
}

/* Of stasis; a new task has the same. */
static const struct limit *own_limits(void)
{
	static struct limit limits[RLIM_NLIMITS];
	static bool known;

	for (int i = 0; i < RLIM_NLIMITS && !known; i++)
		if (syscall(SYS_prlimit64, 0, i, NULL, &limits[i]) < 0)
			limits[i].hard = RLIM64_INFINITY; /* then the attempt will tell */
	known = true;
	return limits;
}

/*
 * A hard limit can only be raised with CAP_SYS_RESOURCE.  Without it the task keeps our own, which
 * is where we are the closest to what it had: no reason not to bring it back, but one to say so.
 */
static struct limit within_reach(const struct revival *revival, int resource, struct limit limit)
{
	uint64_t ours = own_limits()[resource].hard;

	if (limit.hard <= ours || have_capability(CAP_SYS_RESOURCE))
		return limit;
	log_warn("%s: the hard limit %d stays at %lu instead of %lu: raising it needs "
		 "CAP_SYS_RESOURCE",
		 thread_subject(revival->thread).text, resource, (unsigned long)ours,
		 (unsigned long)limit.hard);
	limit.hard = ours;
	if (limit.soft > limit.hard)
		limit.soft = limit.hard;
	return limit;
}

static int limits_restore_process(struct revival *revival)
{
	const TaskRlimitsEntry *all = revival->tc->rlimits;
	struct limit limits[RLIM_NLIMITS];
	size_t count = all ? all->n_rlimits : 0;
	int error;

	if (count > RLIM_NLIMITS)
		return FAIL(EINVAL, thread_subject(revival->thread),
			    "restore it on a kernel that has them all",
			    "its image has %zu resource limits, this kernel has %d", count,
			    RLIM_NLIMITS);
	for (size_t i = 0; i < count; i++)
		limits[i] = within_reach(
			revival, i, (struct limit){all->rlimits[i]->cur, all->rlimits[i]->max});
	error = revival_room(revival, count, sizeof(limits));
	if (error)
		return error;

	uint64_t address = batch_input(&revival->batch, limits, sizeof(limits));

	for (size_t i = 0; i < count; i++)
		revive(revival, "resource limits", NULL, SYS_prlimit64, 0, i,
		       address + i * sizeof(*limits), 0);
	return 0;
}

const struct part limits_part = {
	.ask = limits_ask,
	.answer = limits_answer,
	.describe_zombie = limits_describe_zombie,
	.restore_process = limits_restore_process,
};
