/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "mount/graph.h"

struct checkpoint;

/*
 * Restore: places on a mount that its children cover, held open from before those are attached.
 */
struct place {
	const char *below; /* from the mount's root */
	const char *rest;  /* what of it was not there, from what is held; "": nothing */
	int fd;            /* O_PATH: it, or the innermost directory above it; or -1 */
	struct place *next;
};

/* Opens the places of a mount; fd: its root, without children.  0 or a negative errno. */
int places_open(struct checkpoint *checkpoint, struct mount *mount, int fd);
void places_close(struct mount *mount);
