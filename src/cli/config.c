/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/report.h"

static const char blanks[] = " \t\r";

int config_open(struct config *config, struct arena *arena, const char *path, bool required)
{
	autofree char *text = NULL;
	size_t size;
	int error;

	*config = (struct config){.file = arena_strdup(arena, path)};
	error = fd_read_file(AT_FDCWD, path, &text, &size);
	if (error == -ENOENT && !required)
		return error;
	if (error)
		return FAIL(-error, SUBJECT("configuration file %s", path),
			    "name another, or none (see --config and --no-default-config)",
			    "cannot be read: %s", strerror(-error));
	if (strlen(text) != size)
		return FAIL(EINVAL, SUBJECT("configuration file %s", path), NULL, "is not text");
	config->next = arena_strdup(arena, text);
	return 0;
}

static int fail_line(const struct config *config, const char *reason)
{
	return FAIL(EINVAL, SUBJECT("%s:%u", config->file, config->number),
		    "write an option a line: NAME, NAME VALUE or NAME \"VALUE\"", "%s", reason);
}

/* Nothing, or nothing but a comment. */
static bool is_rest(const char *text)
{
	return !*text || *text == '#';
}

/* In place.  `*text` is behind the opening quote and, afterwards, behind the closing one. */
static bool unquote(char **text)
{
	char *from = *text, *to = from;

	for (; *from != '"'; from++) {
		if (!*from)
			return false;
		if (from[0] == '\\' && from[1] == '"')
			from++;
		*to++ = *from;
	}
	*text = from + 1;
	*to = '\0';
	return true;
}

/* A line without its end, not empty: name and value, cut out in place. */
static int split(const struct config *config, char *text, struct config_line *line)
{
	char *end = text + strcspn(text, " \t\r=#");

	*line = (struct config_line){.name = text, .file = config->file, .number = config->number};
	if (end == text)
		return fail_line(config, "has no option");
	text = end + strspn(end, blanks);
	if (*text == '=')
		text += 1 + strspn(text + 1, blanks);
	if (is_rest(text)) {
		*end = '\0';
		return 1;
	}
	*end = '\0';
	if (*text == '"') {
		line->value = ++text;
		if (!unquote(&text))
			return fail_line(config, "has a quote that is not closed");
		end = text;
	} else {
		line->value = text;
		end = text + strcspn(text, " \t\r#");
	}
	text = end + strspn(end, blanks);
	if (!is_rest(text))
		return fail_line(config, "has more than an option and its value");
	*end = '\0';
	return 1;
}

int config_next(struct config *config, struct config_line *line)
{
	while (config->next) {
		char *text = config->next, *end = strchrnul(text, '\n');

		config->next = *end ? end + 1 : NULL;
		config->number++;
		*end = '\0';
		text += strspn(text, blanks);
		if (!is_rest(text))
			return split(config, text, line);
	}
	return 0;
}
