/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/param.h>

#include <weir/errors.h>
#include <weir/pool.h>

#define THREADS 4
#define UPSTREAMS 100

struct shared {
    struct weir_upstreams *upstreams;
    uint32_t ids[UPSTREAMS];
    struct weir_pool *pool;
    struct weir_set *set;
    _Atomic uint32_t arrived;
    _Atomic uint32_t finished;
    _Atomic uint32_t admitted;
};

static int setup(void **state)
{
    struct shared *shared = calloc(1, sizeof *shared);
    struct weir_place places[UPSTREAMS];
    uint32_t all[UPSTREAMS];
    *state = shared;
    if (shared == NULL || weir_upstreams_new(UPSTREAMS, &shared->upstreams) != 0)
        return -1;
    for (uint32_t i = 0; i < UPSTREAMS; i++) {
        places[i] = (struct weir_place){ .weight = 1 };
        all[i] = i;
        if (weir_upstreams_add(shared->upstreams, 0, &places[i].upstream) != 0)
            return -1;
        shared->ids[i] = places[i].upstream;
    }
    if (weir_pool_new(shared->upstreams, places, UPSTREAMS, &shared->pool) != 0)
        return -1;
    return weir_set_new(shared->pool, all, UPSTREAMS, &shared->set);
}

static int teardown(void **state)
{
    struct shared *shared = *state;
    weir_set_free(&shared->set);
    weir_pool_free(&shared->pool);
    weir_upstreams_free(&shared->upstreams);
    free(shared);
    return 0;
}

static uint32_t active(const struct shared *shared, uint32_t i)
{
    return weir_upstreams_active(shared->upstreams, shared->ids[i]);
}

/* All threads begin together. */
static void wait_for_all(struct shared *shared, uint32_t threads)
{
    atomic_fetch_add(&shared->arrived, 1);
    while (atomic_load(&shared->arrived) < threads)
        ;
}

static void run(struct shared *shared, void *(*thread)(void *), uint32_t threads, void (*meanwhile)(struct shared *))
{
    pthread_t handles[THREADS];
    shared->arrived = shared->finished = 0;
    for (uint32_t i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&handles[i], NULL, thread, shared), 0);
    while (meanwhile != NULL && atomic_load(&shared->finished) < threads)
        meanwhile(shared);
    for (uint32_t i = 0; i < threads; i++)
        pthread_join(handles[i], NULL);
}

#define ARRIVALS 10000

static void *arrive(void *context)
{
    struct shared *shared = context;
    struct weir_lease lease;
    wait_for_all(shared, 2);
    for (int i = 0; i < ARRIVALS / 2; i++) {
        if (weir_set_acquire(shared->set, NULL, 0, &lease) == 0)
            atomic_fetch_add(&shared->admitted, 1);
    }
    atomic_fetch_add(&shared->finished, 1);
    return NULL;
}

/* Counts only grow, so the most of a first look can't be more than one above the least of a second one. */
static void look_twice(struct shared *shared)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < UPSTREAMS; i++)
        most = MAX(most, active(shared, i));
    for (uint32_t i = 0; i < UPSTREAMS; i++)
        assert_true(active(shared, i) + 1 >= most);
}

static void arrivals_of_two_threads_leave_equal_upstreams_at_most_one_apart(void **state)
{
    struct shared *shared = *state;
    run(shared, arrive, 2, look_twice);
    assert_int_equal(shared->admitted, ARRIVALS);
    for (uint32_t i = 0; i < UPSTREAMS; i++)
        assert_int_equal(active(shared, i), ARRIVALS / UPSTREAMS);
}

/* With a number of arrivals that does not divide, the rest is spread as well. */
static void arrivals_are_even_after_every_round(void **state)
{
    struct shared *shared = *state;
    for (uint32_t i = 90; i < UPSTREAMS; i++)
        weir_pool_set_health(shared->pool, i, WEIR_PLACE_DOWN);
    for (uint32_t round = 1; round <= 20; round++) {
        run(shared, arrive, 2, NULL);
        uint32_t floor = round * ARRIVALS / 90;
        for (uint32_t i = 0; i < 90; i++)
            assert_true(active(shared, i) == floor || active(shared, i) == floor + 1);
    }
}

#define LIMIT 7

static void *fill(void *context)
{
    struct shared *shared = context;
    struct weir_lease lease;
    wait_for_all(shared, THREADS);
    while (weir_set_acquire(shared->set, NULL, 0, &lease) == 0)
        atomic_fetch_add(&shared->admitted, 1);
    return NULL;
}

static void limits_are_exact_under_contention(void **state)
{
    struct shared *shared = *state;
    for (uint32_t i = 0; i < UPSTREAMS; i++)
        weir_upstreams_set_max(shared->upstreams, shared->ids[i], LIMIT);
    run(shared, fill, THREADS, NULL);
    assert_int_equal(shared->admitted, LIMIT * UPSTREAMS);
    for (uint32_t i = 0; i < UPSTREAMS; i++)
        assert_int_equal(active(shared, i), LIMIT);
}

#define HELD 20
#define ROUNDS 3000

static void *churn(void *context)
{
    struct shared *shared = context;
    struct weir_lease leases[HELD] = { 0 };
    wait_for_all(shared, THREADS);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct weir_tried tried = { 0 };
        struct weir_lease *lease = &leases[i % HELD];
        if (lease->upstreams != NULL)
            weir_tried_add(&tried, lease->upstream);
        weir_lease_release(lease);
        if (weir_set_acquire(shared->set, &tried, i, lease) == 0 && tried.count > 0 &&
            tried.upstream[0] == lease->upstream)
            abort();
    }
    for (uint32_t i = 0; i < HELD; i++)
        weir_lease_release(&leases[i]);
    atomic_fetch_add(&shared->finished, 1);
    return NULL;
}

static void change(struct shared *shared)
{
    static uint64_t random = 1;
    uint32_t place = test_random_below(&random, UPSTREAMS), id = shared->ids[place];
    weir_upstreams_set_max(shared->upstreams, id, test_random_below(&random, 3));
    weir_upstreams_set_state(shared->upstreams, id, (enum weir_upstream_state)test_random_below(&random, 3));
    weir_pool_slow_start(shared->pool, place, test_random_below(&random, ROUNDS), test_random_below(&random, ROUNDS));
    weir_pool_set_health(shared->pool, place, (enum weir_place_health)test_random_below(&random, 3));
}

static void nothing_is_lost_while_everything_changes(void **state)
{
    struct shared *shared = *state;
    run(shared, churn, THREADS, change);
    for (uint32_t i = 0; i < UPSTREAMS; i++) {
        assert_int_equal(active(shared, i), 0);
        weir_upstreams_set_max(shared->upstreams, shared->ids[i], 1);
        weir_upstreams_set_state(shared->upstreams, shared->ids[i], WEIR_UPSTREAM_ENABLED);
        weir_pool_set_health(shared->pool, i, WEIR_PLACE_UP);
    }
    run(shared, fill, THREADS, NULL);
    assert_int_equal(shared->admitted, UPSTREAMS);
}

/* Every count and limit is looked at again and again while it changes: the bit "full" must end up right. */
static void a_limit_set_while_connections_come_and_go_holds(void **state)
{
    struct shared *shared = *state;
    for (uint32_t limit = 1; limit <= 20; limit++) {
        shared->admitted = 0;
        run(shared, churn, THREADS, change);
        for (uint32_t i = 0; i < UPSTREAMS; i++) {
            weir_upstreams_set_state(shared->upstreams, shared->ids[i], WEIR_UPSTREAM_ENABLED);
            weir_pool_set_health(shared->pool, i, i == 0 ? WEIR_PLACE_UP : WEIR_PLACE_DOWN);
        }
        weir_upstreams_set_max(shared->upstreams, shared->ids[0], limit);
        run(shared, fill, THREADS, NULL);
        assert_int_equal(shared->admitted, limit);
        assert_int_equal(active(shared, 0), limit);
        for (; shared->admitted > 0; shared->admitted--)
            weir_lease_release(&(struct weir_lease){ shared->upstreams, shared->ids[0], 0 });
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(arrivals_of_two_threads_leave_equal_upstreams_at_most_one_apart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(arrivals_are_even_after_every_round, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_are_exact_under_contention, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_lost_while_everything_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_limit_set_while_connections_come_and_go_holds, setup, teardown),
    };
    return cmocka_run_group_tests_name("pool_threads", tests, NULL, NULL);
}
