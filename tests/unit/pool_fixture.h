/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_POOL_FIXTURE_H
#define TESTS_UNIT_POOL_FIXTURE_H

#include "test.h"

#include <stdlib.h>

#include <weir/pool.h>

#define PLACES_MAX 10000

/* A pool whose places are added one after another, with a set of all of them; embedded, as the first member, in what
 * else a test needs. */
struct pool_fixture {
    struct weir_upstreams *upstreams;
    struct weir_place places[PLACES_MAX];
    uint32_t count;
    struct weir_pool *pool;
    struct weir_set *set;
};

/* `size`: of what it is embedded in. */
static inline int pool_set_up(void **state, size_t size)
{
    struct pool_fixture *f = calloc(1, size);
    *state = f;
    return f == NULL ? -1 : weir_upstreams_new(PLACES_MAX, &f->upstreams);
}

static inline int pool_tear_down(void **state)
{
    struct pool_fixture *f = *state;
    weir_set_free(&f->set);
    weir_pool_free(&f->pool);
    weir_upstreams_free(&f->upstreams);
    free(f);
    return 0;
}

static inline void add_place(struct pool_fixture *f, uint32_t weight, uint32_t max, bool backup)
{
    struct weir_place *place = &f->places[f->count++];
    *place = (struct weir_place){ .weight = weight, .backup = backup };
    assert_int_equal(weir_upstreams_add(f->upstreams, max, &place->upstream), 0);
}

static inline struct weir_set *set_of(struct weir_pool *pool, uint32_t first, uint32_t end)
{
    uint32_t places[PLACES_MAX] = { 0 };
    struct weir_set *set;
    for (uint32_t i = first; i < end; i++)
        places[i - first] = i;
    assert_int_equal(weir_set_new(pool, places, end - first, &set), 0);
    return set;
}

static inline void finish_pool(struct pool_fixture *f)
{
    assert_int_equal(weir_pool_new(f->upstreams, f->places, f->count, &f->pool), 0);
    f->set = set_of(f->pool, 0, f->count);
}

static inline void add_equal_places(struct pool_fixture *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        add_place(f, 1, 0, false);
    finish_pool(f);
}

static inline uint32_t active_at(const struct pool_fixture *f, uint32_t place)
{
    return weir_upstreams_active(f->upstreams, f->places[place].upstream);
}

#endif
