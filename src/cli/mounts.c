/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/mounts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/report.h"
#include "cli/mounts/view.h"
#include "cli/options.h"
#include "image/image.h"
#include "mount/collect.h"
#include "mount/compare.h"
#include "mount/external.h"
#include "mount/filesystem.h"
#include "mount/mount.h"
#include "mount/plan.h"

/* ---- where mounts are from ------------------------------------------------------------------ */

static int read_process(struct mounts_view *view, const char *pid)
{
	char path[64];
	struct stat stat;
	struct mount_tree *tree;
	autofd int fd = -1;

	snprintf(path, sizeof(path), "/proc/%.20s/ns/mnt", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &stat) < 0)
		return FAIL(errno, SUBJECT("pid %s", pid), "write ./NAME for a directory",
			    errno == ENOENT ? "there is no such process"
					    : "its mount namespace cannot be opened");
	view->name = arena_printf(view->graph->arena, "pid %s", pid);
	return mounts_collect(view->graph, stat.st_ino, fd, &tree);
}

static int by_number(const void *a, const void *b)
{
	uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

	return (one > other) - (one < other);
}

static int read_directory(struct mounts_view *view, const char *path, int fd)
{
	ARRAY(uint32_t) ids = {0};
	DIR *directory = fdopendir(dup(fd));
	struct dirent *entry;
	int error = 0;

	while (directory && (entry = readdir(directory))) {
		unsigned int id;
		char name[64];

		if (sscanf(entry->d_name, "mountpoints-%u.img", &id) == 1 &&
		    strcmp(image_name(IMAGE_MNTS, id, name), entry->d_name) == 0)
			*array_push(&ids) = id;
	}
	if (directory)
		closedir(directory);
	if (!ids.count)
		return FAIL(ENOENT, SUBJECT("%s", path), NULL,
			    "has no images of mount namespaces (mountpoints-N.img): all processes "
			    "were in that of stasis, or it is no checkpoint");
	qsort(ids.items, ids.count, sizeof(*ids.items), by_number);
	for (size_t i = 0; i < ids.count && !error; i++)
		error = mount_image_read(fd, view->graph->arena, ids.items[i], view->graph);
	array_free(&ids);
	return error;
}

static int read_file(struct mounts_view *view, const char *path)
{
	autofree char *text = NULL;
	struct mount_tree *tree;
	size_t size;
	int error = fd_read_file(AT_FDCWD, path, &text, &size);

	if (error)
		return FAIL(-error, SUBJECT("%s", path), NULL, "cannot be read: %s",
			    strerror(-error));
	return mounts_parse(view->graph, 1, text, size, path, &tree);
}

static bool is_number(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == 0;
}

/* PID, DIR or FILE. */
static int view_open(struct mounts_view *view, const char *name)
{
	struct stat stat;
	autofd int fd = -1;
	int error;

	*view = (struct mounts_view){.name = name, .graph = graph_new(arena_new())};
	if (is_number(name)) {
		error = read_process(view, name);
	} else {
		fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &stat) < 0)
			return FAIL(errno, SUBJECT("%s", name), NULL, "cannot be opened: %s",
				    strerror(errno));
		error = S_ISDIR(stat.st_mode) ? read_directory(view, name, fd)
					      : read_file(view, name);
	}
	if (!error)
		mounts_find_covered(view);
	return error;
}

static void view_close(struct mounts_view *view)
{
	struct arena *arena = view->graph->arena;

	hash_free(&view->covered);
	graph_free(view->graph);
	arena_free(arena);
}

/* ---- what is done with them ----------------------------------------------------------------- */

static int print(const struct options *options, struct mounts_view *views)
{
	(options->json ? mounts_json : options->dot ? mounts_dot : mounts_text)(&views[0], stdout);
	return 0;
}

static int compare(const struct options *options, struct mounts_view *views)
{
	mount_differences differences = {0};
	int found;

	graphs_compare(views[0].graph, views[1].graph, &differences);
	array_each (&differences, each) {
		const struct mount *mount = each->left ? each->left : each->right;

		if (views[0].graph->trees.count > 1)
			printf("namespace %u, ", mount->tree->id);
		printf("%s: %s\n", path_escaped(views[0].graph->arena, mount->path), each->text);
	}
	found = differences.count > 0;
	array_free(&differences);
	return found;
}

/* What a restore is given, as options would say it. */
static void assume_providers(struct mount_graph *graph, struct superblock *superblock)
{
	for (struct mount *mount = superblock->mounts; mount; mount = mount->next_of_superblock) {
		if (!mount->external)
			continue;
		*array_push(&superblock->providers) = (struct provider){
			.root = mount->root,
			.name = arena_printf(graph->arena, "mnt[%s]", mount->external),
			.key = mount->external,
			.group = mount->group ? mount->group : mount->master,
			.fd = -1,
		};
	}
	superblock->filesystem = filesystem_find(superblock->type);
	if (superblock_is_outside(superblock))
		*array_push(&superblock->providers) = (struct provider){
			.root = "/",
			.name = arena_printf(graph->arena, "%s on %s", superblock->type,
					     superblock->source ? superblock->source : "none"),
			.fd = -1,
		};
}

static int plan(const struct options *options, struct mounts_view *views)
{
	struct mount_graph *graph = views[0].graph;
	struct mount_plan plan = {0};
	int error;

	array_each (&graph->superblocks, superblock)
		assume_providers(graph, *superblock);
	error = plan_make(graph, &plan);
	for (size_t i = 0; !error && i < plan.steps.count; i++)
		puts(plan_step_text(graph->arena, &plan.steps.items[i]));
	plan_free(&plan);
	return error;
}

int mounts_command(const struct options *options)
{
	int (*act)(const struct options *options, struct mounts_view *views) =
		options->diff   ? compare
		: options->plan ? plan
				: print;
	size_t wanted = options->diff ? 2 : 1, count = 0;
	struct mounts_view views[2] = {0};
	int error = 0;

	if (options->argument_count != wanted)
		return FAIL(EINVAL, SUBJECT("mounts"),
			    wanted == 2 ? "stasis mounts --diff A B" : "stasis mounts PID or DIR",
			    "takes %zu name%s of a process, directory or mountinfo file", wanted,
			    wanted == 2 ? "s" : "");
	for (; count < wanted && !error; count++)
		error = view_open(&views[count], options->arguments[count]);
	if (!error)
		error = act(options, views);
	while (count)
		view_close(&views[--count]);
	if (error >= 0 && (fflush(stdout) || ferror(stdout)))
		error = FAIL(errno, SUBJECT("standard output"), NULL, "cannot be written: %s",
			     strerror(errno));
	return error;
}
