/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { BLOCK_SIZE = 64 * 1024, ALIGNMENT = 16 };

struct block {
	struct block *next;
	size_t size, used;
	_Alignas(ALIGNMENT) char data[];
};

struct arena {
	struct block *blocks; /* the first is the one with room */
	ProtobufCAllocator protobuf;
};

static void *protobuf_alloc(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void protobuf_free(void *arena, void *memory)
{
	(void)arena;
	(void)memory;
}

struct arena *arena_new(void)
{
	struct arena *arena = calloc(1, sizeof(*arena));

	if (!arena)
		die_of_memory();
	arena->protobuf = (ProtobufCAllocator){protobuf_alloc, protobuf_free, arena};
	return arena;
}

void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	for (struct block *block = arena->blocks, *next; block; block = next) {
		next = block->next;
		free(block);
	}
	free(arena);
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct block *block = arena->blocks;

	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (!block || block->size - block->used < size) {
		size_t room = size > BLOCK_SIZE / 4 ? size : BLOCK_SIZE;

		block = calloc(1, sizeof(*block) + room);
		if (!block)
			die_of_memory();
		block->size = room;
		if (arena->blocks && room != BLOCK_SIZE) {
			/* A large piece has a block of its own; the one with room stays first. */
			block->next = arena->blocks->next;
			arena->blocks->next = block;
		} else {
			block->next = arena->blocks;
			arena->blocks = block;
		}
	}
	void *memory = block->data + block->used;

	block->used += size;
	return memory;
}

void *arena_copy(struct arena *arena, const void *data, size_t size)
{
	void *copy = arena_alloc(arena, size);

	if (size)
		memcpy(copy, data, size);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_copy(arena, text, strlen(text) + 1);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list list, again;

	va_start(list, format);
	va_copy(again, list);
	char none[1];
	int length = vsnprintf(none, 0, format, list);
	char *text = arena_alloc(arena, length + 1);

	vsnprintf(text, length + 1, format, again);
	va_end(again);
	va_end(list);
	return text;
}

ProtobufCAllocator *arena_protobuf(struct arena *arena)
{
	return &arena->protobuf;
}
