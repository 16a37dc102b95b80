/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "cli/options.h"
#include "file/file.h"
#include "mount/mount.h"
#include "namespace/namespace.h"
#include "task/task.h"

/* What one dump or one restore knows. */
struct checkpoint {
	const struct options *options;
	struct arena *arena;
	int images;  /* directory of the image files */
	int workdir; /* directory of logs, statistics and the pid file */
	struct tree tree;
	uint64_t own_namespaces[NAMESPACE_FILES]; /* dump: inodes of stasis' own; 0: not read yet */
	const TaskKobjIdsEntry *own_ids; /* restore: which mean stasis' own in the images */
	const InventoryEntry *inventory; /* restore */
	struct namespace_table namespaces;
	struct mount_state mounts;
	const char *root_cgroups;                 /* dump: /proc/PID/cgroup of the root */
	struct file_table files;
	struct memory_state *memory;   /* memory/'s own */
	struct remote_channel channel; /* restore: descriptors for the tasks */
	bool root_is_child;            /* restore: stasis is the parent of the root */
	uint64_t area;                 /* restore: address of the area in all tasks, */
	size_t area_threads;           /* and how many slots it has */
	struct checkpoint_stats {      /* what stats-dump and stats-restore hold; microseconds */
		uint64_t freezing_time, frozen_time, memdump_time, memwrite_time;
		uint64_t pages_scanned, pages_written, shpages_scanned, shpages_written;
		uint64_t forking_time, restore_time, pages_compared, pages_skipped_cow,
			pages_restored;
	} stats;
};

/* The commands.  0 or a negative errno; all problems are in the report. */
int checkpoint_dump(const struct options *options);
int checkpoint_restore(const struct options *options);
/* The survey of a dump without the dump: what could not be checkpointed is in the report. */
int checkpoint_check(const struct options *options);
