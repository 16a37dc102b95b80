/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "mount/graph.h"

/*
 * Dump: opens the roots (O_PATH, mount->fd) of all mounts of a tree that has_files is set of.  A
 * mount that is covered is opened in a copy of its namespace; that is another mount then, of the
 * same superblock with the same root. root: the root directory of a task in the namespace, or -1.
 * Mounts that stay out of reach have fd -1 afterwards.  0 or a negative errno without a report.
 */
int mounts_reach(struct mount_tree *tree, int root);

/* The id of the mount that fd is on, as struct mount has it; 0: not known. */
uint64_t mount_id_of_fd(int fd);

/*
 * A detached clone of a mount to read by: nothing is mounted on it, no time of access changes, and
 * ids are those of the filesystem, not mapped.  fd: of the mount, whose namespace the caller is in.
 * -1 and errno.
 */
int mount_clone_view(const struct mount *mount, int fd);
