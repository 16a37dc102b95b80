/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every resource limit, soft and hard. */
#include "scenario.h"

#include <stdio.h>
#include <sys/resource.h>

static struct rlimit limits[RLIM_NLIMITS];

static void setup(void)
{
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		must(getrlimit(i, &limits[i]));
		struct rlimit *limit = &limits[i];
		/* Lower what can be lowered and leave room to live; some stay infinite. */
		if (limit->rlim_max == RLIM_INFINITY) {
			if (i % 2)
				limit->rlim_max = (1ul << 40) + i;
			limit->rlim_cur = (1ul << 36) + i;
		} else if (limit->rlim_max > 100) {
			limit->rlim_max -= 3;
			limit->rlim_cur = limit->rlim_max - 5;
		}
		must(setrlimit(i, limit));
	}
}

static void verify(void)
{
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit now;
		char what[32];

		getrlimit(i, &now);
		snprintf(what, sizeof(what), "soft limit %d", i);
		same(what, limits[i].rlim_cur, now.rlim_cur);
		snprintf(what, sizeof(what), "hard limit %d", i);
		same(what, limits[i].rlim_max, now.rlim_max);
	}
}

const struct scenario scenario = {
	.about = "resource limits",
	.setup = setup,
	.verify = verify,
};
