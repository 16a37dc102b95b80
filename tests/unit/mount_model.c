/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount_model.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"

enum { LATE_PHASE = 1 << 30 };

/* Peers; or what is left of them: slaves of a group that lost its last member go to its master. */
struct group {
	size_t members;
	bool outside;         /* has more of them */
	struct group *master; /* receives from it; or NULL */
	struct peer_group *wanted;
};

struct node {
	struct superblock *superblock;
	const char *root;
	unsigned int deleted; /* a number of its own, names of what is deleted tell nothing; or 0 */
	struct group *group, *master;
	struct mount *mount;   /* whose attributes it has */
	struct node *parent;   /* what it is attached to */
	struct node *place_on; /* the held mountpoint's */
	const char *place;
	struct mount_tree *tree; /* whose root it is */
	bool exists, open, kept, unbindable, places;
};

struct model {
	struct arena *arena;
	const struct mount_graph *graph;
	const struct mount_plan *plan;
	struct node *nodes;   /* by number */
	struct hash children; /* of the parent's number and the mountpoint */
	struct hash groups;   /* those outside: by the address of the graph's */
	struct hash sources;  /* superblocks that were made */
	struct hash phase_of; /* mount -> phase + 1 */
	struct hash phases;   /* phase + 1: mounts of it that aren't attached, + 1 */
	size_t attached, open, most_open;
	unsigned int deleted;
	bool late;
};

/* ---- names ---- */

static uint64_t place_key(const struct model *model, const struct node *parent, const char *path,
			  size_t length)
{
	return hash_mix(parent - model->nodes, hash_bytes(path, length));
}

/* Would opening the path, from the node's root, lead into another mount? */
static bool strays(const struct model *model, const struct node *parent, const char *path)
{
	for (size_t i = 0;; i++) {
		if (i == 0 || path[i] == '/' || !path[i])
			if (hash_get(&model->children, place_key(model, parent, path, i)))
				return true;
		if (!path[i])
			return false;
	}
}

/* is_subdir(): of what is deleted only the name is still there. */
static bool is_below(const struct node *inner, const struct node *outer)
{
	if (outer->deleted || inner->deleted == outer->deleted) {
		if (inner->deleted != outer->deleted)
			return false;
		if (strcmp(inner->root, outer->root) == 0)
			return true;
		return !outer->deleted && path_contains(outer->root, inner->root);
	}
	return strcmp(inner->root, outer->root) != 0 && path_contains(outer->root, inner->root);
}

/* ---- groups ---- */

static struct group *outside_group(struct model *model, struct peer_group *wanted)
{
	struct group *group;

	if (!wanted)
		return NULL;
	group = hash_get(&model->groups, (uintptr_t)wanted);
	if (group)
		return group;
	group = arena_new_object(model->arena, struct group);
	group->outside = true;
	group->wanted = wanted;
	hash_put(&model->groups, (uintptr_t)wanted, group);
	group->master = outside_group(model, wanted->master);
	return group;
}

static bool is_alive(const struct group *group)
{
	return group->members || group->outside;
}

/* The group that a slave receives from now. */
static struct group *living(struct group *group)
{
	while (group && !is_alive(group))
		group = group->master;
	return group;
}

static void share_with(struct node *node, struct group *group, struct group *master)
{
	node->group = group;
	node->master = master;
	if (group)
		group->members++;
}

/* ---- steps: NULL or what is wrong ---- */

static const char *model_open(struct model *model, struct node *node)
{
	if (node->open)
		return "the node is open already";
	node->open = true;
	if (++model->open > model->most_open)
		model->most_open = model->open;
	return NULL;
}

static const char *model_make(struct model *model, struct node *node, struct superblock *superblock,
			      const char *root)
{
	if (node->exists)
		return "the node has been made before";
	node->exists = true;
	node->superblock = superblock;
	node->root = root;
	if (superblock->late && !model->late)
		return "the superblock is late";
	for (unsigned int phase = 0; phase < superblock->phase; phase++)
		if ((uintptr_t)hash_get(&model->phases, phase + 1) > 1)
			return "mounts of lower phases are missing";
	return node->places ? NULL : model_open(model, node);
}

static const char *replay_source(struct model *model, const struct plan_step *step,
				 struct node *node, struct node *other)
{
	if (step->superblock->providers.count)
		return "the superblock has providers";
	if (hash_put(&model->sources, (uintptr_t)step->superblock, node))
		return "the superblock is made a second time";
	if (step->mount && step->mount->superblock != step->superblock)
		return "the source is of another superblock than its mount";
	return model_make(model, node, step->superblock, "/");
}

static const char *clone_root(struct model *model, const struct plan_step *step, struct node *node,
			      const char *root, unsigned int deleted)
{
	if (deleted && *step->path)
		return "a clone below what is deleted";
	if (step->deleted && (deleted || !*step->path || !step->mount))
		return "no name for the deleted root, or nobody whose it is";
	node->deleted = step->deleted ? ++model->deleted : deleted;
	return model_make(model, node, step->superblock, path_join(model->arena, root, step->path));
}

static const char *replay_clone(struct model *model, const struct plan_step *step,
				struct node *node, struct node *other)
{
	bool peer = step->kind == PLAN_CLONE_PEER;
	const struct provider *provider = step->provider;
	const char *key = step->mount ? step->mount->external : NULL;

	if (key && (!provider || !provider->key || strcmp(provider->key, key) || *step->path))
		return "an external mount is not what was given for it";
	if (provider) {
		struct group *group = outside_group(model, provider->group);

		if (peer && !group)
			return "a provider without a group has no peers";
		if (peer)
			share_with(node, group, group->master);
		return clone_root(model, step, node, provider->root, 0);
	}
	if (!step->other) {
		if (strcmp(step->superblock->type, "nsfs") != 0)
			return "a clone of nothing";
		return model_make(model, node, step->superblock, step->path);
	}
	if (!other->open || !other->exists || other->unbindable)
		return "what is cloned is not open, or unbindable";
	if (other->superblock != step->superblock)
		return "what is cloned is of another superblock";
	if (peer)
		share_with(node, other->group, other->master);
	return clone_root(model, step, node, other->root, other->deleted);
}

static const char *replay_attributes(struct model *model, const struct plan_step *step,
				     struct node *node, struct node *other)
{
	if (!node->exists || node->parent || node->tree)
		return "it is attached already, or nothing";
	node->mount = step->mount;
	return NULL;
}

/* A mount is of no lower phase than what it is on; late ones come after all others. */
static unsigned int phase_of(struct model *model, const struct mount *mount)
{
	uintptr_t known = (uintptr_t)hash_get(&model->phase_of, (uintptr_t)mount);
	unsigned int phase = mount->superblock->late ? LATE_PHASE : mount->superblock->phase;

	if (known)
		return known - 1;
	if (mount->parent && phase_of(model, mount->parent) > phase)
		phase = phase_of(model, mount->parent);
	hash_put(&model->phase_of, (uintptr_t)mount, (void *)(uintptr_t)(phase + 1));
	return phase;
}

static void count_phase(struct model *model, const struct mount *mount, bool add)
{
	uint64_t key = phase_of(model, mount) + 1;
	uintptr_t count = (uintptr_t)hash_get(&model->phases, key);

	hash_put(&model->phases, key, (void *)(add ? (count ?: 1) + 1 : count - 1));
}

static const char *attached(struct model *model, struct node *node)
{
	if (!node->exists || !node->open || node->parent || node->tree)
		return "it is attached already, closed, or nothing";
	if (!node->mount)
		return "it has no attributes yet";
	if (node->group)
		return "it is shared before its children are attached";
	count_phase(model, node->mount, false);
	model->attached++;
	return NULL;
}

static const char *replay_root(struct model *model, const struct plan_step *step, struct node *node,
			       struct node *other)
{
	const char *wrong = attached(model, node);

	node->tree = step->mount->tree;
	return wrong;
}

static const char *replay_mountpoint(struct model *model, const struct plan_step *step,
				     struct node *node, struct node *other)
{
	if (!other->open || !other->exists)
		return "the parent is not open";
	if (strays(model, other, step->path))
		return "the path leads into another mount";
	node->places = true;
	node->place_on = other;
	node->place = step->path;
	return model_open(model, node);
}

static const char *replay_attach(struct model *model, const struct plan_step *step,
				 struct node *node, struct node *other)
{
	const char *wrong = attached(model, node);
	size_t length = strlen(step->path);

	if (wrong)
		return wrong;
	if (!other->parent && !other->tree)
		return "the parent is not attached";
	if (other->group)
		return "the parent is shared: others would get the mount, too";
	if (node->places && (node->place_on != other || strcmp(node->place, step->path) != 0))
		return "another place is held for it";
	if (!node->places && (!other->open || strays(model, other, step->path)))
		return "the parent is closed, or the path leads into another mount";
	if (hash_put(&model->children, place_key(model, other, step->path, length), node))
		return "there is a mount at this place";
	node->parent = other;
	return NULL;
}

static const char *replay_join(struct model *model, const struct plan_step *step, struct node *node,
			       struct node *other)
{
	if (!node->exists || !node->open || !other->exists || !other->open)
		return "one of them is not open";
	if (node->group || node->master || node->unbindable)
		return "it is not private";
	if (!other->group && !other->master)
		return "the other is private";
	if (node->superblock != other->superblock || !is_below(node, other))
		return "its root is not below that of the other";
	share_with(node, other->group, living(other->master));
	return NULL;
}

static const char *replay_slave(struct model *model, const struct plan_step *step,
				struct node *node, struct node *other)
{
	struct group *group = node->group;

	if (!group || (group->members < 2 && !group->outside))
		return "it has no peers that it could receive from";
	group->members--;
	node->group = NULL;
	node->master = group;
	return NULL;
}

static const char *replay_share(struct model *model, const struct plan_step *step,
				struct node *node, struct node *other)
{
	if (node->group || !node->exists)
		return "it is shared already, or nothing";
	share_with(node, arena_new_object(model->arena, struct group), node->master);
	node->group->master = node->master;
	return NULL;
}

static const char *replay_unbindable(struct model *model, const struct plan_step *step,
				     struct node *node, struct node *other)
{
	if (node->group)
		node->group->members--;
	node->group = node->master = NULL;
	node->unbindable = true;
	return NULL;
}

static const char *replay_keep(struct model *model, const struct plan_step *step, struct node *node,
			       struct node *other)
{
	node->kept = true;
	return step->mount->has_files ? NULL : "nobody wants it";
}

static const char *replay_close(struct model *model, const struct plan_step *step,
				struct node *node, struct node *other)
{
	if (!node->open || !node->exists)
		return "it is not open";
	node->open = false;
	model->open--;
	if (!node->parent && !node->tree && node->group)
		node->group->members--;
	return NULL;
}

static const char *(*const replay[])(struct model *model, const struct plan_step *step,
				     struct node *node, struct node *other) = {
	[PLAN_SOURCE] = replay_source,
	[PLAN_CLONE] = replay_clone,
	[PLAN_CLONE_PEER] = replay_clone,
	[PLAN_ATTRIBUTES] = replay_attributes,
	[PLAN_ROOT] = replay_root,
	[PLAN_MOUNTPOINT] = replay_mountpoint,
	[PLAN_ATTACH] = replay_attach,
	[PLAN_JOIN] = replay_join,
	[PLAN_SLAVE] = replay_slave,
	[PLAN_SHARE] = replay_share,
	[PLAN_UNBINDABLE] = replay_unbindable,
	[PLAN_KEEP] = replay_keep,
	[PLAN_CLOSE] = replay_close,
};

/* ---- the result ---- */

/* Is this wanted group that group, and no other? */
static bool same_group(struct hash *seen, struct peer_group *wanted, struct group *group)
{
	group = living(group);
	if (!wanted || !group)
		return !wanted && !group;
	if (!group->wanted)
		group->wanted = wanted;
	if (!hash_get(seen, (uintptr_t)wanted))
		hash_put(seen, (uintptr_t)wanted, group);
	return group->wanted == wanted && hash_get(seen, (uintptr_t)wanted) == group;
}

static const char *compare_mount(struct model *model, struct hash *seen, const struct mount *mount,
				 struct node *node)
{
	if (node->mount != mount)
		return "it has attributes of another";
	if (node->superblock != mount->superblock || strcmp(node->root, mount->root) != 0)
		return "it shows something else";
	if (!node->deleted != !mount->root_deleted)
		return "its root is deleted, or should be";
	if (node->unbindable != mount->unbindable)
		return "unbindable";
	if (!same_group(seen, mount->group, node->group))
		return "another group";
	if (!same_group(seen, mount->master, node->master))
		return "another master";
	if (node->kept != mount->has_files || node->open != mount->has_files)
		return "its descriptor is open, or should be";
	return NULL;
}

static const char *compare(struct model *model)
{
	struct hash seen = {0}, nodes = {0};
	const char *wrong = NULL;
	size_t wanted = 0;

	for (uint32_t i = 1; i <= model->plan->nodes; i++)
		if (model->nodes[i].tree)
			hash_put(&nodes, (uintptr_t)model->nodes[i].tree, &model->nodes[i]);
	array_each (&model->graph->trees, tree)
		array_each (&(*tree)->mounts, item) {
			const struct mount *mount = *item;
			struct node *parent =
				mount->parent ? hash_get(&nodes, (uintptr_t)mount->parent) : NULL;
			struct node *node =
				mount->parent ? hash_get(&model->children,
							 place_key(model, parent, mount->mountpoint,
								   strlen(mount->mountpoint)))
					      : hash_get(&nodes, (uintptr_t)*tree);
			const char *why =
				node ? compare_mount(model, &seen, mount, node) : "it is missing";

			wanted++;
			hash_put(&nodes, (uintptr_t)mount, node ?: model->nodes);
			if (why && !wrong)
				wrong = arena_printf(model->arena, "mount %u: %s", mount->short_id,
						     why);
		}
	if (!wrong && wanted != model->attached)
		wrong = "there are more mounts than wanted";
	for (uint32_t i = 1; i <= model->plan->nodes && !wrong; i++)
		if (model->nodes[i].open && !model->nodes[i].kept)
			wrong = arena_printf(model->arena, "node %u is never closed", i);
	hash_free(&seen);
	hash_free(&nodes);
	return wrong;
}

struct model_result model_replay(struct arena *arena, const struct mount_graph *graph,
				 const struct mount_plan *plan)
{
	struct model model = {.arena = arena, .graph = graph, .plan = plan};
	const char *wrong = NULL;

	model.nodes = arena_new_array(arena, struct node, plan->nodes + 1);
	array_each (&graph->groups, group)
		if ((*group)->outside || !(*group)->members)
			outside_group(&model, *group);
	array_each (&graph->trees, tree)
		array_each (&(*tree)->mounts, mount)
			count_phase(&model, *mount, true);
	for (size_t i = 0; i < plan->steps.count && !wrong; i++) {
		const struct plan_step *step = &plan->steps.items[i];

		model.late = i >= plan->late;
		wrong = replay[step->kind](&model, step, &model.nodes[step->node],
					   &model.nodes[step->other]);
		if (wrong)
			wrong = arena_printf(arena, "step %zu (%s): %s", i + 1,
					     plan_step_text(arena, step), wrong);
	}
	if (!wrong)
		wrong = compare(&model);
	hash_free(&model.children);
	hash_free(&model.groups);
	hash_free(&model.sources);
	hash_free(&model.phase_of);
	hash_free(&model.phases);
	return (struct model_result){wrong, model.most_open};
}
