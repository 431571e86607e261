/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <assert.h>
#include <stdlib.h>

#include <weir/errors.h>

static bool valid(const struct weir_upstreams *upstreams, const struct weir_place *places, uint32_t count)
{
    if (count == 0 || count > WEIR_PLACES_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (places[i].weight < 1 || places[i].weight > WEIR_WEIGHT_MAX || places[i].upstream >= upstreams->capacity)
            return false;
    }
    return true;
}

static int by_upstream(const void *a, const void *b)
{
    const struct pool_place *x = *(struct pool_place *const *)a, *y = *(struct pool_place *const *)b;
    return (x->upstream > y->upstream) - (x->upstream < y->upstream);
}

static int by_chunk(const void *a, const void *b)
{
    const struct pool_place *x = *(struct pool_place *const *)a, *y = *(struct pool_place *const *)b;
    if (x->backup != y->backup)
        return x->backup - y->backup;
    if (x->weight != y->weight)
        return x->weight - y->weight;
    return (x->block > y->block) - (x->block < y->block);
}

/* Finds the blocks of the table in which the pool has places. Returns false when an upstream stands twice. */
static bool number_blocks(struct weir_pool *pool, struct pool_place **order)
{
    qsort(order, pool->count, sizeof *order, by_upstream);
    for (uint32_t i = 0; i < pool->count; i++) {
        if (i > 0 && order[i]->upstream == order[i - 1]->upstream)
            return false;
        bool same = i > 0 && order[i]->upstream / BLOCK_WORDS == order[i - 1]->upstream / BLOCK_WORDS;
        pool->block_count += !same;
        order[i]->block = pool->block_count - 1;
    }
    return true;
}

/* Groups the places of each weight by block: where the weight stays the same, choosing compares words alone. */
static void number_chunks(struct weir_pool *pool, struct pool_place **order)
{
    qsort(order, pool->count, sizeof *order, by_chunk);
    for (uint32_t i = 0; i < pool->count; i++) {
        bool same = i > 0 && by_chunk(&order[i], &order[i - 1]) == 0;
        pool->chunk_count += !same;
        order[i]->chunk = pool->chunk_count - 1;
        if (!order[i]->backup)
            pool->ordinary_chunks = pool->chunk_count;
    }
}

static void fill(struct weir_pool *pool)
{
    for (uint32_t i = 0; i < pool->count; i++) {
        const struct pool_place *place = &pool->places[i];
        struct pool_block *block = &pool->blocks[place->block];
        struct chunk *chunk = &pool->chunks[place->chunk];
        block->first = place->upstream - pool_bit(place);
        pool->by_word[place->block * BLOCK_WORDS + pool_bit(place)] = (uint16_t)i;
        chunk->block = place->block;
        chunk->weight = place->weight;
        chunk->members |= UINT64_C(1) << pool_bit(place);
    }
}

static int arrange(struct weir_pool *pool, struct pool_place **order)
{
    for (uint32_t i = 0; i < pool->count; i++)
        order[i] = &pool->places[i];
    if (!number_blocks(pool, order))
        return WEIR_EINVAL;
    number_chunks(pool, order);
    pool->blocks = calloc(pool->block_count, sizeof *pool->blocks);
    pool->chunks = calloc(pool->chunk_count, sizeof *pool->chunks);
    pool->by_word = calloc(pool->block_count, BLOCK_WORDS * sizeof *pool->by_word);
    pool->warming = calloc(pool->count, sizeof *pool->warming);
    if (pool->blocks == NULL || pool->chunks == NULL || pool->by_word == NULL || pool->warming == NULL)
        return WEIR_ENOMEM;
    fill(pool);
    return 0;
}

static int pool_open(struct weir_pool *pool, const struct weir_place *places)
{
    pool->places = calloc(pool->count, sizeof *pool->places);
    struct pool_place **order = calloc(pool->count, sizeof *order);
    int err = pool->places == NULL || order == NULL ? WEIR_ENOMEM : 0;
    for (uint32_t i = 0; err == 0 && i < pool->count; i++)
        pool->places[i] = (struct pool_place){ .upstream = places[i].upstream,
                                               .weight = (uint16_t)places[i].weight,
                                               .backup = places[i].backup };
    if (err == 0)
        err = arrange(pool, order);
    free(order);
    return err;
}

int weir_pool_new(struct weir_upstreams *upstreams, const struct weir_place *places, uint32_t count,
                  struct weir_pool **ret_pool)
{
    if (!valid(upstreams, places, count))
        return WEIR_EINVAL;
    struct weir_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return WEIR_ENOMEM;
    pool->upstreams = upstreams;
    pool->count = count;
    int err = pool_open(pool, places);
    if (err != 0)
        weir_pool_free(&pool);
    else
        *ret_pool = pool;
    return err;
}

void weir_pool_free(struct weir_pool **ppool)
{
    struct weir_pool *pool = *ppool;
    if (pool == NULL)
        return;
    free(pool->places);
    free(pool->blocks);
    free(pool->chunks);
    free(pool->by_word);
    free(pool->warming);
    free(pool);
    *ppool = NULL;
}

static void set_bit(_Atomic uint64_t *bits, uint64_t bit, bool on)
{
    if (on)
        atomic_fetch_or_explicit(bits, bit, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(bits, ~bit, memory_order_relaxed);
}

/* "down" hides "ejected", so that two threads that set the same place at once leave what one of them wanted. */
void weir_pool_set_health(struct weir_pool *pool, uint32_t place, enum weir_place_health health)
{
    assert(place < pool->count);
    struct pool_block *block = &pool->blocks[pool->places[place].block];
    uint64_t bit = UINT64_C(1) << pool_bit(&pool->places[place]);
    if (health != WEIR_PLACE_DOWN)
        set_bit(&block->ejected, bit, health == WEIR_PLACE_EJECTED);
    set_bit(&block->down, bit, health == WEIR_PLACE_DOWN);
}

enum weir_place_health weir_pool_health(const struct weir_pool *pool, uint32_t place)
{
    assert(place < pool->count);
    const struct pool_block *block = &pool->blocks[pool->places[place].block];
    uint64_t bit = UINT64_C(1) << pool_bit(&pool->places[place]);
    if (atomic_load_explicit(&block->down, memory_order_relaxed) & bit)
        return WEIR_PLACE_DOWN;
    return atomic_load_explicit(&block->ejected, memory_order_relaxed) & bit ? WEIR_PLACE_EJECTED : WEIR_PLACE_UP;
}

/* Slow start */

static uint64_t load(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

uint32_t pool_bias(const struct weir_pool *pool, uint32_t place, uint64_t now_ns)
{
    const struct warming *warming = &pool->warming[place];
    uint64_t until_ns = load(&warming->until_ns);
    if (now_ns >= until_ns)
        return 0;
    uint64_t scaled = load(&warming->slope) * ((until_ns - now_ns) >> WARMING_UNIT_BITS);
    uint64_t bias = (scaled + (UINT64_C(1) << (WARMING_FRACTION_BITS - 1))) >> WARMING_FRACTION_BITS;
    return bias < WORD_COUNT ? (uint32_t)bias : WORD_COUNT;
}

static void set_warming(struct weir_pool *pool, uint32_t place, bool warms)
{
    struct pool_block *block = &pool->blocks[pool->places[place].block];
    uint64_t bit = UINT64_C(1) << pool_bit(&pool->places[place]);
    if (warms)
        atomic_fetch_or_explicit(&block->warming, bit, memory_order_acq_rel);
    else
        atomic_fetch_and_explicit(&block->warming, ~bit, memory_order_acq_rel);
}

/* Who lets it start anew meanwhile sets the time before the bit: one of both sees the other. */
void pool_end_warming(struct weir_pool *pool, uint32_t place, uint64_t now_ns)
{
    set_warming(pool, place, false);
    if (pool_bias(pool, place, now_ns) > 0)
        set_warming(pool, place, true);
}

static bool takes_part(const struct weir_pool *pool, uint32_t place, bool backup)
{
    uint32_t word = atomic_load_explicit(&pool->upstreams->words[pool->places[place].upstream], memory_order_relaxed);
    return pool->places[place].backup == backup && (word & WORD_CLOSED) == 0 &&
           weir_pool_health(pool, place) == WEIR_PLACE_UP;
}

/* What a place would have if it had as many connections for its weight as the others of its kind. */
static uint64_t fair_share(const struct weir_pool *pool, uint32_t place, uint64_t now_ns)
{
    const struct pool_place *of = &pool->places[place];
    uint64_t connections = 0, weights = 0;
    for (uint32_t i = 0; i < pool->count; i++) {
        if (i == place || !takes_part(pool, i, of->backup))
            continue;
        connections += weir_upstreams_active(pool->upstreams, pool->places[i].upstream) + pool_bias(pool, i, now_ns);
        weights += pool->places[i].weight;
    }
    return weights == 0 ? 0 : (connections * of->weight + weights / 2) / weights;
}

void weir_pool_slow_start(struct weir_pool *pool, uint32_t place, uint64_t duration_ns, uint64_t now_ns)
{
    assert(place < pool->count);
    struct warming *warming = &pool->warming[place];
    uint64_t fair = fair_share(pool, place, now_ns);
    uint64_t has = weir_upstreams_active(pool->upstreams, pool->places[place].upstream);
    uint64_t bias = fair > has && duration_ns > 0 ? fair - has : 0;
    bias = bias < WORD_COUNT ? bias : WORD_COUNT;
    atomic_store_explicit(&warming->slope, (bias << WARMING_FRACTION_BITS) / ((duration_ns >> WARMING_UNIT_BITS) + 1),
                          memory_order_relaxed);
    atomic_store_explicit(&warming->until_ns, bias > 0 ? now_ns + duration_ns : 0, memory_order_relaxed);
    if (bias > 0)
        set_warming(pool, place, true);
}

uint32_t weir_pool_upstream(const struct weir_pool *pool, uint32_t place)
{
    assert(place < pool->count);
    return pool->places[place].upstream;
}

uint32_t weir_pool_count(const struct weir_pool *pool)
{
    return pool->count;
}
