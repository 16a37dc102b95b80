/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

struct options;

/*
 * `stasis check`: what this kernel offers and what is lost without it, on standard output;
 * `check --feature NAME` answers by its result; `check -t PID` surveys a process tree as a dump
 * would.  0 or a negative errno; reports.
 */
int check_command(const struct options *options);
