/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "../../server/cli/top_view.h"

static const char *const figures =
    "{'version': '1.2', 'uptime': 75, 'io': 'epoll', 'workers': [0.5],"
    " 'now': {'time': 1, 'active': 7, 'rate': 2.5, 'refusing': 0, 'to_upstream': 1200, 'to_client': 0},"
    " 'upstreams': {'total': 3, 'up': 2},"
    " 'pools': [{'name': 'web', 'upstreams': ["
    "   {'name': 'a', 'health': 'up', 'state': 'enabled', 'active': 1, 'history': [1, 2], 'health_history': 'uu'},"
    "   {'name': 'b', 'health': 'up', 'state': 'drain', 'active': 0, 'max_connections': 9},"
    "   {'name': 'c', 'health': 'down', 'state': 'drain', 'history': [0], 'health_history': 'd'}]}],"
    " 'clients': {'by_active': [{'name': 'alice', 'active': 5, 'max_connections': 5,"
    "                            'limit': {'per_second': 4, 'burst': 8}, 'refused': 3}],"
    "             'by_refused': [{'name': 'alice'}, {'name': 'bob', 'refused': 1}]},"
    " 'refusals': {'last': [{'time': 5, 'client': '', 'identity': 'dns:x', 'sentence': 'why', 'detail': '',"
    "                        'reason': 'tls_error'}]}}";

static json_t *document(const char *text)
{
    char *copy = strdup(text);
    for (char *quote = copy; (quote = strchr(quote, '\'')) != NULL;)
        *quote = '"';
    json_t *json = json_loads(copy, 0, NULL);
    assert_non_null(json);
    free(copy);
    return json;
}

/* What stands on the screen, without the escapes; until the next call. */
static const char *draw(const struct top_view *view, unsigned rows, unsigned columns)
{
    static char screen[1 << 16];
    FILE *out = fmemopen(screen, sizeof screen, "w");
    top_view_draw(view, rows, columns, out);
    fclose(out);
    char *to = screen;
    for (const char *from = screen; *from != '\0'; from++) {
        if (strncmp(from, "\033[K", 3) == 0)
            from += 2;
        else if (*from != '\r')
            *to++ = *from;
    }
    *to = '\0';
    return screen;
}

static void assert_size(const char *screen, unsigned rows, unsigned columns)
{
    unsigned lines = 1;
    const char *line = screen;
    for (const char *end; (end = strchr(line, '\n')) != NULL; line = end + 1, lines++)
        assert_true((size_t)(end - line) <= columns);
    assert_true(strlen(line) <= columns);
    assert_int_equal(lines, rows);
}

static void assert_has(const char *screen, const char *part)
{
    if (strstr(screen, part) == NULL)
        fail_msg("no %s in\n%s", part, screen);
}

static struct top_view view_of(const char *text)
{
    struct top_view view = { 0 };
    top_view_figures(&view, document(text));
    return view;
}

static void figures_stand_in_words_and_columns(void **state)
{
    struct top_view view = view_of(figures);
    const char *screen = draw(&view, 24, 80);
    (void)state;
    assert_size(screen, 24, 80);
    assert_has(screen, "weir 1.2, up 1 min, epoll, 1 worker busy 50%");
    assert_has(screen, "open 7");
    assert_has(screen, "new/s 2.5");
    assert_has(screen, "to upstreams 1.2 kB/s, to clients 0 B/s; 2 of 3 upstreams up");
    assert_has(screen, "dns:x: why (tls_error)");
    assert_has(screen, "5/5       4       3");
    assert_has(screen, "q quits");
    top_view_free(&view);
}

static void trouble_stands_first(void **state)
{
    struct top_view view = view_of(figures);
    const char *screen = draw(&view, 24, 80);
    const char *a = strstr(screen, "web/a"), *b = strstr(screen, "web/b"), *c = strstr(screen, "web/c");
    (void)state;
    assert_true(b < c && c < a);
    assert_true(b < strstr(screen, "drain") && strstr(screen, "drain") < c);
    assert_true(c < strstr(screen, "down") && strstr(screen, "down") < a);
    top_view_free(&view);
}

static void a_client_stands_only_once(void **state)
{
    struct top_view view = view_of(figures);
    const char *screen = draw(&view, 24, 80);
    (void)state;
    assert_null(strstr(strstr(screen, "alice") + 1, "alice"));
    assert_has(screen, "bob");
    top_view_free(&view);
}

static void it_fits_screens_of_all_sizes(void **state)
{
    struct top_view view = view_of(figures);
    (void)state;
    view.trouble = "the balancer has left";
    for (unsigned rows = 1; rows < 60; rows += rows < 30 ? 1 : 7)
        for (unsigned columns = 1; columns < 200; columns += columns < 100 ? 1 : 13) {
            const char *screen = draw(&view, rows, columns);
            assert_size(screen, rows, columns);
        }
    top_view_free(&view);
}

static void what_does_not_fit_is_counted(void **state)
{
    struct top_view view = view_of(figures);
    const char *screen = draw(&view, 10, 80);
    (void)state;
    assert_size(screen, 10, 80);
    assert_has(screen, "more upstreams");
    top_view_free(&view);
}

static void trouble_is_told_before_there_are_figures(void **state)
{
    struct top_view view = { .trouble = "nobody is there" };
    const char *screen = draw(&view, 24, 80);
    (void)state;
    assert_size(screen, 24, 80);
    assert_has(screen, "nobody is there; trying again");
    top_view_free(&view);
}

static void the_past_is_bounded_and_newcomers_push_out_the_oldest(void **state)
{
    struct top_view view = { 0 };
    json_t *past = json_array();
    (void)state;
    for (int n = 0; n < TOP_PAST + 5; n++)
        json_array_append_new(past, json_pack("{s:i}", "active", n));
    top_view_past(&view, past);
    json_decref(past);
    top_view_figures(&view, document("{'now': {'active': 1000}}"));
    assert_int_equal(view.past_count, TOP_PAST);
    assert_true(view.past[TOP_ACTIVE][TOP_PAST - 1] == 1000);
    assert_true(view.past[TOP_ACTIVE][TOP_PAST - 2] == TOP_PAST + 3);
    assert_true(view.past[TOP_ACTIVE][0] == 5);
    top_view_free(&view);
}

static void documents_of_another_shape_do_no_harm(void **state)
{
    static const char *const documents[] = {
        "{}",
        "[]",
        "{'pools': 5, 'clients': [], 'refusals': 'x', 'now': 7, 'workers': {}}",
        "{'pools': [{'upstreams': [5, {}]}], 'clients': {'by_active': [null, {}]}, 'refusals': {'last': [[]]}}",
    };
    (void)state;
    for (size_t n = 0; n < sizeof documents / sizeof documents[0]; n++) {
        struct top_view view = view_of(documents[n]);
        const char *screen = draw(&view, 24, 80);
        assert_size(screen, 24, 80);
        top_view_free(&view);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_stand_in_words_and_columns),
        cmocka_unit_test(trouble_stands_first),
        cmocka_unit_test(a_client_stands_only_once),
        cmocka_unit_test(it_fits_screens_of_all_sizes),
        cmocka_unit_test(what_does_not_fit_is_counted),
        cmocka_unit_test(trouble_is_told_before_there_are_figures),
        cmocka_unit_test(the_past_is_bounded_and_newcomers_push_out_the_oldest),
        cmocka_unit_test(documents_of_another_shape_do_no_harm),
    };
    return cmocka_run_group_tests_name("top_view", tests, NULL, NULL);
}
