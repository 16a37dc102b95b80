/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checkpoint/plan.h"

#include "base/report.h"
#include "task/task.h"

static bool leads_session(const struct task *task)
{
	return task->sid == task->id;
}

/*
 * A task can be born into an existing session only as the child of a member.  Orphans of a session
 * come to their parent by reparenting, so that parent is a subreaper.
 */
static bool adopts_orphans(const struct task *task)
{
	const CoreEntry *core = task->threads[0].core;

	return core && core->tc && core->tc->has_child_subreaper && core->tc->child_subreaper;
}

static int refuse_session(const struct task *task)
{
	return REFUSE(
		task_subject(task), "checkpoint the whole session: give its leader to -t",
		"its session %d has no leader in the tree, and none of its ancestors can have "
		"been in it",
		task->sid);
}

/* What a child's session asks of its parent. */
static int plan_child(const struct tree *tree, struct task *parent, struct task *child)
{
	pid_t wanted = child->birth_sid;

	if (wanted == SESSION_ANY || wanted == parent->sid)
		return 0;

	/* Nobody inside can stand in for a leader outside. */
	bool leader_lives = wanted == SESSION_OUTSIDE || hash_get(&tree->by_id, wanted);

	if (!leader_lives && adopts_orphans(parent)) {
		child->lost_session = true;
		return 0;
	}
	if (!leads_session(parent) ||
	    (parent->birth_sid != SESSION_ANY && parent->birth_sid != wanted))
		return refuse_session(child);
	/* The parent was in that session itself, before it made its own. */
	child->before_setsid = true;
	parent->birth_sid = wanted;
	return 0;
}

int tree_plan(struct tree *tree, bool shell_job)
{
	int result = 0;

	tree_each_task (tree, task) {
		task->birth_sid = leads_session(task) ? SESSION_ANY : task->sid;
		task->before_setsid = task->lost_session = false;
	}
	/* Children before parents: what a child needs may become what its parent needs. */
	for (size_t i = tree->count; i-- > 1;) {
		int error = plan_child(tree, tree->tasks[i]->parent, tree->tasks[i]);

		if (error)
			result = error;
	}

	struct task *root = tree->tasks[0];

	if (root->birth_sid != SESSION_ANY && !shell_job)
		result = REFUSE(
			task_subject(root),
			"use --shell-job to have it restored in the session of the terminal "
			"stasis runs in, or start the program with setsid",
			"it is part of session %d, whose leader is not in the tree", root->sid);
	return result;
}
