/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/contents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/log.h"
#include "mount/filesystem.h"

void path_cut(struct path *path, size_t length)
{
	path->length = length;
	if (path->text)
		path->text[length] = 0;
}

void path_add(struct path *path, const char *name, size_t size)
{
	size_t need = path->length + size + 2;

	if (need > path->room) {
		path->room = need * 2;
		path->text = realloc(path->text, path->room);
		if (!path->text)
			die_of_memory();
	}
	if (path->length)
		path->text[path->length++] = '/';
	memcpy(path->text + path->length, name, size);
	path_cut(path, path->length + size);
}

size_t path_common(const struct path *path, const char *other, size_t length)
{
	enum { STEP = 64 };
	const size_t most = path->length < length ? path->length : length;
	size_t same = 0;

	while (same + STEP <= most && !memcmp(path->text + same, other + same, STEP))
		same += STEP;
	while (same < most && path->text[same] == other[same])
		same++;
	if ((same == path->length || path->text[same] == '/') &&
	    (same == length || other[same] == '/'))
		return same;
	while (same && other[--same] != '/')
		;
	return same;
}

const char *path_of_fd(int fd, const char *name, fd_path path)
{
	snprintf(path, sizeof(fd_path), "/proc/self/fd/%d%s%s", fd, name ? "/" : "", name ?: "");
	return path;
}

unsigned long contents_id(const struct superblock *superblock)
{
	return (unsigned long)major(superblock->device) << 20 | minor(superblock->device);
}

struct subject contents_subject(const struct superblock *superblock, const struct path *path)
{
	enum { LONGEST = 150 };
	const char *text = path->text ?: "";
	bool cut = path->length > LONGEST;

	/* The end of a long path says more than its beginning. */
	return SUBJECT("%s, file %s%s", superblock_subject(superblock).text, cut ? "..." : "/",
		       cut ? text + path->length - LONGEST : text);
}

bool contents_listed(const char *const *names, const char *name)
{
	while (*names && strcmp(*names, name))
		names++;
	return *names;
}
