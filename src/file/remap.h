/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "file/internal.h"
#include "images/remap-file-path.pb-c.h"

/* What stands behind remap.c: ghosts (ghost.c) and links (link.c). */

struct ghost;
struct link;

/* An entry of remap-fpath.img: how a file whose name leads nowhere is found. */
struct remap {
	struct description *file;
	struct ghost *ghost; /* one of these */
	struct link *link;
	RemapFilePathEntry *entry;
	bool has_name; /* restore: link.c has given it its old name for a moment */
};

/* Dump: the inode's ghost, made for its first description; NULL after a report. */
struct ghost *ghost_describe(struct checkpoint *checkpoint, struct description *description);
uint32_t ghost_id(const struct ghost *ghost);
int ghosts_store(struct checkpoint *checkpoint);
/* Restore: the ghost of this id, which the file becomes a member of.  NULL after a report. */
struct ghost *ghost_read(struct checkpoint *checkpoint, uint32_t id, struct description *file);
/* See remap_name(), remap_unname() and remap_take(). */
const char *ghost_name(struct checkpoint *checkpoint, struct ghost *ghost,
		       const struct description *description, unsigned int *flags);
int ghost_unname(struct checkpoint *checkpoint, struct ghost *ghost);
int ghost_take(struct ghost *ghost, const struct description *description);

/* Dump: the inode's link, made for its first description; NULL after a report. */
struct link *link_describe(struct checkpoint *checkpoint, struct description *description);
int links_store(struct checkpoint *checkpoint);
/* Dump: what the entry says of it.  Restore: reads that; NULL after a report. */
void link_write(const struct link *link, RemapFilePathEntry *entry);
struct link *link_read(struct checkpoint *checkpoint, const RemapFilePathEntry *entry);
const char *link_name(struct checkpoint *checkpoint, struct remap *remap, unsigned int *flags);
int link_unname(struct checkpoint *checkpoint, struct remap *remap);
