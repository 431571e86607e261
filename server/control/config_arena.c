/* SPDX-License-Identifier: Apache-2.0 */
#include "config_arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#define CHUNK_BYTES (64u << 10)

struct arena_chunk {
    struct arena_chunk *next;
    alignas(max_align_t) char bytes[];
};

static int add_chunk(struct arena *arena, size_t room)
{
    struct arena_chunk *chunk = calloc(1, sizeof *chunk + room);

    if (chunk == NULL)
        return WEIR_ENOMEM;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->room = room;
    arena->used = 0;
    return 0;
}

void *arena_take(struct arena *arena, size_t size)
{
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (size > arena->room - arena->used && add_chunk(arena, size > CHUNK_BYTES ? size : CHUNK_BYTES) != 0)
        return NULL;
    void *memory = arena->chunks->bytes + arena->used;
    arena->used += size;
    return memory;
}

char *arena_copy(struct arena *arena, const void *bytes, size_t size)
{
    char *copy = arena_take(arena, size + 1);

    if (copy != NULL)
        memcpy(copy, bytes, size);
    return copy;
}

void arena_free(struct arena *arena)
{
    while (arena->chunks != NULL) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        free(chunk);
    }
    *arena = (struct arena){ 0 };
}

struct index_entry {
    const char *key; /* NULL: free */
    uint32_t size, scope, value;
    uint32_t hash;
};

/* FNV-1a. */
static uint32_t hash_of(uint32_t scope, const void *key, size_t size)
{
    const unsigned char *bytes = key;
    uint64_t hash = 0xcbf29ce484222325u ^ scope;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    hash *= 0x9e3779b97f4a7c15u;
    return (uint32_t)(hash >> 32);
}

static bool entry_is(const struct index_entry *entry, uint32_t hash, uint32_t scope, const void *key, size_t size)
{
    return entry->hash == hash && entry->scope == scope && entry->size == size && memcmp(entry->key, key, size) == 0;
}

uint32_t index_find(const struct index *index, uint32_t scope, const void *key, size_t size)
{
    uint32_t hash = hash_of(scope, key, size);

    for (uint32_t i = hash; index->capacity > 0; i++) {
        const struct index_entry *entry = &index->entries[i & (index->capacity - 1)];
        if (entry->key == NULL)
            break;
        if (entry_is(entry, hash, scope, key, size))
            return entry->value;
    }
    return INDEX_NONE;
}

static void put(struct index *index, struct index_entry entry)
{
    uint32_t i = entry.hash;

    while (index->entries[i & (index->capacity - 1)].key != NULL)
        i++;
    index->entries[i & (index->capacity - 1)] = entry;
}

/* Keeps at least half of the entries free. */
static int grow(struct index *index)
{
    struct index old = *index;
    uint32_t capacity = old.capacity == 0 ? 64 : old.capacity * 2;
    struct index_entry *entries = calloc(capacity, sizeof *entries);

    if (entries == NULL)
        return WEIR_ENOMEM;
    index->entries = entries;
    index->capacity = capacity;
    for (uint32_t i = 0; i < old.capacity; i++)
        if (old.entries[i].key != NULL)
            put(index, old.entries[i]);
    free(old.entries);
    return 0;
}

int index_add(struct index *index, struct arena *arena, uint32_t scope, const void *key, size_t size, uint32_t value)
{
    const char *copy = arena_copy(arena, key, size);

    if (copy == NULL || (index->count >= index->capacity / 2 && grow(index) != 0))
        return WEIR_ENOMEM;
    put(index, (struct index_entry){ copy, (uint32_t)size, scope, value, hash_of(scope, key, size) });
    index->count++;
    return 0;
}

void index_free(struct index *index)
{
    free(index->entries);
    *index = (struct index){ 0 };
}
