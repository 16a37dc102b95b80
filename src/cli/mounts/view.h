/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdio.h>

#include "mount/graph.h"

/* Mounts to be printed, and where they are from: "pid 42", "DIR", "a.mountinfo". */
struct mounts_view {
	const char *name;
	struct mount_graph *graph;
	struct hash covered; /* by the mount's address: no path leads to it; the mount */
};

/* The ways to print it.  Errors of the stream are the caller's to look at. */
void mounts_text(const struct mounts_view *view, FILE *out);
void mounts_json(const struct mounts_view *view, FILE *out);
void mounts_dot(const struct mounts_view *view, FILE *out);

/* Fills view->covered. */
void mounts_find_covered(struct mounts_view *view);
static inline bool mounts_is_covered(const struct mounts_view *view, const struct mount *mount)
{
	return hash_get(&view->covered, (uintptr_t)mount);
}
