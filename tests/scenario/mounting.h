/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/mount.h>

/* What scenarios of mounts have in common; the snapshot compares the mount table itself. */

/* A mount namespace of its own, in which everything is private. */
void own_namespace(void);
/* A tmpfs of a few MiB at a new directory, with the directories a, b, a/c and the file f. */
void new_tmpfs(const char *path);
/* Fills such a tmpfs. */
void furnish(const char *path);
void new_directory(const char *path);
void new_file(const char *path, const char *text);
/* bind mounts `from` at the directory `to`, which is made if need be. */
void bind_mount(const char *from, const char *to);
/* mount(2) with flags alone: MS_SHARED, MS_REMOUNT | MS_BIND | ... */
void set_mount(const char *path, unsigned long flags);
/* What is in a file. */
void same_file(const char *path, const char *text);
