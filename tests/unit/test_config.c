/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/errors.h>

#include "../../server/control/config.h"
#include "../../server/control/config_values.h"
#include "allocations.h"

#define MINIMUM                                                                                                        \
    "listeners: [{ name: edge, address: 0.0.0.0:80, pool: web }]\n"                                                    \
    "pools: [{ name: web, upstreams: [{ name: web1, address: 10.0.0.1:7000 }] }]\n"

#define HASH "23456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"

static const char everything[] =
    "workers: 3\n"
    "io: epoll\n"
    "max_connections: 5000\n"
    "drain_timeout: 30s\n"
    "log: { format: json, level: debug, connections: false }\n"
    "admin: { socket: run/admin.sock, http: \"[::1]:9320\" }\n"
    "expect: [alice can web/web1, \"cidr:10.1.0.0/16 can web\", 10.9.9.9 cannot web/web2, \"* cannot db\", "
    "\"cn:Alice  Smith   can  web/web1 \", dns:Bob.example.com can web, \"dns:*.example.org can web\"]\n"
    "policy:\n"
    "  - allow: [alice, bob]\n"
    "    to: [web, db/db1]\n"
    "  - deny: [\"*\"]\n"
    "    to: [web/web2]\n"
    "clients:\n"
    "  - name: alice\n"
    "    identity: [\"cidr:10.1.0.0/16\", \"cidr:2001:db8::/32\", \"dns:*.Example.org\", \"cn:Alice  Smith\"]\n"
    "    limits: { connections: 20, rate: 120/m }\n"
    "  - name: bob\n"
    "    identity: [\"cidr:::ffff:10.2.0.0/112\", \"dns:bob.example.com\", \"sha256:01:" HASH "\"]\n"
    "limits: { connections: 100, rate: 50/s, burst: 7 }\n"
    "listeners:\n"
    "  - name: edge\n"
    "    address: 0.0.0.0:80\n"
    "    pool: web\n"
    "    keepalive: 0s\n"
    "    idle_timeout: 5m\n"
    "    half_close_timeout: 500ms\n"
    "  - { name: core, address: \"[::1]:0\", pool: db }\n"
    "pools:\n"
    "  - name: web\n"
    "    upstreams:\n"
    "      - { name: web1, address: 10.0.0.1:7000, weight: 2, max_connections: 500 }\n"
    "      - { name: web2, address: 10.0.0.2:7000, backup: true }\n"
    "    connect_timeout: 1s\n"
    "    retries: 0\n"
    "    slow_start: 30s\n"
    "    health: { interval: 100ms, timeout: 50ms, fall: 1, rise: 5, check: none, passive: false }\n"
    "  - name: db\n"
    "    upstreams:\n"
    "      - { name: db1, address: 10.0.0.3:5432 }\n"
    "      - { name: web1, address: \"[::ffff:10.0.0.1]:7000\", weight: 9 }\n"
    "max_handshakes: 50\n"
    "max_handshakes_per_source: 5\n";

static int read_text(const char *text, struct snapshot **ret_snapshot, struct config_errors *errors)
{
    return config_read_memory("/etc/weir/weir.yaml", text, strlen(text), ret_snapshot, errors);
}

static struct snapshot *good(const char *text)
{
    struct snapshot *snapshot = NULL;
    struct config_errors errors = { 0 };

    assert_int_equal(read_text(text, &snapshot, &errors), 0);
    assert_int_equal(errors.count, 0);
    return snapshot;
}

static void what_is_left_out_has_the_documented_default(void **state)
{
    struct snapshot *snapshot = good(MINIMUM);
    const struct settings *settings = &snapshot->settings;
    const struct listener *listener = &snapshot->listeners[0];
    const struct pool *pool = &snapshot->pools[0];
    (void)state;

    assert_int_equal(settings->workers, 0);
    assert_int_equal(settings->io, WEIR_BACKEND_AUTO);
    assert_int_equal(settings->max_connections, 0);
    assert_int_equal(settings->drain_timeout_ns, 5 * NS_PER_MINUTE);
    assert_int_equal(settings->log_format, LOG_FORMAT_AUTO);
    assert_int_equal(settings->log_level, LOG_LEVEL_INFO);
    assert_true(settings->log_connections);
    assert_null(settings->admin_socket);
    assert_false(settings->has_admin_http);
    assert_int_equal(settings->max_handshakes, 1024);
    assert_int_equal(settings->max_handshakes_per_source, 0);
    assert_null(listener->tls);
    assert_null(listener->material);
    assert_null(pool->tls);
    assert_int_equal(listener->handshake_timeout_ns, 10 * NS_PER_S);
    assert_int_equal(listener->keepalive_s, 60);
    assert_int_equal(listener->idle_timeout_ns, NS_PER_HOUR);
    assert_int_equal(listener->half_close_timeout_ns, 60 * NS_PER_S);
    assert_int_equal(pool->connect_timeout_ns, 5 * NS_PER_S);
    assert_int_equal(pool->retries, 3);
    assert_int_equal(pool->slow_start_ns, 0);
    assert_int_equal(pool->health.interval_ns, 2 * NS_PER_S);
    assert_int_equal(pool->health.timeout_ns, 2 * NS_PER_S);
    assert_int_equal(pool->health.fall, 3);
    assert_int_equal(pool->health.rise, 2);
    assert_int_equal(pool->health.check, HEALTH_CHECK_CONNECT);
    assert_true(pool->health.passive);
    assert_int_equal(pool->places[0].weight, 1);
    assert_false(pool->places[0].backup);
    assert_int_equal(snapshot->upstreams[0].max_connections, 0);
    assert_int_equal(snapshot->default_limits.connections, 0);
    assert_int_equal(snapshot->default_limits.rate_period_ns, 0);
    assert_false(snapshot->has_policy);
    snapshot_free(&snapshot);
}

static void settings_are_read(void **state)
{
    struct snapshot *snapshot = good(everything);
    const struct settings *settings = &snapshot->settings;
    char text[WEIR_ADDRESS_TEXT_MAX];
    (void)state;

    assert_string_equal(snapshot->path, "/etc/weir/weir.yaml");
    assert_int_equal(settings->workers, 3);
    assert_int_equal(settings->workers_at.line, 1);
    assert_int_equal(settings->workers_at.column, 10);
    assert_int_equal(settings->io, WEIR_BACKEND_EPOLL);
    assert_int_equal(settings->io_at.line, 2);
    assert_int_equal(settings->max_connections, 5000);
    assert_int_equal(settings->drain_timeout_ns, 30 * NS_PER_S);
    assert_int_equal(settings->log_format, LOG_FORMAT_JSON);
    assert_int_equal(settings->log_level, LOG_LEVEL_DEBUG);
    assert_false(settings->log_connections);
    assert_string_equal(settings->admin_socket, "/etc/weir/run/admin.sock");
    assert_true(settings->has_admin_http);
    assert_string_equal(weir_address_format(&settings->admin_http, text, sizeof text), "[::1]:9320");
    assert_int_equal(settings->max_handshakes, 50);
    assert_int_equal(settings->max_handshakes_per_source, 5);
    assert_int_equal(settings->admin_at.line, 6);
    assert_int_equal(settings->admin_http_at.line, 6);
    snapshot_free(&snapshot);
}

static void listeners_and_pools_are_read(void **state)
{
    struct snapshot *snapshot = good(everything);
    const struct listener *edge = &snapshot->listeners[0];
    const struct pool *web = &snapshot->pools[0];
    (void)state;

    assert_int_equal(snapshot->listener_count, 2);
    assert_string_equal(edge->name, "edge");
    assert_int_equal(edge->pool, 0);
    assert_int_equal(edge->keepalive_s, 0);
    assert_int_equal(edge->idle_timeout_ns, 5 * NS_PER_MINUTE);
    assert_int_equal(edge->half_close_timeout_ns, 500 * NS_PER_MS);
    assert_int_equal(edge->at.line, 21);
    assert_int_equal(snapshot->listeners[1].pool, 1);
    assert_int_equal(snapshot->pool_count, 2);
    assert_string_equal(web->name, "web");
    assert_int_equal(web->place_count, 2);
    assert_int_equal(web->places[0].weight, 2);
    assert_true(web->places[1].backup);
    assert_int_equal(web->connect_timeout_ns, NS_PER_S);
    assert_int_equal(web->retries, 0);
    assert_int_equal(web->slow_start_ns, 30 * NS_PER_S);
    assert_int_equal(web->health.interval_ns, 100 * NS_PER_MS);
    assert_int_equal(web->health.timeout_ns, 50 * NS_PER_MS);
    assert_int_equal(web->health.fall, 1);
    assert_int_equal(web->health.rise, 5);
    assert_int_equal(web->health.check, HEALTH_CHECK_NONE);
    assert_false(web->health.passive);
    snapshot_free(&snapshot);
}

/* The minimum, with a check. */
#define CHECKED(check)                                                                                                 \
    "listeners: [{ name: edge, address: 0.0.0.0:80, pool: web }]\n"                                                    \
    "pools: [{ name: web, upstreams: [{ name: web1, address: 10.0.0.1:7000 }], health: { check: " check " } }]\n"

/* Every byte can be written, and a character is one. */
static void what_a_check_sends_and_expects_is_bytes(void **state)
{
    static const uint8_t sent[] = { 'P', 'I', 'N', 'G', '\r', '\n', 0, 0x7f, 0x80, 0xff, 0xe9 };
    struct snapshot *snapshot = good(CHECKED("{ send: \"PING\\r\\n\\0\\x7f\\x80\\xff\xc3\xa9\", expect: +PONG }"));
    const struct health_settings *health = &snapshot->pools[0].health;
    (void)state;

    assert_int_equal(health->check, HEALTH_CHECK_EXCHANGE);
    assert_int_equal(health->send.size, sizeof sent);
    assert_memory_equal(health->send.data, sent, sizeof sent);
    assert_int_equal(health->expect.size, 5);
    assert_memory_equal(health->expect.data, "+PONG", 5);
    snapshot_free(&snapshot);
}

static void a_backslash_outside_of_double_quotes_is_warned_of(void **state)
{
    struct snapshot *snapshot = NULL;
    struct config_errors errors = { 0 };
    (void)state;

    assert_int_equal(read_text(CHECKED("{ send: 'PING\\r\\n', expect: +PONG }"), &snapshot, &errors), 0);
    assert_int_equal(errors.warning_count, 1);
    assert_non_null(strstr(errors.warnings[0], "a backslash in send stands for itself here"));
    config_errors_free(&errors);
    snapshot_free(&snapshot);
}

static void an_address_in_two_pools_is_one_upstream(void **state)
{
    struct snapshot *snapshot = good(everything);
    const struct pool *web = &snapshot->pools[0], *db = &snapshot->pools[1];
    (void)state;

    assert_int_equal(snapshot->upstream_count, 3);
    assert_int_equal(db->places[1].upstream, web->places[0].upstream);
    assert_int_equal(db->places[1].weight, 9);
    assert_int_equal(web->places[0].weight, 2);
    assert_int_equal(snapshot->upstreams[web->places[0].upstream].max_connections, 500);
    snapshot_free(&snapshot);
}

static void a_limit_may_be_given_by_any_place_of_an_upstream(void **state)
{
    struct snapshot *snapshot =
        good("listeners: [{ name: edge, address: 0.0.0.0:80, pool: a }]\n"
             "pools:\n"
             "  - { name: a, upstreams: [{ name: u, address: 10.0.0.1:80 }] }\n"
             "  - { name: b, upstreams: [{ name: u, address: 10.0.0.1:80, max_connections: 5 }] }\n"
             "  - { name: c, upstreams: [{ name: u, address: 10.0.0.1:80, max_connections: 5 }] }\n");
    (void)state;

    assert_int_equal(snapshot->upstream_count, 1);
    assert_int_equal(snapshot->upstreams[0].max_connections, 5);
    snapshot_free(&snapshot);
}

static void limits_that_a_client_leaves_out_come_from_the_defaults(void **state)
{
    struct snapshot *snapshot = good(everything);
    const struct weir_limits *alice = &snapshot->clients[0].limits, *bob = &snapshot->clients[1].limits;
    (void)state;

    assert_int_equal(alice->connections, 20);
    assert_int_equal(alice->rate_period_ns, NS_PER_S / 2);
    assert_int_equal(alice->burst, 7);
    assert_int_equal(bob->connections, 100);
    assert_int_equal(bob->rate_period_ns, NS_PER_S / 50);
    assert_int_equal(bob->burst, 7);
    assert_int_equal(snapshot->default_limits.connections, 100);
    snapshot_free(&snapshot);
}

static void a_burst_is_by_default_what_the_rate_brings_in_a_second(void **state)
{
    struct snapshot *snapshot =
        good(MINIMUM "limits: { rate: 50/s }\n"
                     "clients:\n"
                     "  - { name: a, identity: [\"cidr:10.1.0.0/16\"] }\n"
                     "  - { name: b, identity: [\"cidr:10.2.0.0/16\"], limits: { rate: 5/s } }\n"
                     "  - { name: c, identity: [\"cidr:10.3.0.0/16\"], limits: { rate: 5/m } }\n"
                     "  - { name: d, identity: [\"cidr:10.4.0.0/16\"], limits: { connections: 0 } }\n");
    (void)state;

    assert_int_equal(snapshot->default_limits.burst, 50);
    assert_int_equal(snapshot->clients[0].limits.burst, 50);
    assert_int_equal(snapshot->clients[1].limits.burst, 5);
    assert_int_equal(snapshot->clients[2].limits.burst, 1);
    assert_int_equal(snapshot->clients[3].limits.connections, 0);
    snapshot_free(&snapshot);
}

static void networks_policy_and_expectations_are_read(void **state)
{
    struct snapshot *snapshot = good(everything);
    const struct rule *allow = &snapshot->rules[0], *deny = &snapshot->rules[1];
    const struct expectation *expectations = snapshot->expectations;
    char text[WEIR_ADDRESS_TEXT_MAX];
    (void)state;

    assert_int_equal(snapshot->network_count, 3);
    assert_string_equal(weir_address_format_host(&snapshot->networks[2].base, text, sizeof text), "10.2.0.0");
    assert_int_equal(snapshot->networks[2].prefix, 16);
    assert_int_equal(snapshot->networks[2].client, 1);
    assert_true(snapshot->has_policy);
    assert_int_equal(snapshot->rule_count, 2);
    assert_true(allow->allow && !allow->any_client);
    assert_int_equal(allow->client_count, 2);
    assert_int_equal(allow->targets[0].place, ANY_INDEX);
    assert_int_equal(allow->targets[1].pool, 1);
    assert_int_equal(allow->targets[1].place, 0);
    assert_int_equal(allow->at.line, 9);
    assert_true(!deny->allow && deny->any_client);
    assert_int_equal(snapshot->expectation_count, 7);
    assert_true(expectations[0].can);
    assert_int_equal(expectations[0].client, 0);
    assert_int_equal(expectations[0].place, 0);
    assert_int_equal(expectations[1].client, 0);
    assert_int_equal(expectations[2].client, ANY_INDEX);
    assert_string_equal(weir_address_format_host(&expectations[2].address, text, sizeof text), "10.9.9.9");
    assert_false(expectations[2].can);
    assert_true(expectations[3].any_client);
    assert_int_equal(expectations[3].pool, 1);
    assert_true(expectations[4].has_name);
    assert_int_equal(expectations[4].name.kind, IDENTITY_CN);
    assert_string_equal(expectations[4].name.bytes, "Alice  Smith");
    assert_string_equal(expectations[5].name.bytes, "bob.example.com");
    assert_false(expectations[6].has_name);
    assert_int_equal(expectations[6].client, 0);
    snapshot_free(&snapshot);
}

static void names_of_certificates_are_read(void **state)
{
    static const struct {
        enum identity_kind kind;
        const char *bytes;
        uint32_t client, column;
    } rows[] = {
        { IDENTITY_DNS, "*.example.org", 0, 58 },
        { IDENTITY_CN, "Alice  Smith", 0, 79 },
        { IDENTITY_DNS, "bob.example.com", 1, 44 },
        { IDENTITY_SHA256, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 1, 67 },
    };
    struct snapshot *snapshot = good(everything);
    (void)state;

    assert_int_equal(snapshot->identity_count, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct client_identity *identity = &snapshot->identities[i];
        assert_int_equal(identity->name.kind, rows[i].kind);
        assert_string_equal(identity->name.bytes, rows[i].bytes);
        assert_int_equal(identity->name.size, strlen(rows[i].bytes));
        assert_int_equal(identity->client, rows[i].client);
        assert_int_equal(identity->at.column, rows[i].column);
    }
    snapshot_free(&snapshot);
}

static void a_name_that_a_wildcard_before_it_hides_is_doubtful(void **state)
{
    static const char text[] =
        MINIMUM "clients:\n"
                "  - { name: a, identity: [\"dns:*.a.com\", \"dns:x.a.com\", \"uri:s://a/b/*\"] }\n"
                "  - { name: b, identity: [\"dns:b.a.com\", \"dns:c.b.a.com\", \"dns:a.com\", \"uri:s://a/b/c\"] }\n"
                "  - { name: c, identity: [\"dns:c.b.com\"] }\n"
                "  - { name: d, identity: [\"dns:*.b.com\"] }\n";
    struct snapshot *snapshot = NULL;
    struct config_errors errors = { 0 };
    (void)state;

    assert_int_equal(read_text(text, &snapshot, &errors), 0);
    assert_int_equal(errors.count, 0);
    assert_int_equal(errors.warning_count, 2);
    assert_string_equal(errors.warnings[0],
                        "/etc/weir/weir.yaml:5:27: \"dns:b.a.com\" says nothing: \"dns:*.a.com\" of client \"a\" "
                        "(line 4) stands before it; put this client first");
    assert_non_null(strstr(errors.warnings[1], ":5:72: \"uri:s://a/b/c\" says nothing: \"uri:s://a/b/*\""));
    config_errors_free(&errors);
    snapshot_free(&snapshot);
}

static void an_empty_policy_is_a_policy(void **state)
{
    struct snapshot *snapshot = good(MINIMUM "policy: []\nclients: []\nexpect: []\n");
    (void)state;

    assert_true(snapshot->has_policy);
    assert_int_equal(snapshot->rule_count, 0);
    snapshot_free(&snapshot);
}

static void what_changes_nothing_is_accepted_where_it_is_not_yet_supported(void **state)
{
    struct snapshot *snapshot = good("sandbox: off\n"
                                     "max_handshakes_per_source: 0\n"
                                     "listeners: [{ name: edge, address: 0.0.0.0:80, pool: web, end_expired: false }]\n"
                                     "pools: [{ name: web, upstreams: [{ name: web1, address: 10.0.0.1:7000 }] }]\n");
    (void)state;

    snapshot_free(&snapshot);
}

static void several_listeners_may_ask_for_any_free_port(void **state)
{
    struct snapshot *snapshot = good("listeners:\n"
                                     "  - { name: a, address: 127.0.0.1:0, pool: web }\n"
                                     "  - { name: b, address: 127.0.0.1:0, pool: web }\n"
                                     "pools: [{ name: web, upstreams: [{ name: web1, address: 10.0.0.1:7000 }] }]\n");
    (void)state;

    assert_int_equal(snapshot->listener_count, 2);
    snapshot_free(&snapshot);
}

static void a_byte_order_mark_and_windows_line_ends_are_harmless(void **state)
{
    struct snapshot *snapshot = good("\xef\xbb\xbf"
                                     "listeners: [{ name: edge, address: 0.0.0.0:80, pool: web }]\r\n"
                                     "pools: [{ name: web, upstreams: [{ name: web1, address: 10.0.0.1:7000 }] }]\r\n");
    (void)state;

    snapshot_free(&snapshot);
}

static void a_socket_is_relative_to_the_file(void **state)
{
    static const char text[] = MINIMUM "admin: { socket: admin.sock }\n";
    char here[256], expected[300];
    struct snapshot *snapshot = NULL;
    struct config_errors errors = { 0 };
    (void)state;

    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(config_read_memory("conf/weir.yaml", text, strlen(text), &snapshot, &errors), 0);
    snprintf(expected, sizeof expected, "%s/conf/admin.sock", here);
    assert_string_equal(snapshot->settings.admin_socket, expected);
    snapshot_free(&snapshot);
    assert_int_equal(config_read_memory("weir.yaml", text, strlen(text), &snapshot, &errors), 0);
    snprintf(expected, sizeof expected, "%s/admin.sock", here);
    assert_string_equal(snapshot->settings.admin_socket, expected);
    snapshot_free(&snapshot);
}

static void of_very_many_errors_the_first_hundred_are_told_and_the_rest_counted(void **state)
{
    char text[64 * 300] = MINIMUM "policy:\n";
    struct snapshot *snapshot = NULL;
    struct config_errors errors = { 0 };
    (void)state;

    for (int i = 0; i < 250; i++)
        sprintf(text + strlen(text), "  - { allow: [nobody%d], to: [web] }\n", i);
    assert_int_equal(read_text(text, &snapshot, &errors), WEIR_EINVAL);
    assert_null(snapshot);
    assert_int_equal(errors.count, CONFIG_ERRORS_MAX + 1);
    assert_string_equal(errors.lines[0], "/etc/weir/weir.yaml:4:15: unknown client \"nobody0\"; "
                                         "write the name of one that this file defines");
    assert_non_null(strstr(errors.lines[99], ":103:15: unknown client \"nobody99\""));
    assert_string_equal(errors.lines[100], "/etc/weir/weir.yaml: 150 more errors are not shown");
    config_errors_free(&errors);
}

/* Reads and judges with one allocation failing, the n-th. */
static int read_with_failure(const char *text, uint64_t n, struct config_errors *errors)
{
    struct snapshot *snapshot = NULL;
    struct state state = { 0 };

    allocations_fail_at(n);
    int err = read_text(text, &snapshot, errors);
    allocations_fail_at(0);
    assert_true((err == 0) == (snapshot != NULL));
    if (err == 0 && state_new(1, &state) == 0) {
        assert_int_equal(snapshot_bind(snapshot, &state, 1), 0);
        err = config_expect(snapshot, errors);
    }
    snapshot_free(&snapshot);
    state_free(&state);
    return err;
}

static void every_allocation_may_fail(void **state)
{
    uint64_t n = 1;
    (void)state;

    for (;; n++) {
        struct config_errors errors = { 0 };
        int err = read_with_failure(everything, n, &errors);
        config_errors_free(&errors);
        if (err == 0)
            break;
        assert_int_equal(err, WEIR_ENOMEM);
    }
    assert_true(n > 20);
}

static void every_allocation_may_fail_while_errors_are_told(void **state)
{
    uint64_t n = 1;
    (void)state;

    for (;; n++) {
        struct config_errors errors = { 0 };
        int err = read_with_failure("io: x\nwrokers: 1\nlisteners: [{ tls: { key: k, alpn: [h2] } }]\n"
                                    "pools: [{ name: a, tls: { certificate: c, verify: [\"dns:a\"] } }]\n",
                                    n, &errors);
        bool whole = err == WEIR_EINVAL && errors.count == 10;
        config_errors_free(&errors);
        if (whole)
            break;
        assert_int_equal(err, WEIR_ENOMEM);
    }
    assert_true(n > 10);
}

static void an_expectation_that_fails_is_told_with_its_place(void **state)
{
    struct snapshot *snapshot = good(MINIMUM "policy: []\n"
                                             "clients: [{ name: alice, identity: [\"cidr:10.0.0.0/8\"] }]\n"
                                             "expect: [alice cannot web, alice can web, 11.1.1.1 can web/web1,\n"
                                             "         \"* can web\"]\n");
    struct state balancer = { 0 };
    struct config_errors errors = { 0 };
    (void)state;

    assert_int_equal(state_new(1, &balancer), 0);
    assert_int_equal(snapshot_bind(snapshot, &balancer, 1), 0);
    assert_int_equal(config_expect(snapshot, &errors), WEIR_EINVAL);
    assert_int_equal(errors.count, 3);
    assert_string_equal(errors.lines[0], "/etc/weir/weir.yaml:5:28: alice cannot reach web, against this expectation; "
                                         "change the policy or the line");
    assert_non_null(strstr(errors.lines[1], ":5:43: 11.1.1.1 cannot reach web/web1,"));
    assert_non_null(strstr(errors.lines[2], ":6:10: an unknown client cannot reach web,"));
    config_errors_free(&errors);
    snapshot_free(&snapshot);
    state_free(&balancer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out_has_the_documented_default),
        cmocka_unit_test(settings_are_read),
        cmocka_unit_test(listeners_and_pools_are_read),
        cmocka_unit_test(what_a_check_sends_and_expects_is_bytes),
        cmocka_unit_test(a_backslash_outside_of_double_quotes_is_warned_of),
        cmocka_unit_test(an_address_in_two_pools_is_one_upstream),
        cmocka_unit_test(a_limit_may_be_given_by_any_place_of_an_upstream),
        cmocka_unit_test(limits_that_a_client_leaves_out_come_from_the_defaults),
        cmocka_unit_test(a_burst_is_by_default_what_the_rate_brings_in_a_second),
        cmocka_unit_test(networks_policy_and_expectations_are_read),
        cmocka_unit_test(names_of_certificates_are_read),
        cmocka_unit_test(a_name_that_a_wildcard_before_it_hides_is_doubtful),
        cmocka_unit_test(an_empty_policy_is_a_policy),
        cmocka_unit_test(what_changes_nothing_is_accepted_where_it_is_not_yet_supported),
        cmocka_unit_test(several_listeners_may_ask_for_any_free_port),
        cmocka_unit_test(a_byte_order_mark_and_windows_line_ends_are_harmless),
        cmocka_unit_test(a_socket_is_relative_to_the_file),
        cmocka_unit_test(of_very_many_errors_the_first_hundred_are_told_and_the_rest_counted),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(every_allocation_may_fail_while_errors_are_told),
        cmocka_unit_test(an_expectation_that_fails_is_told_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
