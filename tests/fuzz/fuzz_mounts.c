/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/report.h"
#include "checkpoint/checkpoint.h"
#include "cli/mounts/view.h"
#include "fuzz.h"
#include "image/image.h"
#include "mount/collect.h"
#include "mount/compare.h"
#include "mount/plan.h"

/*
 * Mounts, as a mountinfo file or as an image: they are read, compared, planned and printed.
 * Compared with themselves they must not differ.
 */

static char path[] = "/dev/shm/fuzz_mounts.XXXXXX";
static int directory = -1;

static void remove_directory(void)
{
	image_remove(directory, IMAGE_MNTS, 1);
	rmdir(path);
}

static void make_directory(void)
{
	if (directory >= 0)
		return;
	if (!mkdtemp(path))
		abort();
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	atexit(remove_directory);
}

static int read_image(struct mount_graph *graph, const uint8_t *data, size_t size)
{
	autofd int fd = -1;

	make_directory();
	fd = openat(directory, "mountpoints-1.img", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || fd_write_all(fd, data, size))
		abort();
	return mount_image_read(directory, graph->arena, 1, graph);
}

/* What is done with every graph. */
static void use(struct mount_graph *graph)
{
	static FILE *nowhere;
	struct mounts_view view = {.graph = graph};
	mount_differences differences = {0};
	struct mount_plan plan = {0};

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	graphs_compare(graph, graph, &differences);
	if (differences.count)
		abort();
	mounts_find_covered(&view);
	mounts_text(&view, nowhere);
	mounts_json(&view, nowhere);
	mounts_dot(&view, nowhere);
	hash_free(&view.covered);
	plan_make(graph, &plan);
	plan_free(&plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t magic[] = {0x19, 0x43, 0x56, 0x54};
	struct arena *arena = arena_new();
	struct mount_graph *graph = graph_new(arena);
	struct mount_tree *tree;
	int error;

	if (size > sizeof(magic) && memcmp(data, magic, sizeof(magic)) == 0)
		error = read_image(graph, data, size);
	else
		error = mounts_parse(graph, 1, (const char *)data, size, "table", &tree);
	if (!error)
		use(graph);
	graph_free(graph);
	arena_free(arena);
	report_clear();
	return 0;
}

static const char *const tables[] = {
	"184 134 0:41 / / rw,relatime master:3 - overlay overlay rw,lowerdir=/l,upperdir=/u\n"
	"185 184 0:51 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n"
	"135 185 0:51 /bus /proc/bus ro,nosuid,nodev,noexec,relatime - proc proc rw\n",
	"20 1 0:30 / / rw,relatime shared:7 - tmpfs none rw,size=1k\n"
	"21 20 0:31 /\\134\\040//deleted /\xff\\012 ro,noatime,nosymfollow,idmapped shared:4 "
	"master:3 propagate_from:2 - fuse.sshfs a ro,sync,o=b\n"
	"22 20 8:1 / /x rw unbindable - ext4  rw\n"
	"23 20 8:1 /a /x/y rw master:7 - ext4 other rw\n",
	"1 0 0:9 / / rw shared:1 - tmpfs t rw,size=1k\n"
	"2 1 0:9 / / rw - tmpfs t rw,size=1k\n"
	"3 1 0:9 /b /b rw master:1 - tmpfs t rw,size=1k\n"
	"4 3 0:4 net:[40] /b/n rw - nsfs nsfs rw\n",
};

static void add_image(void (*add)(const void *data, size_t size), const char *table)
{
	struct checkpoint checkpoint = {.arena = arena_new()};
	struct mount_graph *graph = graph_new(checkpoint.arena);
	struct mount_tree *tree;
	char *data;
	size_t size;

	make_directory();
	checkpoint.images = directory;
	if (mounts_parse(graph, 1, table, strlen(table), "table", &tree) ||
	    mount_images_write(&checkpoint, graph) ||
	    fd_read_file(directory, "mountpoints-1.img", &data, &size))
		abort();
	add(data, size);
	free(data);
	graph_free(graph);
	arena_free(checkpoint.arena);
}

void fuzz_seeds(void (*add)(const void *data, size_t size))
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		add(tables[i], strlen(tables[i]));
		add_image(add, tables[i]);
	}
}
