/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CONFIG_ARENA_H
#define CONTROL_CONFIG_ARENA_H

#include <stddef.h>
#include <stdint.h>

/* Memory for the time of one reading: given back all at once. Zero it at birth. */
struct arena {
    struct arena_chunk *chunks;
    size_t used, room; /* of the first chunk */
};

/* Zeroed and aligned for any type; NULL when out of memory. */
void *arena_take(struct arena *arena, size_t size);
/* A copy with a NUL behind it; NULL when out of memory. */
char *arena_copy(struct arena *arena, const void *bytes, size_t size);
void arena_free(struct arena *arena);

/* Finds numbers by keys: bytes within a scope (for instance, the upstreams' names within one pool). Keys are copied
 * into the arena. Zero it at birth. */
struct index {
    struct index_entry *entries;
    uint32_t count, capacity;
};

#define INDEX_NONE UINT32_MAX

uint32_t index_find(const struct index *index, uint32_t scope, const void *key, size_t size);
/* The key must not be there yet. Returns 0 or WEIR_ENOMEM. */
int index_add(struct index *index, struct arena *arena, uint32_t scope, const void *key, size_t size, uint32_t value);
void index_free(struct index *index);

#endif
