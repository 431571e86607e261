/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_balancer.h"

#include <string.h>

#include "../../server/control/status.h"

static const char *const configuration = "listeners:\n"
                                         "  - { name: edge, address: 127.0.0.1:1, pool: web }\n"
                                         "  - { name: side, address: \"[::1]:2\", pool: lone }\n"
                                         "pools:\n"
                                         "  - name: web\n"
                                         "    upstreams:\n"
                                         "      - { name: web1, address: 127.0.0.1:3, weight: 7 }\n"
                                         "      - { name: web2, address: 127.0.0.1:4, backup: true }\n"
                                         "  - name: lone\n"
                                         "    upstreams:\n"
                                         "      - { name: big, address: 127.0.0.1:5, max_connections: 1 }\n"
                                         "clients:\n"
                                         "  - { name: alice, identity: [cidr:127.0.0.2/32] }\n";

static int setup(void **state)
{
    *state = fake_balancer_new(configuration);
    return 0;
}

static int teardown(void **state)
{
    fake_balancer_free(*state);
    return 0;
}

/* JSON with single quotes, so that it can be read here. */
static json_t *json_of(const char *text)
{
    char *copy = strdup(text);
    for (char *quote = copy; (quote = strchr(quote, '\'')) != NULL;)
        *quote = '"';
    json_t *json = json_loads(copy, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    free(copy);
    return json;
}

static void status_has_all_that_the_interface_names(void **state)
{
    struct balancer *balancer = *state;
    balancer->uptime_ns = 1234567890;
    weir_pool_set_health(balancer->snapshot->pools[0].balancing, 1, WEIR_PLACE_DOWN);
    weir_upstreams_set_state(balancer->state.upstreams, balancer->snapshot->upstreams[0].id, WEIR_UPSTREAM_DRAIN);
    json_t *got = status_json(balancer);
    json_t *expected = json_of("{'version': '" WEIR_VERSION "', 'uptime': 1.234, 'workers': 2, 'io': 'fake',"
                               " 'draining': false, 'max_connections': 1000,"
                               " 'listeners': [{'name': 'edge', 'address': '127.0.0.1:1', 'pool': 'web', 'active': 40},"
                               "               {'name': 'side', 'address': '[::1]:2', 'pool': 'lone', 'active': 41}],"
                               " 'pools': [{'name': 'web', 'upstreams':"
                               "     [{'name': 'web1', 'health': 'up', 'weight': 7, 'backup': false},"
                               "      {'name': 'web2', 'health': 'down', 'weight': 1, 'backup': true}]},"
                               "           {'name': 'lone', 'upstreams':"
                               "     [{'name': 'big', 'health': 'up', 'weight': 1, 'backup': false}]}],"
                               " 'upstreams':"
                               "     [{'name': 'web1', 'address': '127.0.0.1:3', 'state': 'drain', 'active': 0,"
                               "       'max_connections': 0},"
                               "      {'name': 'web2', 'address': '127.0.0.1:4', 'state': 'enabled', 'active': 0,"
                               "       'max_connections': 0},"
                               "      {'name': 'big', 'address': '127.0.0.1:5', 'state': 'enabled', 'active': 0,"
                               "       'max_connections': 1}],"
                               " 'clients': [{'name': 'alice', 'active': 0, 'limit': 0},"
                               "             {'name': 'other', 'active': 0, 'limit': 0}]}");
    if (!json_equal(got, expected))
        fail_msg("%s", json_dumps(got, JSON_INDENT(1)));
    json_decref(expected);
    json_decref(got);
}

static void assert_unready(const struct balancer *balancer, const char *reason)
{
    char why[256] = "ready";
    assert_int_equal(status_unready(balancer, why, sizeof why), strcmp(reason, "ready") != 0);
    assert_string_equal(why, reason);
}

static void it_is_ready_while_every_listener_s_pool_has_an_available_upstream(void **state)
{
    struct balancer *balancer = *state;
    struct weir_pool *web = balancer->snapshot->pools[0].balancing;
    assert_unready(balancer, "ready");
    weir_pool_set_health(web, 0, WEIR_PLACE_DOWN);
    assert_unready(balancer, "ready"); /* the backup */
    weir_pool_set_health(web, 1, WEIR_PLACE_EJECTED);
    assert_unready(balancer, "ready"); /* ejected is better than nothing */
    weir_pool_set_health(web, 1, WEIR_PLACE_DOWN);
    assert_unready(balancer, "listener edge: pool web has no available upstream");
}

static void it_is_unready_when_upstreams_were_drained_by_hand(void **state)
{
    struct balancer *balancer = *state;
    uint32_t big = balancer->snapshot->upstreams[2].id;
    weir_upstreams_set_state(balancer->state.upstreams, big, WEIR_UPSTREAM_DISABLED);
    assert_unready(balancer, "listener side: pool lone has no available upstream");
    weir_upstreams_set_state(balancer->state.upstreams, big, WEIR_UPSTREAM_ENABLED);
    assert_unready(balancer, "ready");
}

static void it_is_unready_when_upstreams_are_full(void **state)
{
    struct balancer *balancer = *state;
    struct weir_lease lease = { 0 };
    assert_int_equal(weir_set_acquire(balancer->snapshot->unknown_reach.sets[1], NULL, 0, &lease), 0);
    assert_unready(balancer, "listener side: pool lone has no available upstream");
    weir_lease_release(&lease);
    assert_unready(balancer, "ready");
}

static void it_is_unready_while_it_drains(void **state)
{
    struct balancer *balancer = *state;
    balancer->draining = true;
    assert_unready(balancer, "the balancer is draining");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(status_has_all_that_the_interface_names, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_ready_while_every_listener_s_pool_has_an_available_upstream, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(it_is_unready_when_upstreams_were_drained_by_hand, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_unready_when_upstreams_are_full, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_unready_while_it_drains, setup, teardown),
    };
    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
