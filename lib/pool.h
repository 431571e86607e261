/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_POOL_H
#define LIB_POOL_H

#include "upstreams.h"

/* A pool's view of one block of words in the table, which may have members of other pools. */
struct pool_block {
    uint32_t first; /* id of the first word */
    /* Health by bit; down goes before ejected. */
    _Atomic uint64_t down;
    _Atomic uint64_t ejected;
    /* Places that start slowly, by bit. */
    _Atomic uint64_t warming;
};

/* A place that starts slowly counts for more connections than it has; how many more falls to 0 with time. */
struct warming {
    _Atomic uint64_t until_ns;
    _Atomic uint64_t slope; /* connections, in 2^-32, for each WARMING_UNIT that is left */
};
#define WARMING_UNIT_BITS 20 /* of nanoseconds: about a millisecond */
#define WARMING_FRACTION_BITS 32

/* Places of one block with the same weight: they are compared by their words alone. */
struct chunk {
    uint64_t members; /* by bit */
    uint32_t block;
    uint16_t weight;
    bool dense; /* so many members that looking at the whole block is faster */
};

/* What a place is, and where its word and its health stand. */
struct pool_place {
    uint32_t upstream;
    uint32_t block;
    uint32_t chunk;
    uint16_t weight;
    bool backup;
};

struct weir_pool {
    struct weir_upstreams *upstreams;
    struct pool_place *places;
    uint32_t count;
    struct pool_block *blocks; /* ascending */
    uint32_t block_count;
    uint16_t *by_word;       /* places, by block and bit */
    struct warming *warming; /* by place */
    struct chunk *chunks;    /* of the whole pool: first the ordinary ones, then the backups, by weight and block */
    uint32_t chunk_count;
    uint32_t ordinary_chunks;
    _Atomic uint32_t sets_made;
};

static inline uint32_t pool_bit(const struct pool_place *place)
{
    return place->upstream % BLOCK_WORDS;
}

/* By how many connections a place of the block's `warming` counts for more than it has. */
uint32_t pool_bias(const struct weir_pool *pool, uint32_t place, uint64_t now_ns);

/* Its bias has come to 0: it is an ordinary place again. */
void pool_end_warming(struct weir_pool *pool, uint32_t place, uint64_t now_ns);

#endif
