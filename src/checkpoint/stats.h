/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>

struct checkpoint;

/*
 * Writes checkpoint->stats to stats-dump or stats-restore in the work directory and, with
 * --display-stats, prints them on standard output.  A failure is only logged.
 */
void stats_write(struct checkpoint *checkpoint, bool dump);
