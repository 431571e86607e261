/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#define DENSE_MEMBERS 16

/* Members that are chosen among each other: the ordinary places, or the backups. */
struct tier {
    struct chunk *chunks;
    uint32_t count;
    uint16_t weight_max;
    _Atomic uint32_t cursor; /* chunk * BLOCK_WORDS + bit: ties are broken from here on */
};

struct weir_set {
    struct weir_pool *pool;
    struct tier tiers[2]; /* ordinary, backup */
    struct chunk *chunks; /* of both */
    uint16_t *places;     /* ascending */
    uint32_t count;
};

/* Making sets */

static int ascending(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

static int copy_places(struct weir_set *set, const uint32_t *places)
{
    bool sorted = true;
    set->places = calloc(set->count + 1, sizeof *set->places);
    if (set->places == NULL)
        return WEIR_ENOMEM;
    for (uint32_t i = 0; i < set->count; i++) {
        if (places[i] >= set->pool->count)
            return WEIR_EINVAL;
        set->places[i] = (uint16_t)places[i];
        sorted = sorted && (i == 0 || places[i] > places[i - 1]);
    }
    if (!sorted)
        qsort(set->places, set->count, sizeof *set->places, ascending);
    for (uint32_t i = 1; i < set->count; i++) {
        if (set->places[i] == set->places[i - 1])
            return WEIR_EINVAL;
    }
    return 0;
}

/* Copies those of the pool's chunks that have members in the set. `members` is by chunk of the pool. */
static int copy_chunks(struct weir_set *set, const uint64_t *members)
{
    const struct weir_pool *pool = set->pool;
    uint32_t used = 0;
    for (uint32_t i = 0; i < pool->chunk_count; i++)
        used += members[i] != 0;
    set->chunks = calloc(used + 1, sizeof *set->chunks);
    if (set->chunks == NULL)
        return WEIR_ENOMEM;
    set->tiers[0].chunks = set->chunks;
    for (uint32_t i = 0; i < pool->chunk_count; i++) {
        struct tier *tier = &set->tiers[i >= pool->ordinary_chunks];
        if (i == pool->ordinary_chunks)
            tier->chunks = set->chunks + set->tiers[0].count;
        if (members[i] == 0)
            continue;
        struct chunk *chunk = &tier->chunks[tier->count++];
        *chunk = pool->chunks[i];
        chunk->members = members[i];
        chunk->dense = __builtin_popcountll(members[i]) > DENSE_MEMBERS;
        if (chunk->weight > tier->weight_max)
            tier->weight_max = chunk->weight;
    }
    return 0;
}

static int make_chunks(struct weir_set *set)
{
    const struct weir_pool *pool = set->pool;
    uint64_t *members = calloc(pool->chunk_count, sizeof *members);
    if (members == NULL)
        return WEIR_ENOMEM;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct pool_place *place = &pool->places[set->places[i]];
        members[place->chunk] |= UINT64_C(1) << pool_bit(place);
    }
    int err = copy_chunks(set, members);
    free(members);
    return err;
}

/* Sets of one pool begin at members far from each other (multiples of the golden ratio), otherwise many clients with a
 * set each would all begin at the same upstream. */
static void spread_cursor(struct tier *tier, uint32_t number)
{
    uint32_t members = 0;
    for (uint32_t i = 0; i < tier->count; i++)
        members += (uint32_t)__builtin_popcountll(tier->chunks[i].members);
    uint32_t skip = (uint32_t)((uint64_t)(number * UINT32_C(2654435769)) * members >> 32), chunk = 0;
    for (; chunk < tier->count; chunk++) {
        uint32_t here = (uint32_t)__builtin_popcountll(tier->chunks[chunk].members);
        if (skip < here)
            break;
        skip -= here;
    }
    uint64_t bits = chunk < tier->count ? tier->chunks[chunk].members : 1;
    for (; skip > 0; skip--)
        bits &= bits - 1;
    tier->cursor = chunk * BLOCK_WORDS + (uint32_t)__builtin_ctzll(bits);
}

int weir_set_new(struct weir_pool *pool, const uint32_t *places, uint32_t count, struct weir_set **ret_set)
{
    if (count > pool->count)
        return WEIR_EINVAL;
    struct weir_set *set = calloc(1, sizeof *set);
    if (set == NULL)
        return WEIR_ENOMEM;
    set->pool = pool;
    set->count = count;
    int err = copy_places(set, places);
    if (err == 0)
        err = make_chunks(set);
    if (err != 0) {
        weir_set_free(&set);
        return err;
    }
    uint32_t number = atomic_fetch_add_explicit(&pool->sets_made, 1, memory_order_relaxed);
    spread_cursor(&set->tiers[0], number);
    spread_cursor(&set->tiers[1], number);
    *ret_set = set;
    return 0;
}

void weir_set_free(struct weir_set **pset)
{
    struct weir_set *set = *pset;
    if (set == NULL)
        return;
    free(set->chunks);
    free(set->places);
    free(set);
    *pset = NULL;
}

bool weir_set_contains(const struct weir_set *set, uint32_t place)
{
    uint16_t key = (uint16_t)place;
    return place < set->pool->count && bsearch(&key, set->places, set->count, sizeof key, ascending) != NULL;
}

uint32_t weir_set_count(const struct weir_set *set)
{
    return set->count;
}

uint32_t weir_set_place(const struct weir_set *set, uint32_t n)
{
    assert(n < set->count);
    return set->places[n];
}

struct weir_pool *weir_set_pool(const struct weir_set *set)
{
    return set->pool;
}

void weir_tried_add(struct weir_tried *tried, uint32_t upstream)
{
    assert(tried->count < WEIR_TRIED_MAX);
    tried->upstream[tried->count++] = upstream;
}

/* Choosing */

/* The best members so far: those that come into question in one chunk, of which the first with this word is meant. */
struct choice {
    uint32_t word; /* as it counts; WORD_UNAVAILABLE: none yet */
    uint32_t bias; /* the part of it that no connection stands for */
    uint32_t weight;
    uint32_t chunk;
    uint64_t among;
};

static uint32_t least_of(const _Atomic uint32_t *words, uint64_t bits)
{
    uint32_t least = WORD_UNAVAILABLE;
    for (; bits != 0; bits &= bits - 1) {
        uint32_t word = atomic_load_explicit(&words[__builtin_ctzll(bits)], memory_order_relaxed);
        least = word < least ? word : least;
    }
    return least;
}

static uint64_t without_tried(const struct weir_tried *tried, uint32_t first, uint64_t bits)
{
    for (uint32_t i = 0; i < tried->count; i++) {
        if (tried->upstream[i] - first < BLOCK_WORDS)
            bits &= ~(UINT64_C(1) << (tried->upstream[i] - first));
    }
    return bits;
}

/* Those of a chunk's members that are in the wanted state of health and not tried. */
static uint64_t candidates(const struct pool_block *block, uint64_t members, bool ejected,
                           const struct weir_tried *tried)
{
    uint64_t out = atomic_load_explicit(&block->ejected, memory_order_relaxed);
    members &= ~atomic_load_explicit(&block->down, memory_order_relaxed);
    members &= ejected ? out : ~out;
    return tried->count == 0 ? members : without_tried(tried, block->first, members);
}

/* The first word that is not better with this weight: (word + 1) / weight is to be smaller. */
static uint32_t limit_for(const struct choice *best, uint32_t weight)
{
    if (weight == best->weight)
        return best->word;
    uint64_t scaled = (uint64_t)(best->word + 1) * weight;
    uint64_t limit = (scaled + best->weight - 1) / best->weight - 1;
    return limit < WORD_UNAVAILABLE ? (uint32_t)limit : WORD_UNAVAILABLE;
}

struct search {
    struct weir_pool *pool;
    const struct tier *tier;
    const struct weir_tried *tried;
    uint64_t now_ns;
    bool ejected;
    struct choice best;
    uint32_t weight; /* for which `limit` holds */
    uint32_t limit;
};

static void found(struct search *search, struct choice choice)
{
    search->best = choice;
    search->limit = choice.word;
}

/* Members that start slowly are looked at one by one. */
static void look_at_warming(struct search *search, uint32_t index, uint64_t bits)
{
    const struct chunk *chunk = &search->tier->chunks[index];
    struct pool_block *block = &search->pool->blocks[chunk->block];
    for (; bits != 0; bits &= bits - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(bits);
        uint32_t place = search->pool->by_word[chunk->block * BLOCK_WORDS + bit];
        uint32_t bias = pool_bias(search->pool, place, search->now_ns);
        uint32_t word = atomic_load_explicit(&search->pool->upstreams->words[block->first + bit], memory_order_relaxed);
        if (bias == 0)
            pool_end_warming(search->pool, place, search->now_ns);
        if (word < WORD_UNAVAILABLE && bias > WORD_UNAVAILABLE - 1 - word)
            bias = WORD_UNAVAILABLE - 1 - word;
        if (word < WORD_UNAVAILABLE && word + bias < search->limit)
            found(search, (struct choice){ word + bias, bias, chunk->weight, index, UINT64_C(1) << bit });
    }
}

/* Returns true when nothing can be better than what was found. */
static bool look(struct search *search, uint32_t index, uint64_t mask)
{
    const struct chunk *chunk = &search->tier->chunks[index];
    const struct pool_block *block = &search->pool->blocks[chunk->block];
    const _Atomic uint32_t *words = &search->pool->upstreams->words[block->first];
    uint64_t bits = candidates(block, chunk->members & mask, search->ejected, search->tried);
    if (chunk->weight != search->weight) {
        search->weight = chunk->weight;
        search->limit = limit_for(&search->best, chunk->weight);
    }
    if (chunk->dense)
        bits &= words_below(words, search->limit);
    uint64_t warming = bits & atomic_load_explicit(&block->warming, memory_order_acquire);
    bits &= ~warming;
    uint32_t word = least_of(words, bits);
    if (word < search->limit)
        found(search, (struct choice){ word, 0, chunk->weight, index, bits });
    if (warming != 0)
        look_at_warming(search, index, warming);
    return search->best.word == 0 && search->best.weight == search->tier->weight_max;
}

/* Looks at all members of a tier, beginning at the cursor: the first of equals wins. */
static void look_round(struct search *search)
{
    const struct tier *tier = search->tier;
    uint32_t cursor = atomic_load_explicit(&tier->cursor, memory_order_relaxed);
    uint32_t start = cursor / BLOCK_WORDS;
    uint64_t from_cursor = UINT64_MAX << cursor % BLOCK_WORDS;
    if (start >= tier->count) {
        start = 0;
        from_cursor = UINT64_MAX;
    }
    bool done = tier->count == 0 || look(search, start, from_cursor);
    for (uint32_t i = start + 1; !done && i < tier->count; i++)
        done = look(search, i, UINT64_MAX);
    for (uint32_t i = 0; !done && i < start; i++)
        done = look(search, i, UINT64_MAX);
    if (!done)
        look(search, start, ~from_cursor);
}

/* Takes the first of the best; false when its word has changed since. */
static bool take(struct weir_set *set, struct tier *tier, const struct choice *best, struct weir_lease *ret_lease)
{
    struct weir_upstreams *upstreams = set->pool->upstreams;
    const struct chunk *chunk = &tier->chunks[best->chunk];
    uint32_t first = set->pool->blocks[chunk->block].first;
    const _Atomic uint32_t *words = &upstreams->words[first];
    uint32_t word = best->word - best->bias;
    uint64_t bits = best->among;
    while (bits != 0 && atomic_load_explicit(&words[__builtin_ctzll(bits)], memory_order_relaxed) != word)
        bits &= bits - 1;
    if (bits == 0)
        return false;
    uint32_t bit = (uint32_t)__builtin_ctzll(bits), id = first + bit;
    if (!upstreams_take(upstreams, id, word))
        return false;
    atomic_store_explicit(&tier->cursor, best->chunk * BLOCK_WORDS + bit + 1, memory_order_relaxed);
    *ret_lease = (struct weir_lease){ upstreams, id, set->pool->by_word[chunk->block * BLOCK_WORDS + bit] };
    return true;
}

/* Places that are up go first, backups included; then those that were ejected. Returns the tier, or NULL. */
static struct tier *choose(struct weir_set *set, const struct weir_tried *tried, uint64_t now_ns,
                           struct choice *ret_best)
{
    for (int i = 0; i < 4; i++) {
        struct search search = {
            .pool = set->pool,
            .tier = &set->tiers[i % 2],
            .tried = tried,
            .now_ns = now_ns,
            .ejected = i >= 2,
            .best = { .word = WORD_UNAVAILABLE, .weight = 1 },
        };
        look_round(&search);
        if (search.best.word != WORD_UNAVAILABLE) {
            *ret_best = search.best;
            return &set->tiers[i % 2];
        }
    }
    return NULL;
}

int weir_set_acquire(struct weir_set *set, const struct weir_tried *tried, uint64_t now_ns,
                     struct weir_lease *ret_lease)
{
    static const struct weir_tried none;
    struct choice best;
    struct tier *tier;
    while ((tier = choose(set, tried == NULL ? &none : tried, now_ns, &best)) != NULL) {
        if (take(set, tier, &best, ret_lease))
            return 0;
    }
    return WEIR_ENOUPSTREAM;
}
