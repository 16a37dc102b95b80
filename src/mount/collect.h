/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "mount/graph.h"

/*
 * Adds the tree of a mount namespace to the graph.  fd: a descriptor of the namespace
 * (/proc/PID/ns/mnt). Linux 6.11 and later: listmount and statmount, which see all of it.  Before:
 * /proc/thread-self/mountinfo of a task inside, whose namespace has to have one root that is not
 * covered.  Marks groups that stasis' own namespace has members of (outside), unless it is that
 * namespace.  0 or a negative errno with a report.
 */
int mounts_collect(struct mount_graph *graph, uint32_t id, int fd, struct mount_tree **tree);

/* The same from the text of a mountinfo file (tables of tests, older kernels).  `what` names it in
 * messages. */
int mounts_parse(struct mount_graph *graph, uint32_t id, const char *text, size_t size,
		 const char *what, struct mount_tree **tree);
