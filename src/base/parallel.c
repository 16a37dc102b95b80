/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { PIECE = 4 }; /* things that a thread takes at once: neighbours are alike, and near */

struct crew {
	int (*work)(void *context, size_t index, unsigned int lane);
	void *context;
	size_t count;
	atomic_size_t next;
	atomic_int error;
};

struct worker {
	struct crew *crew;
	unsigned int lane;
	pthread_t thread;
};

size_t parallel_lanes(void)
{
	cpu_set_t cpus;
	size_t count = sched_getaffinity(0, sizeof(cpus), &cpus) < 0 ? 1 : CPU_COUNT(&cpus);

	return count < PARALLEL_MOST ? count : PARALLEL_MOST;
}

static void *run(void *argument)
{
	const struct worker *worker = argument;
	struct crew *crew = worker->crew;

	for (size_t first; (first = atomic_fetch_add(&crew->next, PIECE)) < crew->count;)
		for (size_t i = first; i < first + PIECE && i < crew->count; i++) {
			int none = 0, error = 0;

			if (atomic_load(&crew->error))
				return NULL;
			error = crew->work(crew->context, i, worker->lane);
			if (error)
				atomic_compare_exchange_strong(&crew->error, &none, error);
		}
	return NULL;
}

int parallel_each(size_t count, int (*work)(void *context, size_t index, unsigned int lane),
		  void *context)
{
	struct crew crew = {.work = work, .context = context, .count = count};
	struct worker workers[PARALLEL_MOST];
	size_t lanes = count > PIECE ? parallel_lanes() : 1, started = 1;

	for (unsigned int i = 0; i < PARALLEL_MOST; i++)
		workers[i] = (struct worker){.crew = &crew, .lane = i};
	while (started < lanes &&
	       !pthread_create(&workers[started].thread, NULL, run, &workers[started]))
		started++;
	run(&workers[0]);
	while (started > 1)
		pthread_join(workers[--started].thread, NULL);
	return crew.error;
}
