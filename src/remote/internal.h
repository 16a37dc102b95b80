/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "remote/remote.h"

/* Shared by the files of remote/ only. */

enum { REMOTE_AREA_HEADER = 16 };

/* Waits for a stop; -ESRCH: the thread ended. */
int remote_wait(pid_t tid, int *status);

/* Loads registers that start the loop, and waits until it has rung the bell. */
int loop_run(struct remote *remote, const struct arch_regs *regs);
int loop_start(struct remote *remote, const struct arch_regs *regs);
int loop_wait(struct remote *remote);
