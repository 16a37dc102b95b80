/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/hash.h"

#include <stdlib.h>

#include "base/log.h"

struct hash_slot {
	uint64_t key;
	void *value; /* NULL: free */
};

uint64_t hash_mix(uint64_t a, uint64_t b)
{
	uint64_t x = a * 0x9e3779b97f4a7c15 + b;

	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93;
	return x ^ x >> 32;
}

uint64_t hash_bytes(const void *data, size_t size)
{
	const unsigned char *bytes = data;
	uint64_t x = 0xcbf29ce484222325;

	for (size_t i = 0; i < size; i++)
		x = (x ^ bytes[i]) * 0x100000001b3;
	return hash_mix(x, size);
}

static struct hash_slot *find(const struct hash *hash, uint64_t key)
{
	size_t i = hash_mix(key, 0) & (hash->size - 1);

	while (hash->slots[i].value && hash->slots[i].key != key)
		i = (i + 1) & (hash->size - 1);
	return &hash->slots[i];
}

void *hash_get(const struct hash *hash, uint64_t key)
{
	return hash->size ? find(hash, key)->value : NULL;
}

static void grow(struct hash *hash)
{
	struct hash bigger = {.size = hash->size ? hash->size * 2 : 64, .count = hash->count};

	bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
	if (!bigger.slots)
		die_of_memory();
	for (size_t i = 0; i < hash->size; i++)
		if (hash->slots[i].value)
			*find(&bigger, hash->slots[i].key) = hash->slots[i];
	free(hash->slots);
	*hash = bigger;
}

void *hash_put(struct hash *hash, uint64_t key, void *value)
{
	if (hash->count * 2 >= hash->size)
		grow(hash);

	struct hash_slot *slot = find(hash, key);
	void *before = slot->value;

	if (!before)
		hash->count++;
	*slot = (struct hash_slot){key, value};
	return before;
}

void hash_free(struct hash *hash)
{
	free(hash->slots);
	*hash = (struct hash){0};
}
