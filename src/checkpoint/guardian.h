/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/*
 * All or nothing for a tree of processes.  Letting a tree go, and killing one, takes a system call
 * for each of its processes; a stasis that is killed in the middle would leave half of it.  The
 * guardian is a small process beside stasis that outlives it and then kills the tree.
 *
 * Restore arms it before the first process is let go and dismisses it after the last.  Dump arms
 * it before the first process is killed.
 */
struct guardian {
	pid_t pid;
	int leash; /* closing it, or dying, makes the guardian kill */
};

/* Starts a guardian for these processes (descriptors of pidfd_open).  0 or a negative errno. */
int guardian_arm(struct guardian *guardian, const int *pidfds, size_t count);
/* The guardian ends: without doing anything, or after killing them all.  It may not be armed. */
void guardian_dismiss(struct guardian *guardian);
void guardian_strike(struct guardian *guardian);
