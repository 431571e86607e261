/* SPDX-License-Identifier: Apache-2.0 */
#include "upstreams.h"

#include <assert.h>
#include <stdlib.h>

#include <weir/errors.h>

int weir_upstreams_new(uint32_t capacity, struct weir_upstreams **ret_upstreams)
{
    if (capacity == 0 || capacity > UINT32_MAX - BLOCK_WORDS)
        return WEIR_EINVAL;
    struct weir_upstreams *upstreams = calloc(1, sizeof *upstreams);
    if (upstreams == NULL)
        return WEIR_ENOMEM;
    size_t blocks = (capacity + BLOCK_WORDS - 1) / BLOCK_WORDS;
    upstreams->capacity = capacity;
    upstreams->words = calloc(blocks, BLOCK_WORDS * sizeof *upstreams->words);
    upstreams->rows = calloc(capacity, sizeof *upstreams->rows);
    if (upstreams->words == NULL || upstreams->rows == NULL) {
        weir_upstreams_free(&upstreams);
        return WEIR_ENOMEM;
    }
    *ret_upstreams = upstreams;
    return 0;
}

void weir_upstreams_free(struct weir_upstreams **pupstreams)
{
    struct weir_upstreams *upstreams = *pupstreams;
    if (upstreams == NULL)
        return;
    free(upstreams->words);
    free(upstreams->rows);
    free(upstreams);
    *pupstreams = NULL;
}

static struct upstream_row *row_of(const struct weir_upstreams *upstreams, uint32_t id)
{
    assert(id < upstreams->capacity && upstreams->rows[id].used);
    return &upstreams->rows[id];
}

static uint32_t load_max(const struct weir_upstreams *upstreams, uint32_t id)
{
    return atomic_load_explicit(&upstreams->rows[id].max_connections, memory_order_relaxed);
}

/* The word with the bit "full" as the limit wants it. */
static uint32_t with_limit(uint32_t word, uint32_t max)
{
    bool full = max != 0 && (word & WORD_COUNT) >= max;
    return (word & ~WORD_FULL) | (full ? WORD_FULL : 0);
}

/* Brings the bit "full" in line with a limit that has changed. It writes the word even when nothing changes: whoever
 * counts after this write then sees the new limit too, and whoever counted before it is seen here. */
static void settle(struct weir_upstreams *upstreams, uint32_t id)
{
    _Atomic uint32_t *word = &upstreams->words[id];
    uint32_t seen = atomic_load_explicit(word, memory_order_relaxed), max;
    do {
        max = load_max(upstreams, id);
        while (!atomic_compare_exchange_weak_explicit(word, &seen, with_limit(seen, max), memory_order_acq_rel,
                                                      memory_order_relaxed))
            ;
    } while (load_max(upstreams, id) != max);
}

static bool is_free(const struct weir_upstreams *upstreams, uint32_t id)
{
    uint32_t word = atomic_load_explicit(&upstreams->words[id], memory_order_acquire);
    return !upstreams->rows[id].used && (word & WORD_COUNT) == 0;
}

int weir_upstreams_add(struct weir_upstreams *upstreams, uint32_t max_connections, uint32_t *ret_id)
{
    for (uint32_t step = 0; step < upstreams->capacity; step++) {
        uint32_t id = (uint32_t)(((uint64_t)upstreams->next + step) % upstreams->capacity);
        if (!is_free(upstreams, id))
            continue;
        upstreams->rows[id].used = true;
        weir_upstreams_set_max(upstreams, id, max_connections);
        weir_upstreams_set_state(upstreams, id, WEIR_UPSTREAM_ENABLED);
        upstreams->next = id + 1;
        *ret_id = id;
        return 0;
    }
    return WEIR_EFULL;
}

void weir_upstreams_remove(struct weir_upstreams *upstreams, uint32_t id)
{
    row_of(upstreams, id)->used = false;
    atomic_fetch_or_explicit(&upstreams->words[id], WORD_CLOSED, memory_order_relaxed);
}

void weir_upstreams_set_max(struct weir_upstreams *upstreams, uint32_t id, uint32_t max_connections)
{
    atomic_store_explicit(&row_of(upstreams, id)->max_connections, max_connections, memory_order_relaxed);
    settle(upstreams, id);
}

void weir_upstreams_set_state(struct weir_upstreams *upstreams, uint32_t id, enum weir_upstream_state state)
{
    atomic_store_explicit(&row_of(upstreams, id)->state, state, memory_order_relaxed);
    if (state == WEIR_UPSTREAM_ENABLED)
        atomic_fetch_and_explicit(&upstreams->words[id], ~WORD_CLOSED, memory_order_relaxed);
    else
        atomic_fetch_or_explicit(&upstreams->words[id], WORD_CLOSED, memory_order_relaxed);
}

enum weir_upstream_state weir_upstreams_state(const struct weir_upstreams *upstreams, uint32_t id)
{
    assert(id < upstreams->capacity);
    return (enum weir_upstream_state)atomic_load_explicit(&upstreams->rows[id].state, memory_order_relaxed);
}

uint32_t weir_upstreams_active(const struct weir_upstreams *upstreams, uint32_t id)
{
    assert(id < upstreams->capacity);
    return atomic_load_explicit(&upstreams->words[id], memory_order_relaxed) & WORD_COUNT;
}

bool upstreams_take(struct weir_upstreams *upstreams, uint32_t id, uint32_t word)
{
    assert(word < WORD_COUNT);
    uint32_t max = load_max(upstreams, id);
    if (with_limit(word, max) != word) {
        settle(upstreams, id);
        return false;
    }
    if (!atomic_compare_exchange_strong_explicit(&upstreams->words[id], &word, with_limit(word + 1, max),
                                                 memory_order_acq_rel, memory_order_relaxed))
        return false;
    if (load_max(upstreams, id) != max)
        settle(upstreams, id);
    return true;
}

void weir_lease_release(struct weir_lease *lease)
{
    struct weir_upstreams *upstreams = lease->upstreams;
    if (upstreams == NULL)
        return;
    _Atomic uint32_t *word = &upstreams->words[lease->upstream];
    uint32_t seen = atomic_load_explicit(word, memory_order_relaxed), max;
    do {
        assert((seen & WORD_COUNT) > 0);
        max = load_max(upstreams, lease->upstream);
    } while (!atomic_compare_exchange_weak_explicit(word, &seen, with_limit(seen - 1, max), memory_order_acq_rel,
                                                    memory_order_relaxed));
    if (load_max(upstreams, lease->upstream) != max)
        settle(upstreams, lease->upstream);
    *lease = (struct weir_lease){ 0 };
}
