/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "base/text.h"
#include "mount/filesystem.h"

/*
 * Four passes, each linear: what every mount is cloned from and how it is shared (assign), in
 * which order mounts are attached and done (order), who leads each sharing and what helpers it
 * needs (lead), and the steps (write).  Problems are collected by the first three.
 */

/* Where origins are looked up: one of these, NULL (any root), or a peer group (roots in it). */
static const char KEYS[] = "keys of external mounts", NAMES[] = "names in nsfs";

/* What mounts are cloned from. */
struct origin {
	struct superblock *superblock;
	const void *realm;
	const char *name; /* in the realm: a root or a key */
	size_t length;

	const char *root;                /* what it shows; "/" of a superblock that is made anew */
	const struct provider *provider; /* or NULL: made here */
	uint32_t node;                   /* if it has one and that is made */
	size_t clones, left;             /* of how many nodes it is the origin; still to be made */
	struct origin *next;             /* of the same key */
};

/* A path in a filesystem, or the beginning of one: what contains all of some roots. */
struct cover {
	const char *root; /* NULL: of nothing yet */
	size_t length;    /* 0: nothing contains them all (nsfs) */
	bool deleted;
};

/*
 * Mounts with the same sharing: a peer group, or all that are slaves of one and not shared.  Their
 * leader gets the sharing first, the others join it: one of them if it is done before anyone needs
 * it and its root is wide enough, else a helper.  Of a group with members outside each provider in
 * it leads a sharing of its own, for the mounts that are below its root.
 */
struct sharing {
	struct superblock *superblock;
	const struct mount *example; /* for messages */
	struct peer_group *group;    /* of its members; NULL: slaves only */
	struct peer_group *from;     /* whom they receive from; or NULL */
	struct sharing *master;      /* the same, once it is known which of an outside group */
	struct origin *peer;         /* outside: a provider; its clone is the leader */

	struct cover cover;    /* what the leader's root has to contain */
	size_t slaves;         /* sharings of which this is master and that aren't led yet */
	size_t needed;         /* the event that needs the leader first; SIZE_MAX: none yet */
	struct mount *first;   /* whose event that is; NULL: a slave's */
	struct mount *leader;  /* or NULL: a helper */
	struct origin *origin; /* of the helper */

	uint32_t node; /* the leader's, from when it has its sharing until all have joined */
	size_t joins;  /* of how many nodes; later: still to come */
};

enum event_kind {
	EVENT_HOLD,   /* its mountpoint is opened: it comes in a later phase */
	EVENT_ATTACH, /* it is made and attached */
	EVENT_DONE,   /* all its children are attached */
};

struct event {
	enum event_kind kind;
	struct mount *mount;
};

/* A mount's state while it is planned. */
struct work {
	struct origin *origin;
	struct sharing *sharing; /* NULL: private */
	struct mount *next_held; /* of the same phase */
	uint32_t node, size;     /* mounts in its subtree */
	unsigned int phase;
	size_t pending; /* children that are not attached yet */
};

/* A mount whose children are being attached. */
struct frame {
	struct mount *mount, *largest;
	size_t next;
};

struct held {
	struct mount *first, *last;
};

struct planner {
	struct mount_graph *graph;
	struct mount_plan *plan;
	struct arena *arena; /* what only the planner needs */
	int error;
	struct hash origins;  /* chains */
	struct hash sharings; /* by the address of a group or an origin; + 1: of its slaves */
	ARRAY(struct sharing *) all;
	ARRAY(struct event) events;
	ARRAY(struct frame) frames;
	unsigned int last_phase; /* the late one */
	struct held *held;       /* by phase */
	size_t late;             /* event */
};

static struct work *work_of(const struct mount *mount)
{
	return mount->state;
}

static struct subject subject_of(const struct planner *planner, const struct mount *mount)
{
	const char *path = path_escaped(planner->arena, mount->path);

	if (planner->graph->trees.count == 1)
		return SUBJECT("mount %s", path);
	return SUBJECT("mount %s of namespace %u", path, mount->tree->id);
}

/* ---- covers ---- */

static struct cover cover_of(const struct mount *mount)
{
	return (struct cover){mount->root, strlen(mount->root), mount->root_deleted};
}

static bool cover_equal(struct cover a, struct cover b)
{
	return a.length == b.length && a.deleted == b.deleted && !memcmp(a.root, b.root, a.length);
}

/* The length of the directory that the first `length` bytes of root are in. */
static size_t parent_length(const char *root, size_t length)
{
	while (length && root[length - 1] != '/')
		length--;
	return length > 1 ? length - 1 : length;
}

/* What the kernel asks of a root that others are to join: is_subdir(inner, outer). */
static bool cover_contains(struct cover outer, struct cover inner)
{
	if (cover_equal(outer, inner))
		return true;
	if (!outer.length || *outer.root != '/' || outer.deleted || inner.length <= outer.length)
		return false;
	return !memcmp(outer.root, inner.root, outer.length) &&
	       (outer.length == 1 || inner.root[outer.length] == '/');
}

/* What was deleted may be another thing of the same name. */
static void cover_add(struct cover *cover, struct cover other)
{
	size_t common = 0;

	if (!cover->root) {
		*cover = other;
		return;
	}
	if (cover_contains(*cover, other) && !cover->deleted)
		return;
	if (cover_contains(other, *cover) && !other.deleted) {
		*cover = other;
		return;
	}
	while (common < cover->length && common < other.length &&
	       cover->root[common] == other.root[common])
		common++;
	cover->length = parent_length(cover->root, common);
	cover->deleted = false;
}

/* ---- origins ---- */

/* Paths are hashed from the left, so that one walk over a path asks for all that contain it. */
static uint64_t hash_begin(const struct superblock *superblock, const void *realm)
{
	return hash_mix((uintptr_t)superblock, (uintptr_t)realm);
}

static uint64_t hash_on(uint64_t hash, unsigned char byte)
{
	return (hash ^ byte) * 0x100000001b3;
}

static struct origin *origin_at(const struct planner *planner, uint64_t hash,
				const struct superblock *superblock, const void *realm,
				const char *name, size_t length)
{
	struct origin *origin = hash_get(&planner->origins, hash);

	while (origin && (origin->superblock != superblock || origin->realm != realm ||
			  origin->length != length || memcmp(origin->name, name, length)))
		origin = origin->next;
	return origin;
}

/* That of this very name, added if it is new. */
static struct origin *origin_named(struct planner *planner, struct superblock *superblock,
				   const void *realm, const char *name)
{
	uint64_t hash = hash_begin(superblock, realm);
	size_t length = strlen(name);

	for (size_t i = 0; i < length; i++)
		hash = hash_on(hash, name[i]);

	struct origin *origin = origin_at(planner, hash, superblock, realm, name, length);

	if (!origin) {
		origin = arena_new_object(planner->arena, struct origin);
		*origin = (struct origin){.superblock = superblock,
					  .realm = realm,
					  .name = name,
					  .length = length,
					  .root = name};
		origin->next = hash_put(&planner->origins, hash, origin);
	}
	return origin;
}

static void add_provider(struct planner *planner, const struct provider *provider,
			 struct superblock *superblock, const void *realm, const char *name)
{
	struct origin *origin = origin_named(planner, superblock, realm, name);

	if (!origin->provider) {
		origin->provider = provider;
		origin->root = provider->root;
	}
}

static void add_origins(struct planner *planner)
{
	array_each (&planner->graph->superblocks, item) {
		struct superblock *superblock = *item;

		array_each (&superblock->providers, provider) {
			add_provider(planner, provider, superblock, NULL, provider->root);
			if (provider->group)
				add_provider(planner, provider, superblock, provider->group,
					     provider->root);
			if (provider->key)
				add_provider(planner, provider, superblock, KEYS, provider->key);
		}
	}
}

/* Of a superblock that is made anew: what is made of it. */
static struct origin *origin_new(struct planner *planner, struct superblock *superblock,
				 struct cover cover)
{
	if (!cover.length)
		return NULL;
	if (*cover.root == '/')
		return origin_named(planner, superblock, NULL, "/");
	return origin_named(planner, superblock, NAMES, cover.root);
}

/*
 * The one with the narrowest root that contains the cover, of group (NULL: any); or NULL.  near:
 * wins if it is as narrow; can be NULL.
 */
static struct origin *origin_for(struct planner *planner, struct superblock *superblock,
				 struct peer_group *group, struct cover cover, struct origin *near)
{
	uint64_t hash = hash_begin(superblock, group);
	struct origin *found = NULL;

	if (!superblock->providers.count)
		return group ? NULL : origin_new(planner, superblock, cover);
	for (size_t i = 0; i < cover.length; i++) {
		bool end = i + 1 == cover.length;

		hash = hash_on(hash, cover.root[i]);
		if (i && !end && cover.root[i + 1] != '/')
			continue;
		if (end && cover.deleted)
			break;

		struct origin *origin =
			origin_at(planner, hash, superblock, group, cover.root, i + 1);

		if (origin)
			found = origin;
	}
	if (found && near && near->provider && (!group || near->provider->group == group) &&
	    !strcmp(near->root, found->root))
		return near;
	return found;
}

static bool is_outside(const struct peer_group *group)
{
	return group->outside || !group->members;
}

static int lacks_provider(struct planner *planner, const struct mount *mount)
{
	const struct superblock *superblock = mount->superblock;
	struct subject subject = subject_of(planner, mount);
	const char *root = path_escaped(planner->arena, mount->root);
	const char *path = path_escaped(planner->arena, mount->path);
	const char *source = path_escaped(planner->arena, superblock->source ?: "none");
	const char *remedy;

	if (mount->external)
		return FAIL(ENOENT, subject,
			    arena_printf(planner->arena, "restore with --external mnt[%s]:PATH",
					 path_escaped(planner->arena, mount->external)),
			    "it is external, and nothing was given for its key %s",
			    path_escaped(planner->arena, mount->external));
	if (mount->parent)
		remedy = arena_printf(planner->arena,
				      "dump with --external mnt[%s]:KEY and restore with "
				      "--external mnt[KEY]:PATH",
				      path);
	else
		remedy = "have the same filesystem mounted, and give its directory with --root";
	return REFUSE(subject, remedy,
		      superblock->providers.count
			      ? "nothing that was given from outside shows %s%s of its %s "
				"filesystem (%s)"
			      : "it shows %s%s of a %s filesystem (%s), whose content is outside",
		      root, mount->root_deleted ? " (deleted)" : "", superblock->type, source);
}

/* What the mount is cloned from. */
static struct origin *find_origin(struct planner *planner, const struct mount *mount)
{
	struct superblock *superblock = mount->superblock;
	const struct filesystem *filesystem = superblock->filesystem;
	struct origin *origin;

	if (mount->external) {
		origin = origin_named(planner, superblock, KEYS, mount->external);
		return origin->provider ? origin : NULL;
	}
	if (!superblock->providers.count && filesystem && filesystem->outside && !superblock->anew)
		return NULL;
	return origin_for(planner, superblock, NULL, cover_of(mount), NULL);
}

/* ---- sharing ---- */

static struct sharing *sharing_of(struct planner *planner, const void *object, bool slaves)
{
	return hash_get(&planner->sharings, (uintptr_t)object + slaves);
}

static struct sharing *sharing_add(struct planner *planner, const void *object, bool slaves,
				   const struct mount *example)
{
	struct sharing *sharing = arena_new_object(planner->arena, struct sharing);

	*sharing = (struct sharing){
		.superblock = example->superblock,
		.example = example,
		.needed = SIZE_MAX,
	};
	hash_put(&planner->sharings, (uintptr_t)object + slaves, sharing);
	return sharing;
}

/* The mounts of an outside group that this provider can lead. */
static struct sharing *sharing_outside(struct planner *planner, struct origin *peer,
				       const struct mount *example)
{
	struct sharing *sharing = sharing_of(planner, peer, false);

	if (!sharing) {
		sharing = sharing_add(planner, peer, false, example);
		sharing->peer = peer;
		peer->clones++;
	}
	return sharing;
}

/* Peers outside that receive from mounts of the graph do not receive from those made again. */
static int feeds_outside(struct planner *planner, const struct peer_group *group)
{
	return REFUSE(subject_of(planner, group->master->members),
		      "make the mounts outside private, or it",
		      "mounts outside (group %d) are slaves of its group %d", group->id,
		      group->master->id);
}

/* Groups whose members are all in the graph, and which of them are slaves of which. */
static void add_groups(struct planner *planner)
{
	array_each (&planner->graph->groups, item) {
		struct peer_group *group = *item;

		if (is_outside(group)) {
			if (group->master && !is_outside(group->master))
				planner->error = feeds_outside(planner, group);
			continue;
		}

		struct sharing *sharing = sharing_add(planner, group, false, group->members);

		sharing->group = group;
		sharing->from = group->master;
		*array_push(&planner->all) = sharing;
	}
	for (size_t i = 0; i < planner->all.count; i++) {
		struct sharing *sharing = planner->all.items[i];

		if (sharing->from)
			sharing->master = sharing_of(planner, sharing->from, false);
		if (sharing->master)
			sharing->master->slaves++;
	}
}

static int lacks_peer(struct planner *planner, const struct mount *mount,
		      const struct peer_group *group)
{
	const char *path = path_escaped(planner->arena, mount->path);
	bool slave = mount->group != group;

	return REFUSE(subject_of(planner, mount),
		      arena_printf(planner->arena,
				   "make it private (mount --make-private %s), or have it given "
				   "from outside (--external mnt[%s]:KEY, or --root for the root) "
				   "by a mount that is in the group, with "
				   "--enable-external-%s",
				   path, path, slave ? "masters" : "sharing"),
		      slave ? "it is a slave of mounts outside (group %d), and none of them that "
			      "shows its root %s is at hand"
			    : "it has peers outside (group %d), and none of them that shows its "
			      "root %s is at hand",
		      group->id, path_escaped(planner->arena, mount->root));
}

/* The sharing that the mount has; NULL: none, or a problem. */
static struct sharing *find_sharing(struct planner *planner, const struct mount *mount)
{
	struct peer_group *group = mount->group ?: mount->master;
	struct origin *peer = NULL;

	if (is_outside(group)) {
		peer = origin_for(planner, mount->superblock, group, cover_of(mount),
				  work_of(mount)->origin);
		if (!peer) {
			planner->error = lacks_peer(planner, mount, group);
			return NULL;
		}
	}
	if (mount->group)
		return peer ? sharing_outside(planner, peer, mount)
			    : sharing_of(planner, group, false);

	const void *master = peer ? (void *)peer : group;
	struct sharing *sharing = sharing_of(planner, master, true);

	if (!sharing) {
		sharing = sharing_add(planner, master, true, mount);
		sharing->from = group;
		sharing->master = peer ? sharing_outside(planner, peer, mount)
				       : sharing_of(planner, group, false);
		sharing->master->slaves++;
		*array_push(&planner->all) = sharing;
	}
	return sharing;
}

static void assign_sharing(struct planner *planner, struct mount *mount)
{
	struct work *work = work_of(mount);

	if (!mount->group && !mount->master)
		return;
	if (mount->unbindable) {
		planner->error = REFUSE(subject_of(planner, mount),
					"make it one or the other (mount --make-private)",
					"it is unbindable and %s, which cannot be made again",
					mount->group ? "shared" : "a slave");
		return;
	}
	work->sharing = find_sharing(planner, mount);
	if (work->sharing && work->sharing->superblock != mount->superblock) {
		planner->error = FAIL(EBADMSG, subject_of(planner, mount), NULL,
				      "it has another filesystem than mounts of its group %d",
				      (mount->group ?: mount->master)->id);
		work->sharing = NULL;
	}
}

/* ---- first pass: what each mount is made of ---- */

static bool is_root(const struct mount *mount)
{
	if (*mount->root != '/')
		return strcmp(mount->superblock->type, "nsfs") == 0 && !mount->root_deleted;
	return mount->root[1] || !mount->root_deleted;
}

static void assign_mount(struct planner *planner, struct mount *mount, struct work *work)
{
	unsigned int phase =
		mount->superblock->late ? planner->last_phase : mount->superblock->phase;
	unsigned int least = mount->parent ? work_of(mount->parent)->phase : 0;

	*work = (struct work){
		.phase = phase > least ? phase : least, .size = 1, .pending = mount->child_count};
	mount->state = work;
	work->origin = find_origin(planner, mount);
	if (!is_root(mount))
		planner->error = FAIL(EBADMSG, subject_of(planner, mount), NULL,
				      "it cannot have the root %s%s",
				      path_escaped(planner->arena, mount->root),
				      mount->root_deleted ? " (deleted)" : "");
	else if (work->origin)
		work->origin->clones++;
	else
		planner->error = lacks_provider(planner, mount);
	assign_sharing(planner, mount);
}

static void assign(struct planner *planner)
{
	struct mount_graph *graph = planner->graph;

	array_each (&graph->superblocks, item)
		if ((*item)->phase >= planner->last_phase)
			planner->last_phase = (*item)->phase + 1;
	planner->held = arena_new_array(planner->arena, struct held, planner->last_phase + 1);
	add_origins(planner);
	add_groups(planner);

	array_each (&graph->trees, tree) {
		size_t count = (*tree)->mounts.count;
		struct mount **mounts = (*tree)->mounts.items;
		struct work *works = arena_new_array(planner->arena, struct work, count);

		for (size_t i = 0; i < count; i++)
			assign_mount(planner, mounts[i], &works[i]);
		for (size_t i = count; i-- > 1;)
			work_of(mounts[i]->parent)->size += works[i].size;
	}
}

/* ---- second pass: the order ---- */

static void event(struct planner *planner, enum event_kind kind, struct mount *mount)
{
	*array_push(&planner->events) = (struct event){kind, mount};
}

static void hold(struct planner *planner, struct mount *mount)
{
	struct held *held = &planner->held[work_of(mount)->phase];

	if (mount->parent)
		event(planner, EVENT_HOLD, mount);
	if (held->last)
		work_of(held->last)->next_held = mount;
	else
		held->first = mount;
	held->last = mount;
}

static void attach(struct planner *planner, struct mount *mount)
{
	event(planner, EVENT_ATTACH, mount);
	if (!mount->child_count)
		event(planner, EVENT_DONE, mount);
	if (mount->parent && !--work_of(mount->parent)->pending)
		event(planner, EVENT_DONE, mount->parent);
}

/* The mount's children are next; those of later phases get their places while none covers them. */
static void enter(struct planner *planner, struct mount *mount)
{
	struct frame *frame = array_push(&planner->frames);
	unsigned int phase = work_of(mount)->phase;

	*frame = (struct frame){.mount = mount, .next = mount->child_count};
	for (size_t i = 0; i < mount->child_count; i++) {
		struct mount *child = mount->children[i];

		if (work_of(child)->phase > phase)
			hold(planner, child);
		else if (!frame->largest || work_of(child)->size > work_of(frame->largest)->size)
			frame->largest = child;
	}
}

/* All below an attached mount that is of the same phase. */
static void walk(struct planner *planner, struct mount *top)
{
	enter(planner, top);
	while (planner->frames.count) {
		struct frame *frame = &planner->frames.items[planner->frames.count - 1];
		struct mount *mount = frame->mount, *largest = frame->largest, *child;

		if (!frame->next) {
			planner->frames.count--;
			if (largest)
				enter(planner, largest);
			continue;
		}
		/* Backwards: "a/b" before "a" before "". */
		child = mount->children[--frame->next];
		if (work_of(child)->phase != work_of(mount)->phase)
			continue;
		attach(planner, child);
		if (child != largest)
			enter(planner, child);
	}
}

static void order(struct planner *planner)
{
	array_each (&planner->graph->trees, tree)
		if ((*tree)->root)
			hold(planner, (*tree)->root);
	for (unsigned int phase = 0; phase <= planner->last_phase; phase++) {
		struct mount *first = planner->held[phase].first;

		if (phase == planner->last_phase)
			planner->late = planner->events.count;
		for (struct mount *mount = first; mount; mount = work_of(mount)->next_held)
			if (!mount->parent)
				attach(planner, mount);
		for (struct mount *mount = first; mount; mount = work_of(mount)->next_held) {
			if (mount->parent)
				attach(planner, mount);
			walk(planner, mount);
		}
	}
}

/* ---- third pass: leaders ---- */

static void need(struct sharing *sharing, struct cover cover, size_t at, struct mount *mount)
{
	cover_add(&sharing->cover, cover);
	sharing->joins++;
	if (at < sharing->needed) {
		sharing->needed = at;
		sharing->first = mount;
	}
}

/* A sharing that is a slave's: which master, and when and how wide that has to be. */
static void lead_master(struct planner *planner, struct sharing *sharing, struct cover leader)
{
	if (!sharing->from)
		return;
	if (!sharing->master) {
		struct origin *peer = origin_for(planner, sharing->superblock, sharing->from,
						 leader, sharing->origin);

		if (!peer) {
			planner->error = lacks_peer(planner, sharing->example, sharing->from);
			return;
		}
		sharing->master = sharing_outside(planner, peer, sharing->example);
		sharing->master->slaves++;
	}
	if (sharing->master->superblock != sharing->superblock)
		planner->error =
			FAIL(EBADMSG, subject_of(planner, sharing->example), NULL,
			     "its master group %d is of another filesystem", sharing->from->id);
	need(sharing->master, leader, sharing->needed, NULL);
}

static void lead_sharing(struct planner *planner, struct sharing *sharing)
{
	const struct mount *example = sharing->example;
	struct cover root = sharing->cover;

	if (!root.root || !work_of(example)->origin)
		return; /* there was a problem with its mounts */
	if (sharing->first && cover_contains(cover_of(sharing->first), sharing->cover)) {
		sharing->leader = sharing->first;
		sharing->joins--;
		lead_master(planner, sharing, root);
		return;
	}
	sharing->origin = origin_for(planner, sharing->superblock, NULL, sharing->cover,
				     work_of(example)->origin);
	if (!sharing->origin) {
		planner->error = REFUSE(
			subject_of(planner, example),
			"have a mount whose root contains those of all its peers and slaves given "
			"from outside, or make it private",
			"nothing shows all that mounts of its group %d show of the %s filesystem",
			(sharing->group ?: sharing->from)->id, sharing->superblock->type);
		return;
	}
	sharing->origin->clones++;
	lead_master(planner, sharing,
		    (struct cover){sharing->origin->root, strlen(sharing->origin->root)});
}

/* Slaves first: their leaders join their masters'. */
static void lead(struct planner *planner)
{
	ARRAY(struct sharing *) ready = {0};
	size_t i = 0;

	for (size_t at = 0; at < planner->events.count; at++) {
		struct mount *mount = planner->events.items[at].mount;
		struct sharing *sharing = work_of(mount)->sharing;

		if (sharing && planner->events.items[at].kind == EVENT_DONE)
			need(sharing, cover_of(mount), at, mount);
	}
	array_each (&planner->all, item)
		if (!(*item)->slaves)
			*array_push(&ready) = *item;
	for (; i < ready.count; i++) {
		struct sharing *sharing = ready.items[i];

		lead_sharing(planner, sharing);
		if (sharing->master && !--sharing->master->slaves && !sharing->master->peer)
			*array_push(&ready) = sharing->master;
	}
	if (ready.count < planner->all.count)
		array_each (&planner->all, item)
			if ((*item)->slaves)
				planner->error = FAIL(
					EBADMSG, subject_of(planner, (*item)->example), NULL,
					"its group %d is a slave of itself, or of groups that are",
					(*item)->group->id);
	array_free(&ready);
}

/* ---- fourth pass: the steps ---- */

static struct plan_step *step(struct planner *planner, enum plan_step_kind kind, uint32_t node,
			      struct mount *mount)
{
	struct plan_step *step = array_push(&planner->plan->steps);

	step->kind = kind;
	step->node = node;
	step->mount = mount;
	return step;
}

/* values: the kind, node, mount and path from the origin's root. */
static void write_clone(struct planner *planner, struct origin *origin, struct plan_step values)
{
	if (origin->realm == NAMES) {
		values.path = origin->name;
	} else if (!origin->provider && !origin->node) {
		origin->node = ++planner->plan->nodes;
		origin->left = origin->clones;
		step(planner, PLAN_SOURCE, origin->node, NULL)->superblock = origin->superblock;
	}
	values.superblock = origin->superblock;
	values.provider = origin->provider;
	values.other = origin->node;
	*array_push(&planner->plan->steps) = values;
	if (origin->node && !--origin->left)
		step(planner, PLAN_CLOSE, origin->node, NULL);
}

static void write_mount(struct planner *planner, struct mount *mount, uint32_t node)
{
	struct origin *origin = work_of(mount)->origin;
	bool external = origin->realm == KEYS;

	if (origin->clones == 1 && !origin->provider && !strcmp(mount->root, "/"))
		step(planner, PLAN_SOURCE, node, mount)->superblock = origin->superblock;
	else
		write_clone(planner, origin,
			    (struct plan_step){
				    .kind = PLAN_CLONE,
				    .node = node,
				    .mount = mount,
				    .path = external ? "" : path_below(origin->root, mount->root),
				    .deleted = !external && mount->root_deleted,
			    });
}

static void write_release(struct planner *planner, uint32_t node, struct mount *mount)
{
	if (mount && mount->unbindable)
		step(planner, PLAN_UNBINDABLE, node, mount);
	step(planner, mount && mount->has_files ? PLAN_KEEP : PLAN_CLOSE, node, mount);
}

static void write_join(struct planner *planner, uint32_t node, struct mount *mount,
		       struct sharing *sharing)
{
	step(planner, PLAN_JOIN, node, mount)->other = sharing->node;
	if (!--sharing->joins)
		write_release(planner, sharing->node, sharing->leader);
}

/* The node, private until now, becomes the sharing's leader. */
static void write_leader(struct planner *planner, struct sharing *sharing, uint32_t node)
{
	sharing->node = node;
	if (sharing->master) {
		write_join(planner, node, sharing->leader, sharing->master);
		step(planner, PLAN_SLAVE, node, sharing->leader);
	}
	if (sharing->group)
		step(planner, PLAN_SHARE, node, sharing->leader);
}

/* Makes the helpers that lead the sharing and its masters, as far as they are not led yet. */
static void write_helpers(struct planner *planner, struct sharing *sharing)
{
	ARRAY(struct sharing *) chain = {0};

	for (; sharing && !sharing->node; sharing = sharing->master)
		*array_push(&chain) = sharing;
	while (chain.count) {
		uint32_t node = ++planner->plan->nodes;

		sharing = chain.items[--chain.count];
		write_clone(planner, sharing->peer ?: sharing->origin,
			    (struct plan_step){
				    .kind = sharing->peer ? PLAN_CLONE_PEER : PLAN_CLONE,
				    .node = node,
				    .path = "",
			    });
		write_leader(planner, sharing, node);
	}
	array_free(&chain);
}

static void write_hold(struct planner *planner, struct mount *mount)
{
	struct work *work = work_of(mount);

	work->node = ++planner->plan->nodes;

	struct plan_step *place = step(planner, PLAN_MOUNTPOINT, work->node, mount);

	place->other = work_of(mount->parent)->node;
	place->path = mount->mountpoint;
}

static void write_attach(struct planner *planner, struct mount *mount)
{
	struct work *work = work_of(mount);

	if (!work->node)
		work->node = ++planner->plan->nodes;
	write_mount(planner, mount, work->node);
	step(planner, PLAN_ATTRIBUTES, work->node, mount);
	if (!mount->parent) {
		step(planner, PLAN_ROOT, work->node, mount);
		return;
	}

	struct plan_step *attach = step(planner, PLAN_ATTACH, work->node, mount);

	attach->other = work_of(mount->parent)->node;
	attach->path = mount->mountpoint;
}

static void write_done(struct planner *planner, struct mount *mount)
{
	struct sharing *sharing = work_of(mount)->sharing;
	uint32_t node = work_of(mount)->node;

	if (sharing && sharing->leader == mount) {
		write_helpers(planner, sharing->master);
		write_leader(planner, sharing, node);
		if (sharing->joins)
			return;
	} else if (sharing) {
		write_helpers(planner, sharing);
		write_join(planner, node, mount, sharing);
	}
	write_release(planner, node, mount);
}

static void write_steps(struct planner *planner)
{
	static void (*const functions[])(struct planner *, struct mount *) = {
		[EVENT_HOLD] = write_hold,
		[EVENT_ATTACH] = write_attach,
		[EVENT_DONE] = write_done,
	};

	for (size_t at = 0; at < planner->events.count; at++) {
		struct event event = planner->events.items[at];

		if (at == planner->late)
			planner->plan->late = planner->plan->steps.count;
		functions[event.kind](planner, event.mount);
	}
	if (planner->late == planner->events.count)
		planner->plan->late = planner->plan->steps.count;
}

int plan_make(struct mount_graph *graph, struct mount_plan *plan)
{
	struct planner planner = {.graph = graph, .plan = plan, .arena = arena_new()};

	*plan = (struct mount_plan){0};
	planner.last_phase = 1;
	assign(&planner);
	order(&planner);
	lead(&planner);
	if (!planner.error)
		write_steps(&planner);

	array_each (&graph->trees, tree)
		array_each (&(*tree)->mounts, mount)
			(*mount)->state = NULL;
	array_free(&planner.all);
	array_free(&planner.events);
	array_free(&planner.frames);
	hash_free(&planner.origins);
	hash_free(&planner.sharings);
	arena_free(planner.arena);
	return planner.error;
}

void plan_free(struct mount_plan *plan)
{
	array_free(&plan->steps);
	*plan = (struct mount_plan){0};
}

/* ---- text ---- */

static const char *clone_text(struct arena *arena, const struct plan_step *step, const char *path)
{
	const char *kind = step->kind == PLAN_CLONE ? "clone" : "peer";
	const char *at =
		*path ? arena_printf(arena, " at %s%s", path, step->deleted ? " (deleted)" : "")
		      : "";

	if (step->provider)
		return arena_printf(
			arena, "%s of %s%s", kind,
			text_escape(arena, step->provider->name, strlen(step->provider->name)), at);
	if (step->other)
		return arena_printf(arena, "%s of %u%s", kind, step->other, at);
	return arena_printf(arena, "bind of %s", path);
}

const char *plan_step_text(struct arena *arena, const struct plan_step *step)
{
	const char *what = step->mount ? path_escaped(arena, step->mount->path) : "helper";
	const char *path = path_escaped(arena, step->path ?: "");
	const char *text = "";

	switch (step->kind) {
	case PLAN_SOURCE:
		text = arena_printf(arena, "new %s", step->superblock->type);
		break;
	case PLAN_CLONE:
	case PLAN_CLONE_PEER:
		text = clone_text(arena, step, path);
		break;
	case PLAN_ATTRIBUTES:
		text = "attributes";
		break;
	case PLAN_ROOT:
		text = arena_printf(arena, "root of namespace %u", step->mount->tree->id);
		break;
	case PLAN_MOUNTPOINT:
		text = arena_printf(arena, "place %s on %u", *path ? path : ".", step->other);
		break;
	case PLAN_ATTACH:
		text = arena_printf(arena, "attach to %u at %s", step->other, *path ? path : ".");
		break;
	case PLAN_JOIN:
		text = arena_printf(arena, "join %u", step->other);
		break;
	case PLAN_SLAVE:
		text = "make slave";
		break;
	case PLAN_SHARE:
		text = "make shared";
		break;
	case PLAN_UNBINDABLE:
		text = "make unbindable";
		break;
	case PLAN_KEEP:
		text = "keep for open files";
		break;
	case PLAN_CLOSE:
		text = "close";
		break;
	}
	return arena_printf(arena, "%u %s: %s", step->node, what, text);
}
