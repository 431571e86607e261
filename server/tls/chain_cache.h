/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_CHAIN_CACHE_H
#define TLS_CHAIN_CACHE_H

#include <stdbool.h>
#include <stdint.h>

/* Remembers which chains were verified. Bounded; one thread. */
struct chain_cache;

#define CHAIN_CACHE_ENTRIES 1024

/* SHA-256 over all that was verified. */
struct chain_key {
    uint8_t bytes[32];
};

/* NULL: out of memory. */
struct chain_cache *chain_cache_new(void);
/* Accepts NULL. */
void chain_cache_free(struct chain_cache **pcache);

/* Seconds since 1970. A clock that was set back makes entries from the time ahead of it count for nothing. */
bool chain_cache_find(const struct chain_cache *cache, const struct chain_key *key, int64_t now_s);
/* Remembers until `until_s`, exclusively. */
void chain_cache_add(struct chain_cache *cache, const struct chain_key *key, int64_t now_s, int64_t until_s);

#endif
