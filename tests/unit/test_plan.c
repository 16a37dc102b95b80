/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/report.h"
#include "checkpoint/plan.h"
#include "task/task.h"

/*
 * The plan is replayed on a model of the kernel: a child is born into the session its parent is
 * in, setsid makes a new one, orphans come from a helper below a subreaper.
 */
struct spec {
	pid_t pid, parent, sid;
	bool subreaper;
};

struct fixture {
	struct arena *arena;
	struct tree tree;
};

static void build(struct fixture *fixture, const struct spec *specs, size_t count)
{
	struct arena *arena = fixture->arena = arena_new();

	fixture->tree = (struct tree){.tasks = arena_new_array(arena, struct task *, count),
				      .count = count};
	for (size_t i = 0; i < count; i++) {
		struct task *task = arena_new_object(arena, struct task);

		task->id = specs[i].pid;
		task->sid = specs[i].sid;
		task->threads = arena_new_object(arena, struct thread);
		task->threads[0].task = task;
		task->threads[0].core = ARENA_MESSAGE(arena, core_entry, CoreEntry);
		task->threads[0].core->tc = ARENA_MESSAGE(arena, task_core_entry, TaskCoreEntry);
		task->threads[0].core->tc->comm = "test";
		task->threads[0].core->tc->has_child_subreaper = true;
		task->threads[0].core->tc->child_subreaper = specs[i].subreaper;
		task->parent = hash_get(&fixture->tree.by_id, specs[i].parent);
		fixture->tree.tasks[i] = task;
		hash_put(&fixture->tree.by_id, task->id, task);
	}
}

static void tear_down(struct fixture *fixture)
{
	hash_free(&fixture->tree.by_id);
	arena_free(fixture->arena);
	report_clear();
}

/* The session a task is in when its parent has done as planned. */
static pid_t session_at_birth(const struct task *task, pid_t outside)
{
	if (!task->parent)
		return outside;
	if (task->lost_session)
		return task->birth_sid;

	pid_t parents = session_at_birth(task->parent, outside);

	if (task->parent->sid == task->parent->id && !task->before_setsid)
		return task->parent->id;
	return parents;
}

static void check(struct fixture *fixture, pid_t outside)
{
	tree_each_task (&fixture->tree, task) {
		if (task->sid != task->id)
			assert_int_equal(session_at_birth(task, outside), task->sid);
		if (task->lost_session)
			assert_null(hash_get(&fixture->tree.by_id, task->birth_sid));
	}
}

#define PLAN(shell_job, outside, ...)                                                              \
	do {                                                                                       \
		const struct spec specs[] = {__VA_ARGS__};                                         \
		struct fixture fixture;                                                            \
		build(&fixture, specs, sizeof(specs) / sizeof(*specs));                            \
		assert_int_equal(tree_plan(&fixture.tree, shell_job), 0);                          \
		check(&fixture, outside);                                                          \
		tear_down(&fixture);                                                               \
	} while (0)

#define NO_PLAN(shell_job, ...)                                                                    \
	do {                                                                                       \
		const struct spec specs[] = {__VA_ARGS__};                                         \
		struct fixture fixture;                                                            \
		build(&fixture, specs, sizeof(specs) / sizeof(*specs));                            \
		assert_int_not_equal(tree_plan(&fixture.tree, shell_job), 0);                      \
		assert_true(report_count() > 0);                                                   \
		tear_down(&fixture);                                                               \
	} while (0)

static void test_one_session(void **state)
{
	PLAN(false, 1, {10, 0, 10}, {11, 10, 10}, {12, 11, 10});
}

static void test_session_below(void **state)
{
	PLAN(false, 1, {10, 0, 10}, {11, 10, 11}, {12, 11, 11}, {13, 10, 10});
}

static void test_child_born_before_setsid(void **state)
{
	/* 12 is a child of the leader 11 but still in 10's session; so is its child 13. */
	PLAN(false, 1, {10, 0, 10}, {11, 10, 11}, {12, 11, 10}, {13, 12, 10});
}

static void test_chain_of_leaders(void **state)
{
	/* Both 11 and 12 made sessions after 13 was born into 10's. */
	PLAN(false, 1, {10, 0, 10}, {11, 10, 11}, {12, 11, 12}, {13, 12, 10});
}

static void test_lost_leader(void **state)
{
	PLAN(false, 1, {10, 0, 10, true}, {11, 10, 99}, {12, 10, 99}, {13, 11, 99});
	NO_PLAN(false, {10, 0, 10}, {11, 10, 10}, {12, 11, 99});
}

static void test_shell_job(void **state)
{
	PLAN(true, 5, {10, 0, 5}, {11, 10, 5}, {12, 10, 12});
	NO_PLAN(false, {10, 0, 5}, {11, 10, 5});
}

static void test_two_pasts(void **state)
{
	/* 11 cannot have been in two sessions before it made its own. */
	NO_PLAN(true, {10, 0, 5}, {11, 10, 11}, {12, 11, 5}, {13, 11, 6});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_session),
		cmocka_unit_test(test_session_below),
		cmocka_unit_test(test_child_born_before_setsid),
		cmocka_unit_test(test_chain_of_leaders),
		cmocka_unit_test(test_lost_leader),
		cmocka_unit_test(test_shell_job),
		cmocka_unit_test(test_two_pasts),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
