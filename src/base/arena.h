/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An arena owns everything that one dump or one restore allocates: descriptions of tasks, files
 * and mappings live as long as the command and are freed together.  Memory comes zeroed.  When
 * there is none left the command exits with a message: by the design of dump (the application
 * runs on) and restore (nothing stays behind) that is always safe.
 *
 * Not thread-safe: each thread has an arena of its own.
 */
struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena);

/* Zeroed memory, aligned for any type; never NULL, also for size 0. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_copy(struct arena *arena, const void *data, size_t size);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3), nonnull(2)));

#define arena_new_object(arena, type)       ((type *)arena_alloc((arena), sizeof(type)))
#define arena_new_array(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (count)))

/*
 * A protobuf message in the arena, initialised: ARENA_MESSAGE(arena, core_entry, CoreEntry).
 * Its fields may point to arena memory; it is never freed by itself.
 */
#define ARENA_MESSAGE(arena, name, Type)                                                           \
	({                                                                                         \
		Type *message_ = arena_alloc((arena), sizeof(Type));                               \
		name##__init(message_);                                                            \
		message_;                                                                          \
	})

/* For xxx__unpack(): messages unpacked into the arena are never freed by themselves. */
ProtobufCAllocator *arena_protobuf(struct arena *arena);
