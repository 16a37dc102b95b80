/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "mount/graph.h"

/* What mountinfo(5) would say of a mount: in the arena, not escaped. */

/* "rw,nosuid,relatime" */
const char *mount_attributes_text(struct arena *arena, const struct mount *mount);
/* "shared:3 master:1", "unbindable", "" */
const char *mount_sharing_text(struct arena *arena, const struct mount *mount);
/* "fuse.sshfs" */
const char *superblock_type_text(struct arena *arena, const struct superblock *superblock);
/* Flags and options: "ro,sync,size=1024k" */
const char *superblock_options_text(struct arena *arena, const struct superblock *superblock);
/* What was mounted; "none" if that is nothing. */
const char *mount_source_text(const struct mount *mount);
