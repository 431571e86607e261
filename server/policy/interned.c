/* SPDX-License-Identifier: Apache-2.0 */
#include "interned.h"

#include <stdlib.h>

#include <weir/errors.h>

#define SLOTS_MIN 16u

/* FNV-1a by words: what it hashes comes from the configuration, from nobody outside. */
static uint64_t hash_of(uint32_t pool, const uint32_t *places, uint32_t count)
{
    uint64_t hash = (UINT64_C(0xcbf29ce484222325) ^ pool) * UINT64_C(0x100000001b3);
    for (uint32_t i = 0; i < count; i++)
        hash = (hash ^ places[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static bool equal(const struct weir_set *set, const struct weir_pool *pool, const uint32_t *places, uint32_t count)
{
    if (weir_set_pool(set) != pool || weir_set_count(set) != count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (weir_set_place(set, i) != places[i])
            return false;
    }
    return true;
}

/* A free slot for this hash. */
static uint32_t *free_slot(const struct interned *interned, uint64_t hash)
{
    uint32_t mask = interned->slot_count - 1, i = (uint32_t)hash & mask;
    while (interned->slots[i] != 0)
        i = (i + 1) & mask;
    return &interned->slots[i];
}

/* Room for one set more, and twice as many slots as sets. */
static int reserve(struct interned *interned, struct snapshot *snapshot)
{
    if (2 * snapshot->set_count < interned->slot_count)
        return 0;
    uint32_t slot_count = interned->slot_count == 0 ? SLOTS_MIN : 2 * interned->slot_count;
    struct weir_set **sets = realloc(snapshot->sets, slot_count / 2 * sizeof(struct weir_set *));
    if (sets != NULL)
        snapshot->sets = sets;
    uint64_t *hashes = realloc(interned->hashes, slot_count / 2 * sizeof *hashes);
    if (hashes != NULL)
        interned->hashes = hashes;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (sets == NULL || hashes == NULL || slots == NULL) {
        free(slots);
        return WEIR_ENOMEM;
    }
    free(interned->slots);
    interned->slots = slots;
    interned->slot_count = slot_count;
    for (uint32_t i = 0; i < snapshot->set_count; i++)
        *free_slot(interned, hashes[i]) = i + 1;
    return 0;
}

static struct weir_set *find(const struct interned *interned, const struct snapshot *snapshot, uint64_t hash,
                             uint32_t pool, const uint32_t *places, uint32_t count)
{
    uint32_t mask = interned->slot_count - 1;
    for (uint32_t i = (uint32_t)hash & mask; interned->slots[i] != 0; i = (i + 1) & mask) {
        uint32_t index = interned->slots[i] - 1;
        if (interned->hashes[index] == hash &&
            equal(snapshot->sets[index], snapshot->pools[pool].balancing, places, count))
            return snapshot->sets[index];
    }
    return NULL;
}

int interned_set(struct interned *interned, struct snapshot *snapshot, uint32_t pool, const uint32_t *places,
                 uint32_t count, struct weir_set **ret_set)
{
    int err = reserve(interned, snapshot);
    if (err != 0)
        return err;
    uint64_t hash = hash_of(pool, places, count);
    struct weir_set *set = find(interned, snapshot, hash, pool, places, count);
    if (set == NULL) {
        err = weir_set_new(snapshot->pools[pool].balancing, places, count, &set);
        if (err != 0)
            return err;
        *free_slot(interned, hash) = snapshot->set_count + 1;
        interned->hashes[snapshot->set_count] = hash;
        snapshot->sets[snapshot->set_count++] = set;
    }
    *ret_set = set;
    return 0;
}

void interned_free(struct interned *interned)
{
    free(interned->slots);
    free(interned->hashes);
}
