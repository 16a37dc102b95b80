/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/report.h"
#include "mount/collect.h"
#include "mount/filesystem.h"
#include "mount_model.h"

/*
 * Graphs are planned, and the plans replayed on a model of the kernel (mount_model.c).
 *
 * STASIS_PLAN_SECONDS (8) or STASIS_PLAN_COUNT: for how long, or how many random graphs;
 * STASIS_PLAN_SEED: the first one's seed, which a failure prints.
 */

struct fixture {
	struct arena *arena;
	struct mount_graph *graph;
	struct mount_plan plan;
};

static struct fixture fixture_new(void)
{
	struct arena *arena = arena_new();

	return (struct fixture){.arena = arena, .graph = graph_new(arena)};
}

static void fixture_free(struct fixture *fixture)
{
	plan_free(&fixture->plan);
	graph_free(fixture->graph);
	arena_free(fixture->arena);
	report_clear();
}

/* ---- random graphs ---- */

enum { MOST_SUPERBLOCKS = 4, MOST_GROUPS = 6, MOST_TREES = 3, MOST_MOUNTS = 12 };

static const char *const roots[] = {"/", "/", "/a", "/a", "/a/b", "/a/b/c", "/ab", "/d", "/d/e"};
static const char *const names[] = {"net:[1]", "net:[2]"};
static const char *const places[] = {"", "a", "a/b", "a/b/c", "ab", "d", "d/e", "d e", "f/g/h"};

#define PICK(array) ((array)[below(sizeof(array) / sizeof((array)[0]))])

struct kind {
	struct superblock *superblock;
	struct peer_group *groups[MOST_GROUPS];
	const char *group_names[MOST_GROUPS]; /* nsfs: peers show one file */
	size_t group_count;
	bool names;
};

static uint64_t random_state;

static uint64_t next(void)
{
	random_state += 0x9e3779b97f4a7c15;

	uint64_t x = random_state;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static size_t below(size_t limit)
{
	return next() % limit;
}

static bool chance(unsigned int percent)
{
	return below(100) < percent;
}

/* kind: gets a forest of groups; masters can have any number, so that orders vary. */
static void add_groups(struct fixture *fixture, struct kind *kind, bool outside)
{
	size_t order[MOST_GROUPS];

	kind->group_count = below(MOST_GROUPS + 1);
	for (size_t i = 0; i < kind->group_count; i++) {
		size_t other = below(i + 1);

		kind->groups[i] = graph_group(fixture->graph,
					      kind->superblock->id * 100 + MOST_GROUPS - (int)i);
		kind->group_names[i] = PICK(names);
		order[i] = order[other];
		order[other] = i;
	}
	for (size_t i = 0; i < kind->group_count; i++) {
		struct peer_group *group = kind->groups[order[i]];
		size_t master = i ? order[below(i)] : 0;

		if (i && chance(50)) {
			group->master = kind->groups[master];
			kind->group_names[order[i]] = kind->group_names[master];
		}
		group->outside =
			outside && (!group->master || group->master->outside) && chance(30);
	}
}

/* wide: whatever is asked for can be made from the providers. */
static void add_providers(struct fixture *fixture, struct kind *kind, bool wide)
{
	struct superblock *superblock = kind->superblock;
	size_t count = 1 + below(4);

	for (size_t i = 0; i < count; i++) {
		struct provider *provider = array_push(&superblock->providers);

		*provider = (struct provider){.root = PICK(roots), .fd = -1};
		provider->name = arena_printf(fixture->arena, "provider %zu", i);
		if (chance(40))
			provider->key = arena_printf(fixture->arena, "key%zu", i);
		if (kind->group_count && chance(60))
			provider->group = kind->groups[below(kind->group_count)];
		if (provider->group && !provider->group->outside)
			provider->group = NULL;
	}
	if (!wide)
		return;
	for (size_t i = 0; i <= kind->group_count; i++) {
		struct provider *provider = array_push(&superblock->providers);

		*provider = (struct provider){.root = "/", .name = "wide", .fd = -1};
		if (i < kind->group_count)
			provider->group = kind->groups[i];
	}
}

static void add_superblock(struct fixture *fixture, struct kind *kind, size_t number, bool wide)
{
	bool given = chance(40);

	*kind = (struct kind){.names = !given && chance(10)};
	kind->superblock =
		graph_superblock(fixture->graph, number + 1, kind->names ? "nsfs" : "tmpfs");
	kind->superblock->late = chance(8);
	kind->superblock->phase = chance(15) ? 1 + below(2) : 0;
	add_groups(fixture, kind, given);
	if (given)
		add_providers(fixture, kind, wide);
}

static void choose_root(struct kind *kind, struct mount *mount, size_t group)
{
	struct superblock *superblock = kind->superblock;
	size_t count = superblock->providers.count;
	struct provider *provider = count ? &superblock->providers.items[below(count)] : NULL;

	mount->root = PICK(roots);
	if (kind->names) {
		mount->root =
			mount->group || mount->master ? kind->group_names[group] : PICK(names);
	} else if (provider && provider->key && chance(30)) {
		mount->external = provider->key;
		mount->root = provider->root;
	} else if (chance(10) && strcmp(mount->root, "/") != 0) {
		mount->root_deleted = true;
	}
}

/* A place on a random mount of the tree where there is none yet. */
static void choose_place(const struct mount_tree *tree, struct mount *mount, uint64_t *parent)
{
	bool taken = true;

	while (taken) {
		*parent = tree->mounts.items[below(tree->mounts.count)]->id;
		mount->mountpoint = PICK(places);
		taken = false;
		array_each (&tree->mounts, other)
			taken |= (*other)->parent_id == *parent &&
				 strcmp((*other)->mountpoint, mount->mountpoint) == 0;
	}
}

/* Gives the mount a group or a master; where nothing comes from outside each group has members. */
static size_t choose_group(struct kind *kind, struct mount *mount)
{
	size_t group = below(kind->group_count), empty = kind->group_count;
	bool given = kind->superblock->providers.count;

	while (!given && empty-- && kind->groups[empty]->members)
		;
	if (empty < kind->group_count)
		group = empty;
	if (empty < kind->group_count || chance(65))
		mount->group = kind->groups[group];
	mount->master = mount->group ? mount->group->master : kind->groups[group];
	return group;
}

static void add_mount(struct fixture *fixture, struct mount_tree *tree, struct kind *kind,
		      uint64_t id)
{
	struct mount mount = {.id = id, .short_id = id, .superblock = kind->superblock};
	uint64_t parent = 0;
	size_t group = 0;

	if (kind->group_count && chance(70))
		group = choose_group(kind, &mount);
	mount.unbindable = !mount.master && !mount.group && chance(20);
	mount.has_files = chance(15);
	choose_root(kind, &mount, group);
	if (tree->mounts.count)
		choose_place(tree, &mount, &parent);
	else
		mount.mountpoint = "";
	graph_add_mount(fixture->graph, tree, &mount, parent);
}

static bool is_outside(const struct peer_group *group)
{
	return group && (group->outside || !group->members);
}

/* What mounts outside receive from is outside, too. */
static void settle_groups(struct fixture *fixture)
{
	bool again = true;

	while (again) {
		again = false;
		array_each (&fixture->graph->groups, group) {
			struct peer_group *master = (*group)->master;

			if (is_outside(*group) && master && !is_outside(master))
				master->outside = again = true;
		}
	}
}

/* Only what is given from outside can lack something. */
static bool is_possible(const struct fixture *fixture)
{
	array_each (&fixture->graph->trees, tree)
		array_each (&(*tree)->mounts, mount)
			if (!(*mount)->superblock->providers.count &&
			    (is_outside((*mount)->group) || is_outside((*mount)->master)))
				return false;
	return true;
}

/* Whether there is certainly a plan. */
static bool make_random(struct fixture *fixture)
{
	struct kind kinds[MOST_SUPERBLOCKS];
	size_t count = 1 + below(MOST_SUPERBLOCKS), trees = 1 + below(MOST_TREES);
	uint64_t id = 1;
	bool wide = chance(85);

	for (size_t i = 0; i < count; i++)
		add_superblock(fixture, &kinds[i], i, wide);
	for (size_t i = 0; i < trees; i++) {
		struct mount_tree *tree = graph_add_tree(fixture->graph, i + 1);
		size_t mounts = 1 + below(MOST_MOUNTS);

		while (mounts--)
			add_mount(fixture, tree, &kinds[below(count)], id++);
		assert_int_equal(graph_finish(fixture->graph, tree, "random"), 0);
	}
	if (!wide)
		return false;
	settle_groups(fixture);
	return is_possible(fixture);
}

/* How many graphs were planned, and how many of them refused. */
struct tally {
	size_t planned, refused;
};

static void try_seed(uint64_t seed, struct tally *tally)
{
	struct fixture fixture = fixture_new();
	const char *wrong = NULL;

	random_state = seed;

	bool possible = make_random(&fixture);
	int error = plan_make(fixture.graph, &fixture.plan);

	if (!error)
		wrong = model_replay(fixture.arena, fixture.graph, &fixture.plan).wrong;
	else if (possible)
		wrong = report_get(0)->reason;
	else if (!report_count() || !*report_get(0)->remedy)
		wrong = "refused without a remedy";
	if (wrong)
		fail_msg("STASIS_PLAN_SEED=%llu: %s", (unsigned long long)seed, wrong);
	tally->planned++;
	tally->refused += error != 0;
	fixture_free(&fixture);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void test_random(void **state)
{
	uint64_t seed = number("STASIS_PLAN_SEED", (uint64_t)time(NULL) << 20);
	uint64_t count = number("STASIS_PLAN_COUNT", UINT64_MAX);
	time_t end = time(NULL) + number("STASIS_PLAN_SECONDS", 8);
	struct tally tally = {0};

	while (tally.planned < count && (count != UINT64_MAX || time(NULL) < end))
		try_seed(seed++, &tally);
	print_message("%zu random graphs, %zu of them refused\n", tally.planned, tally.refused);
}

/* ---- real tables ---- */

static void plan_table(const char *path, const char *text, size_t size, bool real)
{
	struct fixture fixture = fixture_new();
	struct mount_tree *tree;

	assert_int_equal(mounts_parse(fixture.graph, 1, text, size, path, &tree), 0);
	array_each (&fixture.graph->superblocks, superblock)
		(*superblock)->filesystem = real ? filesystem_find((*superblock)->type) : NULL;
	/* Paths of hosts were taken out of the tables. */
	for (size_t i = 0; i < tree->mounts.count; i++)
		if (strncmp(tree->mounts.items[i]->root, "TMP", 3) == 0)
			tree->mounts.items[i]->root =
				path_join(fixture.arena, "/", tree->mounts.items[i]->root);

	if (plan_make(fixture.graph, &fixture.plan)) {
		assert_true(report_count());
		for (size_t i = 0; i < report_count(); i++) {
			assert_ptr_equal(strstr(report_get(i)->subject, "mount /"),
					 report_get(i)->subject);
			assert_non_null(strstr(report_get(i)->remedy, "--"));
		}
	} else {
		const char *wrong = model_replay(fixture.arena, fixture.graph, &fixture.plan).wrong;

		if (wrong)
			fail_msg("%s: %s", path, wrong);
	}
	fixture_free(&fixture);
}

static void test_tables(void **state)
{
	const char *directory = getenv("STASIS_MOUNT_TABLES");
	DIR *tables = opendir(directory);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(tables);
	while ((entry = readdir(tables))) {
		static char text[1 << 16];
		autofd int fd = openat(dirfd(tables), entry->d_name, O_RDONLY | O_CLOEXEC);
		ssize_t size = *entry->d_name == '.' ? -1 : read(fd, text, sizeof(text));

		if (size <= 0)
			continue;
		plan_table(entry->d_name, text, size, true);
		plan_table(entry->d_name, text, size, false);
		count++;
	}
	closedir(tables);
	assert_true(count > 40);
}

/* ---- large ones ---- */

enum { MANY = 100000, FEW_OPEN = 48 };

static struct superblock *tmpfs(struct fixture *fixture, dev_t device)
{
	return graph_superblock(fixture->graph, device, "tmpfs");
}

static void plan_and_replay(struct fixture *fixture, size_t most_open)
{
	array_each (&fixture->graph->trees, tree)
		assert_int_equal(graph_finish(fixture->graph, *tree, "large"), 0);
	assert_int_equal(plan_make(fixture->graph, &fixture->plan), 0);

	struct model_result result = model_replay(fixture->arena, fixture->graph, &fixture->plan);

	if (result.wrong)
		fail_msg("%s", result.wrong);
	assert_true(result.most_open <= most_open);
}

/* Each on the one before, with a small one beside, all peers. */
static void plan_pile(size_t count, const char *place, const char *beside)
{
	struct fixture fixture = fixture_new();
	struct mount_tree *tree = graph_add_tree(fixture.graph, 1);
	struct peer_group *group = graph_group(fixture.graph, 1);

	for (uint32_t id = 1; id < count; id += 2) {
		struct mount mount = {.id = id,
				      .short_id = id,
				      .superblock = tmpfs(&fixture, 1),
				      .root = "/",
				      .mountpoint = id > 1 ? place : "",
				      .group = group};

		graph_add_mount(fixture.graph, tree, &mount, id > 1 ? id - 2 : 0);
		mount.id = mount.short_id = id + 1;
		mount.mountpoint = beside;
		graph_add_mount(fixture.graph, tree, &mount, id);
	}
	plan_and_replay(&fixture, FEW_OPEN);
	fixture_free(&fixture);
}

static void test_pile(void **state)
{
	plan_pile(MANY, "", "a");
	/* What is below has to be mounted first. */
	plan_pile(2000, "a/b", "a");
}

/* Siblings, shared each by itself or all together, in two namespaces; each a filesystem. */
static void test_siblings(void **state)
{
	struct fixture fixture = fixture_new();
	uint32_t id = 1;

	for (uint32_t number = 1; number <= 2; number++) {
		struct mount_tree *tree = graph_add_tree(fixture.graph, number);
		uint32_t root = id;

		for (uint32_t i = 0; i < MANY / 2; i++, id++) {
			struct mount mount = {
				.id = id,
				.short_id = id,
				.superblock = tmpfs(&fixture, number == 1 ? i + 1 : MANY),
				.root = "/",
				.mountpoint = arena_printf(fixture.arena, "m%u", i),
				.group = graph_group(fixture.graph, number == 1 ? i + 1 : MANY)};

			if (!i)
				mount.mountpoint = "";
			graph_add_mount(fixture.graph, tree, &mount, i ? root : 0);
		}
	}
	plan_and_replay(&fixture, FEW_OPEN);
	fixture_free(&fixture);
}

/* Each mount is a slave of the one before, and shared; the slaves come first. */
static void test_masters(void **state)
{
	struct fixture fixture = fixture_new();
	struct mount_tree *tree = graph_add_tree(fixture.graph, 1);

	for (uint32_t id = 1; id <= MANY; id++) {
		struct mount mount = {.id = id,
				      .short_id = id,
				      .superblock = tmpfs(&fixture, 1),
				      .root = "/",
				      .mountpoint = "",
				      .group = graph_group(fixture.graph, id)};

		if (id < MANY)
			mount.master = graph_group(fixture.graph, id + 1);
		graph_add_mount(fixture.graph, tree, &mount, id - 1);
	}
	plan_and_replay(&fixture, 2 * MANY);
	fixture_free(&fixture);
}

/* ---- the text of a plan ---- */

static void test_text(void **state)
{
	static const char table[] = "1 0 0:1 / / rw - tmpfs root rw\n"
				    "2 1 0:2 /a /x\\040y rw shared:1 - tmpfs two rw\n"
				    "3 1 0:2 /b /z rw shared:1 - tmpfs two rw\n"
				    "4 3 0:2 /b/c /z/c rw master:1 - tmpfs two rw\n"
				    "5 1 0:3 net:[7] /net rw unbindable - nsfs nsfs rw\n"
				    "6 1 0:4 /d//deleted /d rw - tmpfs four rw\n";
	static const char expected[] = "1 /: new tmpfs\n"
				       "1 /: attributes\n"
				       "1 /: root of namespace 1\n"
				       "3 helper: new tmpfs\n"
				       "2 /z: clone of 3 at b\n"
				       "2 /z: attributes\n"
				       "2 /z: attach to 1 at z\n"
				       "4 /x\\040y: clone of 3 at a\n"
				       "4 /x\\040y: attributes\n"
				       "4 /x\\040y: attach to 1 at x\\040y\n"
				       "5 helper: clone of 3\n"
				       "5 helper: make shared\n"
				       "4 /x\\040y: join 5\n"
				       "4 /x\\040y: close\n"
				       "6 /net: bind of net:[7]\n"
				       "6 /net: attributes\n"
				       "6 /net: attach to 1 at net\n"
				       "6 /net: make unbindable\n"
				       "6 /net: close\n"
				       "8 helper: new tmpfs\n"
				       "7 /d: clone of 8 at d (deleted)\n"
				       "8 helper: close\n"
				       "7 /d: attributes\n"
				       "7 /d: attach to 1 at d\n"
				       "7 /d: close\n"
				       "1 /: close\n"
				       "9 /z/c: clone of 3 at b/c\n"
				       "3 helper: close\n"
				       "9 /z/c: attributes\n"
				       "9 /z/c: attach to 2 at c\n"
				       "9 /z/c: join 5\n"
				       "9 /z/c: make slave\n"
				       "9 /z/c: close\n"
				       "2 /z: join 5\n"
				       "5 helper: close\n"
				       "2 /z: close\n";
	struct fixture fixture = fixture_new();
	struct mount_tree *tree;
	char text[4096] = "";

	assert_int_equal(mounts_parse(fixture.graph, 1, table, sizeof(table) - 1, "table", &tree),
			 0);
	array_each (&fixture.graph->groups, group)
		(*group)->outside = false;
	assert_int_equal(plan_make(fixture.graph, &fixture.plan), 0);
	array_each (&fixture.plan.steps, step) {
		strcat(text, plan_step_text(fixture.arena, step));
		strcat(text, "\n");
	}
	assert_string_equal(text, expected);
	fixture_free(&fixture);
}

/* ---- refusals ---- */

struct refusal {
	struct mount mount;
	bool wrong_filesystem, feeds_outside;
	int group, master;
	const char *provider; /* its root; NULL: made anew */
	const char *reason, *remedy;
};

static const struct refusal refusals[] = {
	{.mount = {.root = "/b"},
	 .provider = "/a",
	 .reason = "shows /b of its",
	 .remedy = "--external mnt[/x\\040y]:KEY"},
	{.mount = {.root = "/", .external = "key"},
	 .provider = "/",
	 .reason = "nothing was given for its key key",
	 .remedy = "--external mnt[key]:PATH"},
	{.mount = {.root = "/"},
	 .group = 7,
	 .provider = "/",
	 .reason = "it has peers outside (group 7)",
	 .remedy = "--enable-external-sharing"},
	{.mount = {.root = "/"},
	 .master = 7,
	 .reason = "it is a slave of mounts outside (group 7)",
	 .remedy = "--enable-external-masters"},
	{.mount = {.root = "/", .unbindable = true},
	 .master = 7,
	 .reason = "it is unbindable and a slave",
	 .remedy = "--make-private"},
	{.mount = {.root = "/"},
	 .group = 8,
	 .feeds_outside = true,
	 .reason = "are slaves of its group 8",
	 .remedy = "private"},
	{.mount = {.root = "/"},
	 .group = 8,
	 .wrong_filesystem = true,
	 .reason = "another filesystem",
	 .remedy = ""},
};

static void expect_refusal(const struct refusal *refusal)
{
	struct fixture fixture = fixture_new();
	struct mount_tree *tree = graph_add_tree(fixture.graph, 1);
	struct mount root = {.id = 1, .short_id = 1, .superblock = tmpfs(&fixture, 1)};
	struct mount mount = refusal->mount;

	root.root = "/";
	root.mountpoint = "";
	mount.id = mount.short_id = 2;
	mount.superblock = tmpfs(&fixture, 2);
	mount.mountpoint = "x y";
	mount.group = graph_group(fixture.graph, refusal->group);
	mount.master = graph_group(fixture.graph, refusal->master);
	if (refusal->provider)
		*array_push(&mount.superblock->providers) =
			(struct provider){.root = refusal->provider, .name = "provider"};
	if (refusal->group == 7)
		mount.group->outside = true;
	if (refusal->feeds_outside)
		graph_group(fixture.graph, 9)->master = mount.group;
	if (refusal->wrong_filesystem)
		root.group = mount.group;
	graph_add_mount(fixture.graph, tree, &root, 0);
	graph_add_mount(fixture.graph, tree, &mount, 1);
	assert_int_equal(graph_finish(fixture.graph, tree, "refusal"), 0);

	assert_true(plan_make(fixture.graph, &fixture.plan) < 0);
	assert_int_equal(fixture.plan.steps.count, 0);
	assert_int_equal(report_count(), 1);
	if (!refusal->wrong_filesystem)
		assert_string_equal(report_get(0)->subject, "mount /x\\040y");
	assert_non_null(strstr(report_get(0)->reason, refusal->reason));
	assert_non_null(strstr(report_get(0)->remedy, refusal->remedy));
	fixture_free(&fixture);
}

static void test_refusals(void **state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		expect_refusal(&refusals[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),   cmocka_unit_test(test_pile),
		cmocka_unit_test(test_siblings), cmocka_unit_test(test_masters),
		cmocka_unit_test(test_text),     cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
