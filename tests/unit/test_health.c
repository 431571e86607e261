/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <weir/health.h>

#define SECOND UINT64_C(1000000000)
#define MIDDLE UINT32_C(0x80000000) /* jitter: half of it */

static const struct weir_health_options usual = {
    .fall = 3, .rise = 2, .eject_after = 5, .eject_ns = 10 * SECOND, .eject_max_ns = 300 * SECOND
};

static struct weir_health machine(void)
{
    struct weir_health health;
    weir_health_init(&health, &usual);
    return health;
}

/* Checks, one character each: '+' good, '-' bad. Returns the changes: '.' none, 'D' went down, 'U' came up. */
static const char *checks(struct weir_health *health, const char *results)
{
    static char changes[64];
    size_t i = 0;
    for (; results[i] != '\0'; i++)
        changes[i] = ".DUER"[weir_health_check(health, results[i] == '+', 0)];
    changes[i] = '\0';
    return changes;
}

/* The same for real connections; 'E' ejected, 'R' returned. */
static const char *traffic(struct weir_health *health, const char *results, uint64_t now_ns, uint32_t jitter)
{
    static char changes[64];
    size_t i = 0;
    for (; results[i] != '\0'; i++)
        changes[i] = ".DUER"[weir_health_traffic(health, results[i] == '+', now_ns, jitter)];
    changes[i] = '\0';
    return changes;
}

static void it_begins_up(void **state)
{
    (void)state;
    struct weir_health health = machine();
    assert_int_equal(weir_health_place(&health), WEIR_PLACE_UP);
    assert_int_equal(weir_health_tick(&health, UINT64_MAX), WEIR_HEALTH_SAME);
}

static void checks_take_it_down_and_bring_it_back(void **state)
{
    (void)state;
    struct weir_health health = machine();
    assert_string_equal(checks(&health, "--+--+--"), "........");
    assert_string_equal(checks(&health, "-"), "D");
    assert_int_equal(weir_health_place(&health), WEIR_PLACE_DOWN);
    assert_string_equal(checks(&health, "---+-+-+"), "........");
    assert_string_equal(checks(&health, "+"), "U");
    assert_int_equal(weir_health_place(&health), WEIR_PLACE_UP);
    assert_string_equal(checks(&health, "--"), "..");
    assert_string_equal(checks(&health, "-"), "D");
}

static void one_check_suffices_where_one_is_asked(void **state)
{
    (void)state;
    struct weir_health health;
    weir_health_init(&health, &(struct weir_health_options){ .fall = 1, .rise = 1 });
    assert_string_equal(checks(&health, "-+-++--+"), "DUDU.D.U");
}

static void failures_in_a_row_eject_it_until_the_time_is_over(void **state)
{
    (void)state;
    struct weir_health health = machine();
    assert_string_equal(traffic(&health, "----+----", SECOND, 0), ".........");
    assert_string_equal(traffic(&health, "-", SECOND, 0), "E");
    assert_int_equal(weir_health_place(&health), WEIR_PLACE_EJECTED);
    assert_int_equal(health.ejected_until_ns, 11 * SECOND);
    assert_int_equal(weir_health_tick(&health, 11 * SECOND - 1), WEIR_HEALTH_SAME);
    assert_int_equal(weir_health_tick(&health, 11 * SECOND), WEIR_HEALTH_RETURNED);
    assert_int_equal(weir_health_place(&health), WEIR_PLACE_UP);
    assert_int_equal(weir_health_tick(&health, 11 * SECOND), WEIR_HEALTH_SAME);
}

static void it_is_ejected_again_by_one_failure_for_twice_as_long(void **state)
{
    (void)state;
    struct weir_health health = machine();
    uint64_t now = SECOND, length = 10 * SECOND;
    assert_string_equal(traffic(&health, "-----", now, 0), "....E");
    for (int i = 0; i < 100; i++) {
        assert_true(health.ejected_until_ns - now == length);
        now = health.ejected_until_ns;
        assert_int_equal(weir_health_tick(&health, now), WEIR_HEALTH_RETURNED);
        assert_string_equal(traffic(&health, "-", now, 0), "E");
        length = 2 * length < 300 * SECOND ? 2 * length : 300 * SECOND;
    }
    assert_string_equal(traffic(&health, "+", now, 0), "R");
    assert_string_equal(traffic(&health, "-----", now, 0), "....E");
    assert_true(health.ejected_until_ns - now == 10 * SECOND);
}

static void jitter_shortens_an_ejection_by_up_to_a_quarter(void **state)
{
    (void)state;
    static const struct {
        uint32_t jitter;
        uint64_t until_ns;
    } rows[] = { { 0, 10 * SECOND }, { MIDDLE, 8750000000 }, { UINT32_MAX, 7500000001 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct weir_health health = machine();
        assert_string_equal(traffic(&health, "-----", 0, rows[i].jitter), "....E");
        assert_int_equal(health.ejected_until_ns, rows[i].until_ns);
    }
}

static void good_checks_do_not_end_an_ejection(void **state)
{
    (void)state;
    struct weir_health health = machine();
    assert_string_equal(traffic(&health, "-----", 0, 0), "....E");
    assert_string_equal(checks(&health, "+++++"), ".....");
    assert_int_equal(weir_health_place(&health), WEIR_PLACE_EJECTED);
    assert_string_equal(traffic(&health, "---", 0, 0), "...");
}

static void going_down_and_coming_up_end_an_ejection(void **state)
{
    (void)state;
    struct weir_health health = machine();
    assert_string_equal(traffic(&health, "-----", 0, 0), "....E");
    assert_string_equal(checks(&health, "---"), "..D");
    assert_int_equal(weir_health_place(&health), WEIR_PLACE_DOWN);
    assert_int_equal(weir_health_tick(&health, UINT64_MAX), WEIR_HEALTH_SAME);
    assert_string_equal(traffic(&health, "-------+---", 0, 0), "...........");
    assert_string_equal(checks(&health, "++"), ".U");
    assert_int_equal(weir_health_place(&health), WEIR_PLACE_UP);
    assert_string_equal(traffic(&health, "-----", 0, 0), "....E");
}

static void real_connections_do_not_hide_what_checks_say(void **state)
{
    (void)state;
    struct weir_health health = machine();
    assert_string_equal(checks(&health, "--"), "..");
    assert_string_equal(traffic(&health, "++", 0, 0), "..");
    assert_string_equal(checks(&health, "-"), "D");
}

static void where_it_is_off_nothing_is_ejected(void **state)
{
    (void)state;
    struct weir_health health;
    weir_health_init(&health, &(struct weir_health_options){ .fall = 1, .rise = 1, .eject_ns = 1, .eject_max_ns = 1 });
    for (int i = 0; i < 1000; i++)
        assert_string_equal(traffic(&health, "-", 0, 0), ".");
}

/* The reference keeps the whole history and looks back at it for every answer. */

enum event { CHECK_BAD, CHECK_GOOD, TRAFFIC_BAD, TRAFFIC_GOOD, TICK };

#define HISTORY_MAX 60

struct reference {
    struct weir_health_options options;
    enum event events[HISTORY_MAX];
    uint64_t times[HISTORY_MAX];
    uint32_t jitters[HISTORY_MAX];
    uint32_t count;
};

struct verdict {
    enum weir_health_change change; /* by the last event */
    enum weir_place_health place;
};

/* Same results at the end of the checks among the events from `since` on. */
static uint32_t checks_at_end(const struct reference *reference, uint32_t since, uint32_t end, enum event wanted)
{
    uint32_t run = 0;
    for (uint32_t i = since; i < end; i++) {
        if (reference->events[i] == CHECK_BAD || reference->events[i] == CHECK_GOOD)
            run = reference->events[i] == wanted ? run + 1 : 0;
    }
    return run;
}

/* Length of the n-th ejection in a row, n from 0. */
static uint64_t ejection_ns(const struct weir_health_options *options, uint32_t n, uint32_t jitter)
{
    long double length = (long double)options->eject_ns;
    for (; n > 0 && length < (long double)options->eject_max_ns; n--)
        length *= 2;
    if (length > (long double)options->eject_max_ns)
        length = (long double)options->eject_max_ns;
    uint64_t whole = (uint64_t)length, quarter = whole / 4;
    return whole - (uint64_t)((long double)quarter * jitter / 4294967296.0L);
}

static struct verdict judge(const struct reference *reference)
{
    const struct weir_health_options *options = &reference->options;
    struct verdict verdict = { WEIR_HEALTH_SAME, WEIR_PLACE_UP };
    uint32_t level_since = 0, failures = 0, ejections = 0;
    uint64_t until = 0;
    for (uint32_t i = 0; i < reference->count; i++) {
        enum event event = reference->events[i];
        verdict.change = WEIR_HEALTH_SAME;
        if (verdict.place == WEIR_PLACE_DOWN) {
            if (checks_at_end(reference, level_since, i + 1, CHECK_GOOD) == options->rise) {
                verdict = (struct verdict){ WEIR_HEALTH_CAME_UP, WEIR_PLACE_UP };
                level_since = i + 1;
            }
            failures = ejections = 0;
        } else if (checks_at_end(reference, level_since, i + 1, CHECK_BAD) == options->fall) {
            verdict = (struct verdict){ WEIR_HEALTH_WENT_DOWN, WEIR_PLACE_DOWN };
            level_since = i + 1;
        } else if (event == TRAFFIC_GOOD) {
            if (verdict.place == WEIR_PLACE_EJECTED)
                verdict = (struct verdict){ WEIR_HEALTH_RETURNED, WEIR_PLACE_UP };
            failures = ejections = 0;
        } else if (event == TRAFFIC_BAD && verdict.place == WEIR_PLACE_UP && options->eject_after != 0) {
            if (++failures >= options->eject_after) {
                verdict = (struct verdict){ WEIR_HEALTH_EJECTED, WEIR_PLACE_EJECTED };
                until = reference->times[i] + ejection_ns(options, ejections++, reference->jitters[i]);
            }
        } else if (event == TICK && verdict.place == WEIR_PLACE_EJECTED && reference->times[i] >= until) {
            verdict = (struct verdict){ WEIR_HEALTH_RETURNED, WEIR_PLACE_UP };
        }
    }
    return verdict;
}

static enum weir_health_change feed(struct weir_health *health, enum event event, uint64_t now_ns, uint32_t jitter)
{
    switch (event) {
    case CHECK_BAD:
    case CHECK_GOOD:
        return weir_health_check(health, event == CHECK_GOOD, now_ns);
    case TRAFFIC_BAD:
    case TRAFFIC_GOOD:
        return weir_health_traffic(health, event == TRAFFIC_GOOD, now_ns, jitter);
    default:
        return weir_health_tick(health, now_ns);
    }
}

static void run_against_reference(uint64_t *random)
{
    struct reference reference = {
        .options = { 1 + test_random_below(random, 4), 1 + test_random_below(random, 4), test_random_below(random, 5),
                     test_random_below(random, 1000), test_random_below(random, 5000) },
    };
    struct weir_health health;
    uint32_t length = 1 + test_random_below(random, HISTORY_MAX), bad = test_random_below(random, 100);
    uint64_t now = 1000;
    weir_health_init(&health, &reference.options);
    for (uint32_t i = 0; i < length; i++) {
        uint32_t kind = test_random_below(random, 5);
        uint32_t good = test_random_below(random, 100) >= bad;
        enum event event = kind == 4 ? TICK : (enum event)(kind / 2 * 2 + good);
        uint32_t jitter = (uint32_t)test_random(random);
        now += test_random_below(random, 600);
        reference.events[i] = event;
        reference.times[i] = now;
        reference.jitters[i] = jitter;
        reference.count = i + 1;
        struct verdict verdict = judge(&reference);
        assert_int_equal(feed(&health, event, now, jitter), verdict.change);
        assert_int_equal(weir_health_place(&health), verdict.place);
    }
}

static void random_histories_agree_with_the_reference(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 100000; i++)
        run_against_reference(&random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_up),
        cmocka_unit_test(checks_take_it_down_and_bring_it_back),
        cmocka_unit_test(one_check_suffices_where_one_is_asked),
        cmocka_unit_test(failures_in_a_row_eject_it_until_the_time_is_over),
        cmocka_unit_test(it_is_ejected_again_by_one_failure_for_twice_as_long),
        cmocka_unit_test(jitter_shortens_an_ejection_by_up_to_a_quarter),
        cmocka_unit_test(good_checks_do_not_end_an_ejection),
        cmocka_unit_test(going_down_and_coming_up_end_an_ejection),
        cmocka_unit_test(real_connections_do_not_hide_what_checks_say),
        cmocka_unit_test(where_it_is_off_nothing_is_ejected),
        cmocka_unit_test(random_histories_agree_with_the_reference),
    };
    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
