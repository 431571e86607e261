/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <string.h>

#include "../../server/base/utf8.h"

static uint32_t decode(const char *text, size_t *ret_size)
{
    return utf8_decode((const uint8_t *)text, strlen(text), ret_size);
}

static void characters_of_each_length_are_decoded(void **state)
{
    static const struct {
        const char *text;
        uint32_t point;
        size_t size;
    } rows[] = { { "A", 'A', 1 },
                 { "\xc2\x80", 0x80, 2 },
                 { "\xc3\xa4x", 0xe4, 2 },
                 { "\xe2\x82\xac", 0x20ac, 3 },
                 { "\xf0\x9f\x98\x80", 0x1f600, 4 },
                 { "\xf4\x8f\xbf\xbf", 0x10ffff, 4 } };
    (void)state;
    for (size_t n = 0; n < sizeof rows / sizeof rows[0]; n++) {
        size_t size = 0;
        assert_int_equal(decode(rows[n].text, &size), rows[n].point);
        assert_int_equal(size, rows[n].size);
    }
}

static void what_is_no_character_is_one_byte_of_nothing(void **state)
{
    /* alone, cut off, too long for what it says, a surrogate, beyond the end */
    static const char *const texts[] = {
        "\x80", "\xc3", "\xc3(", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "\xe2\x82"
    };
    (void)state;
    for (size_t n = 0; n < sizeof texts / sizeof texts[0]; n++) {
        size_t size = 0;
        assert_int_equal(decode(texts[n], &size), UINT32_MAX);
        assert_int_equal(size, 1);
    }
}

static void controls_and_directions_are_harmful_and_letters_are_not(void **state)
{
    static const uint32_t harmful[] = { 0, '\n', 0x1b, 0x7f, 0x85, 0x9f, 0x200e, 0x2028, 0x202e, 0x2066, 0xfeff };
    static const uint32_t harmless[] = { ' ', '<', 'z', '~', 0xa0, 0xe4, 0x20ac, 0x1f600 };
    (void)state;
    for (size_t n = 0; n < sizeof harmful / sizeof harmful[0]; n++)
        assert_true(utf8_is_harmful(harmful[n]));
    for (size_t n = 0; n < sizeof harmless / sizeof harmless[0]; n++)
        assert_false(utf8_is_harmful(harmless[n]));
}

static void a_cut_is_made_between_characters(void **state)
{
    const uint8_t *text = (const uint8_t *)"ab\xe2\x82\xac";
    (void)state;
    assert_int_equal(utf8_cut(text, 5, 5), 5);
    assert_int_equal(utf8_cut(text, 5, 4), 2);
    assert_int_equal(utf8_cut(text, 5, 3), 2);
    assert_int_equal(utf8_cut(text, 5, 2), 2);
    assert_int_equal(utf8_cut((const uint8_t *)"\x80\x80\x80\x80\x80\x80", 6, 4), 4); /* nothing to keep whole */
    assert_int_equal(utf8_cut(NULL, 0, 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_of_each_length_are_decoded),
        cmocka_unit_test(what_is_no_character_is_one_byte_of_nothing),
        cmocka_unit_test(controls_and_directions_are_harmful_and_letters_are_not),
        cmocka_unit_test(a_cut_is_made_between_characters),
    };
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
