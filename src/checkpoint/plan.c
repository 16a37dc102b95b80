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
 * come to their parent by reparenting, so that parent is a subreaper, or the first process of a pid
 * namespace.
 */
static bool adopts_orphans(const struct task *task)
{
	const CoreEntry *core = task->threads[0].core;

	if (task_is_init(task))
		return true;
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

/* Can a child of the parent stand in for the leader of the child's session? */
static bool makes_session(const struct task *parent, const struct task *child)
{
	return task_numbers(child, parent->depth).sid &&
	       (child->depth == parent->depth || !task_numbers(child, parent->depth + 1).sid);
}

/* What a child's session asks of its parent. */
static int plan_child(const struct tree *tree, struct task *parent, struct task *child)
{
	pid_t wanted = child->birth_sid;

	if (wanted == SESSION_ANY || wanted == parent->sid)
		return 0;

	/* Nobody inside can stand in for a leader outside. */
	bool leader_lives = wanted == SESSION_OUTSIDE || hash_get(&tree->by_id, wanted);

	if (!leader_lives && adopts_orphans(parent) && makes_session(parent, child)) {
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

/*
 * A child in a pid namespace that is neither its parent's nor new: the parent has entered it for a
 * moment (setns).  It is cloned when all that namespace needs is there, which is late.
 */
static int plan_abroad(const struct task *child)
{
	if (!task_is_abroad(child) || (!child->before_setsid && !child->lost_session))
		return 0;
	return REFUSE(task_subject(child), "let it end before the dump",
		      "it was put into a pid namespace by a parent that has left its session %d "
		      "since",
		      child->sid);
}

static bool is_ancestor(const struct task *task, const struct task *descendant)
{
	while (descendant && descendant != task)
		descendant = descendant->parent;
	return descendant;
}

/*
 * A process cannot join a group that its pid namespace has no number for.  Its parent can put it
 * there if it has one; else it was born into it, and so was, perhaps, its parent.
 */
static int plan_group(const struct tree *tree, struct task *task)
{
	struct task *parent = task->parent;
	const struct task *model = task->birth_group, *leader;
	size_t outer = parent->depth;

	if (!model && task->pgid && !task_numbers(task, task->depth).pgid) {
		if (task_numbers(task, outer).pgid && parent->sid == task->sid)
			return 0;
		model = task;
	}
	if (!model)
		return 0;
	task->birth_group = model;
	if (task_numbers(model, task->depth).pgid || task_numbers(model, outer).pgid) {
		leader = hash_get(&tree->by_id, model->pgid);
		if (leader && leader->id == model->pgid && is_ancestor(leader, task))
			return 0;
	} else if (!parent->birth_group || parent->birth_group->pgid == model->pgid) {
		parent->birth_group = model;
		return 0;
	}
	return REFUSE(task_subject(model), "let it end before the dump",
		      "its process group %d is of a pid namespace further out, and cannot be "
		      "inherited again",
		      model->pgid);
}

int tree_plan(struct tree *tree, bool shell_job)
{
	int result = 0;

	tree_each_task (tree, task) {
		task->birth_sid = leads_session(task) ? SESSION_ANY : task->sid;
		task->before_setsid = task->lost_session = false;
		task->birth_group = NULL;
	}
	/* Children before parents: what a child needs may become what its parent needs. */
	for (size_t i = tree->count; i-- > 1;) {
		int error = plan_child(tree, tree->tasks[i]->parent, tree->tasks[i]);

		if (!error)
			error = plan_abroad(tree->tasks[i]);
		if (!error)
			error = plan_group(tree, tree->tasks[i]);
		if (error)
			result = error;
	}

	struct task *root = tree->tasks[0];

	/* Session 0: its leader is in a pid namespace further out. */
	if (root->birth_sid != SESSION_ANY && !shell_job)
		result = REFUSE(
			task_subject(root),
			"use --shell-job to have it restored in the session of the terminal "
			"stasis runs in, or start the program with setsid",
			"it is part of session %d, whose leader is not in the tree", root->sid);
	return result;
}
