/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "remote/remote.h"

/* Shared by the files of remote/ only. */

enum { REMOTE_AREA_HEADER = 16 };

/* Loads registers that start the loop, and waits until it has rung the bell. */
int loop_run(struct remote *remote, const struct arch_regs *regs);
int loop_start(struct remote *remote, const struct arch_regs *regs);
int loop_wait(struct remote *remote);
/*
 * Lets a thread under control go on to its next stop, with PTRACE_CONT or PTRACE_SYSCALL.  *status:
 * in, the stop it stands in, and out, the next.
 */
int loop_go_on(struct remote *remote, int request, int *status);
