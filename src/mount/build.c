/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A plan becomes mounts.  All is done on descriptors, by a process whose mount namespaces nobody
 * else sees: until the tasks hold a namespace, closing descriptors takes everything back.
 */
#include "mount/build.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/report.h"
#include "checkpoint/checkpoint.h"
#include "mount/filesystem.h"
#include "mount/place.h"
#include "mount/superblock.h"

enum {
	ALL_ATTRIBUTES = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			 MOUNT_ATTR_NOEXEC | MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME |
			 MOUNT_ATTR_NOSYMFOLLOW
};

/* ---- what goes wrong ---------------------------------------------------------------------- */

static const char opening_mountpoint[] = "its mountpoint cannot be opened";

static struct subject subject_of(struct builder *builder, const struct plan_step *step)
{
	struct arena *arena = builder->checkpoint->arena;
	const struct superblock *superblock = step->superblock;

	if (step->mount)
		return SUBJECT("mount %s", path_escaped(arena, step->mount->path));
	if (superblock && superblock->mounts)
		return SUBJECT("filesystem %s of mount %s", superblock->type,
			       path_escaped(arena, superblock->mounts->path));
	return SUBJECT("step \"%s\"", plan_step_text(arena, step));
}

static const char *remedy_of(int error)
{
	switch (error) {
	case -ENOSPC:
		return "raise the limit of mounts in a namespace (sysctl fs.mount-max)";
	case -EMFILE:
		return "raise the limit of open files (ulimit -Hn)";
	case -EPERM:
	case -EACCES:
		return "run stasis as root, with CAP_SYS_ADMIN";
	default:
		return NULL;
	}
}

static int step_failed(struct builder *builder, const struct plan_step *step, int error)
{
	struct arena *arena = builder->checkpoint->arena;
	const char *path = step->path ? path_escaped(arena, step->path) : "";
	const char *source =
		step->mount && step->mount->parent ? step->mount->parent->superblock->source : NULL;
	bool looks = !strcmp(builder->doing, opening_mountpoint);

	if (looks && (error == -ENOENT || error == -ENOTDIR))
		return FAIL(-error, subject_of(builder, step),
			    "make it, of the same kind (directory or file), and restore again",
			    "its mountpoint %s is not there on %s", path,
			    source ? source : "the filesystem");
	return FAIL(-error, subject_of(builder, step), remedy_of(error), "%s: %s", builder->doing,
		    strerror(-error));
}

/* ---- places ------------------------------------------------------------------------------- */

/*
 * The place of this name below a mount's root: a mount that is in the way, and symbolic links in
 * what an image says, lead nowhere.
 */
static int open_below(int fd, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
	int place;

	/* EAGAIN: something was renamed meanwhile. */
	do
		place = syscall(SYS_openat2, fd, path, &how, sizeof(how));
	while (place < 0 && errno == EAGAIN);
	return place < 0 ? -errno : place;
}

/* *place: fd itself, or what is below it, which is *opened then. */
static int find_place(int fd, const char *path, int *opened, int *place)
{
	if (path && *path) {
		*opened = open_below(fd, path);
		if (*opened < 0)
			return *opened;
	}
	*place = *opened >= 0 ? *opened : fd;
	return 0;
}

static int move(int mount, int place, unsigned int flags)
{
	return move_mount(mount, "", place, "",
			  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH | flags) < 0
		       ? -errno
		       : 0;
}

static int set_attributes(int mount, struct mount_attr attributes)
{
	return mount_setattr(mount, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0 ? -errno
											    : 0;
}

/* ---- namespaces --------------------------------------------------------------------------- */

/* The only mount of the namespace is the new one afterwards; it must not be shared. */
static int replace_root(int mount)
{
	autofd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int error = root < 0 ? -errno : move(mount, root, 0);

	if (!error && (fchdir(mount) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
		       umount2(".", MNT_DETACH) < 0 || chdir("/") < 0))
		error = -errno;
	return error;
}

static int open_own_namespace(struct builder *builder)
{
	int fd = openat(builder->proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/*
 * A namespace with nothing but an empty directory: all trees begin as copies of it, and not of
 * stasis' own, which may be large.  setns(2) to where we are leads out of a chroot.
 */
static int open_workshop(struct builder *builder)
{
	autofd int copy = open_own_namespace(builder);
	autofd int config = fsopen("tmpfs", FSOPEN_CLOEXEC);
	autofd int mount = -1;
	int error;

	if (copy < 0)
		return copy;
	if (config < 0 || fsconfig(config, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ||
	    (mount = fsmount(config, FSMOUNT_CLOEXEC, 0)) < 0 || setns(copy, CLONE_NEWNS) < 0 ||
	    syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	error = replace_root(mount);
	if (!error) {
		builder->workshop = open_own_namespace(builder);
		error = builder->workshop < 0 ? builder->workshop : 0;
	}
	return error;
}

/* Mounts are attached by a process inside, and in some older kernels changed, only. */
static int enter(struct builder *builder, struct mount_tree *tree)
{
	if (!tree || builder->inside == tree)
		return 0;
	if (setns(tree->namespace->fd, CLONE_NEWNS) < 0)
		return -errno;
	builder->inside = tree;
	return 0;
}

/* ---- the steps ---------------------------------------------------------------------------- */

/* Its files are changed when the mounts are in place, or it becomes read-only only then. */
static bool is_used_later(const struct superblock *superblock)
{
	for (const struct mount *mount = superblock->mounts; mount;
	     mount = mount->next_of_superblock)
		if (mount->has_files || mount->root_deleted)
			return true;
	return superblock->flags & MS_RDONLY;
}

static bool is_covered_later(const struct plan_step *step)
{
	const struct filesystem *filesystem = step->superblock->filesystem;

	return is_used_later(step->superblock) ||
	       (filesystem && filesystem->seal && step->mount->child_count);
}

static int step_source(struct builder *builder, const struct plan_step *step)
{
	struct node *node = &builder->nodes[step->node];
	struct superblock *superblock = step->superblock;
	int error = 0;

	/* Not prepared: its options are paths among the mounts. */
	if (superblock->fd < 0) {
		builder->doing = "the namespace of its layers cannot be entered";
		error = enter(builder, superblock->mounts->tree);
		if (!error)
			error = filesystem_make(builder->checkpoint, superblock);
	}
	if (error)
		return error;
	node->fd = superblock->fd;
	if (!step->mount || !is_covered_later(step)) {
		node->source = superblock;
		node->lent = is_used_later(superblock);
		/* The mount itself, to which its own flags come next. */
		node->sealed = step->mount;
		return node->sealed ? filesystem_seal(builder->checkpoint, superblock) : 0;
	}
	/* The mount itself will be covered: the superblock keeps a view of all of it. */
	builder->doing = "cannot be cloned";
	superblock->fd =
		open_tree(node->fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	return superblock->fd < 0 ? -errno : 0;
}

/* A bind of the file of a namespace; one of the trees' own is made by now. */
static int clone_namespace(struct builder *builder, const struct plan_step *step)
{
	enum namespace_kind kind = namespace_kind_of_flag(step->mount->shown_flag);
	struct namespace *namespace =
		kind == NAMESPACE_NONE
			? NULL
			: namespace_by_id(builder->checkpoint, kind, step->mount->shown_id);
	autofd int fd = -1;

	builder->doing = "the namespace it shows is not in the checkpoint";
	if (kind == NAMESPACE_NONE || (!namespace && step->mount->shown_id > NAMESPACE_KINDS))
		return -ENOENT;
	builder->doing = "the namespace it shows cannot be opened";
	if (namespace) {
		fd = fcntl(namespace->fd, F_DUPFD_CLOEXEC, 0);
	} else {
		char path[48];

		snprintf(path, sizeof(path), "%d/ns/%s", builder->host, namespace_name(kind));
		fd = openat(builder->proc, path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	builder->doing = "cannot be cloned";
	builder->nodes[step->node].fd =
		open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	return builder->nodes[step->node].fd < 0 ? -errno : 0;
}

static int clone_node(struct builder *builder, const struct plan_step *step)
{
	struct node *node = &builder->nodes[step->node];
	int from = step->provider ? step->provider->fd
		   : step->other  ? builder->nodes[step->other].fd
				  : -1;
	autofd int opened = -1;
	int place, error;

	if (!step->provider && !step->other)
		return clone_namespace(builder, step);
	builder->doing = "what it shows cannot be found";
	error = find_place(from, step->path, &opened, &place);
	if (error)
		return error;
	builder->doing = "cannot be cloned";
	node->fd = open_tree(place, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (node->fd < 0)
		return -errno;
	node->shares = step->provider || builder->nodes[step->other].shares;
	return 0;
}

static int step_clone(struct builder *builder, const struct plan_step *step)
{
	struct node *node = &builder->nodes[step->node];
	int error = node->fd < 0 ? clone_node(builder, step) : 0; /* else it is prepared */

	if (error || !node->shares)
		return error;
	builder->doing = "cannot be made private";
	node->shares = false;
	return set_attributes(node->fd, (struct mount_attr){.propagation = MS_PRIVATE});
}

static int step_clone_peer(struct builder *builder, const struct plan_step *step)
{
	return builder->nodes[step->node].fd < 0 ? clone_node(builder, step) : 0;
}

static int step_attributes(struct builder *builder, const struct plan_step *step)
{
	struct mount *mount = step->mount;
	struct node *node = &builder->nodes[step->node];
	struct mount_attr attributes = {.attr_set = mount->attributes, .attr_clr = ALL_ATTRIBUTES};
	int error;

	if (mount->uid_map) {
		attributes.attr_set |= MOUNT_ATTR_IDMAP;
		attributes.userns_fd = id_map_of(builder, mount);
	}
	builder->doing = "its flags cannot be set";
	error = set_attributes(node->fd, attributes);
	/* Its children will cover them. */
	if (!error && mount->places) {
		builder->doing = "files on it cannot be reached";
		error = places_open(builder->checkpoint, mount, node->fd);
	}
	return error;
}

static int step_root(struct builder *builder, const struct plan_step *step)
{
	builder->doing = "its namespace cannot be entered";

	int error = enter(builder, step->mount->tree);

	if (error)
		return error;
	builder->doing = "cannot become the root of a namespace";
	return replace_root(builder->nodes[step->node].fd);
}

static int step_mountpoint(struct builder *builder, const struct plan_step *step)
{
	int parent = builder->nodes[step->other].fd;
	struct node *node = &builder->nodes[step->node];

	builder->doing = opening_mountpoint;
	node->place = step->path && *step->path ? open_below(parent, step->path)
						: fcntl(parent, F_DUPFD_CLOEXEC, 0);
	return node->place < 0 ? node->place : 0;
}

static int step_attach(struct builder *builder, const struct plan_step *step)
{
	struct node *node = &builder->nodes[step->node];
	autofd int opened = -1;
	int place = node->place, error = enter(builder, step->mount->tree);

	builder->doing = opening_mountpoint;
	if (!error && place < 0)
		error = find_place(builder->nodes[step->other].fd, step->path, &opened, &place);
	if (error)
		return error;
	builder->doing = "cannot be attached";
	error = move(node->fd, place, 0);
	fd_close(&node->place);
	return error;
}

static int step_join(struct builder *builder, const struct plan_step *step)
{
	builder->doing = "cannot join its peer group";
	return move(builder->nodes[step->other].fd, builder->nodes[step->node].fd,
		    MOVE_MOUNT_SET_GROUP);
}

static int set_propagation(struct builder *builder, const struct plan_step *step,
			   unsigned long propagation)
{
	builder->doing = "its propagation cannot be set";
	builder->nodes[step->node].shares = true;
	return set_attributes(builder->nodes[step->node].fd,
			      (struct mount_attr){.propagation = propagation});
}

static int step_slave(struct builder *builder, const struct plan_step *step)
{
	return set_propagation(builder, step, MS_SLAVE);
}

static int step_share(struct builder *builder, const struct plan_step *step)
{
	return set_propagation(builder, step, MS_SHARED);
}

static int step_unbindable(struct builder *builder, const struct plan_step *step)
{
	return set_propagation(builder, step, MS_UNBINDABLE);
}

static int step_keep(struct builder *builder, const struct plan_step *step)
{
	struct node *node = &builder->nodes[step->node];

	builder->doing = "its descriptor cannot be copied";
	step->mount->fd = fcntl(node->fd, F_DUPFD_CLOEXEC, 0);
	return step->mount->fd < 0 ? -errno : 0;
}

static void close_node(struct node *node)
{
	if (node->source && !node->lent)
		node->source->fd = -1;
	if (!node->lent)
		fd_close(&node->fd);
	node->fd = -1;
	fd_close(&node->place);
}

static int step_close(struct builder *builder, const struct plan_step *step)
{
	struct node *node = &builder->nodes[step->node];
	int error = 0;

	if (node->source && !node->lent && !node->sealed)
		error = filesystem_seal(builder->checkpoint, node->source);
	close_node(node);
	return error;
}

static int (*const step_functions[])(struct builder *builder, const struct plan_step *step) = {
	[PLAN_SOURCE] = step_source,
	[PLAN_CLONE] = step_clone,
	[PLAN_CLONE_PEER] = step_clone_peer,
	[PLAN_ATTRIBUTES] = step_attributes,
	[PLAN_ROOT] = step_root,
	[PLAN_MOUNTPOINT] = step_mountpoint,
	[PLAN_ATTACH] = step_attach,
	[PLAN_JOIN] = step_join,
	[PLAN_SLAVE] = step_slave,
	[PLAN_SHARE] = step_share,
	[PLAN_UNBINDABLE] = step_unbindable,
	[PLAN_KEEP] = step_keep,
	[PLAN_CLOSE] = step_close,
};

/* ---- the whole ---------------------------------------------------------------------------- */

/* A part of the plan, and the process that runs it. */
struct run {
	struct builder *builder;
	size_t first, end;
};

/*
 * A namespace for each tree, before any of its mounts: who looks from outside (listmount(2)) is
 * shown only what is younger than the namespace's own bottom, and begins with its root.  All are
 * made on one processor, for the numbers by which the kernel tells which is older come from a stock
 * of each processor's; a namespace's file can be bound only in an older one.
 */
static int make_namespaces(void *argument)
{
	struct builder *builder = argument;
	cpu_set_t allowed, one;
	int error;

	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
		for (int cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++)
			if (CPU_ISSET(cpu, &allowed))
				CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	error = open_workshop(builder);
	array_each (&builder->checkpoint->mounts.graph->trees, each) {
		struct namespace *namespace = (*each)->namespace;

		if (!error &&
		    (setns(builder->workshop, CLONE_NEWNS) < 0 || unshare(CLONE_NEWNS) < 0))
			error = -errno;
		if (error)
			break;
		namespace->fd = open_own_namespace(builder);
		error = namespace->fd < 0 ? namespace->fd : 0;
	}
	return error ? FAIL(-error, SUBJECT("mount namespace"), remedy_of(error),
			    "cannot be made: %s", strerror(-error))
		     : 0;
}

static int run_steps(void *argument)
{
	struct run *run = argument;
	struct builder *builder = run->builder;
	int error = 0;

	builder->inside = NULL;
	for (size_t i = run->first; i < run->end && !error; i++) {
		const struct plan_step *step = &builder->plan->steps.items[i];
		size_t problems = report_count();

		error = step_functions[step->kind](builder, step);
		if (error && report_count() == problems)
			error = step_failed(builder, step, error);
	}
	return error;
}

/* A helper is for the mounts that have its root. */
static const struct mount *removed_mount(const struct plan_step *step)
{
	const struct mount *mount = step->mount ? step->mount : step->superblock->mounts;

	while (!step->mount && mount &&
	       (!mount->root_deleted || strcmp(path_below("/", mount->root), step->path)))
		mount = mount->next_of_superblock;
	return mount;
}

/*
 * On a filesystem from outside what was removed is made again by its name, which must be free.  It
 * keeps that until it is attached: the kernel attaches no mount whose root has none.
 */
static int make_removed(struct builder *builder, const struct plan_step *step)
{
	struct checkpoint *checkpoint = builder->checkpoint;
	struct node *node = &builder->nodes[step->node];
	const struct mount *mount = removed_mount(step);
	char *path;
	int error;

	if (!mount || !mount->ghost_id || !step->provider)
		return FAIL(ENOENT, subject_of(builder, step),
			    "restore it with the program that wrote it",
			    "what it shows was removed, and is not in the checkpoint");
	path = arena_printf(checkpoint->arena, "/proc/self/fd/%d/%s", step->provider->fd,
			    step->path);
	error = files_make_removed(checkpoint, mount->ghost_id, path);
	if (error)
		return error;
	node->fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	node->shares = true;
	*array_push(&builder->removed) = path;
	return node->fd < 0 ? FAIL(errno, subject_of(builder, step), NULL, "cannot be cloned: %s",
				   strerror(errno))
			    : 0;
}

int builder_remove(struct builder *builder)
{
	int result = 0;

	array_each (&builder->removed, path)
		if (unlink(*path) < 0 && rmdir(*path) < 0)
			result = FAIL(errno, SUBJECT("removed file %s", *path), "remove it by hand",
				      "cannot be removed again: %s", strerror(errno));
	array_free(&builder->removed);
	return result;
}

/*
 * A clone of what was removed.  A filesystem that was made anew has it already.  Not in the
 * workshop, which has no /proc.
 */
static int prepare_removed(struct builder *builder, const struct plan_step *step)
{
	struct node *node = &builder->nodes[step->node];
	const struct mount *mount = removed_mount(step);
	int made =
		mount && !step->provider ? contents_deleted(step->superblock, mount->short_id) : -1;

	if (made < 0)
		return make_removed(builder, step);
	node->fd = open_tree(made, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	return node->fd < 0 ? FAIL(errno, subject_of(builder, step), NULL, "cannot be cloned: %s",
				   strerror(errno))
			    : 0;
}

struct cloning {
	struct builder *builder;
	const struct plan_step *step;
};

/*
 * What comes from outside was cloned in stasis' own namespace, and the kernel lets only who is in
 * there clone it again (Linux 6.15; before that nobody, and it has to be attached).
 */
static int clone_at_home(void *argument)
{
	const struct cloning *cloning = argument;

	return clone_node(cloning->builder, cloning->step);
}

static int prepare_clone(struct builder *builder, const struct plan_step *step)
{
	struct cloning cloning = {builder, step};
	size_t problems = report_count();
	int error;

	if (step->deleted)
		error = prepare_removed(builder, step);
	else if (step->provider->home >= 0)
		error = namespace_enter(&step->provider->home, 1, 0, clone_at_home, &cloning,
					"the copy of stasis' mount namespace");
	else
		error = clone_node(builder, step);

	return error && report_count() == problems ? step_failed(builder, step, error) : error;
}

static bool is_prepared_clone(const struct plan_step *step)
{
	return (step->kind == PLAN_CLONE || step->kind == PLAN_CLONE_PEER) &&
	       (step->deleted || step->provider);
}

/* How many filesystems are made before they are mounted: descriptors are few. */
enum { AHEAD = 1000 };

/*
 * What can only be made by stasis itself, or in another of its namespaces: for the steps from
 * run->first on; run->end is how far that goes.
 */
static int prepare(struct builder *builder, struct run *run, size_t end)
{
	ARRAY(struct superblock *) new = {0};
	size_t clones = 0, i;
	int error = 0;

	for (i = run->first; i < end && !error && new.count + clones < AHEAD; i++) {
		const struct plan_step *step = &builder->plan->steps.items[i];

		if (step->kind == PLAN_ATTRIBUTES && step->mount->uid_map)
			error = id_map_prepare(builder, step->mount);
		if (step->kind == PLAN_SOURCE && !superblock_is_made_inside(step->superblock))
			*array_push(&new) = step->superblock;
		clones += is_prepared_clone(step);
	}
	run->end = i;
	if (!error)
		error = superblocks_make(builder->checkpoint, new.items, new.count);
	array_free(&new);
	for (i = run->first; i < run->end && !error; i++) {
		const struct plan_step *step = &builder->plan->steps.items[i];

		if (is_prepared_clone(step))
			error = prepare_clone(builder, step);
	}
	return error;
}

int build_steps(struct builder *builder, size_t first, size_t end)
{
	struct run run = {.builder = builder, .first = first};
	int error = 0;

	if (builder->workshop < 0)
		error = namespace_enter(NULL, 0, CLONE_NEWNS, make_namespaces, builder,
					"the workshop of mounts");
	for (; run.first < end && !error; run.first = run.end) {
		error = prepare(builder, &run, end);
		if (!error)
			error = namespace_enter(&builder->workshop, 1, 0, run_steps, &run,
						"the workshop of mounts");
	}
	return error;
}

struct builder *builder_new(struct checkpoint *checkpoint)
{
	const struct mount_plan *plan = &checkpoint->mounts.plan;
	struct builder *builder = arena_new_object(checkpoint->arena, struct builder);

	*builder = (struct builder){.checkpoint = checkpoint, .plan = plan, .workshop = -1};
	builder->host = getpid();
	builder->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	builder->nodes = arena_new_array(checkpoint->arena, struct node, plan->nodes + 1);
	for (size_t i = 0; i <= plan->nodes; i++)
		builder->nodes[i] = (struct node){.fd = -1, .place = -1};
	return builder;
}

void builder_close(struct builder *builder)
{
	builder_remove(builder);
	for (size_t i = 0; i <= builder->plan->nodes; i++)
		close_node(&builder->nodes[i]);
	id_maps_close(builder);
	fd_close(&builder->workshop);
	fd_close(&builder->proc);
}
