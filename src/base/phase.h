/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdint.h>

/*
 * A named part of a command.  Its time goes to the log (at -v3) and, where the statistics have a
 * place for it, into the counter it was begun with.
 */
struct phase {
	const char *name;
	uint64_t begin;    /* now_us() */
	uint64_t *counter; /* microseconds are added here; may be NULL */
};

struct phase phase_begin(const char *name, uint64_t *counter);
void phase_end(struct phase *phase);
