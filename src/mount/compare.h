/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "mount/graph.h"

struct mount_difference {
	const struct mount *left, *right; /* one of them can be NULL: only the other graph has it */
	const char *text; /* "attributes: rw,nosuid instead of ro"; in the left graph's arena */
};
typedef ARRAY(struct mount_difference) mount_differences;

/*
 * Compares two finished graphs as a process in them could: trees (in order), mounts by position,
 * roots, which mounts share a superblock, its type, source, options and flags, attributes, id maps,
 * which mounts are peers, who is whose master.  Ids and device numbers are not compared, they are
 * compared for being the same within one graph.  Groups without members in the graphs match by
 * being outside, and of what the left graph has from providers neither the filesystem nor the root
 * is compared.  `left` is what should be, `right` what is.  Linear.
 */
void graphs_compare(const struct mount_graph *left, const struct mount_graph *right,
		    mount_differences *differences);
