/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <string.h>

#include "../../server/base/suggest.h"

static const char *best(const char *word, const char *const *candidates)
{
    struct suggestion suggestion = suggest_for(word);
    for (; *candidates != NULL; candidates++)
        suggest_offer(&suggestion, *candidates);
    return suggestion.best;
}

static void one_slip_of_the_finger_is_one_step(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("address", "address", 2), 0);
    assert_int_equal(suggest_distance("adress", "address", 2), 1);
    assert_int_equal(suggest_distance("addresss", "address", 2), 1);
    assert_int_equal(suggest_distance("addrexs", "address", 2), 1);
    assert_int_equal(suggest_distance("addresS", "ADDRess", 2), 0);
    assert_int_equal(suggest_distance("adderss", "address", 2), 1);
    assert_int_equal(suggest_distance("", "", 2), 0);
    assert_int_equal(suggest_distance("", "ab", 2), 2);
}

static void what_is_far_is_only_known_to_be_beyond_the_limit(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("weight", "address", 2), 3);
    assert_int_equal(suggest_distance("a", "abcd", 2), 3);
    assert_int_equal(suggest_distance("ab", "cd", 1), 2);
}

static void very_long_words_are_far_from_everything(void **state)
{
    char a[1000], b[1000];
    (void)state;
    memset(a, 'a', sizeof a);
    memset(b, 'a', sizeof b);
    a[999] = b[998] = '\0';
    assert_int_equal(suggest_distance(a, b, 2), 3);
    a[128] = b[127] = '\0';
    assert_int_equal(suggest_distance(a, b, 2), 1);
}

static void the_nearest_word_is_suggested(void **state)
{
    const char *const words[] = { "interval", "timeout", "fall", "rise", "check", NULL };
    (void)state;
    assert_string_equal(best("rize", words), "rise");
    assert_string_equal(best("fal", words), "fall");
    assert_string_equal(best("inter", words), "interval");
    assert_string_equal(best("Timeout", words), "timeout");
    assert_null(best("weight", words));
    assert_null(best("", words));
    assert_null(best("in", words));
}

static void records_are_found_by_their_names(void **state)
{
    static const struct {
        char name[8];
        int other;
    } records[] = { { "alice", 1 }, { "bob", 2 }, { "carol", 3 } };
    (void)state;
    struct suggestion suggestion = suggest_for("carol");
    assert_int_equal(suggest_find(&suggestion, records, sizeof records[0], 3), 2);
    suggestion = suggest_for("bbo");
    assert_int_equal(suggest_find(&suggestion, records, sizeof records[0], 3), UINT32_MAX);
    assert_string_equal(suggestion.best, "bob");
    assert_int_equal(suggest_find(&suggestion, NULL, sizeof records[0], 0), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_slip_of_the_finger_is_one_step),
        cmocka_unit_test(what_is_far_is_only_known_to_be_beyond_the_limit),
        cmocka_unit_test(very_long_words_are_far_from_everything),
        cmocka_unit_test(the_nearest_word_is_suggested),
        cmocka_unit_test(records_are_found_by_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
