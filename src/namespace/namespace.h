/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/report.h"
#include "images/core.pb-c.h"
#include "images/inventory.pb-c.h"

struct checkpoint;
struct task;

/* The kinds, in the order of the table in namespace.c. */
enum namespace_kind {
	NAMESPACE_PID,
	NAMESPACE_NET,
	NAMESPACE_IPC,
	NAMESPACE_UTS,
	NAMESPACE_MNT,
	NAMESPACE_USER,
	NAMESPACE_CGROUP,
	NAMESPACE_TIME,
	NAMESPACE_KINDS,
	NAMESPACE_NONE = NAMESPACE_KINDS,
	NAMESPACE_FILES = NAMESPACE_KINDS + 2, /* with pid_for_children and time_for_children */
};

/*
 * A namespace that tasks of the tree are in, or that only a descriptor, a bind mount or
 * pid_for_children holds.  The namespaces that stasis itself is in are not among them: in the
 * images their ids are kind + 1.
 */
struct namespace
{
	enum namespace_kind kind;
	uint32_t id;    /* in the images; above NAMESPACE_KINDS, one count for all kinds */
	uint64_t inode; /* dump */
	int fd; /* of /proc/PID/ns/KIND (dump: any holder's; restore: once it is made), or -1 */
	struct task *task;        /* a task in it, the first in the tree; NULL: none */
	struct namespace *parent; /* pid: the one around it; NULL: stasis' own */
	void *state;              /* the kind's own */
};

struct namespace_table {
	ARRAY(struct namespace *) all;
	struct hash by_inode; /* dump */
	struct hash by_id;    /* of the kind and the id: namespace_by_id() */
	bool surveyed;        /* dump: what is found from now on is described at once */
};

/*
 * What a kind of namespace holds: a file each here (mounts: src/mount/).  Functions return 0 or a
 * negative errno and report what went wrong; any may be missing.  describe, store, make and finish
 * run inside the namespace (namespace_enter).
 */
struct namespace_content {
	int (*describe)(struct checkpoint *checkpoint, struct namespace *namespace);
	/* When all tasks have been described: what only the whole can tell. */
	int (*check)(struct checkpoint *checkpoint, struct namespace *namespace);
	int (*store)(struct checkpoint *checkpoint, struct namespace *namespace);
	int (*write)(struct checkpoint *checkpoint, struct namespace *namespace);
	int (*read)(struct checkpoint *checkpoint, struct namespace *namespace);
	int (*make)(struct checkpoint *checkpoint, struct namespace *namespace);
	/* When all tasks have their memory and files; first what may use remote calls. */
	int (*finish_tasks)(struct checkpoint *checkpoint, struct namespace *namespace);
	int (*finish)(struct checkpoint *checkpoint, struct namespace *namespace);
};

/*
 * Runs a function in other namespaces: in a process that shares stasis' memory and descriptors
 * (CLONE_VM, CLONE_FILES; stasis waits, as in vfork) and nothing else, so nothing of stasis' own
 * has to be put back.  fds: namespaces that it enters, in this order; flags: CLONE_NEW* that it
 * unshares then (not user and time namespaces: who shares memory gets none).  It must not use
 * ptrace, not fork, and make no threads; libc can be used, and other threads of stasis may run on.
 * The function's result, or a negative errno when a namespace cannot be entered (`what` is for that
 * report).
 */
int namespace_enter(const int *fds, size_t count, int flags, int (*function)(void *argument),
		    void *argument, const char *what);

/*
 * Dump: finds the namespaces of a task and of its threads, and fills in the ids of its ids image;
 * refuses by name what cannot be carried over.
 */
int namespaces_describe(struct checkpoint *checkpoint, struct task *task);
/* The same of a zombie, which has none left but its pid namespace. */
int namespaces_describe_zombie(struct checkpoint *checkpoint, struct task *task);
/* The namespace of this file (nsfs descriptors, binds), added if it is new; NULL: one of stasis'
 * own, or (with a report) one that is refused. */
struct namespace *namespace_of_fd(struct checkpoint *checkpoint, int fd, enum namespace_kind *kind);

/*
 * Dump, after namespaces_describe() of all tasks: what is in the namespaces (not mounts).  At the
 * end of the survey, whether it fits together.  Then their contents.  Then their images.
 */
int namespaces_survey(struct checkpoint *checkpoint);
int namespaces_check(struct checkpoint *checkpoint);
int namespaces_store(struct checkpoint *checkpoint);
int namespaces_write(struct checkpoint *checkpoint);

/* Dump: fills in the ids by which the images say "the one of stasis" (inventory.img). */
void namespaces_own_ids(TaskKobjIdsEntry *ids);

/*
 * Restore: reads the images of all that the tasks' ids name; those of checkpoint->own_ids are
 * stasis' own.
 */
int namespaces_read(struct checkpoint *checkpoint);
/* Restore, before any task: makes uts, ipc and net namespaces. */
int namespaces_make(struct checkpoint *checkpoint);
/*
 * Restore: the task, newly born and with nothing open but the channel, enters those it was in and
 * its parent (of the root: stasis) is not; but pid, which it is born into.
 */
int namespaces_join(struct checkpoint *checkpoint, struct task *task);
/* Restore, when all tasks have their memory and files. */
int namespaces_finish(struct checkpoint *checkpoint);
void namespaces_close(struct checkpoint *checkpoint);

/* The namespace of a task; NULL: stasis' own. */
struct namespace *namespace_of_task(struct checkpoint *checkpoint, const struct task *task,
				    enum namespace_kind kind);
/* The name under /proc/PID/ns. */
const char *namespace_name(enum namespace_kind kind);
/* CLONE_NEW* of a kind, and back (NAMESPACE_NONE: of none). */
int namespace_flag(enum namespace_kind kind);
enum namespace_kind namespace_kind_of_flag(int flag);
/* A descriptor of it (NULL: of stasis' own) that the caller closes, or a negative errno. */
int namespace_open(const struct namespace *namespace, enum namespace_kind kind);
/* Dump: names all of them in the inventory. */
void namespaces_list(struct checkpoint *checkpoint, InventoryEntry *inventory);
/* By the images' id; NULL: stasis' own, or there is none. */
struct namespace *namespace_by_id(struct checkpoint *checkpoint, enum namespace_kind kind,
				  uint32_t id);
/* "uts namespace 9" */
struct subject namespace_subject(const struct namespace *namespace);
