/* SPDX-License-Identifier: Apache-2.0 */
#include "chain_cache.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A key has its place in one of the sets; the entry of a set that lasts shortest makes room. */
#define WAYS 4
#define SETS (CHAIN_CACHE_ENTRIES / WAYS)

struct entry {
    struct chain_key key;
    int64_t since_s, until_s;
};

struct chain_cache {
    struct entry sets[SETS][WAYS];
};

struct chain_cache *chain_cache_new(void)
{
    return calloc(1, sizeof(struct chain_cache));
}

void chain_cache_free(struct chain_cache **pcache)
{
    free(*pcache);
    *pcache = NULL;
}

static size_t set_of(const struct chain_key *key)
{
    uint32_t number;
    memcpy(&number, key->bytes, sizeof number);
    return number % SETS;
}

static bool holds(const struct entry *entry, int64_t now_s)
{
    return entry->since_s <= now_s && now_s < entry->until_s;
}

bool chain_cache_find(const struct chain_cache *cache, const struct chain_key *key, int64_t now_s)
{
    const struct entry *set = cache->sets[set_of(key)];
    for (unsigned way = 0; way < WAYS; way++) {
        if (holds(&set[way], now_s) && memcmp(&set[way].key, key, sizeof *key) == 0)
            return true;
    }
    return false;
}

void chain_cache_add(struct chain_cache *cache, const struct chain_key *key, int64_t now_s, int64_t until_s)
{
    struct entry *set = cache->sets[set_of(key)], *shortest = &set[0];
    for (unsigned way = 0; way < WAYS; way++) {
        if (!holds(&set[way], now_s)) {
            shortest = &set[way];
            break;
        }
        if (set[way].until_s < shortest->until_s)
            shortest = &set[way];
    }
    *shortest = (struct entry){ .key = *key, .since_s = now_s, .until_s = until_s };
}
