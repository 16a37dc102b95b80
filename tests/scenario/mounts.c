/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mounts.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 3000, LINE = 8192 };

static struct entry {
	int id, parent; /* parent: an index; -1: the root */
	char *device, *root, *point, *flags, *tags, *rest;
	bool shown;
} entries[MOST];
static int count;

/* Names in the order in which they are first seen. */
static struct numbering {
	char *names[MOST];
	int count;
} devices, groups;

static int numbered(struct numbering *numbering, char *name)
{
	for (int i = 0; i < numbering->count; i++)
		if (!strcmp(numbering->names[i], name))
			return i + 1;
	if (numbering->count < MOST)
		numbering->names[numbering->count++] = name;
	return numbering->count;
}

static char *word(char **at)
{
	return strsep(at, " ");
}

static void parse(char *text)
{
	char *line;

	count = 0;
	while ((line = strsep(&text, "\n")) && *line && count < MOST) {
		struct entry *entry = &entries[count++];
		entry->shown = false;
		char *separator = strstr(line, " - ");

		*separator = 0;
		entry->rest = separator + 3;
		entry->id = atoi(word(&line));
		entry->parent = atoi(word(&line));
		entry->device = word(&line);
		entry->root = word(&line);
		entry->point = word(&line);
		entry->flags = word(&line);
		entry->tags = line ? line : "";
	}
	for (int i = 0; i < count; i++) {
		int parent = -1;

		for (int k = 0; k < count; k++)
			if (k != i && entries[k].id == entries[i].parent)
				parent = k;
		entries[i].parent = parent;
	}
}

/* "shared:7 master:3" with numbers of our own; propagate_from follows from the rest. */
static void add_tags(char *to, size_t size, char *tags)
{
	char *tag;

	while ((tag = strsep(&tags, " "))) {
		char *value = strchr(tag, ':');
		size_t used = strlen(to);

		if (!*tag || !strncmp(tag, "propagate_from", 14))
			continue;
		if (value)
			*value++ = 0;
		snprintf(to + used, size - used, " %s", tag);
		used = strlen(to);
		if (value)
			snprintf(to + used, size - used, ":%d", numbered(&groups, value));
	}
}

/* The child with the lowest mountpoint that was not shown yet, or NULL. */
static struct entry *next_child(int parent)
{
	struct entry *next = NULL;

	for (int i = 0; i < count; i++)
		if (entries[i].parent == parent && !entries[i].shown &&
		    (!next || strcmp(entries[i].point, next->point) < 0))
			next = &entries[i];
	return next;
}

/* A bind of a namespace's file: which one it is has another number after a restore. */
static const char *root_of(const struct entry *entry)
{
	char *number = *entry->root == '/' ? NULL : strchr(entry->root, '[');

	if (number)
		*number = 0;
	return entry->root;
}

/* Nothing is allocated: the snapshot has the heap in it. */
static void describe(int parent, int depth, void (*line)(void *, const char *), void *argument)
{
	static char text[LINE];
	struct entry *entry;

	while ((entry = next_child(parent))) {
		entry->shown = true;
		snprintf(text, sizeof(text), "mount %*s%s #%d %s %s %s", depth, "", entry->point,
			 numbered(&devices, entry->device), root_of(entry), entry->flags,
			 entry->rest);
		add_tags(text, sizeof(text), entry->tags);
		line(argument, text);
		describe(entry - entries, depth + 1, line, argument);
	}
}

void mounts_describe(char *text, void (*line)(void *, const char *), void *argument)
{
	devices.count = groups.count = 0;
	parse(text);
	describe(-1, 0, line, argument);
}
