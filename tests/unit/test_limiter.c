/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>
#include <weir/limiter.h>

#define SECOND UINT64_C(1000000000)
#define START (1000 * SECOND)

static const struct weir_limits no_limits;

static struct weir_client *new_client(void)
{
    struct weir_client *client = NULL;
    assert_int_equal(weir_client_new(&client), 0);
    assert_int_equal(weir_client_active(client), 0);
    return client;
}

static struct weir_limiter *new_limiter(uint32_t capacity)
{
    struct weir_limiter *limiter = NULL;
    assert_int_equal(weir_limiter_new(capacity, 42, &limiter), 0);
    return limiter;
}

static int enter_name(struct weir_limiter *limiter, const char *name, const struct weir_limits *limits, uint64_t now_ns,
                      struct weir_client **ret_client)
{
    return weir_limiter_enter(limiter, name, strlen(name), limits, now_ns, ret_client);
}

static int enter_number(struct weir_limiter *limiter, uint32_t number, const struct weir_limits *limits,
                        uint64_t now_ns, struct weir_client **ret_client)
{
    return weir_limiter_enter(limiter, &number, sizeof number, limits, now_ns, ret_client);
}

/* Connections at once */

static void as_many_as_the_limit_enter(void **state)
{
    (void)state;
    const struct weir_limits limits = { .connections = 3 };
    struct weir_client *client = new_client(), *held[3] = { NULL }, *other = NULL;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++) {
            assert_int_equal(weir_client_enter(client, &limits, START, &held[i]), 0);
            assert_ptr_equal(held[i], client);
        }
        assert_int_equal(weir_client_enter(client, &limits, START, &other), WEIR_ELIMIT);
        assert_null(other);
        assert_int_equal(weir_client_active(client), 3);
        for (int i = 0; i < 3; i++) {
            weir_client_leave(&held[i]);
            assert_null(held[i]);
        }
        assert_int_equal(weir_client_active(client), 0);
    }
    weir_client_unref(&client);
    assert_null(client);
}

static void no_limit_means_no_limit(void **state)
{
    (void)state;
    struct weir_client *client = new_client(), *held[1000];
    for (int i = 0; i < 1000; i++)
        assert_int_equal(weir_client_enter(client, &no_limits, START, &held[i]), 0);
    assert_int_equal(weir_client_active(client), 1000);
    for (int i = 0; i < 1000; i++)
        weir_client_leave(&held[i]);
    weir_client_unref(&client);
}

static void a_limit_below_the_present_count_keeps_new_ones_out(void **state)
{
    (void)state;
    struct weir_limits limits = { .connections = 3 };
    struct weir_client *client = new_client(), *held[3], *other = NULL;
    for (int i = 0; i < 3; i++)
        assert_int_equal(weir_client_enter(client, &limits, START, &held[i]), 0);
    limits.connections = 2;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weir_client_enter(client, &limits, START, &other), WEIR_ELIMIT);
        weir_client_leave(&held[i]);
    }
    assert_int_equal(weir_client_enter(client, &limits, START, &other), 0);
    weir_client_leave(&other);
    weir_client_leave(&held[2]);
    weir_client_unref(&client);
}

static void a_record_lives_as_long_as_its_connections(void **state)
{
    (void)state;
    struct weir_client *client = new_client(), *held = NULL;
    struct weir_client *second = weir_client_ref(client);
    assert_int_equal(weir_client_enter(client, &no_limits, START, &held), 0);
    weir_client_unref(&client);
    weir_client_unref(&second);
    weir_client_unref(&second);
    assert_int_equal(weir_client_active(held), 1);
    weir_client_leave(&held);
    weir_client_leave(&held);
}

/* Rate */

static void a_burst_comes_at_once_and_then_one_each_period(void **state)
{
    (void)state;
    const struct weir_limits limits = { .rate_period_ns = SECOND / 5, .burst = 10 };
    struct weir_client *client = new_client(), *held = NULL;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(weir_client_enter(client, &limits, START, &held), 0);
        weir_client_leave(&held);
    }
    uint64_t now = START;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(weir_client_enter(client, &limits, now + SECOND / 5 - 1, &held), WEIR_ERATE);
        assert_null(held);
        now += SECOND / 5;
        assert_int_equal(weir_client_enter(client, &limits, now, &held), 0);
        weir_client_leave(&held);
        assert_int_equal(weir_client_enter(client, &limits, now, &held), WEIR_ERATE);
    }
    weir_client_unref(&client);
}

/* Attempts at random times against the closed form: in time T at most burst + T / period, and no fewer. */
static void the_rate_is_within_one_percent_of_the_closed_form(void **state)
{
    (void)state;
    static const struct weir_limits rates[] = {
        { 0, SECOND / 1000, 1 }, { 0, SECOND / 50, 100 }, { 0, 60 * SECOND / 7, 3 }, { 0, 1, 1 },
        { 0, 3600 * SECOND, 2 },
    };
    uint64_t random = 1;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct weir_client *client = new_client(), *held = NULL;
        uint64_t now = START, admitted = 0, span = 2000 * rates[i].rate_period_ns;
        while (now < START + span) {
            int err = weir_client_enter(client, &rates[i], now, &held);
            assert_true(err == 0 || err == WEIR_ERATE);
            admitted += err == 0;
            weir_client_leave(&held);
            now += test_random(&random) % (rates[i].rate_period_ns / 200 + 1) + 1;
        }
        uint64_t expected = rates[i].burst + span / rates[i].rate_period_ns;
        assert_true(admitted <= expected);
        assert_true(admitted >= expected - expected / 100);
        weir_client_unref(&client);
    }
}

/* The same by a bucket that is counted in whole nanoseconds, attempt by attempt. */
static void every_attempt_agrees_with_a_bucket_of_tokens(void **state)
{
    (void)state;
    uint64_t random = 2;
    for (int run = 0; run < 50; run++) {
        const struct weir_limits limits = { 0, 1 + test_random(&random) % 1000, 1 + test_random_below(&random, 20) };
        uint64_t now = START, level = limits.burst * limits.rate_period_ns, full = level;
        struct weir_client *client = new_client(), *held = NULL;
        for (int i = 0; i < 2000; i++) {
            uint64_t passed = test_random(&random) % (2 * limits.rate_period_ns);
            now += passed;
            level = level + passed < full ? level + passed : full;
            bool expected = level >= limits.rate_period_ns;
            assert_int_equal(weir_client_enter(client, &limits, now, &held), expected ? 0 : WEIR_ERATE);
            level -= expected ? limits.rate_period_ns : 0;
            weir_client_leave(&held);
        }
        weir_client_unref(&client);
    }
}

static void a_refused_attempt_takes_neither_slot_nor_token(void **state)
{
    (void)state;
    const struct weir_limits limits = { .connections = 1, .rate_period_ns = SECOND, .burst = 2 };
    struct weir_client *client = new_client(), *held = NULL, *other = NULL;
    assert_int_equal(weir_client_enter(client, &limits, START, &held), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(weir_client_enter(client, &limits, START, &other), WEIR_ELIMIT);
    weir_client_leave(&held);
    assert_int_equal(weir_client_enter(client, &limits, START, &held), 0);
    weir_client_leave(&held);
    for (int i = 0; i < 100; i++)
        assert_int_equal(weir_client_enter(client, &limits, START, &other), WEIR_ERATE);
    assert_int_equal(weir_client_active(client), 0);
    assert_int_equal(weir_client_enter(client, &limits, START + SECOND, &held), 0);
    assert_int_equal(weir_client_enter(client, &limits, START + SECOND, &other), WEIR_ELIMIT);
    weir_client_leave(&held);
    weir_client_unref(&client);
}

static void a_debt_of_stricter_limits_is_not_held_against_a_client_for_ever(void **state)
{
    (void)state;
    const struct weir_limits strict = { .rate_period_ns = 3600 * SECOND, .burst = 100 };
    const struct weir_limits loose = { .rate_period_ns = SECOND, .burst = 5 };
    struct weir_client *client = new_client(), *held = NULL;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(weir_client_enter(client, &strict, START, &held), 0);
        weir_client_leave(&held);
    }
    assert_int_equal(weir_client_enter(client, &loose, START, &held), WEIR_ERATE);
    assert_int_equal(weir_client_enter(client, &loose, START + SECOND - 1, &held), WEIR_ERATE);
    assert_int_equal(weir_client_enter(client, &loose, START + SECOND, &held), 0);
    weir_client_leave(&held);
    weir_client_unref(&client);
}

/* Workers' clocks differ a little: nobody gains a connection by it. */
static void clocks_that_lag_give_nothing_away(void **state)
{
    (void)state;
    const struct weir_limits limits = { .rate_period_ns = SECOND / 50, .burst = 1 };
    struct weir_client *client = new_client(), *held = NULL;
    uint32_t admitted = 0;
    for (uint64_t now = START; now < START + 10 * SECOND; now += SECOND / 1000) {
        for (uint64_t lag = 0; lag <= SECOND / 100; lag += SECOND / 100) {
            admitted += weir_client_enter(client, &limits, now - lag, &held) == 0;
            weir_client_leave(&held);
        }
    }
    assert_in_range(admitted, 499, 501);
    weir_client_unref(&client);
}

static void extreme_rates_do_not_overflow(void **state)
{
    (void)state;
    static const struct weir_limits extremes[] = {
        { 0, UINT64_MAX, UINT32_MAX }, { 0, UINT64_MAX, 1 },         { 0, UINT64_MAX / 2, 2 },
        { 0, 1, UINT32_MAX },          { 0, INT64_MAX, UINT32_MAX }, { 0, UINT64_MAX, 0 },
    };
    for (size_t i = 0; i < sizeof extremes / sizeof *extremes; i++) {
        struct weir_client *client = new_client(), *held = NULL;
        for (int j = 0; j < 5; j++) {
            int err = weir_client_enter(client, &extremes[i], START + (uint64_t)j, &held);
            assert_true(err == 0 || err == WEIR_ERATE);
            weir_client_leave(&held);
        }
        weir_client_unref(&client);
    }
}

static void a_rate_without_burst_has_a_burst_of_one(void **state)
{
    (void)state;
    const struct weir_limits limits = { .rate_period_ns = SECOND };
    struct weir_client *client = new_client(), *held = NULL;
    assert_int_equal(weir_client_enter(client, &limits, START, &held), 0);
    weir_client_leave(&held);
    assert_int_equal(weir_client_enter(client, &limits, START, &held), WEIR_ERATE);
    weir_client_unref(&client);
}

/* The table */

static void a_name_has_one_record(void **state)
{
    (void)state;
    const struct weir_limits limits = { .connections = 2 };
    struct weir_limiter *limiter = new_limiter(100);
    struct weir_client *a = NULL, *b = NULL, *c = NULL, *other = NULL;
    assert_int_equal(enter_name(limiter, "10.0.0.1", &limits, START, &a), 0);
    assert_int_equal(enter_name(limiter, "10.0.0.1", &limits, START, &b), 0);
    assert_ptr_equal(a, b);
    assert_int_equal(enter_name(limiter, "10.0.0.1", &limits, START, &c), WEIR_ELIMIT);
    assert_int_equal(enter_name(limiter, "10.0.0.2", &limits, START, &other), 0);
    assert_ptr_not_equal(a, other);
    assert_int_equal(weir_client_active(a), 2);
    assert_int_equal(weir_limiter_active(limiter), 3);
    assert_int_equal(weir_limiter_records(limiter), 2);
    weir_client_leave(&a);
    assert_int_equal(enter_name(limiter, "10.0.0.1", &limits, START, &c), 0);
    weir_client_leave(&b);
    weir_client_leave(&c);
    weir_client_leave(&other);
    assert_int_equal(weir_limiter_active(limiter), 0);
    assert_int_equal(weir_limiter_records(limiter), 2);
    weir_limiter_free(&limiter);
    assert_null(limiter);
    weir_limiter_free(&limiter);
}

static void names_are_whole_and_may_hold_any_byte(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t size;
    } names[] = { { "a", 1 }, { "a\0", 2 }, { "a\0b", 3 }, { "\0", 1 }, { "\xff\xfe", 2 }, { "A", 1 }, { "ab", 2 } };
    struct weir_limiter *limiter = new_limiter(10);
    struct weir_client *held[7] = { NULL }, *other = NULL;
    for (int i = 0; i < 7; i++) {
        assert_int_equal(weir_limiter_enter(limiter, names[i].name, names[i].size, &no_limits, START, &held[i]), 0);
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(held[i], held[j]);
    }
    char longest[WEIR_CLIENT_NAME_MAX + 1] = { 0 };
    assert_int_equal(weir_limiter_enter(limiter, longest, 0, &no_limits, START, &other), WEIR_EINVAL);
    assert_int_equal(weir_limiter_enter(limiter, longest, sizeof longest, &no_limits, START, &other), WEIR_EINVAL);
    assert_int_equal(weir_limiter_enter(limiter, longest, WEIR_CLIENT_NAME_MAX, &no_limits, START, &other), 0);
    weir_client_leave(&other);
    for (int i = 0; i < 7; i++)
        weir_client_leave(&held[i]);
    weir_limiter_free(&limiter);
}

static void a_table_without_room_is_refused(void **state)
{
    (void)state;
    struct weir_limiter *limiter = NULL;
    assert_int_equal(weir_limiter_new(0, 1, &limiter), WEIR_EINVAL);
    assert_null(limiter);
}

static void a_record_in_use_is_never_reused(void **state)
{
    (void)state;
    for (uint32_t capacity = 1; capacity <= 200; capacity += 33) {
        struct weir_limiter *limiter = new_limiter(capacity);
        struct weir_client *held[200], *other = NULL;
        for (uint32_t i = 0; i < capacity; i++)
            assert_int_equal(enter_number(limiter, i, &no_limits, START, &held[i]), 0);
        for (uint32_t i = 0; i < 1000; i++)
            assert_int_equal(enter_number(limiter, 1000 + i, &no_limits, START, &other), WEIR_EFULL);
        assert_int_equal(enter_number(limiter, capacity / 2, &no_limits, START, &other), 0);
        weir_client_leave(&other);
        assert_int_equal(weir_limiter_records(limiter), capacity);

        weir_client_leave(&held[capacity / 2]);
        assert_int_equal(enter_number(limiter, 5000, &no_limits, START, &held[capacity / 2]), 0);
        assert_int_equal(weir_limiter_records(limiter), capacity);
        assert_int_equal(enter_number(limiter, capacity / 2, &no_limits, START, &other), WEIR_EFULL);
        for (uint32_t i = 0; i < capacity; i++)
            weir_client_leave(&held[i]);
        weir_limiter_free(&limiter);
    }
}

static void a_record_is_reused_when_its_rate_has_recovered(void **state)
{
    (void)state;
    const struct weir_limits limits = { .rate_period_ns = SECOND, .burst = 2 };
    struct weir_limiter *limiter = new_limiter(2);
    struct weir_client *held = NULL;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(enter_name(limiter, "a", &limits, START, &held), 0);
        weir_client_leave(&held);
    }
    assert_int_equal(enter_name(limiter, "b", &limits, START, &held), 0);
    weir_client_leave(&held);
    assert_int_equal(enter_name(limiter, "c", &limits, START + SECOND - 1, &held), WEIR_EFULL);
    assert_int_equal(enter_name(limiter, "c", &limits, START + SECOND, &held), 0);
    weir_client_leave(&held);
    /* It was b's: a still knows that its rate is used up. */
    assert_int_equal(enter_name(limiter, "a", &limits, START + SECOND, &held), 0);
    weir_client_leave(&held);
    assert_int_equal(enter_name(limiter, "a", &limits, START + SECOND, &held), WEIR_ERATE);
    weir_limiter_free(&limiter);
}

static void the_table_stays_bounded_under_100000_names(void **state)
{
    (void)state;
    const struct weir_limits limits = { .connections = 1, .rate_period_ns = SECOND / 1000, .burst = 1 };
    struct weir_limiter *limiter = new_limiter(500);
    struct weir_client *held[100] = { NULL };
    uint32_t full = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        struct weir_client **slot = &held[i % 100];
        weir_client_leave(slot);
        int err = enter_number(limiter, i, &limits, START + i * UINT64_C(1500), slot);
        assert_true(err == 0 || err == WEIR_EFULL);
        full += err == WEIR_EFULL;
        assert_true(weir_limiter_records(limiter) <= 500);
    }
    /* 667 names come in a millisecond, and a record is needed for one: 500 get one. */
    assert_in_range(full, 24000, 26000);
    for (int i = 0; i < 100; i++)
        weir_client_leave(&held[i]);
    assert_int_equal(weir_limiter_active(limiter), 0);
    weir_limiter_free(&limiter);
}

/* Few names in a small table against arrays: every answer is foretold. A name needs its record while it holds a
 * connection or its rate has not recovered; all other records may be reused. */
#define MODEL_NAMES 40
#define MODEL_CAPACITY 20
#define MODEL_HELD 60

struct model {
    struct weir_limits limits;
    uint32_t active[MODEL_NAMES];
    uint64_t recovers_at[MODEL_NAMES];
};

static bool needed(const struct model *model, uint32_t name, uint64_t now)
{
    return model->active[name] > 0 || model->recovers_at[name] > now;
}

static int foretold(const struct model *model, uint32_t name, uint64_t now)
{
    uint32_t records = 0;
    for (uint32_t i = 0; i < MODEL_NAMES; i++)
        records += needed(model, i, now);
    if (!needed(model, name, now))
        return records < MODEL_CAPACITY ? 0 : WEIR_EFULL;
    if (model->active[name] == model->limits.connections)
        return WEIR_ELIMIT;
    uint64_t tolerance = (model->limits.burst - 1) * model->limits.rate_period_ns;
    return model->recovers_at[name] > now + tolerance ? WEIR_ERATE : 0;
}

static void the_table_agrees_with_arrays(void **state)
{
    (void)state;
    uint64_t random = 3, now = START;
    struct model model = { .limits = { .connections = 3, .rate_period_ns = 1000, .burst = 4 } };
    struct weir_limiter *limiter = new_limiter(MODEL_CAPACITY);
    struct weir_client *held[MODEL_HELD] = { NULL };
    uint32_t holder[MODEL_HELD] = { 0 }, answers[4] = { 0 };
    for (int step = 0; step < 200000; step++) {
        uint32_t slot = test_random_below(&random, MODEL_HELD), name = test_random_below(&random, MODEL_NAMES);
        now += test_random_below(&random, 2 + (uint32_t)step / 1000);
        if (held[slot] != NULL) {
            model.active[holder[slot]]--;
            weir_client_leave(&held[slot]);
            continue;
        }
        int err = enter_number(limiter, name, &model.limits, now, &held[slot]);
        assert_int_equal(err, foretold(&model, name, now));
        assert_true(weir_limiter_records(limiter) <= MODEL_CAPACITY);
        answers[err == 0 ? 0 : err == WEIR_ELIMIT ? 1 : err == WEIR_ERATE ? 2 : 3]++;
        if (err != 0)
            continue;
        holder[slot] = name;
        model.active[name]++;
        model.recovers_at[name] =
            (model.recovers_at[name] > now ? model.recovers_at[name] : now) + model.limits.rate_period_ns;
    }
    for (int i = 0; i < 4; i++)
        assert_true(answers[i] > 100);
    for (int i = 0; i < MODEL_HELD; i++)
        weir_client_leave(&held[i]);
    weir_limiter_free(&limiter);
}

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void an_empty_table_is_small(void **state)
{
    (void)state;
    size_t before = heap_bytes();
    struct weir_limiter *limiter = new_limiter(65536);
    assert_true(heap_bytes() - before < (size_t)64 * 1024);
    weir_limiter_free(&limiter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_the_limit_enter),
        cmocka_unit_test(no_limit_means_no_limit),
        cmocka_unit_test(a_limit_below_the_present_count_keeps_new_ones_out),
        cmocka_unit_test(a_record_lives_as_long_as_its_connections),
        cmocka_unit_test(a_burst_comes_at_once_and_then_one_each_period),
        cmocka_unit_test(the_rate_is_within_one_percent_of_the_closed_form),
        cmocka_unit_test(every_attempt_agrees_with_a_bucket_of_tokens),
        cmocka_unit_test(a_refused_attempt_takes_neither_slot_nor_token),
        cmocka_unit_test(a_debt_of_stricter_limits_is_not_held_against_a_client_for_ever),
        cmocka_unit_test(clocks_that_lag_give_nothing_away),
        cmocka_unit_test(extreme_rates_do_not_overflow),
        cmocka_unit_test(a_rate_without_burst_has_a_burst_of_one),
        cmocka_unit_test(a_name_has_one_record),
        cmocka_unit_test(names_are_whole_and_may_hold_any_byte),
        cmocka_unit_test(a_table_without_room_is_refused),
        cmocka_unit_test(a_record_in_use_is_never_reused),
        cmocka_unit_test(a_record_is_reused_when_its_rate_has_recovered),
        cmocka_unit_test(the_table_stays_bounded_under_100000_names),
        cmocka_unit_test(the_table_agrees_with_arrays),
        cmocka_unit_test(an_empty_table_is_small),
    };
    return cmocka_run_group_tests_name("limiter", tests, NULL, NULL);
}
