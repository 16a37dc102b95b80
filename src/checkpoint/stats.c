/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checkpoint/stats.h"

#include <stdint.h>
#include <stdio.h>

#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "image/image.h"
#include "images/stats.pb-c.h"

struct figure {
	const char *name;
	uint64_t value;
	bool time; /* microseconds; else pages */
};

static void print(const char *title, const struct figure *figures, size_t count)
{
	printf("Displaying %s stats:\n", title);
	for (size_t i = 0; i < count; i++) {
		unsigned long value = figures[i].value;

		if (figures[i].time)
			printf("%s: %lu us\n", figures[i].name, value);
		else
			printf("%s: %lu (0x%lx)\n", figures[i].name, value, value);
	}
	fflush(stdout);
}

#define PRINT(title, ...)                                                                          \
	print(title, (const struct figure[]){__VA_ARGS__},                                         \
	      sizeof((const struct figure[]){__VA_ARGS__}) / sizeof(struct figure))

static void print_dump(const struct checkpoint_stats *stats)
{
	PRINT("dump", {"Freezing time", stats->freezing_time, true},
	      {"Frozen time", stats->frozen_time, true},
	      {"Memory dump time", stats->memdump_time, true},
	      {"Memory write time", stats->memwrite_time, true},
	      {"Memory pages scanned", stats->pages_scanned},
	      {"Memory pages written", stats->pages_written},
	      {"Shared memory pages scanned", stats->shpages_scanned},
	      {"Shared memory pages written", stats->shpages_written});
}

static void print_restore(const struct checkpoint_stats *stats)
{
	PRINT("restore", {"Pages compared", stats->pages_compared},
	      {"Pages skipped COW", stats->pages_skipped_cow},
	      {"Pages restored", stats->pages_restored},
	      {"Restore time", stats->restore_time, true},
	      {"Forking time", stats->forking_time, true});
}

static void fill_dump(const struct checkpoint_stats *stats, DumpStatsEntry *entry)
{
	entry->freezing_time = stats->freezing_time;
	entry->frozen_time = stats->frozen_time;
	entry->memdump_time = stats->memdump_time;
	entry->memwrite_time = stats->memwrite_time;
	entry->pages_scanned = stats->pages_scanned;
	entry->pages_written = stats->pages_written;
	entry->has_shpages_scanned = entry->has_shpages_written = true;
	entry->has_shpages_skipped_parent = true;
	entry->shpages_scanned = stats->shpages_scanned;
	entry->shpages_written = stats->shpages_written;
}

static void fill_restore(const struct checkpoint_stats *stats, RestoreStatsEntry *entry)
{
	entry->pages_compared = stats->pages_compared;
	entry->pages_skipped_cow = stats->pages_skipped_cow;
	entry->forking_time = stats->forking_time;
	entry->restore_time = stats->restore_time;
	entry->has_pages_restored = true;
	entry->pages_restored = stats->pages_restored;
}

void stats_write(struct checkpoint *checkpoint, bool dump)
{
	StatsEntry entry = STATS_ENTRY__INIT;
	DumpStatsEntry dumped = DUMP_STATS_ENTRY__INIT;
	RestoreStatsEntry restored = RESTORE_STATS_ENTRY__INIT;

	fill_dump(&checkpoint->stats, &dumped);
	fill_restore(&checkpoint->stats, &restored);
	if (dump)
		entry.dump = &dumped;
	else
		entry.restore = &restored;
	if (image_write_one(checkpoint->workdir, dump ? IMAGE_STATS_DUMP : IMAGE_STATS_RESTORE, 0,
			    &entry))
		log_warn("the statistics were not written");
	if (checkpoint->options->display_stats)
		(dump ? print_dump : print_restore)(&checkpoint->stats);
}
