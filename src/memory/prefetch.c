/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * smaps of many processes.  For a small process the kernel takes longer to print its smaps than
 * stasis to do all else that memory_describe() does, so a second thread reads them ahead.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/fd.h"
#include "checkpoint/checkpoint.h"
#include "memory/internal.h"

enum {
	TASKS_LEAST = 4, /* are worth a thread */
	AHEAD = 32,      /* texts that wait at most: they can be large */
};

struct prefetched {
	char *text; /* the caller's, once it is taken */
	int error;
};

struct prefetch {
	struct task **tasks;
	struct prefetched *texts; /* of the same index as tasks */
	size_t count;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t read, taken; /* tasks up to here are read, or taken */
	bool stop;
};

static bool has_memory(const struct task *task)
{
	return task->state != TASK_DEAD;
}

static void *read_ahead(void *argument)
{
	struct prefetch *prefetch = argument;

	pthread_mutex_lock(&prefetch->lock);
	while (!prefetch->stop && prefetch->read < prefetch->count) {
		struct prefetched *text = &prefetch->texts[prefetch->read];
		const struct task *task = prefetch->tasks[prefetch->read];

		if (prefetch->read >= prefetch->taken + AHEAD) {
			pthread_cond_wait(&prefetch->changed, &prefetch->lock);
			continue;
		}
		pthread_mutex_unlock(&prefetch->lock);
		if (has_memory(task))
			text->error = fd_read_file(task->proc, "smaps", &text->text, NULL);
		pthread_mutex_lock(&prefetch->lock);
		prefetch->read++;
		pthread_cond_broadcast(&prefetch->changed);
	}
	pthread_mutex_unlock(&prefetch->lock);
	return NULL;
}

struct prefetch *prefetch_start(struct checkpoint *checkpoint)
{
	struct tree *tree = &checkpoint->tree;
	struct prefetch *prefetch;

	if (tree->count < TASKS_LEAST)
		return NULL;
	prefetch = arena_new_object(checkpoint->arena, struct prefetch);
	prefetch->tasks = tree->tasks;
	prefetch->count = tree->count;
	prefetch->texts = arena_new_array(checkpoint->arena, struct prefetched, tree->count);
	pthread_mutex_init(&prefetch->lock, NULL);
	pthread_cond_init(&prefetch->changed, NULL);
	if (!pthread_create(&prefetch->thread, NULL, read_ahead, prefetch))
		return prefetch;
	pthread_cond_destroy(&prefetch->changed);
	pthread_mutex_destroy(&prefetch->lock);
	return NULL;
}

int prefetch_take(struct prefetch *prefetch, const struct task *task, char **text)
{
	struct prefetched *found;
	int error;

	if (!prefetch)
		return fd_read_file(task->proc, "smaps", text, NULL);
	pthread_mutex_lock(&prefetch->lock);
	/* Tasks are asked for in their order; some not at all. */
	while (prefetch->tasks[prefetch->taken] != task)
		prefetch->taken++;
	found = &prefetch->texts[prefetch->taken++];
	pthread_cond_broadcast(&prefetch->changed);
	while (prefetch->read < prefetch->taken)
		pthread_cond_wait(&prefetch->changed, &prefetch->lock);
	*text = found->text;
	found->text = NULL;
	error = found->error;
	pthread_mutex_unlock(&prefetch->lock);
	return error;
}

void prefetch_end(struct prefetch *prefetch)
{
	if (!prefetch)
		return;
	pthread_mutex_lock(&prefetch->lock);
	prefetch->stop = true;
	pthread_cond_broadcast(&prefetch->changed);
	pthread_mutex_unlock(&prefetch->lock);
	pthread_join(prefetch->thread, NULL);
	pthread_cond_destroy(&prefetch->changed);
	pthread_mutex_destroy(&prefetch->lock);
	for (size_t i = 0; i < prefetch->count; i++)
		free(prefetch->texts[i].text);
}
