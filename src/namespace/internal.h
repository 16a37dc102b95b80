/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <signal.h>

#include "image/image.h"
#include "namespace/namespace.h"

/* Shared by the files of namespace/ only: the kinds that hold something. */
extern const struct namespace_content ipc_content, net_content, pid_content, uts_content;

/* Its image with one message, which must be there.  Reports. */
int namespace_read_one(struct checkpoint *checkpoint, struct namespace *namespace,
		       enum image_type type, void *message_pointer);
/*
 * For who runs in namespace_enter() and changes for a moment what belongs to the application: from
 * here on it is neither interrupted by signals nor ended with stasis, until it has put it back.
 */
struct uninterrupted {
	sigset_t signals;
	int parent_death;
};
void uninterrupted_begin(struct uninterrupted *state);
void uninterrupted_end(const struct uninterrupted *state);

/* Dump: what is in a namespace that has just been found. */
int namespace_survey(struct checkpoint *checkpoint, struct namespace *namespace);

/* ---- sysctl.c: settings below /proc/sys, of the namespaces of who asks --------------------- */

enum { SYSCTL_MOST = 4096 }; /* bytes of a value, with the end */

/*
 * A descriptor for the names below.  Containers often have a /proc/sys that is read-only: then it
 * is of a procfs of our own.  Reports.
 */
int sysctl_open(void);
/* 0, or a negative errno; without the newline. */
int sysctl_read(int sys, const char *name, char value[SYSCTL_MOST]);
int sysctl_write(int sys, const char *name, const char *value);
/* All settings in a directory that can be read and written, in the order of their names. */
int sysctl_collect(struct arena *arena, int sys, const char *directory, char ***names,
		   size_t *count);

/* ---- netlink.c: what a network namespace holds --------------------------------------------- */

struct net_objects;
/*
 * All that netlink tells of the network namespace of who asks, and that is not counters; NULL
 * after a report.
 */
struct net_objects *net_objects_collect(void);
void net_objects_free(struct net_objects *objects);
/* What one of them has and the other has not, in words ("routes"); NULL: nothing. */
const char *net_objects_compare(const struct net_objects *a, const struct net_objects *b);
