/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/*
 * A growing array of any type:
 *
 *	ARRAY(struct thing) things = { 0 };
 *	*array_push(&things) = thing;
 *	array_each(&things, thing) use(thing->name);
 *	array_free(&things);
 *
 * Pushing may move the items: keep indexes, not pointers, while an array grows.
 */
#define ARRAY(type)                                                                                \
	struct {                                                                                   \
		type *items;                                                                       \
		size_t count, room;                                                                \
	}

static inline void *array_grow_(void *items, size_t *room, size_t size)
{
	size_t more = *room ? *room * 2 : 16;
	void *grown = realloc(items, more * size);

	if (!grown)
		die_of_memory();
	*room = more;
	return grown;
}

/* A pointer to a new, zeroed last item. */
#define array_push(array)                                                                          \
	({                                                                                         \
		__auto_type array_ = (array);                                                      \
		if (array_->count == array_->room)                                                 \
			array_->items =                                                            \
				array_grow_(array_->items, &array_->room, sizeof(*array_->items)); \
		memset(&array_->items[array_->count], 0, sizeof(*array_->items));                  \
		&array_->items[array_->count++];                                                   \
	})

#define array_each(array, item)                                                                    \
	for (__auto_type item = (array)->items; item && item < (array)->items + (array)->count;    \
	     item++)

#define array_free(array)                                                                          \
	({                                                                                         \
		__auto_type array_ = (array);                                                      \
		free(array_->items);                                                               \
		array_->items = NULL;                                                              \
		array_->count = array_->room = 0;                                                  \
	})
