/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "namespace/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/report.h"
#include "checkpoint/checkpoint.h"

#define IDS_FIELD(name) offsetof(TaskKobjIdsEntry, name), offsetof(TaskKobjIdsEntry, has_##name)

/* Under /proc/PID/ns; the id that says "that of stasis" in the images is the row's number + 1. */
static const struct kind {
	const char *name, *what;
	size_t id, has_id;
	bool of_process; /* a single thread cannot have another */
} kinds[NAMESPACE_FILES] = {
	{"pid", "a pid namespace", IDS_FIELD(pid_ns_id), true},
	{"net", "a network namespace", IDS_FIELD(net_ns_id)},
	{"ipc", "an ipc namespace", IDS_FIELD(ipc_ns_id)},
	{"uts", "a uts namespace", IDS_FIELD(uts_ns_id)},
	{"mnt", "a mount namespace", IDS_FIELD(mnt_ns_id)},
	{"user", "a user namespace", IDS_FIELD(user_ns_id), true},
	{"cgroup", "a cgroup namespace", IDS_FIELD(cgroup_ns_id)},
	{"time", "a time namespace", IDS_FIELD(time_ns_id)},
	/* What children will be born into; the images have no id for these. */
	{"pid_for_children", "a pid namespace for its children", 0, 0},
	{"time_for_children", "a time namespace for its children", 0, 0},
};

/* The inode of a namespace file; ~0 when this kernel has no such kind. */
static int namespace_inode(int dirfd, const char *directory, const char *name, uint64_t *inode)
{
	struct stat stat;
	char path[64];

	snprintf(path, sizeof(path), "%s%s", directory, name);
	if (fstatat(dirfd, path, &stat, 0) < 0) {
		*inode = ~0ull;
		return errno == ENOENT ? 0 : -errno;
	}
	*inode = stat.st_ino;
	return 0;
}

/* setns(2) and unshare(2) act on threads: one may have left what its process is in. */
static void thread_compare(const struct checkpoint *checkpoint, const struct task *task, pid_t tid)
{
	char directory[32];

	snprintf(directory, sizeof(directory), "task/%d/ns/", tid);
	for (size_t i = 0; i < NAMESPACE_FILES; i++) {
		uint64_t theirs;

		if (kinds[i].of_process)
			continue;

		int error = namespace_inode(task->proc, directory, kinds[i].name, &theirs);

		if (error)
			FAIL(-error, SUBJECT("thread %d of pid %d", tid, task->pid), NULL,
			     "cannot read ns/%s: %s", kinds[i].name, strerror(-error));
		else if (theirs != checkpoint->own_namespaces[i])
			REFUSE(SUBJECT("thread %d of pid %d", tid, task->pid),
			       "let the thread end before the dump",
			       "it has %s of its own, which stasis cannot checkpoint yet",
			       kinds[i].what);
	}
}

int namespaces_describe(struct checkpoint *checkpoint, struct task *task)
{
	TaskKobjIdsEntry *ids = task->threads[0].core->ids;
	int result = 0;

	for (size_t i = 0; i < NAMESPACE_FILES; i++) {
		uint64_t *ours = &checkpoint->own_namespaces[i], theirs;
		int error =
			*ours ? 0
			      : namespace_inode(AT_FDCWD, "/proc/self/ns/", kinds[i].name, ours);

		if (!error)
			error = namespace_inode(task->proc, "ns/", kinds[i].name, &theirs);
		if (error)
			result = FAIL(-error, task_subject(task), NULL, "cannot read ns/%s: %s",
				      kinds[i].name, strerror(-error));
		else if (theirs != *ours) {
			/* The loop rings its bell with pids as stasis knows them. */
			task->no_batches |= !strcmp(kinds[i].name, "pid");
			result = REFUSE(
				task_subject(task),
				"run stasis inside that namespace, or the program outside it",
				"it has %s of its own, which stasis cannot checkpoint yet",
				kinds[i].what);
		}
		if (kinds[i].has_id) {
			*(protobuf_c_boolean *)((char *)ids + kinds[i].has_id) = true;
			*(uint32_t *)((char *)ids + kinds[i].id) = i + 1;
		}
	}
	/* The threads of a process that is elsewhere as a whole would only repeat it. */
	for (size_t i = 1; !result && i < task->thread_count; i++)
		thread_compare(checkpoint, task, task->threads[i].tid);
	return result;
}
