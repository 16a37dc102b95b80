/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/report.h"
#include "mount/collect.h"

struct fixture {
	struct arena *arena;
	struct mount_graph *graph;
	struct mount_tree *tree;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->arena = arena_new();
	fixture->graph = graph_new(fixture->arena);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	graph_free(fixture->graph);
	arena_free(fixture->arena);
	free(fixture);
	report_clear();
	return 0;
}

static int parse(struct fixture *fixture, const char *text)
{
	return mounts_parse(fixture->graph, 1, text, strlen(text), "table", &fixture->tree);
}

static const struct mount *at(const struct fixture *fixture, const char *path)
{
	const struct mount *found = NULL;

	array_each (&fixture->tree->mounts, mount)
		if (strcmp((*mount)->path, path) == 0)
			found = *mount;
	assert_non_null(found);
	return found;
}

/* ---- mountinfo ---------------------------------------------------------------------------- */

static void fields(void **state)
{
	struct fixture *fixture = *state;
	const struct mount *mount;

	assert_int_equal(
		parse(fixture,
		      "20 1 0:30 / / rw,relatime - tmpfs none rw,size=1k\n"
		      "22 21 0:31 /a\\040b\\134//deleted /x/y\\012z "
		      "ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow shared:4 master:3 "
		      "propagate_from:2 - fuse.sshfs u@h:\\040 ro,sync,lazytime,user_id=0,sync\n"
		      "21 20 259:5 / /x rw unbindable - ext4  rw\n"
		      "23 20 0:4 net:[4026531840] /n rw,relatime,idmapped - nsfs nsfs rw\n"),
		0);
	assert_int_equal(fixture->tree->mounts.count, 4);
	assert_string_equal(fixture->tree->root->mountpoint, "");
	mount = at(fixture, "/x/y\nz");
	assert_int_equal(mount->id, 22);
	assert_string_equal(mount->mountpoint, "y\nz");
	assert_ptr_equal(mount->parent, at(fixture, "/x"));
	assert_string_equal(mount->root, "/a b\\");
	assert_true(mount->root_deleted);
	assert_int_equal(mount->attributes, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
						    MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
						    MOUNT_ATTR_NOATIME | MOUNT_ATTR_NODIRATIME |
						    MOUNT_ATTR_NOSYMFOLLOW);
	assert_int_equal(mount->group->id, 4);
	assert_int_equal(mount->master->id, 3);
	assert_ptr_equal(mount->group->master, mount->master);
	assert_ptr_equal(mount->group->members, mount);
	assert_null(mount->master->members);
	assert_string_equal(mount->superblock->type, "fuse");
	assert_string_equal(mount->superblock->subtype, "sshfs");
	assert_string_equal(mount->superblock->source, "u@h: ");
	assert_string_equal(mount->superblock->options, "user_id=0,sync");
	assert_int_equal(mount->superblock->flags, MS_RDONLY | MS_SYNCHRONOUS | 1 << 25);
	mount = at(fixture, "/x");
	assert_true(mount->unbindable);
	assert_int_equal(mount->attributes, MOUNT_ATTR_STRICTATIME);
	assert_string_equal(mount->superblock->source, "");
	assert_string_equal(mount->superblock->options, "");
	assert_int_equal(mount->superblock->device, makedev(259, 5));
	mount = at(fixture, "/n");
	assert_string_equal(mount->uid_map, "");
	assert_string_equal(mount->root, "net:[4026531840]");
	assert_false(mount->root_deleted);
}

static void sources(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(parse(fixture, "1 0 8:1 / / rw - ext4 /dev/root rw\n"
					"2 1 8:1 /a /a rw - ext4 /dev/sda1 rw\n"
					"3 1 8:1 /b /b rw - ext4 /dev/root rw\n"),
			 0);
	assert_int_equal(fixture->graph->superblocks.count, 1);
	assert_null(at(fixture, "/b")->source);
	assert_string_equal(at(fixture, "/a")->source, "/dev/sda1");
}

static void order(void **state)
{
	struct fixture *fixture = *state;
	const struct mount *mount, *top;

	assert_int_equal(parse(fixture, "9 7 0:9 / /a rw - tmpfs t rw\n"
					"8 7 0:9 / / rw - tmpfs t rw\n"
					"4 8 0:9 / / rw - tmpfs t rw\n"
					"7 0 0:9 / / rw - tmpfs t rw\n"
					"5 4 0:9 / /c rw - tmpfs t rw\n"
					"6 4 0:9 / /b rw - tmpfs t rw"),
			 0);
	assert_int_equal(fixture->tree->root->id, 7);
	assert_ptr_equal(fixture->tree->mounts.items[0], fixture->tree->root);
	array_each (&fixture->tree->mounts, each) {
		assert_true(!(*each)->parent || (*each)->parent->state);
		(*each)->state = *each;
	}
	mount = fixture->tree->root->children[0];
	assert_int_equal(mount->id, 8);
	assert_string_equal(mount->mountpoint, "");
	top = mount->children[0];
	assert_int_equal(top->child_count, 2);
	assert_int_equal(top->children[0]->id, 6);
	assert_ptr_equal(top->path, fixture->tree->root->path);
}

static const char *const hostile[] = {
	"",
	"\n",
	"1 0 0:9 / / rw - tmpfs t",
	"1 0 0:9 / / rw -",
	"1 0 0:9 / / rw",
	"1 0 0:9 / /",
	"1 0 9 / / rw - tmpfs t rw",
	"1 0 -1:9 / / rw - tmpfs t rw",
	"4294967296 0 0:9 / / rw - tmpfs t rw",
	"1 0 0:9 / / rw,odd - tmpfs t rw",
	"1 0 0:9 / / rw odd - tmpfs t rw",
	"1 0 0:9 / / rw shared:0 - tmpfs t rw",
	"1 0 0:9 / / rw shared:2147483648 - tmpfs t rw",
	"1 0 0:9 / / rw shared:1 unbindable - tmpfs t rw",
	"1 0 0:9 / / rw shared:1 master:1 - tmpfs t rw",
	"1 0 0:9 / / rw - tmpfs t rw\n\n2 1 0:9 / /a rw - tmpfs t rw",
	"1 0 0:9 / / rw - tmpfs t rw\n1 1 0:9 / /a rw - tmpfs t rw",
	"1 0 0:9 / / rw - tmpfs t rw\n2 0 0:9 / /a rw - tmpfs t rw",
	"1 0 0:9 / / rw - tmpfs t rw\n2 1 0:9 / a rw - tmpfs t rw",
	"1 0 0:9 / / rw - tmpfs t rw\n2 1 0:9 / /a rw - tmpfs t rw\n3 1 0:9 / /a rw - tmpfs t rw",
	"1 0 0:9 / / rw - tmpfs t rw\n2 1 0:9 / /a rw - tmpfs t rw\n3 2 0:9 / /ab rw - tmpfs t rw",
	"1 0 0:9 / / rw - tmpfs t rw\n2 3 0:9 / /a rw - tmpfs t rw\n3 2 0:9 / /a rw - tmpfs t rw",
	"1 2 0:9 / / rw - tmpfs t rw\n2 1 0:9 / /a rw - tmpfs t rw",
	"1 0 0:9 / / rw shared:1 master:2 - tmpfs t rw\n2 1 0:9 / /a rw shared:2 master:1 - tmpfs "
	"t rw",
	"1 0 0:9 / / rw shared:1 master:2 - tmpfs t rw\n2 1 0:9 / /a rw shared:1 - tmpfs t rw",
};

static void refused(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(hostile) / sizeof(*hostile); i++) {
		struct mount_graph *graph = graph_new(fixture->arena);
		int error = mounts_parse(graph, 1, hostile[i], strlen(hostile[i]), "table",
					 &fixture->tree);

		if (error != -EBADMSG || report_count() != i + 1)
			fail_msg("\"%s\": %d", hostile[i], error);
		graph_free(graph);
	}
}

/* Every line of every real container's table is a mount of the graph. */
static void tables(void **state)
{
	struct fixture *fixture = *state;
	DIR *directory = opendir(getenv("STASIS_MOUNT_TABLES"));
	struct dirent *entry;
	int count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory))) {
		struct mount_graph *graph;
		autofree char *text = NULL;
		size_t lines = 0;

		if (*entry->d_name == '.')
			continue;
		graph = graph_new(fixture->arena);
		assert_int_equal(fd_read_file(dirfd(directory), entry->d_name, &text, NULL), 0);
		for (const char *c = text; *c; c++)
			lines += *c == '\n';
		assert_int_equal(
			mounts_parse(graph, 1, text, strlen(text), entry->d_name, &fixture->tree),
			0);
		assert_int_equal(fixture->tree->mounts.count, lines);
		graph_free(graph);
		count++;
	}
	closedir(directory);
	assert_in_range(count, 40, 1000);
}

/* ---- paths -------------------------------------------------------------------------------- */

static void paths(void **state)
{
	struct fixture *fixture = *state;
	struct arena *arena = fixture->arena;

	assert_true(path_contains("/", "/"));
	assert_true(path_contains("/", "/a"));
	assert_true(path_contains("/a", "/a"));
	assert_true(path_contains("/a", "/a/b"));
	assert_false(path_contains("/a", "/ab"));
	assert_false(path_contains("/a/b", "/a"));
	assert_false(path_contains("/", "net:[1]"));
	assert_string_equal(path_below("/", "/"), "");
	assert_string_equal(path_below("/", "/a"), "a");
	assert_string_equal(path_below("/a", "/a/b/c"), "b/c");
	assert_string_equal(path_below("/a", "/a"), "");
	assert_string_equal(path_join(arena, "/", "a"), "/a");
	assert_string_equal(path_join(arena, "/a", "b"), "/a/b");
	assert_string_equal(path_join(arena, "/a", ""), "/a");
	assert_string_equal(path_escaped(arena, "/a b\n\\\xff\xc3\xbc\xc2\x85"),
			    "/a\\040b\\012\\134\\377\xc3\xbc\\302\\205");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(fields, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sources, set_up, tear_down),
		cmocka_unit_test_setup_teardown(order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tables, set_up, tear_down),
		cmocka_unit_test_setup_teardown(paths, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
