/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../server/proxy/reply.h"

static struct check_bytes bytes_of(const char *text)
{
    return (struct check_bytes){ (uint8_t *)(uintptr_t)text, (uint32_t)strlen(text) };
}

static struct reply *reply_to(const struct check_bytes *expect)
{
    struct reply *reply = calloc(1, sizeof *reply);
    assert_non_null(reply);
    reply_init(reply, expect);
    return reply;
}

static void put(struct reply *reply, const void *data, uint32_t size)
{
    assert_int_equal(weir_sink_put(&reply->sink, data, size), 0);
}

static void what_is_expected_is_found_wherever_it_stands(void **state)
{
    static const char *const replies[] = { "+PONG", "+PONG\r\n", "hello +PONG", "+PO+PONG", "++PONG" };
    const struct check_bytes expect = bytes_of("+PONG");
    (void)state;
    for (unsigned n = 0; n < sizeof replies / sizeof replies[0]; n++)
        for (uint32_t cut = 0; cut <= strlen(replies[n]); cut++) {
            struct reply *reply = reply_to(&expect);
            put(reply, replies[n], cut);
            put(reply, replies[n] + cut, (uint32_t)strlen(replies[n]) - cut);
            assert_true(reply->found);
            free(reply);
        }
}

/* Few letters, so that beginnings of what is expected are frequent. */
static void any_text_in_any_pieces_is_searched_as_in_one(void **state)
{
    uint64_t random = 7;
    char text[64], wanted[5];
    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint32_t size = test_random_below(&random, sizeof text), length = 1 + test_random_below(&random, 4);
        for (uint32_t n = 0; n < size; n++)
            text[n] = (char)('a' + test_random_below(&random, 2));
        for (uint32_t n = 0; n < length; n++)
            wanted[n] = (char)('a' + test_random_below(&random, 2));
        const struct check_bytes expect = { (uint8_t *)wanted, length };
        struct reply *reply = reply_to(&expect);
        for (uint32_t at = 0, piece; at < size; at += piece) {
            piece = 1 + test_random_below(&random, size - at);
            put(reply, text + at, piece);
        }
        assert_int_equal(reply->found, memmem(text, size, wanted, length) != NULL);
        free(reply);
    }
}

static void nothing_is_found_behind_the_bound(void **state)
{
    const struct check_bytes expect = bytes_of("end");
    (void)state;
    for (uint32_t before = REPLY_BYTES_MAX - 5; before < REPLY_BYTES_MAX + 2; before++) {
        struct reply *reply = reply_to(&expect);
        for (uint32_t n = 0; n < before; n++)
            put(reply, "x", 1);
        put(reply, "end", 3);
        assert_int_equal(reply->found, before <= REPLY_BYTES_MAX - 3);
        put(reply, "more, which is dropped", 22);
        assert_int_equal(reply_is_full(reply), before >= REPLY_BYTES_MAX - 3);
        free(reply);
    }
}

static void where_nothing_is_expected_nothing_is_kept(void **state)
{
    const struct check_bytes nothing = { 0 };
    struct reply *reply = reply_to(&nothing);
    char flood[1000] = "";
    (void)state;
    for (int n = 0; n < 100; n++)
        put(reply, flood, sizeof flood);
    assert_false(reply->found);
    assert_false(reply_is_full(reply));
    assert_int_equal(reply->size, 0);
    free(reply);
}

static void assert_described(const char *expected, const char *sent, uint32_t size, enum reply_end end,
                             const char *words)
{
    const struct check_bytes expect = bytes_of(expected);
    struct reply *reply = reply_to(&expect);
    char text[256];
    put(reply, sent, size);
    reply_describe(reply, end, text, sizeof text);
    assert_string_equal(text, words);
    free(reply);
}

static void what_came_is_told_in_printable_words(void **state)
{
    (void)state;
    assert_described("+PONG", "-ERR\r\n", 6, REPLY_TIMED_OUT,
                     "expected \"+PONG\", but the upstream sent \"-ERR\\r\\n\" until the timeout");
    assert_described("a\tb", "", 0, REPLY_ENDED,
                     "expected \"a\\tb\", but the upstream sent nothing and ended the connection");
    assert_described("x", "\0\"\\\x7f\xff", 5, REPLY_BROKE,
                     "expected \"x\", but the upstream sent \"\\x00\\\"\\\\\\x7f\\xff\" and reset the connection");
}

static void what_is_long_is_cut(void **state)
{
    const struct check_bytes expect =
        bytes_of("0123456789012345678901234567890123456789012345678901234567890123456789");
    struct reply *reply = reply_to(&expect);
    char text[256];
    (void)state;
    for (int n = 0; n < 1000; n++)
        put(reply, "\xff", 1);
    reply_describe(reply, REPLY_FULL, text, sizeof text);
    assert_true(strlen(text) < 250);
    assert_non_null(strstr(text, "...\", but the upstream sent \"\\xff\\xff"));
    assert_non_null(strstr(text, "\\xff...\" and more than a check reads"));
    free(reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_expected_is_found_wherever_it_stands),
        cmocka_unit_test(any_text_in_any_pieces_is_searched_as_in_one),
        cmocka_unit_test(nothing_is_found_behind_the_bound),
        cmocka_unit_test(where_nothing_is_expected_nothing_is_kept),
        cmocka_unit_test(what_came_is_told_in_printable_words),
        cmocka_unit_test(what_is_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
