/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../server/control/ranking.h"

static void assert_ranked(const struct ranking *ranking, const uint32_t *indexes, uint32_t count)
{
    assert_int_equal(ranking->count, count);
    for (uint32_t n = 0; n < count; n++)
        assert_int_equal(ranking->rows[n].index, indexes[n]);
}

static void the_best_are_kept_and_stand_in_order(void **state)
{
    static const uint64_t scores[] = { 3, 9, 1, 7, 8, 2 };
    static const uint32_t expected[] = { 1, 4, 3 };
    struct ranking ranking = { .limit = 3 };
    (void)state;
    for (uint32_t n = 0; n < 6; n++)
        ranking_offer(&ranking, n, scores[n]);
    assert_ranked(&ranking, expected, 3);
}

static void of_equal_ones_the_first_are_kept(void **state)
{
    static const uint32_t expected[] = { 3, 0, 1, 2 };
    struct ranking ranking = { .limit = 4 };
    (void)state;
    for (uint32_t n = 0; n < 100; n++)
        ranking_offer(&ranking, n, n == 3);
    assert_ranked(&ranking, expected, 4);
}

static void few_are_all_kept(void **state)
{
    static const uint32_t expected[] = { 1, 0 };
    struct ranking ranking = { .limit = RANKING_MAX };
    (void)state;
    ranking_offer(&ranking, 0, 0);
    ranking_offer(&ranking, 1, UINT64_MAX);
    assert_ranked(&ranking, expected, 2);
}

static void many_in_any_order_leave_the_best(void **state)
{
    struct ranking ranking = { .limit = RANKING_MAX };
    (void)state;
    for (uint32_t n = 0; n < 10007; n++)
        ranking_offer(&ranking, n, (uint64_t)n * 5003 % 10007);
    assert_int_equal(ranking.count, RANKING_MAX);
    for (uint32_t n = 0; n < RANKING_MAX; n++)
        assert_int_equal(ranking.rows[n].score, 10006 - n);
}

static void a_ranking_of_none_stays_empty(void **state)
{
    struct ranking ranking = { 0 };
    (void)state;
    ranking_offer(&ranking, 1, 1);
    assert_int_equal(ranking.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_are_kept_and_stand_in_order),
        cmocka_unit_test(of_equal_ones_the_first_are_kept),
        cmocka_unit_test(few_are_all_kept),
        cmocka_unit_test(many_in_any_order_leave_the_best),
        cmocka_unit_test(a_ranking_of_none_stays_empty),
    };
    return cmocka_run_group_tests_name("ranking", tests, NULL, NULL);
}
