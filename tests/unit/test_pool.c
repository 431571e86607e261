/* SPDX-License-Identifier: Apache-2.0 */
#include "pool_fixture.h"

#include <string.h>

#include <weir/errors.h>

static int set_up(void **state)
{
    return pool_set_up(state, sizeof(struct pool_fixture));
}

static struct weir_lease acquired(struct weir_set *set)
{
    struct weir_lease lease;
    assert_int_equal(weir_set_acquire(set, NULL, 0, &lease), 0);
    return lease;
}

/* The place that is chosen now; nothing stays counted. */
static uint32_t chosen(struct weir_set *set)
{
    struct weir_lease lease = acquired(set);
    uint32_t place = lease.place;
    weir_lease_release(&lease);
    return place;
}

static void assert_none(struct weir_set *set, const struct weir_tried *tried)
{
    struct weir_lease lease = { .upstream = 7, .place = 8 };
    assert_int_equal(weir_set_acquire(set, tried, 0, &lease), WEIR_ENOUPSTREAM);
    assert_null(lease.upstreams);
    assert_int_equal(lease.upstream, 7);
    assert_int_equal(lease.place, 8);
}

/* The table */

static void a_table_holds_as_many_as_its_capacity(void **state)
{
    (void)state;
    struct weir_upstreams *upstreams = NULL;
    uint32_t id = 77;
    assert_int_equal(weir_upstreams_new(0, &upstreams), WEIR_EINVAL);
    assert_int_equal(weir_upstreams_new(UINT32_MAX, &upstreams), WEIR_EINVAL);
    assert_null(upstreams);
    assert_int_equal(weir_upstreams_new(3, &upstreams), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(weir_upstreams_add(upstreams, 0, &id), 0);
        assert_int_equal(id, i);
    }
    assert_int_equal(weir_upstreams_add(upstreams, 0, &id), WEIR_EFULL);
    assert_int_equal(id, 2);
    weir_upstreams_free(&upstreams);
    assert_null(upstreams);
    weir_upstreams_free(&upstreams);
}

static void an_id_is_reused_when_its_last_lease_is_back(void **state)
{
    (void)state;
    struct weir_upstreams *upstreams;
    struct weir_place place = { .weight = 1 };
    struct weir_pool *pool;
    uint32_t id = 77;
    assert_int_equal(weir_upstreams_new(1, &upstreams), 0);
    assert_int_equal(weir_upstreams_add(upstreams, 1, &place.upstream), 0);
    assert_int_equal(weir_pool_new(upstreams, &place, 1, &pool), 0);
    struct weir_set *set = set_of(pool, 0, 1);
    struct weir_lease lease = acquired(set);
    weir_set_free(&set);
    weir_pool_free(&pool);
    weir_upstreams_remove(upstreams, place.upstream);
    assert_int_equal(weir_upstreams_add(upstreams, 0, &id), WEIR_EFULL);
    weir_lease_release(&lease);
    assert_int_equal(weir_upstreams_add(upstreams, 0, &id), 0);
    assert_int_equal(id, place.upstream);
    assert_int_equal(weir_upstreams_active(upstreams, id), 0);
    assert_int_equal(weir_upstreams_state(upstreams, id), WEIR_UPSTREAM_ENABLED);
    weir_upstreams_free(&upstreams);
}

/* Pools and sets */

static void pools_of_wrong_places_are_refused(void **state)
{
    struct pool_fixture *f = *state;
    add_place(f, 1, 0, false);
    add_place(f, 1, 0, false);
    struct weir_pool *pool = NULL;
    struct weir_place places[2] = { f->places[0], f->places[1] };
    assert_int_equal(weir_pool_new(f->upstreams, places, 0, &pool), WEIR_EINVAL);
    assert_int_equal(weir_pool_new(f->upstreams, places, WEIR_PLACES_MAX + 1, &pool), WEIR_EINVAL);
    places[1].weight = 0;
    assert_int_equal(weir_pool_new(f->upstreams, places, 2, &pool), WEIR_EINVAL);
    places[1].weight = WEIR_WEIGHT_MAX + 1;
    assert_int_equal(weir_pool_new(f->upstreams, places, 2, &pool), WEIR_EINVAL);
    places[1].weight = WEIR_WEIGHT_MAX;
    places[1].upstream = places[0].upstream;
    assert_int_equal(weir_pool_new(f->upstreams, places, 2, &pool), WEIR_EINVAL);
    places[1].upstream = PLACES_MAX;
    assert_int_equal(weir_pool_new(f->upstreams, places, 2, &pool), WEIR_EINVAL);
    assert_null(pool);
    weir_pool_free(&pool);
}

static void a_pool_tells_its_places_and_their_health(void **state)
{
    struct pool_fixture *f = *state;
    for (uint32_t i = 0; i < 100; i++)
        add_place(f, 1 + i % 3, 0, i % 5 == 0);
    finish_pool(f);
    assert_int_equal(weir_pool_count(f->pool), 100);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(weir_pool_upstream(f->pool, i), f->places[i].upstream);
        assert_int_equal(weir_pool_health(f->pool, i), WEIR_PLACE_UP);
        for (int from = WEIR_PLACE_UP; from <= WEIR_PLACE_DOWN; from++) {
            for (int to = WEIR_PLACE_UP; to <= WEIR_PLACE_DOWN; to++) {
                weir_pool_set_health(f->pool, i, (enum weir_place_health)from);
                weir_pool_set_health(f->pool, i, (enum weir_place_health)to);
                assert_int_equal(weir_pool_health(f->pool, i), to);
            }
        }
    }
}

static void sets_take_places_in_any_order_but_each_once(void **state)
{
    struct pool_fixture *f = *state;
    add_equal_places(f, 200);
    struct weir_set *set = NULL;
    assert_int_equal(weir_set_new(f->pool, (uint32_t[]){ 7, 199, 64, 0 }, 4, &set), 0);
    assert_ptr_equal(weir_set_pool(set), f->pool);
    assert_int_equal(weir_set_count(set), 4);
    static const uint32_t expected[] = { 0, 7, 64, 199 };
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(weir_set_place(set, i), expected[i]);
    for (uint32_t i = 0; i < 70000; i++)
        assert_int_equal(weir_set_contains(set, i), i == 0 || i == 7 || i == 64 || i == 199);
    weir_set_free(&set);
    assert_null(set);
    assert_int_equal(weir_set_new(f->pool, (uint32_t[]){ 1, 2, 1 }, 3, &set), WEIR_EINVAL);
    assert_int_equal(weir_set_new(f->pool, (uint32_t[]){ 1, 1 }, 2, &set), WEIR_EINVAL);
    assert_int_equal(weir_set_new(f->pool, (uint32_t[]){ 200 }, 1, &set), WEIR_EINVAL);
    assert_int_equal(weir_set_new(f->pool, (uint32_t[]){ 65536 }, 1, &set), WEIR_EINVAL);
    assert_null(set);
    weir_set_free(&set);
}

static void an_empty_set_has_no_upstream(void **state)
{
    struct pool_fixture *f = *state;
    add_equal_places(f, 3);
    struct weir_set *set = set_of(f->pool, 0, 0);
    assert_int_equal(weir_set_count(set), 0);
    assert_false(weir_set_contains(set, 0));
    assert_none(set, NULL);
    weir_set_free(&set);
}

/* Choosing */

static void ties_go_round(void **state)
{
    struct pool_fixture *f = *state;
    add_equal_places(f, 150);
    uint32_t place = chosen(f->set);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(chosen(f->set), place = (place + 1) % 150);
}

static void ties_go_round_among_a_few_of_many(void **state)
{
    struct pool_fixture *f = *state;
    add_equal_places(f, 300);
    static const uint32_t few[] = { 3, 64, 65, 130, 299 };
    struct weir_set *set;
    assert_int_equal(weir_set_new(f->pool, few, 5, &set), 0);
    uint32_t at = 0;
    for (uint32_t first = chosen(set); few[at] != first;)
        at++;
    for (int i = 0; i < 100; i++)
        assert_int_equal(chosen(set), few[at = (at + 1) % 5]);
    weir_set_free(&set);
}

static void ties_between_weights_go_round_too(void **state)
{
    struct pool_fixture *f = *state;
    add_place(f, 1, 0, false);
    add_place(f, 2, 0, false);
    add_place(f, 3, 0, false);
    finish_pool(f);
    struct weir_lease leases[3];
    leases[0] = acquired(f->set); /* weight 3: 1/3 */
    leases[1] = acquired(f->set); /* weight 2: 1/2 */
    leases[2] = acquired(f->set); /* weight 3: 2/3 */
    assert_int_equal(active_at(f, 1), 1);
    assert_int_equal(active_at(f, 2), 2);
    uint32_t times[3] = { 0 }; /* now 1/1, 2/2 and 3/3 */
    for (int i = 0; i < 30; i++)
        times[chosen(f->set)]++;
    assert_int_equal(times[0], 10);
    assert_int_equal(times[1], 10);
    assert_int_equal(times[2], 10);
    for (int i = 0; i < 3; i++)
        weir_lease_release(&leases[i]);
}

static void sets_of_one_pool_begin_at_different_places(void **state)
{
    struct pool_fixture *f = *state;
    add_equal_places(f, 100);
    uint32_t times[100] = { 0 };
    for (int i = 0; i < 100; i++) {
        struct weir_set *set = set_of(f->pool, 0, 100);
        times[chosen(set)]++;
        weir_set_free(&set);
    }
    for (int i = 0; i < 100; i++)
        assert_true(times[i] <= 3);
}

static void arrivals_alone_leave_equal_upstreams_at_most_one_apart(void **state)
{
    struct pool_fixture *f = *state;
    add_equal_places(f, 99);
    uint32_t least = 0;
    for (uint32_t i = 0; i < 9900; i++) {
        struct weir_lease lease = acquired(f->set);
        assert_int_equal(lease.upstream, f->places[lease.place].upstream);
        assert_int_equal(active_at(f, lease.place), least + 1);
        if (i % 99 == 98)
            least++;
    }
}

static void weights_share_connections(void **state)
{
    struct pool_fixture *f = *state;
    static const uint32_t weights[] = { 1, 2, 5, 256, 100, 1, 3 };
    uint32_t sum = 0;
    for (uint32_t i = 0; i < 7; i++) {
        add_place(f, weights[i], 0, false);
        sum += weights[i];
    }
    finish_pool(f);
    for (uint32_t i = 0; i < 20 * sum; i++)
        acquired(f->set);
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(active_at(f, i), 20 * weights[i]);
}

static void backups_serve_when_nothing_else_does(void **state)
{
    struct pool_fixture *f = *state;
    add_place(f, 1, 1, false);
    add_place(f, 256, 0, true);
    add_place(f, 1, 0, false);
    finish_pool(f);
    struct weir_lease lease = acquired(f->set);
    while (lease.place != 0)
        lease = acquired(f->set);
    for (int i = 0; i < 10; i++)
        assert_int_equal(acquired(f->set).place, 2);
    weir_pool_set_health(f->pool, 2, WEIR_PLACE_DOWN);
    assert_int_equal(chosen(f->set), 1);
    weir_lease_release(&lease);
    assert_int_equal(chosen(f->set), 0);
}

static void ejected_places_are_the_last_resort_and_those_down_are_none(void **state)
{
    struct pool_fixture *f = *state;
    add_place(f, 1, 0, false);
    add_place(f, 1, 0, false);
    add_place(f, 1, 0, true);
    add_place(f, 1, 0, true);
    finish_pool(f);
    weir_pool_set_health(f->pool, 0, WEIR_PLACE_EJECTED);
    weir_pool_set_health(f->pool, 1, WEIR_PLACE_DOWN);
    weir_pool_set_health(f->pool, 2, WEIR_PLACE_EJECTED);
    assert_int_equal(chosen(f->set), 3);
    weir_pool_set_health(f->pool, 3, WEIR_PLACE_DOWN);
    assert_int_equal(chosen(f->set), 0);
    weir_pool_set_health(f->pool, 0, WEIR_PLACE_DOWN);
    assert_int_equal(chosen(f->set), 2);
    weir_pool_set_health(f->pool, 2, WEIR_PLACE_DOWN);
    assert_none(f->set, NULL);
    weir_pool_set_health(f->pool, 1, WEIR_PLACE_UP);
    assert_int_equal(chosen(f->set), 1);
}

static void a_full_upstream_waits_for_a_release(void **state)
{
    struct pool_fixture *f = *state;
    add_place(f, 1, 2, false);
    add_place(f, 1, 3, false);
    finish_pool(f);
    struct weir_lease leases[5];
    for (int i = 0; i < 5; i++)
        leases[i] = acquired(f->set);
    assert_int_equal(active_at(f, 0), 2);
    assert_int_equal(active_at(f, 1), 3);
    assert_none(f->set, NULL);
    for (int i = 0; i < 5; i++) {
        uint32_t place = leases[i].place;
        weir_lease_release(&leases[i]);
        leases[i] = acquired(f->set);
        assert_int_equal(leases[i].place, place);
        assert_none(f->set, NULL);
    }
}

static void the_limit_can_change_at_any_time(void **state)
{
    struct pool_fixture *f = *state;
    add_place(f, 1, 0, false);
    finish_pool(f);
    uint32_t id = f->places[0].upstream;
    struct weir_lease leases[4];
    for (int i = 0; i < 3; i++)
        leases[i] = acquired(f->set);
    weir_upstreams_set_max(f->upstreams, id, 2);
    assert_none(f->set, NULL);
    assert_int_equal(active_at(f, 0), 3);
    weir_lease_release(&leases[2]);
    assert_none(f->set, NULL);
    weir_lease_release(&leases[1]);
    leases[1] = acquired(f->set);
    assert_none(f->set, NULL);
    weir_upstreams_set_max(f->upstreams, id, 3);
    leases[2] = acquired(f->set);
    assert_none(f->set, NULL);
    weir_upstreams_set_max(f->upstreams, id, 0);
    leases[3] = acquired(f->set);
    assert_int_equal(active_at(f, 0), 4);
}

static void state_and_limit_are_kept_apart(void **state)
{
    struct pool_fixture *f = *state;
    add_place(f, 1, 1, false);
    finish_pool(f);
    uint32_t id = f->places[0].upstream;
    for (int closed = WEIR_UPSTREAM_DRAIN; closed <= WEIR_UPSTREAM_DISABLED; closed++) {
        struct weir_lease lease = acquired(f->set);
        weir_upstreams_set_state(f->upstreams, id, (enum weir_upstream_state)closed);
        assert_int_equal(weir_upstreams_state(f->upstreams, id), closed);
        weir_lease_release(&lease);
        assert_none(f->set, NULL);
        weir_upstreams_set_max(f->upstreams, id, 5);
        assert_none(f->set, NULL);
        weir_upstreams_set_max(f->upstreams, id, 1);
        weir_upstreams_set_state(f->upstreams, id, WEIR_UPSTREAM_ENABLED);
        lease = acquired(f->set);
        weir_upstreams_set_state(f->upstreams, id, (enum weir_upstream_state)closed);
        weir_upstreams_set_state(f->upstreams, id, WEIR_UPSTREAM_ENABLED);
        assert_none(f->set, NULL);
        weir_lease_release(&lease);
        assert_int_equal(active_at(f, 0), 0);
    }
}

static void what_was_tried_is_not_chosen_again(void **state)
{
    struct pool_fixture *f = *state;
    for (uint32_t i = 0; i < WEIR_TRIED_MAX; i++)
        add_place(f, 1 + i % 2, 0, i == 3);
    finish_pool(f);
    struct weir_tried tried = { 0 };
    bool seen[WEIR_TRIED_MAX] = { false };
    for (uint32_t i = 0; i < WEIR_TRIED_MAX; i++) {
        struct weir_lease lease;
        assert_int_equal(weir_set_acquire(f->set, &tried, 0, &lease), 0);
        assert_false(seen[lease.place]);
        assert_true(i < WEIR_TRIED_MAX - 1 || lease.place == 3);
        seen[lease.place] = true;
        weir_tried_add(&tried, lease.upstream);
        weir_lease_release(&lease);
    }
    assert_none(f->set, &tried);
}

static void pools_share_the_count_of_an_upstream(void **state)
{
    struct pool_fixture *f = *state;
    add_equal_places(f, 2);
    struct weir_place place = { .upstream = f->places[1].upstream, .weight = 9, .backup = true };
    struct weir_pool *other;
    assert_int_equal(weir_pool_new(f->upstreams, &place, 1, &other), 0);
    struct weir_set *set = set_of(other, 0, 1);
    weir_pool_set_health(f->pool, 1, WEIR_PLACE_DOWN);
    struct weir_lease lease = acquired(set);
    assert_int_equal(lease.upstream, place.upstream);
    assert_int_equal(lease.place, 0);
    weir_pool_set_health(f->pool, 1, WEIR_PLACE_UP);
    for (int i = 0; i < 5; i++)
        assert_int_equal(chosen(f->set), 0);
    weir_set_free(&set);
    weir_pool_free(&other);
    weir_lease_release(&lease);
    assert_int_equal(active_at(f, 1), 0);
}

static void releasing_clears_the_lease_and_nothing_can_be_released_twice(void **state)
{
    struct pool_fixture *f = *state;
    add_equal_places(f, 1);
    struct weir_lease lease = acquired(f->set);
    assert_int_equal(active_at(f, 0), 1);
    weir_lease_release(&lease);
    assert_null(lease.upstreams);
    weir_lease_release(&lease);
    assert_int_equal(active_at(f, 0), 0);
}

/* The model: everything by brute force. */

#define MODEL_UPSTREAMS 400
#define MODEL_POOLS 3
#define MODEL_SETS 9
#define MODEL_LEASES 1500

struct model {
    uint64_t random;
    struct weir_upstreams *upstreams;
    uint32_t active[MODEL_UPSTREAMS], max[MODEL_UPSTREAMS];
    enum weir_upstream_state upstream_state[MODEL_UPSTREAMS];
    struct model_pool {
        struct weir_pool *pool;
        struct weir_place places[MODEL_UPSTREAMS];
        enum weir_place_health health[MODEL_UPSTREAMS];
        uint32_t count;
    } pools[MODEL_POOLS];
    struct model_set {
        struct weir_set *set;
        struct model_pool *pool;
        bool holds[MODEL_UPSTREAMS]; /* by place */
    } sets[MODEL_SETS];
    struct weir_lease leases[MODEL_LEASES];
    uint32_t lease_count;
};

static uint32_t below(struct model *model, uint32_t bound)
{
    return test_random_below(&model->random, bound);
}

static void shuffle(struct model *model, uint32_t *list, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t j = below(model, i), swap = list[i - 1];
        list[i - 1] = list[j];
        list[j] = swap;
    }
}

static void model_make_pool(struct model *model, struct model_pool *pool)
{
    static const uint32_t palettes[] = { 1, 3, WEIR_WEIGHT_MAX };
    uint32_t ids[MODEL_UPSTREAMS], weights = palettes[below(model, 3)];
    for (uint32_t i = 0; i < MODEL_UPSTREAMS; i++)
        ids[i] = i;
    if (below(model, 2) == 0)
        shuffle(model, ids, MODEL_UPSTREAMS);
    pool->count = 1 + below(model, MODEL_UPSTREAMS);
    for (uint32_t i = 0; i < pool->count; i++)
        pool->places[i] = (struct weir_place){ ids[i], 1 + below(model, weights), below(model, 8) == 0 };
    assert_int_equal(weir_pool_new(model->upstreams, pool->places, pool->count, &pool->pool), 0);
}

static void model_make_set(struct model *model, struct model_set *set)
{
    uint32_t places[MODEL_UPSTREAMS], count = 0, share = 1 + below(model, 8);
    set->pool = &model->pools[below(model, MODEL_POOLS)];
    for (uint32_t i = 0; i < set->pool->count; i++) {
        set->holds[i] = below(model, share) == 0;
        if (set->holds[i])
            places[count++] = i;
    }
    shuffle(model, places, count);
    assert_int_equal(weir_set_new(set->pool->pool, places, count, &set->set), 0);
}

static struct model *model_new(uint64_t seed)
{
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    model->random = seed;
    assert_int_equal(weir_upstreams_new(MODEL_UPSTREAMS, &model->upstreams), 0);
    for (uint32_t i = 0; i < MODEL_UPSTREAMS; i++) {
        uint32_t id;
        model->max[i] = below(model, 2) == 0 ? 0 : 1 + below(model, 8);
        assert_int_equal(weir_upstreams_add(model->upstreams, model->max[i], &id), 0);
        assert_int_equal(id, i);
    }
    for (uint32_t i = 0; i < MODEL_POOLS; i++)
        model_make_pool(model, &model->pools[i]);
    for (uint32_t i = 0; i < MODEL_SETS; i++)
        model_make_set(model, &model->sets[i]);
    return model;
}

static void model_free(struct model *model)
{
    while (model->lease_count > 0)
        weir_lease_release(&model->leases[--model->lease_count]);
    for (uint32_t i = 0; i < MODEL_UPSTREAMS; i++)
        assert_int_equal(weir_upstreams_active(model->upstreams, i), 0);
    for (uint32_t i = 0; i < MODEL_SETS; i++)
        weir_set_free(&model->sets[i].set);
    for (uint32_t i = 0; i < MODEL_POOLS; i++)
        weir_pool_free(&model->pools[i].pool);
    weir_upstreams_free(&model->upstreams);
    free(model);
}

/* 0: not at all; else the higher the better. */
static int rank(const struct model *model, const struct model_set *set, uint32_t place, const struct weir_tried *tried)
{
    const struct weir_place *p = &set->pool->places[place];
    uint32_t id = p->upstream;
    bool full = model->max[id] != 0 && model->active[id] >= model->max[id];
    if (!set->holds[place] || full || model->upstream_state[id] != WEIR_UPSTREAM_ENABLED)
        return 0;
    for (uint32_t i = 0; i < tried->count; i++) {
        if (tried->upstream[i] == id)
            return 0;
    }
    switch (set->pool->health[place]) {
    case WEIR_PLACE_UP:
        return p->backup ? 3 : 4;
    case WEIR_PLACE_EJECTED:
        return p->backup ? 1 : 2;
    default:
        return 0;
    }
}

/* Whether the first place is as good as the second. */
static bool as_good(const struct model *model, const struct model_set *set, uint32_t a, uint32_t b)
{
    const struct weir_place *x = &set->pool->places[a], *y = &set->pool->places[b];
    return (uint64_t)(model->active[x->upstream] + 1) * y->weight <=
           (uint64_t)(model->active[y->upstream] + 1) * x->weight;
}

static void model_acquire(struct model *model)
{
    struct model_set *set = &model->sets[below(model, MODEL_SETS)];
    struct weir_tried tried = { 0 };
    struct weir_lease *lease = &model->leases[model->lease_count];
    for (uint32_t i = below(model, 4) == 0 ? below(model, WEIR_TRIED_MAX + 1) : 0; i > 0; i--)
        weir_tried_add(&tried, below(model, MODEL_UPSTREAMS));
    int err = weir_set_acquire(set->set, below(model, 2) == 0 || tried.count != 0 ? &tried : NULL, 0, lease);
    int chosen_rank = err == 0 ? rank(model, set, lease->place, &tried) : 0;
    assert_true(err == 0 ? chosen_rank > 0 : err == WEIR_ENOUPSTREAM);
    for (uint32_t i = 0; i < set->pool->count; i++) {
        int other = rank(model, set, i, &tried);
        assert_true(other <= chosen_rank);
        assert_true(other == 0 || other < chosen_rank || as_good(model, set, lease->place, i));
    }
    if (err != 0)
        return;
    assert_int_equal(lease->upstream, set->pool->places[lease->place].upstream);
    model->active[lease->upstream]++;
    assert_int_equal(weir_upstreams_active(model->upstreams, lease->upstream), model->active[lease->upstream]);
    model->lease_count++;
}

static void model_release(struct model *model)
{
    uint32_t i = below(model, model->lease_count), id = model->leases[i].upstream;
    weir_lease_release(&model->leases[i]);
    model->leases[i] = model->leases[--model->lease_count];
    model->active[id]--;
    assert_int_equal(weir_upstreams_active(model->upstreams, id), model->active[id]);
}

static void model_change(struct model *model)
{
    uint32_t id = below(model, MODEL_UPSTREAMS);
    struct model_pool *pool = &model->pools[below(model, MODEL_POOLS)];
    uint32_t place = below(model, pool->count);
    switch (below(model, 3)) {
    case 0:
        model->max[id] = below(model, 2) == 0 ? 0 : below(model, 10);
        weir_upstreams_set_max(model->upstreams, id, model->max[id]);
        break;
    case 1:
        model->upstream_state[id] =
            below(model, 2) == 0 ? WEIR_UPSTREAM_ENABLED : (enum weir_upstream_state)below(model, 3);
        weir_upstreams_set_state(model->upstreams, id, model->upstream_state[id]);
        break;
    default:
        pool->health[place] = below(model, 2) == 0 ? WEIR_PLACE_UP : (enum weir_place_health)below(model, 3);
        weir_pool_set_health(pool->pool, place, pool->health[place]);
        break;
    }
}

static void choosing_agrees_with_brute_force(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct model *model = model_new(seed);
        for (uint32_t step = 0; step < 4000; step++) {
            bool filling = step / 500 % 2 == 0;
            uint32_t dice = below(model, 10);
            if (dice == 0)
                model_change(model);
            else if (model->lease_count > 0 && (dice < (filling ? 4u : 7u) || model->lease_count == MODEL_LEASES))
                model_release(model);
            else
                model_acquire(model);
        }
        model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_holds_as_many_as_its_capacity),
        cmocka_unit_test(an_id_is_reused_when_its_last_lease_is_back),
        cmocka_unit_test_setup_teardown(pools_of_wrong_places_are_refused, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(a_pool_tells_its_places_and_their_health, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(sets_take_places_in_any_order_but_each_once, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(an_empty_set_has_no_upstream, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(ties_go_round, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(ties_go_round_among_a_few_of_many, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(ties_between_weights_go_round_too, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(sets_of_one_pool_begin_at_different_places, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(arrivals_alone_leave_equal_upstreams_at_most_one_apart, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(weights_share_connections, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(backups_serve_when_nothing_else_does, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(ejected_places_are_the_last_resort_and_those_down_are_none, set_up,
                                        pool_tear_down),
        cmocka_unit_test_setup_teardown(a_full_upstream_waits_for_a_release, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(the_limit_can_change_at_any_time, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(state_and_limit_are_kept_apart, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(what_was_tried_is_not_chosen_again, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(pools_share_the_count_of_an_upstream, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(releasing_clears_the_lease_and_nothing_can_be_released_twice, set_up,
                                        pool_tear_down),
        cmocka_unit_test(choosing_agrees_with_brute_force),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
