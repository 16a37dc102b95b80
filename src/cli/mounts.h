/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

struct options;

/*
 * stasis mounts: prints the mounts of a process, a checkpoint or a mountinfo file.  0, 1 when
 * --diff found differences, or a negative errno with a report.
 */
int mounts_command(const struct options *options);
