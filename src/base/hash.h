/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * A table from 64-bit keys to non-NULL pointers (open addressing, amortised O(1)).
 * Zero-initialise to make one; hash_free() frees the table, not what it points to.
 */
struct hash {
	struct hash_slot *slots;
	size_t count, size;
};

/* The value of the key, or NULL. */
void *hash_get(const struct hash *hash, uint64_t key);
/* Sets the value of the key and returns the one it had before, or NULL. */
void *hash_put(struct hash *hash, uint64_t key, void *value);
void hash_free(struct hash *hash);

/* A key made of several numbers or of bytes; different input may, rarely, give the same key. */
uint64_t hash_mix(uint64_t a, uint64_t b);
uint64_t hash_bytes(const void *data, size_t size);
