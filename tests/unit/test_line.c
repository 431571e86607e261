/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "../../server/cli/line.h"

struct fixture {
    char *text;
    size_t size;
    struct line line;
};

static void begin(struct fixture *fixture, unsigned columns, bool utf8)
{
    *fixture = (struct fixture){ 0 };
    fixture->line = (struct line){ open_memstream(&fixture->text, &fixture->size), columns, utf8, false };
}

static void assert_written(struct fixture *fixture, const char *expected, unsigned left)
{
    fclose(fixture->line.out);
    assert_string_equal(fixture->text, expected);
    assert_int_equal(fixture->line.left, left);
    free(fixture->text);
}

static void assert_text(bool utf8, const char *text, unsigned width, bool right, unsigned columns, const char *expected,
                        unsigned left)
{
    struct fixture fixture;
    begin(&fixture, columns, utf8);
    line_text(&fixture.line, "\033[1m", text, width, right);
    assert_written(&fixture, expected, left);
}

static void text_is_filled_up_on_the_side_that_was_asked_for(void **state)
{
    (void)state;
    assert_text(true, "ab", 4, false, 80, "ab  ", 76);
    assert_text(true, "ab", 4, true, 80, "  ab", 76);
    assert_text(true, "ab", 0, false, 80, "ab", 78);
    assert_text(true, "", 3, true, 80, "   ", 77);
}

static void text_that_does_not_fit_is_cut_and_says_so(void **state)
{
    (void)state;
    assert_text(true, "abcdef", 4, false, 80, "abc~", 76);
    assert_text(true, "abcdef", 4, true, 80, "abc~", 76);
    assert_text(true, "abcdef", 0, false, 3, "ab~", 0);
    assert_text(true, "abcdef", 6, false, 1, "~", 0);
    assert_text(true, "abc", 6, true, 0, "", 0);
    assert_text(true, "ab", 4, true, 3, " ab", 0);
}

static void characters_are_counted_as_wide_as_they_are(void **state)
{
    (void)state;
    assert_text(true, "ä€x", 5, false, 80, "ä€x  ", 75);
    assert_text(true, "日本", 5, false, 80, "日本 ", 75);
    assert_text(true, "日本", 3, false, 80, "日~", 77);
    assert_text(true, "日本", 2, false, 80, "~ ", 78);
}

static void where_the_locale_has_no_utf8_only_ascii_is_written(void **state)
{
    (void)state;
    assert_text(false, "aä", 0, false, 80, "a??", 77);
}

static void bars_show_the_newest_on_the_right_and_scale_to_the_most(void **state)
{
    static const double values[] = { 9, 0, 4, 8 };
    struct fixture fixture;
    (void)state;
    begin(&fixture, 80, true);
    line_spark(&fixture.line, values, NULL, 4, 5);
    assert_written(&fixture, " █ ▄▇", 75);
    begin(&fixture, 80, true);
    line_spark(&fixture.line, values, NULL, 4, 2);
    assert_written(&fixture, "▄█", 78);
    begin(&fixture, 3, false);
    line_spark(&fixture.line, values, NULL, 0, 10);
    assert_written(&fixture, "   ", 0);
}

static void styles_are_written_only_in_colour(void **state)
{
    static const double values[] = { 0, 1 };
    static const char *const styles[] = { "<red>", "" };
    struct fixture fixture;
    (void)state;
    begin(&fixture, 80, false);
    fixture.line.colour = true;
    line_format(&fixture.line, "<bold>", 0, false, "%d", 5);
    line_spark(&fixture.line, values, styles, 2, 2);
    assert_written(&fixture, "<bold>5\033[0m<red>x\033[0m#", 77);
}

static int use_utf8(void **state)
{
    (void)state;
    return setlocale(LC_CTYPE, "C.UTF-8") == NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_filled_up_on_the_side_that_was_asked_for),
        cmocka_unit_test(text_that_does_not_fit_is_cut_and_says_so),
        cmocka_unit_test(characters_are_counted_as_wide_as_they_are),
        cmocka_unit_test(where_the_locale_has_no_utf8_only_ascii_is_written),
        cmocka_unit_test(bars_show_the_newest_on_the_right_and_scale_to_the_most),
        cmocka_unit_test(styles_are_written_only_in_colour),
    };
    return cmocka_run_group_tests_name("line", tests, use_utf8, NULL);
}
