/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "../../server/base/counters.h"

static void bounds_of_a_histogram_ascend_from_half_a_millisecond_to_an_hour(void **state)
{
    (void)state;
    assert_int_equal(histogram_bounds_ns[0], 500000);
    assert_int_equal(histogram_bounds_ns[HISTOGRAM_BUCKETS - 1], UINT64_C(3600000000000));
    for (int i = 1; i < HISTOGRAM_BUCKETS; i++)
        assert_true(histogram_bounds_ns[i - 1] < histogram_bounds_ns[i]);
}

static void a_value_falls_into_the_bucket_whose_bound_it_does_not_exceed(void **state)
{
    (void)state;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        struct histogram histogram = { 0 };
        histogram_add_own(&histogram, histogram_bounds_ns[i]);
        histogram_add_own(&histogram, histogram_bounds_ns[i] + 1);
        assert_int_equal(counter_read(&histogram.bucket[i]), 1);
        assert_int_equal(counter_read(&histogram.bucket[i + 1]), 1);
        assert_int_equal(counter_read(&histogram.sum_ns), 2 * histogram_bounds_ns[i] + 1);
    }
    struct histogram histogram = { 0 };
    histogram_add_own(&histogram, 0);
    assert_int_equal(counter_read(&histogram.bucket[0]), 1);
}

static void slots_are_zero_and_stand_on_cache_lines_of_their_own(void **state)
{
    (void)state;
    struct listener_slot *listener = listener_slots_new(3);
    struct pool_slot *pool = pool_slots_new(3);
    static const struct listener_slot zero_listener;
    static const struct pool_slot zero_pool;
    for (int i = 0; i < 3; i++) {
        assert_int_equal((uintptr_t)&listener[i] % 64, 0);
        assert_int_equal((uintptr_t)&pool[i] % 64, 0);
        assert_memory_equal(&listener[i], &zero_listener, sizeof zero_listener);
        assert_memory_equal(&pool[i], &zero_pool, sizeof zero_pool);
    }
    free(listener);
    free(pool);
}

static void every_close_reason_has_a_label_and_a_sentence_of_its_own(void **state)
{
    (void)state;
    assert_string_equal(close_reason_label(CLOSE_NONE), "open");
    assert_string_equal(close_reason_label(CLOSE_DONE), "done");
    assert_int_equal(close_reason_level(CLOSE_DONE), LOG_LEVEL_INFO);
    assert_int_equal(close_reason_level(CLOSE_NO_UPSTREAM), LOG_LEVEL_WARN);
    for (int i = 0; i < CLOSE_REASONS; i++) {
        assert_true(strlen(close_reason_sentence((enum close_reason)i)) > 0);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(close_reason_label((enum close_reason)i), close_reason_label((enum close_reason)j));
    }
}

static void failures_of_upstreams_have_labels(void **state)
{
    (void)state;
    for (int i = 0; i < UPSTREAM_FAILURES; i++)
        assert_non_null(upstream_failure_labels[i]);
    assert_string_equal(upstream_failure_labels[UPSTREAM_FAILURE_REFUSED], "refused");
    assert_string_equal(upstream_failure_labels[UPSTREAM_FAILURE_OTHER], "other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_of_a_histogram_ascend_from_half_a_millisecond_to_an_hour),
        cmocka_unit_test(a_value_falls_into_the_bucket_whose_bound_it_does_not_exceed),
        cmocka_unit_test(slots_are_zero_and_stand_on_cache_lines_of_their_own),
        cmocka_unit_test(every_close_reason_has_a_label_and_a_sentence_of_its_own),
        cmocka_unit_test(failures_of_upstreams_have_labels),
    };
    return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
