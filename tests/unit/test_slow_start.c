/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdlib.h>

#include <weir/errors.h>
#include <weir/pool.h>

#define SECOND UINT64_C(1000000000)
#define WHOLE (10 * SECOND) /* of a slow start */
#define LEASES_MAX 10000
#define PLACES_MAX 200

/* A pool with a set of all its places, and connections that come and go at a clock of the test's. */
struct fixture {
    struct weir_upstreams *upstreams;
    struct weir_place places[PLACES_MAX];
    uint32_t count;
    struct weir_pool *pool;
    struct weir_set *set;
    struct weir_lease leases[LEASES_MAX];
    uint32_t held;
    uint64_t now_ns, random;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (f == NULL)
        return -1;
    f->random = 1;
    f->now_ns = 1000 * SECOND;
    return weir_upstreams_new(PLACES_MAX, &f->upstreams);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    weir_set_free(&f->set);
    weir_pool_free(&f->pool);
    weir_upstreams_free(&f->upstreams);
    free(f);
    return 0;
}

static void add(struct fixture *f, uint32_t weight, uint32_t max, bool backup)
{
    struct weir_place *place = &f->places[f->count++];
    *place = (struct weir_place){ .weight = weight, .backup = backup };
    assert_int_equal(weir_upstreams_add(f->upstreams, max, &place->upstream), 0);
}

static void finish(struct fixture *f)
{
    uint32_t all[PLACES_MAX];
    for (uint32_t i = 0; i < f->count; i++)
        all[i] = i;
    assert_int_equal(weir_pool_new(f->upstreams, f->places, f->count, &f->pool), 0);
    assert_int_equal(weir_set_new(f->pool, all, f->count, &f->set), 0);
}

static void add_equal(struct fixture *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        add(f, 1, 0, false);
    finish(f);
}

static uint32_t active(const struct fixture *f, uint32_t place)
{
    return weir_upstreams_active(f->upstreams, f->places[place].upstream);
}

static uint32_t come(struct fixture *f)
{
    struct weir_lease *lease = &f->leases[f->held++];
    assert_int_equal(weir_set_acquire(f->set, NULL, f->now_ns, lease), 0);
    return lease->place;
}

static void come_many(struct fixture *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        come(f);
}

/* Somebody goes, whoever it is, and another one comes. */
static void change_one(struct fixture *f)
{
    struct weir_lease *lease = &f->leases[test_random_below(&f->random, f->held)];
    weir_lease_release(lease);
    *lease = f->leases[--f->held];
    come(f);
}

static void go_down(struct fixture *f, uint32_t place)
{
    weir_pool_set_health(f->pool, place, WEIR_PLACE_DOWN);
}

static void come_back(struct fixture *f, uint32_t place, uint64_t duration_ns)
{
    weir_pool_slow_start(f->pool, place, duration_ns, f->now_ns);
    weir_pool_set_health(f->pool, place, WEIR_PLACE_UP);
}

static void one_that_comes_back_fills_up_in_step_with_the_time(void **state)
{
    struct fixture *f = *state;
    add_equal(f, 4);
    go_down(f, 3);
    come_many(f, 900);
    come_back(f, 3, WHOLE);
    for (uint32_t step = 1; step <= 2000; step++) {
        f->now_ns += WHOLE / 2000;
        change_one(f);
        uint32_t share = step * 225 / 2000; /* of the 225 that each has in the end */
        assert_in_range(active(f, 3) + 5, share, share + 10);
    }
    for (uint32_t step = 0; step < 1000; step++)
        change_one(f);
    for (uint32_t place = 0; place < 4; place++)
        assert_in_range(active(f, place), 224, 226);
}

static void without_a_slow_start_everything_goes_to_it_at_once(void **state)
{
    struct fixture *f = *state;
    add_equal(f, 4);
    go_down(f, 3);
    come_many(f, 300);
    come_back(f, 3, 0);
    for (uint32_t i = 0; i < 99; i++)
        assert_int_equal(come(f), 3);
}

static void at_first_it_gets_no_more_than_its_turn(void **state)
{
    struct fixture *f = *state;
    add_equal(f, 4);
    go_down(f, 3);
    come_many(f, 300);
    come_back(f, 3, WHOLE);
    come_many(f, 40);
    assert_in_range(active(f, 3), 9, 11);
}

static void its_share_goes_by_its_weight(void **state)
{
    struct fixture *f = *state;
    add(f, 1, 0, false);
    add(f, 3, 0, false);
    add(f, 4, 0, false);
    finish(f);
    go_down(f, 2);
    come_many(f, 400);
    come_back(f, 2, WHOLE);
    f->now_ns += WHOLE / 2;
    come_many(f, 200); /* it is 200 short of 400; the others have 400 for a weight of 4 */
    assert_in_range(active(f, 2), 198, 202);
}

static void where_nobody_has_connections_it_is_one_of_all(void **state)
{
    struct fixture *f = *state;
    uint32_t times = 0;
    add_equal(f, 4);
    go_down(f, 3);
    come_back(f, 3, WHOLE);
    for (uint32_t i = 0; i < 40; i++)
        times += come(f) == 3;
    assert_int_equal(times, 10);
}

static void those_that_come_back_together_are_alike(void **state)
{
    struct fixture *f = *state;
    add_equal(f, 3);
    go_down(f, 1);
    go_down(f, 2);
    come_many(f, 100);
    come_back(f, 1, WHOLE);
    come_back(f, 2, WHOLE);
    for (uint32_t step = 0; step < 100; step++) {
        f->now_ns += WHOLE / 200;
        change_one(f);
    }
    assert_in_range(active(f, 1), active(f, 2) - 3, active(f, 2) + 3);
    assert_in_range(active(f, 1), 15, 19); /* of the 33 that each has in the end */
}

static void what_it_still_has_counts(void **state)
{
    struct fixture *f = *state;
    add_equal(f, 3);
    come_many(f, 300);
    go_down(f, 2);
    come_back(f, 2, WHOLE);
    come_many(f, 30);
    assert_int_equal(active(f, 2), 110);
}

static void it_serves_when_nobody_else_can(void **state)
{
    struct fixture *f = *state;
    add(f, 1, 50, false);
    add(f, 1, 0, false);
    add(f, 1, 0, true);
    finish(f);
    go_down(f, 1);
    come_many(f, 50);
    come_back(f, 1, WHOLE);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(come(f), 1);
}

static void a_full_one_is_not_chosen(void **state)
{
    struct fixture *f = *state;
    add(f, 1, 0, false);
    add(f, 1, 5, false);
    finish(f);
    go_down(f, 1);
    come_many(f, 20);
    come_back(f, 1, WHOLE);
    f->now_ns += WHOLE / 2;
    come_many(f, 50);
    assert_int_equal(active(f, 1), 5);
}

static void a_second_start_replaces_the_first(void **state)
{
    struct fixture *f = *state;
    add_equal(f, 2);
    go_down(f, 1);
    come_many(f, 100);
    come_back(f, 1, WHOLE);
    f->now_ns += WHOLE - SECOND;
    come_back(f, 1, WHOLE);
    come_many(f, 20);
    assert_in_range(active(f, 1), 9, 11);
    f->now_ns += 2 * WHOLE;
    come_many(f, 80);
    assert_int_equal(active(f, 1), 90);
}

/* The reference works out every place's connections with fractions, from the words of the contract. */

struct slow {
    long double start; /* connections that it was taken to have in addition */
    uint64_t since_ns, duration_ns;
};

static long double counts_for(const struct fixture *f, const struct slow *slow, uint32_t place)
{
    long double passed = slow[place].duration_ns == 0
                             ? 1
                             : (long double)(f->now_ns - slow[place].since_ns) / (long double)slow[place].duration_ns;
    return active(f, place) + (passed < 1 ? slow[place].start * (1 - passed) : 0);
}

static void start_slowly(struct fixture *f, struct slow *slow, uint32_t place)
{
    long double connections = 0, weights = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        if (i == place)
            continue;
        connections += counts_for(f, slow, i);
        weights += f->places[i].weight;
    }
    long double start = connections / weights * f->places[place].weight - active(f, place);
    slow[place] = (struct slow){ start > 0 ? start : 0, f->now_ns, SECOND + test_random(&f->random) % WHOLE };
    weir_pool_slow_start(f->pool, place, slow[place].duration_ns, f->now_ns);
}

static void assert_best(const struct fixture *f, const struct slow *slow, uint32_t place)
{
    /* Rounding: half a connection for each start, and those that followed from it. */
    const long double play = 2;
    long double mine = (counts_for(f, slow, place) - play) / f->places[place].weight;
    for (uint32_t i = 0; i < f->count; i++)
        assert_true(mine <= (counts_for(f, slow, i) + 1 + play) / f->places[i].weight);
}

static void choosing_agrees_with_fractions(void **state)
{
    struct fixture *f = *state;
    struct slow slow[PLACES_MAX] = { 0 };
    for (uint32_t i = 0; i < PLACES_MAX; i++)
        add(f, 1 + i / 50, 0, false);
    finish(f);
    come_many(f, 5000);
    for (uint32_t step = 0; step < 20000; step++) {
        f->now_ns += test_random_below(&f->random, SECOND / 100);
        if (test_random_below(&f->random, 100) == 0)
            start_slowly(f, slow, test_random_below(&f->random, f->count));
        if (f->held > 0 && test_random_below(&f->random, 2) == 0) {
            struct weir_lease *lease = &f->leases[test_random_below(&f->random, f->held)];
            weir_lease_release(lease);
            *lease = f->leases[--f->held];
        } else if (f->held < LEASES_MAX) {
            assert_best(f, slow, come(f));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_comes_back_fills_up_in_step_with_the_time, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_slow_start_everything_goes_to_it_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(at_first_it_gets_no_more_than_its_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(its_share_goes_by_its_weight, setup, teardown),
        cmocka_unit_test_setup_teardown(where_nobody_has_connections_it_is_one_of_all, setup, teardown),
        cmocka_unit_test_setup_teardown(those_that_come_back_together_are_alike, setup, teardown),
        cmocka_unit_test_setup_teardown(what_it_still_has_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(it_serves_when_nobody_else_can, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_one_is_not_chosen, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_start_replaces_the_first, setup, teardown),
        cmocka_unit_test_setup_teardown(choosing_agrees_with_fractions, setup, teardown),
    };
    return cmocka_run_group_tests_name("slow start", tests, NULL, NULL);
}
