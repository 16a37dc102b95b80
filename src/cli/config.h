/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>

struct arena;

/*
 * Configuration files, with CRIU's syntax: a line is an option's long name without its dashes
 * and, behind white space or '=', its value, which may stand in double quotes, where \" is a
 * quote; # begins a comment.
 */
struct config {
	const char *file;
	char *next; /* the rest of the text */
	unsigned int number;
};

struct config_line {
	const char *name, *value; /* value: NULL when there is none */
	const char *file;
	unsigned int number; /* of the line, from 1 */
};

/*
 * Reads the file into the arena; options keep pointers into its text.  Returns 0 or a negative
 * errno; reports, but not a missing file that is not required (-ENOENT).
 */
int config_open(struct config *config, struct arena *arena, const char *path, bool required);
/* 1: *line is the next line that says something; 0: the end; or a negative errno.  Reports. */
int config_next(struct config *config, struct config_line *line);
