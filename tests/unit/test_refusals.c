/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <string.h>

#include "../../server/proxy/refusals.h"

static int setup(void **state)
{
    *state = refusals_new();
    return *state == NULL;
}

static int teardown(void **state)
{
    struct refusals *refusals = *state;
    refusals_free(&refusals);
    assert_null(refusals);
    return 0;
}

static void add(struct refusals *refusals, uint64_t id)
{
    const struct refusal refusal = { .id = id, .reason = CLOSE_CLIENT_LIMIT };
    refusals_add(refusals, &refusal);
}

static void what_was_kept_is_read_the_oldest_first(void **state)
{
    struct refusal kept[REFUSALS_KEPT];
    assert_int_equal(refusals_read(*state, kept), 0);
    add(*state, 7);
    add(*state, 5);
    assert_int_equal(refusals_read(*state, kept), 2);
    assert_int_equal(kept[0].id, 7);
    assert_int_equal(kept[1].id, 5);
}

static void the_last_ones_are_kept(void **state)
{
    struct refusal kept[REFUSALS_KEPT];
    for (uint64_t id = 1; id <= 3 * REFUSALS_KEPT + 1; id++)
        add(*state, id);
    assert_int_equal(refusals_read(*state, kept), REFUSALS_KEPT);
    for (uint64_t n = 0; n < REFUSALS_KEPT; n++)
        assert_int_equal(kept[n].id, 2 * REFUSALS_KEPT + 2 + n);
}

static void long_texts_are_cut_between_characters(void **state)
{
    char text[REFUSAL_TEXT_MAX + 3];
    struct refusal_text kept;
    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text + REFUSAL_TEXT_MAX - 1, "\xe2\x82\xac", sizeof "\xe2\x82\xac");
    refusal_text_set(&kept, text, strlen(text));
    assert_int_equal(kept.size, REFUSAL_TEXT_MAX - 1);
    refusal_text_set(&kept, "a\0b", 3);
    assert_int_equal(kept.size, 3);
    assert_memory_equal(kept.bytes, "a\0b", 3);
    refusal_text_set(&kept, NULL, 0);
    assert_int_equal(kept.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_kept_is_read_the_oldest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_ones_are_kept, setup, teardown),
        cmocka_unit_test(long_texts_are_cut_between_characters),
    };
    return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
