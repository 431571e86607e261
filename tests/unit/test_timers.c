/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "../../lib/io/timers.h"

#define ANY_ORDER UINT64_MAX

static void an_empty_queue_has_no_deadline(void **state)
{
    (void)state;
    struct timers timers = { 0 };
    assert_int_equal(timers_next(&timers), UINT64_MAX);
    assert_null(timers_due(&timers, UINT64_MAX, ANY_ORDER));
}

static void equal_deadlines_come_out_in_the_order_they_were_set(void **state)
{
    (void)state;
    struct timers timers = { 0 };
    struct weir_timer all[20] = { 0 };
    for (unsigned i = 0; i < 20; i++)
        timers_set(&timers, &all[i], 7);
    timers_set(&timers, &all[4], 7); /* set anew: now the last one */
    for (unsigned i = 0; i < 20; i++)
        if (i != 4)
            assert_ptr_equal(timers_due(&timers, 7, ANY_ORDER), &all[i]);
    assert_ptr_equal(timers_due(&timers, 7, ANY_ORDER), &all[4]);
}

static void nothing_is_due_before_its_time(void **state)
{
    (void)state;
    struct timers timers = { 0 };
    struct weir_timer timer = { 0 };
    timers_set(&timers, &timer, 100);
    assert_int_equal(timers_next(&timers), 100);
    assert_null(timers_due(&timers, 99, ANY_ORDER));
    assert_true(timer.armed);
    assert_ptr_equal(timers_due(&timers, 100, ANY_ORDER), &timer);
    assert_false(timer.armed);
}

static void what_was_set_too_late_waits_for_the_next_time(void **state)
{
    (void)state;
    struct timers timers = { 0 };
    struct weir_timer early = { 0 }, late = { 0 };
    timers_set(&timers, &early, 5);
    uint64_t end = timers.next_order;
    timers_set(&timers, &late, 6);
    assert_ptr_equal(timers_due(&timers, 10, end), &early);
    assert_null(timers_due(&timers, 10, end));
    assert_ptr_equal(timers_due(&timers, 10, timers.next_order), &late);
}

#define TIMERS 200
#define STEPS 200000

struct model {
    struct timers timers;
    struct weir_timer all[TIMERS];
    bool armed[TIMERS];
    uint64_t deadline[TIMERS], order[TIMERS], next_order, now;
};

static int earliest(const struct model *model)
{
    int best = -1;
    for (int i = 0; i < TIMERS; i++) {
        if (!model->armed[i])
            continue;
        if (best < 0 || model->deadline[i] < model->deadline[best] ||
            (model->deadline[i] == model->deadline[best] && model->order[i] < model->order[best]))
            best = i;
    }
    return best;
}

static void set(struct model *model, uint32_t i, uint64_t deadline)
{
    timers_set(&model->timers, &model->all[i], deadline);
    model->armed[i] = true;
    model->deadline[i] = deadline;
    model->order[i] = model->next_order++;
}

static void check_next(const struct model *model)
{
    int first = earliest(model);
    assert_int_equal(timers_next(&model->timers), first < 0 ? UINT64_MAX : model->deadline[first]);
}

static void fire_due(struct model *model)
{
    for (;;) {
        int first = earliest(model);
        struct weir_timer *timer = timers_due(&model->timers, model->now, ANY_ORDER);
        if (first < 0 || model->deadline[first] > model->now) {
            assert_null(timer);
            return;
        }
        assert_ptr_equal(timer, &model->all[first]);
        model->armed[first] = false;
    }
}

static void any_sequence_of_calls_agrees_with_a_list_that_is_searched(void **state)
{
    (void)state;
    static struct model model;
    uint64_t random = 42;
    memset(&model, 0, sizeof model);
    for (unsigned step = 0; step < STEPS; step++) {
        uint32_t i = test_random_below(&random, TIMERS);
        switch (test_random_below(&random, 8)) {
        case 0:
            timers_stop(&model.timers, &model.all[i]);
            model.armed[i] = false;
            break;
        case 1:
            model.now += test_random_below(&random, 10);
            fire_due(&model);
            break;
        default:
            set(&model, i, model.now + test_random_below(&random, 100));
        }
        assert_int_equal(model.all[i].armed, model.armed[i]);
        check_next(&model);
    }
}

/* A pairing heap that melds its children in the wrong way degrades to a list. */
static void a_million_timers_take_no_quadratic_time(void **state)
{
    (void)state;
    enum { COUNT = 1000000 };
    struct timers timers = { 0 };
    struct weir_timer *all = calloc(COUNT, sizeof *all), *timer;
    assert_non_null(all);
    for (unsigned i = 0; i < COUNT; i++)
        timers_set(&timers, &all[i], i);
    uint64_t expected = 0;
    while ((timer = timers_due(&timers, UINT64_MAX, ANY_ORDER)) != NULL)
        assert_int_equal(timer->deadline_ns, expected++);
    assert_int_equal(expected, COUNT);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_queue_has_no_deadline),
        cmocka_unit_test(equal_deadlines_come_out_in_the_order_they_were_set),
        cmocka_unit_test(nothing_is_due_before_its_time),
        cmocka_unit_test(what_was_set_too_late_waits_for_the_next_time),
        cmocka_unit_test(any_sequence_of_calls_agrees_with_a_list_that_is_searched),
        cmocka_unit_test(a_million_timers_take_no_quadratic_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
