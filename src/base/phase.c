/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/phase.h"

#include "base/log.h"

struct phase phase_begin(const char *name, uint64_t *counter)
{
	return (struct phase){.name = name, .begin = now_us(), .counter = counter};
}

void phase_end(struct phase *phase)
{
	uint64_t took = now_us() - phase->begin;

	if (phase->counter)
		*phase->counter += took;
	log_info("%s: %llu.%03llu ms", phase->name, (unsigned long long)took / 1000,
		 (unsigned long long)took % 1000);
}
