/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/types.h>

struct options;

/*
 * Action scripts (--action-script).  A script is run at these stages, named by CRIU:
 *
 *	dump     pre-dump        before anything is done
 *	         network-lock    the tree is frozen (when there is a network to lock)
 *	         network-unlock  before it runs on
 *	         post-dump       all is written but the inventory's last word; a failure undoes it
 *	restore  pre-restore     before anything is made
 *	         setup-namespaces, post-setup-namespaces   the root task's namespaces exist
 *	         post-restore    all is restored and stands still; a failure ends it
 *	         pre-resume      likewise, the last thing before it runs
 *	         post-resume     it runs; a failure changes nothing any more
 */

/*
 * Runs all scripts, in the order they were given, each to its end, with CRTOOLS_SCRIPT_ACTION (the
 * stage), CRTOOLS_IMAGE_DIR (absolute) and, when init_pid is not 0, CRTOOLS_INIT_PID in the
 * environment, in the work directory.  No shell is involved.  Returns 0 when all ended with 0,
 * else -EIO or why one could not be run; the rest is not run then.  Reports.
 */
int action_run(const struct options *options, const char *stage, pid_t init_pid);
