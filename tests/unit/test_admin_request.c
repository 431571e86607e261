/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <string.h>

#include "../../server/control/admin_request.h"

static struct admin_request request;
static struct admin_fault fault;

static int read_line(const char *method, const char *path)
{
    memset(&fault, 0, sizeof fault);
    return admin_read_line(path, method, true, &request, &fault);
}

static void assert_refused(int result, unsigned status, const char *part)
{
    assert_int_equal(result, -1);
    assert_int_equal(fault.status, status);
    assert_non_null(strstr(fault.error, part));
    assert_true(fault.hint[0] != '\0');
}

static void every_path_has_its_action(void **state)
{
    static const struct {
        const char *method, *path;
        enum admin_action action;
    } known[] = {
        { "GET", "/", ADMIN_FILE },
        { "HEAD", "/metrics", ADMIN_METRICS },
        { "GET", "/healthz", ADMIN_HEALTH },
        { "GET", "/readyz", ADMIN_READY },
        { "GET", "/api/v1/status", ADMIN_STATUS },
        { "GET", "/api/v1/events", ADMIN_EVENTS },
        { "GET", "/api/v1/connections", ADMIN_CONNECTIONS },
        { "GET", "/api/v1/explain", ADMIN_EXPLAIN },
        { "POST", "/api/v1/upstreams/web1", ADMIN_SET_UPSTREAM },
        { "DELETE", "/api/v1/connections/7", ADMIN_END_CONNECTION },
    };
    (void)state;
    for (size_t n = 0; n < sizeof known / sizeof known[0]; n++) {
        assert_int_equal(read_line(known[n].method, known[n].path), 0);
        assert_int_equal(request.action, known[n].action);
    }
    assert_int_equal(request.id, 7);
}

static void a_path_s_name_belongs_to_the_request(void **state)
{
    char path[400] = "/api/v1/upstreams/";
    (void)state;
    assert_int_equal(read_line("POST", "/api/v1/upstreams/web1"), 0);
    assert_string_equal(request.upstream, "web1");
    memset(path + strlen(path), 'x', ADMIN_TEXT_MAX + 1);
    assert_refused(read_line("POST", path), 404, "no such upstream");
    assert_refused(read_line("POST", "/api/v1/upstreams/"), 404, "nothing at this path");
    assert_refused(read_line("DELETE", "/api/v1/connections/x"), 404, "no such connection");
}

static void a_wrong_method_tells_the_right_one(void **state)
{
    (void)state;
    assert_refused(read_line("POST", "/metrics"), 405, "method");
    assert_string_equal(fault.allow, "GET, HEAD");
    assert_refused(read_line("GET", "/api/v1/connections/7"), 405, "method");
    assert_string_equal(fault.allow, "DELETE");
}

static void changes_need_the_right_to_change(void **state)
{
    (void)state;
    assert_refused(admin_read_line("/api/v1/upstreams/web1", "POST", false, &request, &fault), 403, "nothing");
    assert_int_equal(admin_read_line("/metrics", "GET", false, &request, &fault), 0);
}

static void arguments_are_read_or_refused(void **state)
{
    (void)state;
    assert_int_equal(read_line("GET", "/api/v1/connections"), 0);
    assert_int_equal(request.limit, ADMIN_LIMIT_DEFAULT);
    assert_int_equal(admin_read_argument("client", "alice", &request, &fault), 0);
    assert_int_equal(admin_read_argument("upstream", "web1", &request, &fault), 0);
    assert_int_equal(admin_read_argument("limit", "1000", &request, &fault), 0);
    assert_int_equal(admin_read_argument("after", "18446744073709551615", &request, &fault), 0);
    assert_true(request.has_client && request.has_upstream);
    assert_string_equal(request.client, "alice");
    assert_int_equal(request.limit, 1000);
    assert_true(request.after == UINT64_MAX);
    assert_refused(admin_read_argument("limit", "1001", &request, &fault), 400, "1 to 1000");
    assert_refused(admin_read_argument("limit", NULL, &request, &fault), 400, "1 to 1000");
    assert_refused(admin_read_argument("after", "1x", &request, &fault), 400, "number");
    assert_refused(admin_read_argument("listener", "edge", &request, &fault), 400, "unknown");
    assert_int_equal(read_line("GET", "/healthz"), 0);
    assert_int_equal(admin_read_argument("whatever", NULL, &request, &fault), 0);
}

static int read_body(const char *text)
{
    assert_int_equal(read_line("POST", "/api/v1/upstreams/web1"), 0);
    return admin_read_body(text, strlen(text), &request, &fault);
}

static void a_body_says_the_state_and_nothing_else(void **state)
{
    static const char *const wrong[] = { "",
                                         "{}",
                                         "[]",
                                         "\"drain\"",
                                         "{\"state\": 1}",
                                         "{\"state\": \"Drain\"}",
                                         "{\"state\": \"drain\", \"x\": 1}",
                                         "{\"state\": \"drain\"} x" };
    (void)state;
    assert_int_equal(read_body("{\"state\": \"drain\"}"), 0);
    assert_int_equal(request.state, WEIR_UPSTREAM_DRAIN);
    assert_string_equal(request.pool, "");
    assert_int_equal(read_body("{\"state\": \"disabled\", \"pool\": \"web\"}"), 0);
    assert_int_equal(request.state, WEIR_UPSTREAM_DISABLED);
    assert_string_equal(request.pool, "web");
    for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++)
        assert_refused(read_body(wrong[n]), 400, "which state");
    assert_refused(admin_read_body("", ADMIN_BODY_MAX + 1, &request, &fault), 413, "too long");
}

static void nobody_is_explained_who_is_not_named(void **state)
{
    (void)state;
    assert_int_equal(read_line("GET", "/api/v1/explain"), 0);
    assert_refused(admin_read_body(NULL, 0, &request, &fault), 400, "whom");
    assert_int_equal(admin_read_argument("client", "alice", &request, &fault), 0);
    assert_int_equal(admin_read_body(NULL, 0, &request, &fault), 0);
}

static bool is_fine(const char *host, const char *served)
{
    struct weir_address address;
    assert_int_equal(weir_address_parse(served, &address), 0);
    return admin_host_is_fine(host, &address);
}

static void only_this_machine_s_names_are_fine(void **state)
{
    (void)state;
    assert_true(is_fine(NULL, "127.0.0.1:9320"));
    assert_true(is_fine("localhost", "127.0.0.1:9320"));
    assert_true(is_fine("[::1]:9320", "127.0.0.1:9320"));
    assert_true(is_fine("192.0.2.7:9320", "192.0.2.7:9320"));
    assert_true(is_fine("192.0.2.7:1", "192.0.2.7:9320"));
    assert_true(is_fine("192.0.2.7", "0.0.0.0:9320"));
    assert_true(is_fine("[2001:db8::7]", "[::]:9320"));
    assert_false(is_fine("192.0.2.8", "192.0.2.7:9320"));
    assert_false(is_fine("evil.example", "0.0.0.0:9320"));
    assert_false(is_fine("localhost.evil.example", "127.0.0.1:9320"));
    assert_false(is_fine("[::1", "127.0.0.1:9320"));
    assert_false(is_fine("", "127.0.0.1:9320"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_has_its_action),
        cmocka_unit_test(a_path_s_name_belongs_to_the_request),
        cmocka_unit_test(a_wrong_method_tells_the_right_one),
        cmocka_unit_test(changes_need_the_right_to_change),
        cmocka_unit_test(arguments_are_read_or_refused),
        cmocka_unit_test(a_body_says_the_state_and_nothing_else),
        cmocka_unit_test(nobody_is_explained_who_is_not_named),
        cmocka_unit_test(only_this_machine_s_names_are_fine),
    };
    return cmocka_run_group_tests_name("admin_request", tests, NULL, NULL);
}
