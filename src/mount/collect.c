/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mounts of a namespace, from the kernel: listmount(2) and statmount(2).  A namespace other than
 * the caller's is shown from its lowest visible mount on, so that covered roots are seen, too; our
 * own from our root directory on.
 */
#include "mount/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/report.h"
#include "mount/record.h"
#include "namespace/namespace.h"

/* ---- the calls, which older headers lack (linux/mount.h, linux/nsfs.h) ------------------------
 */

enum {
	CALL_STATMOUNT = 457,
	CALL_LISTMOUNT = 458,
};

/* Linux 6.8; below the namespace's, 6.11. */
struct mount_request {
	uint32_t size, spare;
	uint64_t mount;
	uint64_t what; /* statmount: ASK_*; listmount: the id to go on behind */
	uint64_t namespace;
};

#define LIST_ROOT UINT64_MAX

enum {
	ASK_SUPERBLOCK = 1 << 0,
	ASK_MOUNT = 1 << 1,
	ASK_ROOT = 1 << 3,
	ASK_PATH = 1 << 4,
	ASK_TYPE = 1 << 5,
	ASK_OPTIONS = 1 << 7,    /* 6.11 */
	ASK_SUBTYPE = 1 << 8,    /* 6.13 */
	ASK_SOURCE = 1 << 9,     /* 6.13 */
	ASK_SUPPORTED = 1 << 12, /* 6.15 */
	ASK_UID_MAP = 1 << 13,   /* 6.15 */
	ASK_GID_MAP = 1 << 14,   /* 6.15 */

	ASK_ALWAYS = ASK_SUPERBLOCK | ASK_MOUNT | ASK_ROOT | ASK_PATH | ASK_TYPE,
	ASK_ALL = ASK_ALWAYS | ASK_OPTIONS | ASK_SUBTYPE | ASK_SOURCE | ASK_SUPPORTED |
		  ASK_UID_MAP | ASK_GID_MAP,
};

/* Strings are offsets into `text`. */
struct mount_answer {
	uint32_t size, options;
	uint64_t answered; /* ASK_* */
	uint32_t major, minor;
	uint64_t magic;
	uint32_t flags, type;
	uint64_t id, parent;
	uint32_t short_id, short_parent;
	uint64_t attributes, propagation, group, master, propagate_from;
	uint32_t root, path;
	uint64_t namespace;
	uint32_t subtype, source, option_count, option_array, security_count, security_array;
	uint64_t supported;
	uint32_t uid_count, uid_map, gid_count, gid_map;
	uint64_t spare[43];
	char text[];
};
_Static_assert(sizeof(struct mount_answer) == 512, "as the kernel has it");

struct namespace_info {
	uint32_t size, mounts;
	uint64_t id;
};

#define ASK_NAMESPACE _IOR(0xb7, 10, struct namespace_info) /* NS_MNT_GET_INFO, Linux 6.12 */

/* Who looks decides what the kernel shows: */
enum view {
	VIEW_OUTSIDE, /* from another namespace: what is below the lowest mount on the bottom, */
	VIEW_INSIDE,  /* from its root directory, entered: what is below the uppermost on "/", */
	VIEW_OWN,     /* from stasis' own root directory: what is below it */
};

/* Reads mounts of one namespace. */
struct reader {
	enum view view;
	uint64_t namespace; /* its 64-bit id */
	struct mount_answer *answer;
	size_t room; /* of the answer */
	const char *what;
	ARRAY(uint64_t) ids; /* of the mounts, in growing order */
};

/* Asks for a mount; reader->answer has what it is.  0, -ENOENT: it is gone, or another error. */
static int ask(struct reader *reader, uint64_t id, uint64_t what)
{
	struct mount_request request = {sizeof(request), 0, id, what, reader->namespace};

	while (syscall(CALL_STATMOUNT, &request, reader->answer, reader->room, 0) < 0) {
		if (errno != EOVERFLOW)
			return -errno;
		reader->room = reader->room ? reader->room * 2 : 16384;
		free(reader->answer);
		reader->answer = malloc(reader->room);
		if (!reader->answer)
			die_of_memory();
	}
	return 0;
}

/* A text of the answer; NULL: the kernel did not answer it. */
static char *text_of(const struct reader *reader, uint64_t what, uint32_t offset)
{
	return reader->answer->answered & what ? reader->answer->text + offset : NULL;
}

/* Fills reader->ids with all mounts that are below `top` as the namespace shows them. */
static int list(struct reader *reader, uint64_t top)
{
	enum { AT_ONCE = 4096 };
	struct mount_request request = {sizeof(request), 0, top, 0, reader->namespace};
	long got;

	reader->ids.count = 0;
	do {
		uint64_t ids[AT_ONCE];

		got = syscall(CALL_LISTMOUNT, &request, ids, AT_ONCE, 0);
		for (long i = 0; i < got; i++)
			*array_push(&reader->ids) = ids[i];
		if (got > 0)
			request.what = ids[got - 1];
	} while (got == AT_ONCE);
	return got < 0 ? -errno : 0;
}

static int by_value(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return (one > other) - (one < other);
}

static bool listed(const struct reader *reader, uint64_t id)
{
	return bsearch(&id, reader->ids.items, reader->ids.count, sizeof(id), by_value);
}

/* ---- which mounts belong to the tree ----------------------------------------------------------
 */

/* The listed mount whose parent is not listed.  -ENOSYS: the kernel does not tell all we ask. */
static int find_root(struct reader *reader, uint64_t *root)
{
	array_each (&reader->ids, id) {
		int error = ask(reader, *id, ASK_MOUNT | ASK_TYPE | ASK_SUPPORTED);

		if (error && error != -ENOENT)
			return error;
		if (!error && !(reader->answer->answered & ASK_SUPPORTED))
			return -ENOSYS;
		if (!error && !listed(reader, reader->answer->parent)) {
			*root = *id;
			return 0;
		}
	}
	return -ENOENT;
}

/*
 * At the bottom of a namespace is what the kernel started with, hidden below the root from
 * everybody: a rootfs, from Linux 7.0 on a nullfs below it.
 */
static bool is_bottom(const struct reader *reader)
{
	const char *type = text_of(reader, ASK_TYPE, reader->answer->type);

	return type && (strcmp(type, "rootfs") == 0 || strcmp(type, "nullfs") == 0);
}

/* The mount that covers all of this one; or 0. */
static uint64_t find_cover(struct reader *reader, uint64_t covered)
{
	array_each (&reader->ids, id) {
		const char *path;

		if (ask(reader, *id, ASK_MOUNT | ASK_PATH) < 0 || *id == covered)
			continue;
		path = text_of(reader, ASK_PATH, reader->answer->path);
		if (reader->answer->parent == covered && path && strcmp(path, "/") == 0)
			return *id;
	}
	return 0;
}

/* From the root that the kernel begins with to the one that processes have. */
static int leave_bottom(struct reader *reader, uint64_t root)
{
	for (;;) {
		int error = ask(reader, root, ASK_MOUNT | ASK_TYPE);
		uint64_t cover = !error && is_bottom(reader) ? find_cover(reader, root) : 0;

		if (!cover)
			return error;
		error = list(reader, cover);
		if (error)
			return error;
		*array_push(&reader->ids) = root = cover;
	}
}

/* Seen from inside: is the root that we have the lowest one? */
static int check_below(struct reader *reader, uint64_t below)
{
	for (uint64_t above = 0; below != above; below = reader->answer->parent) {
		int error = ask(reader, below, ASK_MOUNT | ASK_TYPE);

		if (error == -ENOENT)
			return 0;
		if (error)
			return error;
		if (!is_bottom(reader))
			return REFUSE(SUBJECT("%s", reader->what), "unmount what covers it",
				      "its root is covered by another mount, below which this "
				      "kernel does not show anything");
		above = below;
	}
	return 0;
}

/*
 * Lists the mounts that belong to the tree.  -EXDEV: from outside the kernel shows less than that,
 * because the bottom of the namespace has several mounts on it and it began with the wrong one.
 */
static int list_tree(struct reader *reader)
{
	uint64_t root = 0, below;
	size_t shown;
	int error = list(reader, LIST_ROOT);

	shown = reader->ids.count;
	if (!error)
		error = find_root(reader, &root);
	if (error)
		return error == -ENOENT ? -EXDEV : error;
	below = reader->answer->parent;
	if (reader->view == VIEW_INSIDE)
		error = check_below(reader, below);
	if (reader->view == VIEW_OUTSIDE)
		error = list(reader, below);
	if (!error && reader->ids.count != shown)
		error = -EXDEV;
	return error ? error : leave_bottom(reader, root);
}

/* ---- a mount, as the graph has it -------------------------------------------------------------
 */

/* An id map: `count` texts, one behind the other's NUL, become lines. */
static const char *map_of(struct mount_graph *graph, const struct reader *reader, uint64_t what,
			  uint32_t count, uint32_t offset)
{
	const char *text = text_of(reader, what, offset);
	const char *map = "";

	if (!(reader->answer->attributes & MOUNT_ATTR_IDMAP))
		return NULL;
	for (; text && count; count--, text += strlen(text) + 1)
		map = arena_printf(graph->arena, "%s%s\n", map, text);
	return map;
}

static int add(struct reader *reader, struct mount_graph *graph, struct mount_tree *tree)
{
	const struct mount_answer *answer = reader->answer;
	char *options = text_of(reader, ASK_OPTIONS, answer->options);
	char none[1] = "";
	struct mount_record record = {
		.mount = {.id = answer->id,
			  .short_id = answer->short_id,
			  .root = text_of(reader, ASK_ROOT, answer->root),
			  .path = text_of(reader, ASK_PATH, answer->path),
			  .attributes = answer->attributes & ~MOUNT_ATTR_IDMAP,
			  .uid_map = map_of(graph, reader, ASK_UID_MAP, answer->uid_count,
					    answer->uid_map),
			  .gid_map = map_of(graph, reader, ASK_GID_MAP, answer->gid_count,
					    answer->gid_map),
			  .unbindable = answer->propagation & MS_UNBINDABLE},
		.parent = answer->parent,
		.group = answer->group,
		.master = answer->master,
		.device = makedev(answer->major, answer->minor),
		.type = text_of(reader, ASK_TYPE, answer->type),
		.subtype = text_of(reader, ASK_SUBTYPE, answer->subtype),
		.source = text_of(reader, ASK_SOURCE, answer->source),
		.options = options ? options : none,
		.flags = answer->flags,
	};

	if ((answer->answered & ASK_ALWAYS) != ASK_ALWAYS)
		return FAIL(EPROTO, SUBJECT("%s, mount %u", reader->what, answer->short_id), NULL,
			    "the kernel does not tell all of it");
	record_add(graph, tree, &record);
	return 0;
}

static int add_all(struct reader *reader, struct mount_graph *graph, struct mount_tree *tree)
{
	int error = 0;

	for (size_t i = 0; i < reader->ids.count && !error; i++) {
		error = ask(reader, reader->ids.items[i], ASK_ALL);
		if (!error)
			error = add(reader, graph, tree);
		else if (error == -ENOENT) /* `stasis mounts`: the namespace lives on */
			error = 0;
	}
	return error;
}

/* ---- a namespace ------------------------------------------------------------------------------
 */

struct collection {
	struct mount_graph *graph;
	struct mount_tree *tree;
	struct reader reader;
	int fd;     /* of the namespace */
	int proc;   /* stasis' own /proc */
	char *text; /* of mountinfo, on older kernels */
	size_t size;
};

static int collect_answers(void *argument)
{
	struct collection *collection = argument;
	struct reader *reader = &collection->reader;
	int error = list_tree(reader);

	return error ? error : add_all(reader, collection->graph, collection->tree);
}

static int collect_from_inside(struct collection *collection)
{
	collection->reader.view = VIEW_INSIDE;
	return namespace_enter(&collection->fd, 1, 0, collect_answers, collection,
			       collection->reader.what);
}

static int read_mountinfo(void *argument)
{
	struct collection *collection = argument;

	return fd_read_file(collection->proc, "thread-self/mountinfo", &collection->text,
			    &collection->size);
}

/* Older kernels.  The file shows what who opened it could see. */
static int collect_text(struct collection *collection)
{
	const char *what = collection->reader.what;
	int error;

	if (collection->reader.view == VIEW_OWN)
		error = read_mountinfo(collection);
	else
		error = namespace_enter(&collection->fd, 1, 0, read_mountinfo, collection, what);
	return error ? error
		     : mountinfo_add(collection->graph, collection->tree, collection->text,
				     collection->size, what);
}

static int collect(struct collection *collection)
{
	struct reader *reader = &collection->reader;
	struct namespace_info info = {sizeof(info)};
	int error;

	if (ioctl(collection->fd, ASK_NAMESPACE, &info) < 0)
		return errno == ENOTTY ? collect_text(collection) : -errno;
	reader->namespace = info.id;
	error = collect_answers(collection);
	/* EPERM: a container's filter of system calls that it does not know. */
	if (error == -ENOSYS || error == -EPERM)
		return collect_text(collection);
	return error == -EXDEV ? collect_from_inside(collection) : error;
}

/* ---- groups outside ---------------------------------------------------------------------------
 */

/* Which groups stasis' own namespace has members of. */
static int find_own_groups(struct mount_graph *graph, int proc)
{
	struct arena *arena = arena_new();
	struct mount_graph *own = graph_new(arena);
	struct mount_tree *tree;
	autofree char *text = NULL;
	size_t size;
	int error = fd_read_file(proc, "thread-self/mountinfo", &text, &size);

	if (!error)
		error = mounts_parse(own, 0, text, size, "stasis' own mounts", &tree);
	array_each (&own->groups, group)
		if ((*group)->members)
			hash_put(&graph->own_groups, (*group)->id, graph);
	graph->own_groups_known = true;
	graph_free(own);
	arena_free(arena);
	return error;
}

/* Of the groups from number `first` on. */
static int mark_outside(struct mount_graph *graph, size_t first, int proc)
{
	if (first < graph->groups.count && !graph->own_groups_known) {
		int error = find_own_groups(graph, proc);

		if (error)
			return error;
	}
	for (size_t i = first; i < graph->groups.count; i++) {
		struct peer_group *group = graph->groups.items[i];

		group->outside = hash_get(&graph->own_groups, group->id);
	}
	return 0;
}

int mounts_collect(struct mount_graph *graph, uint32_t id, int fd, struct mount_tree **tree)
{
	autofd int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct collection collection = {.graph = graph, .fd = fd, .proc = proc};
	struct stat own, namespace;
	struct subject subject;
	size_t groups = graph->groups.count, problems = report_count();
	int error;

	if (fstat(fd, &namespace) < 0 || fstatat(proc, "thread-self/ns/mnt", &own, 0) < 0)
		return FAIL(errno, SUBJECT("mount namespace"), NULL, "cannot be looked at: %s",
			    strerror(errno));
	subject = SUBJECT("mnt:[%llu]", (unsigned long long)namespace.st_ino);
	collection.reader.what = subject.text;
	collection.reader.view = own.st_ino == namespace.st_ino ? VIEW_OWN : VIEW_OUTSIDE;
	*tree = collection.tree = graph_add_tree(graph, id);
	error = collect(&collection);
	free(collection.reader.answer);
	array_free(&collection.reader.ids);
	free(collection.text);
	if (error && report_count() > problems)
		return error;
	if (error)
		return FAIL(-error, subject, NULL, "its mounts cannot be listed: %s",
			    strerror(-error));
	error = graph_finish(graph, *tree, subject.text);
	if (!error && collection.reader.view != VIEW_OWN)
		error = mark_outside(graph, groups, proc);
	return error;
}
