/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

struct options;

/*
 * Opens the log as the options ask for it: the file of -o (in the work directory), standard output
 * for -o -, standard error when only a verbosity was asked for, else none.  Its first lines say
 * which program runs on which kernel, and what it was asked to do.  0 or a negative errno; reports.
 */
int logfile_open(const struct options *options, char **argv);
