/* SPDX-License-Identifier: Apache-2.0 */
#include "pool_fixture.h"

#include <weir/errors.h>

#define SECOND UINT64_C(1000000000)
#define WHOLE (10 * SECOND) /* of a slow start */
#define LEASES_MAX 10000
#define MANY 200

/* Connections that come and go at a clock of the test's. */
struct fixture {
    struct pool_fixture pool; /* first */
    struct weir_lease leases[LEASES_MAX];
    uint32_t held;
    uint64_t now_ns, random;
};

static int set_up(void **state)
{
    int err = pool_set_up(state, sizeof(struct fixture));
    struct fixture *f = *state;
    if (f != NULL) {
        f->random = 1;
        f->now_ns = 1000 * SECOND;
    }
    return err;
}

static uint32_t come(struct fixture *f)
{
    struct weir_lease *lease = &f->leases[f->held++];
    assert_int_equal(weir_set_acquire(f->pool.set, NULL, f->now_ns, lease), 0);
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
    weir_pool_set_health(f->pool.pool, place, WEIR_PLACE_DOWN);
}

static void come_back(struct fixture *f, uint32_t place, uint64_t duration_ns)
{
    weir_pool_slow_start(f->pool.pool, place, duration_ns, f->now_ns);
    weir_pool_set_health(f->pool.pool, place, WEIR_PLACE_UP);
}

static void one_that_comes_back_fills_up_in_step_with_the_time(void **state)
{
    struct fixture *f = *state;
    add_equal_places(&f->pool, 4);
    go_down(f, 3);
    come_many(f, 900);
    come_back(f, 3, WHOLE);
    for (uint32_t step = 1; step <= 2000; step++) {
        f->now_ns += WHOLE / 2000;
        change_one(f);
        uint32_t share = step * 225 / 2000; /* of the 225 that each has in the end */
        assert_in_range(active_at(&f->pool, 3) + 5, share, share + 10);
    }
    for (uint32_t step = 0; step < 1000; step++)
        change_one(f);
    for (uint32_t place = 0; place < 4; place++)
        assert_in_range(active_at(&f->pool, place), 224, 226);
}

static void without_a_slow_start_everything_goes_to_it_at_once(void **state)
{
    struct fixture *f = *state;
    add_equal_places(&f->pool, 4);
    go_down(f, 3);
    come_many(f, 300);
    come_back(f, 3, 0);
    for (uint32_t i = 0; i < 99; i++)
        assert_int_equal(come(f), 3);
}

static void at_first_it_gets_no_more_than_its_turn(void **state)
{
    struct fixture *f = *state;
    add_equal_places(&f->pool, 4);
    go_down(f, 3);
    come_many(f, 300);
    come_back(f, 3, WHOLE);
    come_many(f, 40);
    assert_in_range(active_at(&f->pool, 3), 9, 11);
}

static void its_share_goes_by_its_weight(void **state)
{
    struct fixture *f = *state;
    add_place(&f->pool, 1, 0, false);
    add_place(&f->pool, 3, 0, false);
    add_place(&f->pool, 4, 0, false);
    finish_pool(&f->pool);
    go_down(f, 2);
    come_many(f, 400);
    come_back(f, 2, WHOLE);
    f->now_ns += WHOLE / 2;
    come_many(f, 200); /* it is 200 short of 400; the others have 400 for a weight of 4 */
    assert_in_range(active_at(&f->pool, 2), 198, 202);
}

static void where_nobody_has_connections_it_is_one_of_all(void **state)
{
    struct fixture *f = *state;
    uint32_t times = 0;
    add_equal_places(&f->pool, 4);
    go_down(f, 3);
    come_back(f, 3, WHOLE);
    for (uint32_t i = 0; i < 40; i++)
        times += come(f) == 3;
    assert_int_equal(times, 10);
}

static void those_that_come_back_together_are_alike(void **state)
{
    struct fixture *f = *state;
    add_equal_places(&f->pool, 3);
    go_down(f, 1);
    go_down(f, 2);
    come_many(f, 100);
    come_back(f, 1, WHOLE);
    come_back(f, 2, WHOLE);
    for (uint32_t step = 0; step < 100; step++) {
        f->now_ns += WHOLE / 200;
        change_one(f);
    }
    assert_in_range(active_at(&f->pool, 1), active_at(&f->pool, 2) - 3, active_at(&f->pool, 2) + 3);
    assert_in_range(active_at(&f->pool, 1), 15, 19); /* of the 33 that each has in the end */
}

static void what_it_still_has_counts(void **state)
{
    struct fixture *f = *state;
    add_equal_places(&f->pool, 3);
    come_many(f, 300);
    go_down(f, 2);
    come_back(f, 2, WHOLE);
    come_many(f, 30);
    assert_int_equal(active_at(&f->pool, 2), 110);
}

static void it_serves_when_nobody_else_can(void **state)
{
    struct fixture *f = *state;
    add_place(&f->pool, 1, 50, false);
    add_place(&f->pool, 1, 0, false);
    add_place(&f->pool, 1, 0, true);
    finish_pool(&f->pool);
    go_down(f, 1);
    come_many(f, 50);
    come_back(f, 1, WHOLE);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(come(f), 1);
}

static void a_full_one_is_not_chosen(void **state)
{
    struct fixture *f = *state;
    add_place(&f->pool, 1, 0, false);
    add_place(&f->pool, 1, 5, false);
    finish_pool(&f->pool);
    go_down(f, 1);
    come_many(f, 20);
    come_back(f, 1, WHOLE);
    f->now_ns += WHOLE / 2;
    come_many(f, 50);
    assert_int_equal(active_at(&f->pool, 1), 5);
}

static void a_second_start_replaces_the_first(void **state)
{
    struct fixture *f = *state;
    add_equal_places(&f->pool, 2);
    go_down(f, 1);
    come_many(f, 100);
    come_back(f, 1, WHOLE);
    f->now_ns += WHOLE - SECOND;
    come_back(f, 1, WHOLE);
    come_many(f, 20);
    assert_in_range(active_at(&f->pool, 1), 9, 11);
    f->now_ns += 2 * WHOLE;
    come_many(f, 80);
    assert_int_equal(active_at(&f->pool, 1), 90);
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
    return active_at(&f->pool, place) + (passed < 1 ? slow[place].start * (1 - passed) : 0);
}

static void start_slowly(struct fixture *f, struct slow *slow, uint32_t place)
{
    long double connections = 0, weights = 0;
    for (uint32_t i = 0; i < f->pool.count; i++) {
        if (i == place)
            continue;
        connections += counts_for(f, slow, i);
        weights += f->pool.places[i].weight;
    }
    long double start = connections / weights * f->pool.places[place].weight - active_at(&f->pool, place);
    slow[place] = (struct slow){ start > 0 ? start : 0, f->now_ns, SECOND + test_random(&f->random) % WHOLE };
    weir_pool_slow_start(f->pool.pool, place, slow[place].duration_ns, f->now_ns);
}

static void assert_best(const struct fixture *f, const struct slow *slow, uint32_t place)
{
    /* Rounding: half a connection for each start, and those that followed from it. */
    const long double play = 2;
    long double mine = (counts_for(f, slow, place) - play) / f->pool.places[place].weight;
    for (uint32_t i = 0; i < f->pool.count; i++)
        assert_true(mine <= (counts_for(f, slow, i) + 1 + play) / f->pool.places[i].weight);
}

static void choosing_agrees_with_fractions(void **state)
{
    struct fixture *f = *state;
    struct slow slow[MANY] = { 0 };
    for (uint32_t i = 0; i < MANY; i++)
        add_place(&f->pool, 1 + i / 50, 0, false);
    finish_pool(&f->pool);
    come_many(f, 5000);
    for (uint32_t step = 0; step < 20000; step++) {
        f->now_ns += test_random_below(&f->random, SECOND / 100);
        if (test_random_below(&f->random, 100) == 0)
            start_slowly(f, slow, test_random_below(&f->random, f->pool.count));
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
        cmocka_unit_test_setup_teardown(one_that_comes_back_fills_up_in_step_with_the_time, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(without_a_slow_start_everything_goes_to_it_at_once, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(at_first_it_gets_no_more_than_its_turn, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(its_share_goes_by_its_weight, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(where_nobody_has_connections_it_is_one_of_all, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(those_that_come_back_together_are_alike, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(what_it_still_has_counts, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(it_serves_when_nobody_else_can, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(a_full_one_is_not_chosen, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(a_second_start_replaces_the_first, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(choosing_agrees_with_fractions, set_up, pool_tear_down),
    };
    return cmocka_run_group_tests_name("slow start", tests, NULL, NULL);
}
