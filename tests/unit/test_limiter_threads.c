/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <weir/errors.h>
#include <weir/limiter.h>

#define THREADS 4
#define LIMIT 8
#define ROUNDS 1000
#define ATTEMPTS (10 * LIMIT / THREADS)
#define SECOND UINT64_C(1000000000)

static const struct weir_limits limits = { .connections = LIMIT };

struct contest {
    struct weir_client *client;   /* a configured one, or NULL: */
    struct weir_limiter *limiter; /* one of this table */
    pthread_barrier_t barrier;
    _Atomic uint32_t admitted;
    _Atomic uint32_t wrong;
};

static int enter(struct contest *contest, struct weir_client **ret_client)
{
    if (contest->client != NULL)
        return weir_client_enter(contest->client, &limits, SECOND, ret_client);
    return weir_limiter_enter(contest->limiter, "10.0.0.1", 8, &limits, SECOND, ret_client);
}

/* Each round, ten times as many as may enter try; all leave before the next one. */
static void *contend(void *context)
{
    struct contest *contest = context;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct weir_client *held[ATTEMPTS] = { NULL };
        pthread_barrier_wait(&contest->barrier);
        for (int i = 0; i < ATTEMPTS; i++) {
            int err = enter(contest, &held[i]);
            if (err == 0)
                atomic_fetch_add(&contest->admitted, 1);
            else if (err != WEIR_ELIMIT)
                atomic_fetch_add(&contest->wrong, 1);
        }
        pthread_barrier_wait(&contest->barrier);
        if (atomic_load(&contest->admitted) != LIMIT * (round + 1))
            atomic_fetch_add(&contest->wrong, 1);
        for (int i = 0; i < ATTEMPTS; i++)
            weir_client_leave(&held[i]);
    }
    return NULL;
}

static void run(void *(*thread)(void *), void *context)
{
    pthread_t handles[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&handles[i], NULL, thread, context), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(handles[i], NULL);
}

static void exactly_as_many_as_the_limit_enter_each_time(void **state)
{
    (void)state;
    struct contest contest = { 0 };
    pthread_barrier_init(&contest.barrier, NULL, THREADS);
    assert_int_equal(weir_client_new(&contest.client), 0);
    run(contend, &contest);
    assert_int_equal(contest.wrong, 0);
    assert_int_equal(weir_client_active(contest.client), 0);
    weir_client_unref(&contest.client);
    pthread_barrier_destroy(&contest.barrier);
}

static void exactly_as_many_enter_by_name_too(void **state)
{
    (void)state;
    struct contest contest = { 0 };
    pthread_barrier_init(&contest.barrier, NULL, THREADS);
    assert_int_equal(weir_limiter_new(3, 1, &contest.limiter), 0);
    run(contend, &contest);
    assert_int_equal(contest.wrong, 0);
    assert_int_equal(weir_limiter_active(contest.limiter), 0);
    weir_limiter_free(&contest.limiter);
    pthread_barrier_destroy(&contest.barrier);
}

#define BURST 1000

struct race {
    struct weir_client *client;
    _Atomic uint32_t admitted;
};

static void *spend(void *context)
{
    static const struct weir_limits rate = { .rate_period_ns = SECOND, .burst = BURST };
    struct race *race = context;
    struct weir_client *held = NULL;
    for (int i = 0; i < BURST; i++) {
        if (weir_client_enter(race->client, &rate, 5 * SECOND, &held) == 0)
            atomic_fetch_add(&race->admitted, 1);
        weir_client_leave(&held);
    }
    return NULL;
}

static void no_token_is_spent_twice(void **state)
{
    (void)state;
    struct race race = { 0 };
    assert_int_equal(weir_client_new(&race.client), 0);
    run(spend, &race);
    assert_int_equal(race.admitted, BURST);
    weir_client_unref(&race.client);
}

#define NAMES 200
#define CAPACITY 100
#define HELD 20

struct storm {
    struct weir_limiter *limiter;
    _Atomic uint64_t seed;
    _Atomic uint32_t active[NAMES];
    _Atomic uint32_t wrong;
};

/* A table with room for the names held, not for all: records come and go all the time. */
static void *come_and_go(void *context)
{
    struct storm *storm = context;
    uint64_t random = atomic_fetch_add(&storm->seed, 1);
    struct weir_client *held[HELD] = { NULL };
    uint32_t holder[HELD] = { 0 };
    for (int i = 0; i < 20000; i++) {
        uint32_t slot = test_random_below(&random, HELD), name = test_random_below(&random, NAMES);
        if (held[slot] != NULL) {
            atomic_fetch_sub(&storm->active[holder[slot]], 1);
            weir_client_leave(&held[slot]);
        }
        int err = weir_limiter_enter(storm->limiter, &name, sizeof name, &limits, SECOND, &held[slot]);
        if (err == 0 && atomic_fetch_add(&storm->active[name], 1) >= LIMIT)
            atomic_fetch_add(&storm->wrong, 1);
        if (err != 0 && err != WEIR_ELIMIT)
            atomic_fetch_add(&storm->wrong, 1);
        if (weir_limiter_records(storm->limiter) > CAPACITY)
            atomic_fetch_add(&storm->wrong, 1);
        holder[slot] = name;
    }
    for (int i = 0; i < HELD; i++)
        weir_client_leave(&held[i]);
    return NULL;
}

static void records_come_and_go_on_all_threads(void **state)
{
    (void)state;
    struct storm storm = { .seed = 1 };
    assert_int_equal(weir_limiter_new(CAPACITY, 7, &storm.limiter), 0);
    run(come_and_go, &storm);
    assert_int_equal(storm.wrong, 0);
    assert_int_equal(weir_limiter_active(storm.limiter), 0);
    weir_limiter_free(&storm.limiter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_as_many_as_the_limit_enter_each_time),
        cmocka_unit_test(exactly_as_many_enter_by_name_too),
        cmocka_unit_test(no_token_is_spent_twice),
        cmocka_unit_test(records_come_and_go_on_all_threads),
    };
    return cmocka_run_group_tests_name("limiter_threads", tests, NULL, NULL);
}
