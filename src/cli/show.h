/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

struct options;

/*
 * `stasis show DIR`: what a checkpoint holds, for a person, or with --json for a program.
 * `stasis show --raw FILE...`: image files as JSON, in the shape of `crit decode`.  On standard
 * output.  0 or a negative errno; all problems are in the report.
 */
int show_command(const struct options *options);
