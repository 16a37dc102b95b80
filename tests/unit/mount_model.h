/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "mount/plan.h"

/*
 * A model of the kernel's rules for mounts, as far as plans use them.  A plan is replayed on it
 * step by step; a step that the kernel would refuse, or that would do more than it says, is an
 * error. What comes out is compared with the graph that was planned.
 */
struct model_result {
	const char *wrong; /* NULL: the plan makes the graph */
	size_t most_open;  /* descriptors of nodes and mountpoints at once */
};

struct model_result model_replay(struct arena *arena, const struct mount_graph *graph,
				 const struct mount_plan *plan);
