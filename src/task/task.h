/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/hash.h"
#include "images/core.pb-c.h"
#include "images/fdinfo.pb-c.h"
#include "images/fs.pb-c.h"
#include "images/mm.pb-c.h"
#include "remote/remote.h"

struct namespace;

/*
 * The tree of tasks, the same in both directions.  The image messages are the model: dump fills
 * them in (arena memory) and writes them, restore reads them and makes the tasks.
 */
struct task;

/*
 * A process or thread has a number in its own pid namespace and in every one around it:
 *
 * - pid, tid: as stasis sees it, in /proc, for ptrace and pidfds; restore: 0 until it is born;
 * - id: as the namespace of the tree's root does, and the images; so are pgid and sid;
 * - inner: as the namespaces further in do, to its own: what calls made in it understand.
 */
struct thread {
	struct task *task;
	pid_t tid, id;
	struct remote remote;
	CoreEntry *core; /* core-ID.img; tc and ids only in the leader's */
};

enum task_state { TASK_ALIVE = 1, TASK_DEAD = 2, TASK_STOPPED = 3 }; /* numbers of core images */

/* The numbers of a process in one pid namespace; 0: that group or session is from further out. */
struct task_numbers {
	pid_t id, pgid, sid;
	pid_t *threads;
};

enum { SESSION_ANY = -1, SESSION_OUTSIDE = 0 }; /* the other ids of sessions */

struct task {
	pid_t pid, id, pgid, sid;
	struct task_numbers *inner; /* that of its own pid namespace is the last */
	size_t depth;               /* of its pid namespace below that of the root */
	struct namespace *pids;     /* its pid namespace; NULL: stasis' own */
	uint32_t pid_ns;            /* restore: the id of that of a zombie; 0: its parent's */
	enum task_state state; /* TASK_DEAD: a zombie, which has one thread and no mm, fs, files */
	struct task *parent;   /* NULL: the root */
	struct task **children;
	size_t child_count;
	struct thread *threads; /* the leader first */
	size_t thread_count;
	struct remote_space space;
	int pidfd;                    /* or -1 */
	bool no_batches;              /* dump: nothing may run in it; it is refused */
	int proc;                     /* O_PATH descriptor of /proc/PID (dump), or -1 */
	const struct proc_stat *stat; /* dump: of the leader, as it was frozen */
	uint32_t umask;               /* dump */

	/* How it is born, by tree_plan(). */
	pid_t birth_sid;    /* the session it is cloned into, or SESSION_ANY */
	bool before_setsid; /* its parent clones it before making a session of its own */
	bool lost_session;  /* the leader of birth_sid is gone: a helper stands in for it */
	/* It must be in the group of this task (itself, or a descendant) before it has children. */
	const struct task *birth_group;
	bool grown; /* restore */

	MmEntry *mm;          /* mm-ID.img */
	FsEntry *fs;          /* fs-ID.img */
	FdinfoEntry **fdinfo; /* fdinfo-ID.img, ascending by descriptor */
	size_t fdinfo_count;
	struct task_memory *memory; /* memory/'s own */
};

/* Tasks in an order in which parents come before their children. */
struct tree {
	struct task **tasks;
	size_t count;
	struct hash by_pid;   /* dump */
	struct hash by_id;    /* processes; restore: threads as well */
	struct hash stood_in; /* restore: the pid that a stand-in for one who is gone had, by id */
	size_t above;         /* dump: how many pid namespaces stasis' is above the root's */
};

#define tree_each_task(tree, task)                                                                 \
	for (struct task **task##_ = (tree)->tasks, *task;                                         \
	     task##_ < (tree)->tasks + (tree)->count && (task = *task##_, true); task##_++)

static inline struct remote *task_leader(struct task *task)
{
	return &task->threads[0].remote;
}

/* A process in numbers of the namespace `depth` below the root's, in which it is visible. */
struct task_numbers task_numbers(const struct task *task, size_t depth);
/* The number of a thread in its own namespace. */
pid_t thread_own(const struct thread *thread);
/* Is it the first process of a pid namespace (further in than stasis')? */
bool task_is_init(const struct task *task);
/* Is it in a pid namespace that is neither new nor its parent's? */
bool task_is_abroad(const struct task *task);

/*
 * Waits until all threads of a process that was killed are gone.  In any order: of the first
 * process of a pid namespace, the last that lives waits for the others to be reaped.
 */
void task_reap(struct task *task);

/*
 * "pid 42 (bash)", for reports and logs; with its number in a container, where it has another.
 */
struct subject task_subject(const struct task *task);
