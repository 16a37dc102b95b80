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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/report.h"
#include "checkpoint/checkpoint.h"
#include "image/image.h"
#include "mount/collect.h"
#include "mount/compare.h"

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

/* ---- images and comparison ---------------------------------------------------------------- */

/* What the images make of a graph. */
static struct mount_graph *through_images(struct fixture *fixture, const struct mount_graph *graph)
{
	char directory[] = "/tmp/test_mount_graph.XXXXXX";
	struct checkpoint checkpoint = {.arena = fixture->arena};
	struct mount_graph *read = graph_new(fixture->arena);

	assert_non_null(mkdtemp(directory));
	checkpoint.images = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mount_images_write(&checkpoint, graph), 0);
	array_each (&graph->trees, tree) {
		assert_int_equal(
			mount_image_read(checkpoint.images, fixture->arena, (*tree)->id, read), 0);
		assert_int_equal(image_remove(checkpoint.images, IMAGE_MNTS, (*tree)->id), 0);
	}
	close(checkpoint.images);
	assert_int_equal(rmdir(directory), 0);
	return read;
}

/* The differences as lines: "path: text". */
static const char *differences(struct fixture *fixture, const struct mount_graph *left,
			       const struct mount_graph *right)
{
	mount_differences differences = {0};
	const char *text = "";

	graphs_compare(left, right, &differences);
	array_each (&differences, each)
		text = arena_printf(fixture->arena, "%s%s: %s\n", text,
				    each->left ? each->left->path : each->right->path, each->text);
	array_free(&differences);
	return text;
}

/* Every line of every real container's table is a mount of the graph, and survives the images. */
static void tables(void **state)
{
	struct fixture *fixture = *state;
	DIR *directory = opendir(getenv("STASIS_MOUNT_TABLES"));
	struct dirent *entry;
	int count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory))) {
		struct mount_graph *graph, *read;
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
		read = through_images(fixture, graph);
		assert_string_equal(differences(fixture, graph, read), "");
		graph_free(read);
		graph_free(graph);
		count++;
	}
	closedir(directory);
	assert_in_range(count, 40, 1000);
}

static void images(void **state)
{
	struct fixture *fixture = *state;
	const struct mount *mount;
	struct mount_graph *read;

	assert_int_equal(
		parse(fixture,
		      "20 1 0:30 / / rw,relatime shared:7 - tmpfs none rw,size=1k\n"
		      "21 20 0:31 /\377\\040//deleted /\376\\012 "
		      "ro,nosuid,nodev,noexec,noatime,nodiratime,"
		      "nosymfollow,idmapped shared:4 master:3 - fuse.sshfs \375 ro,sync,o=\374\n"
		      "22 20 4095:1048575 / /x rw unbindable - ext4  rw\n"
		      "23 20 4095:1048575 / /y rw master:7 - ext4 other rw\n"),
		0);
	fixture->graph->groups.items[0]->outside = true;
	for (struct mount *each = (struct mount *)at(fixture, "/\376\n"); each; each = NULL) {
		each->uid_map = "0 1000 1\n5 5 7\n";
		each->gid_map = "0 4294967295 1\n";
		each->external = "key";
	}
	fixture->tree->root->superblock->source = NULL;
	fixture->tree->root->superblock->fsid = 0x123456789abcdef0;
	read = through_images(fixture, fixture->graph);
	assert_string_equal(differences(fixture, fixture->graph, read), "");
	fixture->tree = read->trees.items[0];
	assert_null(fixture->tree->root->superblock->source);
	assert_true(fixture->tree->root->superblock->fsid == 0x123456789abcdef0);
	mount = at(fixture, "/\376\n");
	assert_int_equal(mount->id, 21);
	assert_string_equal(mount->root, "/\377 ");
	assert_string_equal(mount->superblock->options, "o=\374");
	assert_string_equal(mount->superblock->source, "\375");
	assert_string_equal(mount->external, "key");
	assert_string_equal(at(fixture, "/y")->source, "other");
	assert_int_equal(at(fixture, "/x")->superblock->device, makedev(4095, 1048575));
	graph_free(read);
}

static const char compared[] = "1 0 0:9 / / rw shared:1 - tmpfs t rw,size=1k\n"
			       "2 1 0:9 /a /a rw,nosuid shared:1 - tmpfs t rw,size=1k\n"
			       "3 1 0:9 /b /b rw master:1 - tmpfs t rw,size=1k\n"
			       "4 1 0:4 net:[40] /n rw - nsfs nsfs rw\n"
			       "5 1 0:4 net:[41] /o rw - nsfs nsfs rw\n"
			       "6 3 0:10 / /b/c rw master:99 - tmpfs t rw\n"
			       "7 6 0:10 / /b/c/d rw - tmpfs t rw\n";

/* What is replaced in that, and the differences that this makes. */
static const struct {
	const char *from, *to, *differences;
} changes[] = {
	{"master:99", "master:98", ""},
	{"net:[40]", "net:[50]", ""},
	{"net:[40]", "net:[41]", "/o: root: not the namespace that it is elsewhere\n"},
	{"net:[40]", "pid:[40]", "/n: root: pid:[40] instead of net:[40]\n"},
	{"rw,nosuid", "ro,noatime", "/a: attributes: ro,noatime instead of rw,nosuid\n"},
	{"/a /a", "/c /a", "/a: root: /c instead of /a\n"},
	{"/a /a", "/a//deleted /a", "/a: root: it is deleted\n"},
	{"3 1 0:9 /b /b rw master:1", "3 1 0:9 /b /b rw", "/b: master: it has none\n"},
	{"3 1 0:9 /b /b rw master:1", "3 1 0:9 /b /b rw shared:1",
	 "/b: peer group: it has one\n/b: master: it has none\n"},
	{"nosuid shared:1", "nosuid shared:2", "/a: peer group: other mounts are in it\n"},
	{"7 6 0:10", "7 6 0:11", "/b/c/d: filesystem: not the one that it is elsewhere\n"},
	{"/d rw", "/e rw", "/b/c/d: it is missing\n/b/c/e: it is one too many\n"},
	{"size=1k", "size=2k", "/: options: rw,size=2k instead of rw,size=1k\n"},
	{"6 3 0:10 / /b/c rw master:99 - tmpfs t rw", "6 3 0:10 / /b/c rw - tmpfs t rw",
	 "/b/c: master: it has none\n"},
	{"/d rw - tmpfs t", "/d rw - tmpfs u", "/b/c/d: source: u instead of t\n"},
	{"4 1 0:4 net:[40] /n rw - nsfs nsfs rw\n", "", "/n: it is missing\n"},
	{"/d rw", "/d rw unbindable", "/b/c/d: it is unbindable\n"},
};

static char *replace(struct arena *arena, const char *text, const char *from, const char *to)
{
	const char *place = strstr(text, from);

	assert_non_null(place);
	return arena_printf(arena, "%.*s%s%s", (int)(place - text), text, to, place + strlen(from));
}

static void comparison(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(parse(fixture, compared), 0);
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		struct mount_graph *other = graph_new(fixture->arena);
		const char *text =
			replace(fixture->arena, compared, changes[i].from, changes[i].to);
		const char *found;

		assert_int_equal(
			mounts_parse(other, 1, text, strlen(text), "table", &fixture->tree), 0);
		found = differences(fixture, fixture->graph, other);
		if (strcmp(found, changes[i].differences) != 0)
			fail_msg("%s -> %s: %s", changes[i].from, changes[i].to, found);
		graph_free(other);
	}
}

/* ---- the kernel ---------------------------------------------------------------------------- */

/* A namespace with a bit of everything that a kernel has two ways to tell. */
static int make_mounts(const char *place)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("a b#\\c", place, "tmpfs", MS_SYNCHRONOUS, "mode=755") || chdir(place) ||
	    mkdir("a \n\\b", 0700) || mkdir("\377", 0700) || mkdir("gone", 0700) ||
	    mkdir("place", 0700) || mkdir("own", 0700) ||
	    mount("a \n\\b", "\377", NULL, MS_BIND, NULL) ||
	    mount(NULL, "\377", NULL, MS_SHARED, NULL) ||
	    mount("\377", "own", NULL, MS_BIND, NULL) || mount(NULL, "own", NULL, MS_SLAVE, NULL) ||
	    mount(NULL, "own", NULL, MS_SHARED, NULL) ||
	    mount("x", "own", "tmpfs", MS_NOSUID | MS_NODEV | MS_RDONLY, "size=8k") ||
	    mount("gone", "place", NULL, MS_BIND, NULL) || rmdir("gone") ||
	    mount(NULL, "place", NULL, MS_REMOUNT | MS_BIND | MS_NOEXEC | MS_NOATIME, NULL) ||
	    mount(NULL, "place", NULL, MS_UNBINDABLE, NULL))
		return -1;
	return 0;
}

/* Tells when it is done and then covers its root when told to, and waits for the end. */
static void live_in_mounts(const char *place, int socket)
{
	char byte = make_mounts(place) ? 'e' : 'o';

	(void)!write(socket, &byte, 1);
	if (read(socket, &byte, 1) != 1)
		_exit(0);
	byte = mount("over", "/", "tmpfs", 0, NULL) ? 'e' : 'o';
	(void)!write(socket, &byte, 1);
	(void)!read(socket, &byte, 1);
	_exit(0);
}

static void collected(void **state)
{
	struct fixture *fixture = *state;
	char place[] = "/tmp/test_mount_graph.XXXXXX", byte, path[64];
	struct mount_graph *covered = graph_new(fixture->arena), *told = graph_new(fixture->arena);
	autofree char *text = NULL;
	struct mount_tree *tree;
	autofd int fd = -1;
	int sockets[2];
	size_t count;
	pid_t pid;

	if (geteuid())
		skip();
	assert_non_null(mkdtemp(place));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	pid = fork();
	if (!pid) {
		close(sockets[0]);
		live_in_mounts(place, sockets[1]);
	}
	close(sockets[1]);
	assert_int_equal(read(sockets[0], &byte, 1), 1);
	assert_int_equal(byte, 'o');
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
	assert_int_equal(fd_read_file(AT_FDCWD, path, &text, NULL), 0);
	assert_int_equal(mounts_parse(told, 1, text, strlen(text), path, &tree), 0);
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(mounts_collect(fixture->graph, 1, fd, &fixture->tree), 0);
	assert_string_equal(differences(fixture, told, fixture->graph), "");

	/* A root that is covered is seen, too. */
	count = fixture->tree->mounts.count;
	assert_int_equal(write(sockets[0], &byte, 1), 1);
	assert_int_equal(read(sockets[0], &byte, 1), 1);
	assert_int_equal(byte, 'o');
	assert_int_equal(mounts_collect(covered, 1, fd, &tree), 0);
	assert_int_equal(tree->mounts.count, count + 1);
	assert_int_equal(tree->root->short_id, fixture->tree->root->short_id);
	assert_string_equal(tree->root->children[0]->mountpoint, "");
	close(sockets[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	rmdir(place);
	graph_free(covered);
	graph_free(told);
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
		cmocka_unit_test_setup_teardown(images, set_up, tear_down),
		cmocka_unit_test_setup_teardown(comparison, set_up, tear_down),
		cmocka_unit_test_setup_teardown(collected, set_up, tear_down),
		cmocka_unit_test_setup_teardown(paths, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
