/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_balancer.h"

#include <string.h>

#include "../../server/control/figures.h"

#define SECOND UINT64_C(1000000000)

static const char *const configuration =
    "listeners:\n"
    "  - { name: edge, address: 127.0.0.1:1, pool: web }\n"
    "pools:\n"
    "  - name: web\n"
    "    upstreams:\n"
    "      - { name: web1, address: 127.0.0.1:3, weight: 7 }\n"
    "      - { name: web2, address: 127.0.0.1:4, backup: true, max_connections: 5 }\n"
    "clients:\n"
    "  - { name: alice, identity: [cidr:127.0.0.2/32], limits: { connections: 3, rate: 4/s, burst: 8 } }\n"
    "  - { name: bob, identity: [cidr:127.0.0.3/32] }\n";

/* Reloads that a test has made up; the linker then leaves the real ones out. */
struct reloader {
    struct reload_result *last;
};

const char *reload_outcome_label(enum reload_outcome outcome)
{
    return outcome == RELOAD_DONE ? "done" : "refused";
}

struct reload_result *reloader_last(struct reloader *reloader)
{
    if (reloader->last != NULL)
        reloader->last->references++;
    return reloader->last;
}

void reload_result_unref(struct reload_result **presult)
{
    if (*presult != NULL)
        (*presult)->references--;
    *presult = NULL;
}

struct fixture {
    struct reloader reloader;
    struct balancer *balancer;
    struct figures *figures;
    uint64_t now_ns;
    json_t *json;
};

static void look(struct fixture *fixture, uint64_t later_ns)
{
    fixture->now_ns += later_ns;
    assert_int_equal(figures_look(fixture->figures, fixture->now_ns, 1000 * SECOND + fixture->now_ns), 0);
    json_decref(fixture->json);
    fixture->json = figures_json(fixture->figures);
    assert_non_null(fixture->json);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->balancer = fake_balancer_new(configuration);
    assert_int_equal(figures_new(fixture->balancer, &fixture->reloader, &fixture->figures), 0);
    look(fixture, SECOND);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    json_decref(fixture->json);
    figures_free(&fixture->figures);
    for (uint32_t n = 0; n < FAKE_WORKERS; n++)
        refusals_free(&fixture->balancer->refusals[n]);
    fake_balancer_free(fixture->balancer);
    free(fixture);
    return 0;
}

/* By a path like "pools.0.name". */
static json_t *at(const struct fixture *fixture, const char *path)
{
    char copy[128];
    json_t *json = fixture->json;
    snprintf(copy, sizeof copy, "%s", path);
    for (char *key = strtok(copy, "."); key != NULL; key = strtok(NULL, "."))
        json = json_is_array(json) ? json_array_get(json, strtoul(key, NULL, 10)) : json_object_get(json, key);
    if (json == NULL)
        fail_msg("no %s in %s", path, json_dumps(fixture->json, JSON_INDENT(1)));
    return json;
}

static void assert_number(const struct fixture *fixture, const char *path, double expected)
{
    double number = json_number_value(at(fixture, path));
    if (number < expected - 0.001 || number > expected + 0.001)
        fail_msg("%s is %f, not %f", path, number, expected);
}

static const char *text_at(const struct fixture *fixture, const char *path)
{
    return json_string_value(at(fixture, path));
}

static struct upstream *upstream_of(const struct fixture *fixture, uint32_t index)
{
    return &fixture->balancer->snapshot->upstreams[index];
}

static void a_rate_is_what_was_counted_between_two_looks(void **state)
{
    struct fixture *fixture = *state;
    struct listener_slot *slots = fixture->balancer->snapshot->listeners[0].slots;
    counter_add(&slots[0].accepted, 30);
    counter_add(&slots[1].accepted, 10);
    slots[1].bytes[0] = 5000;
    counter_add(&upstream_of(fixture, 0)->counters->connections, 6);
    counter_add(&upstream_of(fixture, 0)->counters->failures[UPSTREAM_FAILURE_RESET], 2);
    fixture->balancer->busy_ns[1] = SECOND;
    look(fixture, 2 * SECOND);
    assert_number(fixture, "now.rate", 20);
    assert_number(fixture, "listeners.0.rate", 20);
    assert_number(fixture, "now.to_upstream", 2500);
    assert_number(fixture, "now.to_client", 0);
    assert_number(fixture, "pools.0.upstreams.0.rate", 3);
    assert_number(fixture, "pools.0.rate", 3);
    assert_number(fixture, "pools.0.upstreams.0.failing", 1);
    assert_number(fixture, "pools.0.upstreams.0.failures", 2);
    assert_number(fixture, "workers.1", 0.5);
    look(fixture, SECOND);
    assert_number(fixture, "now.rate", 0);
}

static void what_was_counted_before_the_first_look_is_no_rate(void **state)
{
    struct fixture *fixture = *state;
    counter_add(&fixture->balancer->snapshot->listeners[0].slots[0].accepted, 1000);
    figures_free(&fixture->figures);
    assert_int_equal(figures_new(fixture->balancer, &fixture->reloader, &fixture->figures), 0);
    look(fixture, SECOND);
    assert_number(fixture, "now.rate", 0);
}

static void upstreams_have_health_state_limit_and_place(void **state)
{
    struct fixture *fixture = *state;
    weir_pool_set_health(fixture->balancer->snapshot->pools[0].balancing, 0, WEIR_PLACE_DOWN);
    weir_upstreams_set_state(fixture->balancer->state.upstreams, upstream_of(fixture, 1)->id, WEIR_UPSTREAM_DRAIN);
    look(fixture, SECOND);
    assert_string_equal(text_at(fixture, "pools.0.upstreams.0.health"), "down");
    assert_string_equal(text_at(fixture, "pools.0.upstreams.0.state"), "enabled");
    assert_number(fixture, "pools.0.upstreams.0.weight", 7);
    assert_true(json_is_null(at(fixture, "pools.0.upstreams.0.max_connections")));
    assert_string_equal(text_at(fixture, "pools.0.upstreams.1.state"), "drain");
    assert_number(fixture, "pools.0.upstreams.1.max_connections", 5);
    assert_true(json_is_true(at(fixture, "pools.0.upstreams.1.backup")));
    assert_number(fixture, "upstreams.down", 1);
    assert_number(fixture, "pools.0.up", 1);
}

static void a_mark_has_the_most_and_the_worst_of_its_looks(void **state)
{
    struct fixture *fixture = *state;
    struct weir_pool *pool = fixture->balancer->snapshot->pools[0].balancing;
    struct weir_lease lease = { 0 };
    assert_int_equal(weir_set_acquire(fixture->balancer->snapshot->unknown_reach.sets[0], NULL, 0, &lease), 0);
    weir_pool_set_health(pool, 0, WEIR_PLACE_EJECTED);
    look(fixture, SECOND);
    weir_lease_release(&lease);
    weir_pool_set_health(pool, 0, WEIR_PLACE_UP);
    for (unsigned n = 2; n < FIGURES_MARK_LOOKS; n++)
        look(fixture, SECOND);
    assert_int_equal(json_array_size(at(fixture, "pools.0.upstreams.0.history")), 1);
    look(fixture, SECOND);
    assert_number(fixture, "pools.0.upstreams.0.history.0", 1);
    assert_number(fixture, "pools.0.upstreams.0.history.1", 0);
    assert_string_equal(text_at(fixture, "pools.0.upstreams.0.health_history"), "eu");
    for (unsigned n = 0; n < FIGURES_MARKS * FIGURES_MARK_LOOKS; n++)
        look(fixture, SECOND);
    assert_int_equal(json_array_size(at(fixture, "pools.0.upstreams.0.history")), FIGURES_MARKS);
    assert_null(strchr(text_at(fixture, "pools.0.upstreams.0.health_history"), 'e'));
}

static void swap_snapshots(struct balancer *a, struct balancer *b)
{
    struct snapshot *snapshot = a->snapshot;
    a->snapshot = b->snapshot;
    b->snapshot = snapshot;
    const struct state state = a->state;
    a->state = b->state;
    b->state = state;
}

static void what_stays_in_a_reload_keeps_its_past(void **state)
{
    static const char *const later = "listeners:\n"
                                     "  - { name: edge, address: 127.0.0.1:1, pool: web }\n"
                                     "pools:\n"
                                     "  - { name: lone, upstreams: [{ name: web1, address: 127.0.0.1:3 }] }\n"
                                     "  - name: web\n"
                                     "    upstreams:\n"
                                     "      - { name: new, address: 127.0.0.1:5 }\n"
                                     "      - { name: web1, address: 127.0.0.1:3 }\n"
                                     "clients:\n"
                                     "  - { name: bob, identity: [cidr:127.0.0.3/32] }\n"
                                     "  - { name: alice, identity: [cidr:127.0.0.2/32] }\n";
    struct fixture *fixture = *state;
    struct balancer *other = fake_balancer_new(later);
    struct client *alice = &fixture->balancer->snapshot->clients[0];
    struct weir_client *slot = NULL;
    struct weir_lease lease = { 0 };
    assert_int_equal(weir_set_acquire(fixture->balancer->snapshot->unknown_reach.sets[0], NULL, 0, &lease), 0);
    assert_int_equal(weir_client_enter(alice->record, &alice->limits, SECOND, &slot), 0);
    look(fixture, SECOND);
    weir_client_leave(&slot);
    weir_lease_release(&lease);
    swap_snapshots(fixture->balancer, other);
    look(fixture, SECOND);
    assert_number(fixture, "pools.0.upstreams.0.history.0", 0); /* the same name, in another pool */
    assert_number(fixture, "pools.1.upstreams.0.history.0", 0);
    assert_number(fixture, "pools.1.upstreams.1.history.0", 1);
    assert_string_equal(text_at(fixture, "clients.by_active.0.name"), "bob");
    assert_number(fixture, "clients.by_active.0.history.0", 0);
    assert_number(fixture, "clients.by_active.1.history.0", 1);
    swap_snapshots(fixture->balancer, other);
    look(fixture, SECOND);
    fake_balancer_free(other);
}

static void the_past_is_bounded_and_ends_with_now(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned n = 0; n < FIGURES_PAST + 7; n++)
        look(fixture, SECOND);
    json_t *past = figures_past_json(fixture->figures);
    assert_int_equal(json_array_size(past), FIGURES_PAST);
    assert_true(json_equal(json_array_get(past, FIGURES_PAST - 1), at(fixture, "now")));
    double first = json_number_value(json_object_get(json_array_get(past, 0), "time"));
    assert_number(fixture, "now.time", first + FIGURES_PAST - 1);
    json_decref(past);
}

static void clients_stand_by_connections_and_by_refusals_with_their_limits(void **state)
{
    struct fixture *fixture = *state;
    struct client *clients = fixture->balancer->snapshot->clients;
    struct weir_client *slot = NULL;
    assert_int_equal(weir_client_enter(clients[1].record, &clients[1].limits, SECOND, &slot), 0);
    counter_add(&clients[0].counters->denied[CLOSE_CLIENT_RATE], 3);
    counter_add(&fixture->balancer->snapshot->nobody->denied[CLOSE_TLS_ERROR], 1);
    look(fixture, SECOND);
    assert_string_equal(text_at(fixture, "clients.by_active.0.name"), "bob");
    assert_number(fixture, "clients.by_active.0.active", 1);
    assert_true(json_is_null(at(fixture, "clients.by_active.0.limit")));
    assert_int_equal(json_array_size(at(fixture, "clients.by_refused")), 1);
    assert_string_equal(text_at(fixture, "clients.by_refused.0.name"), "alice");
    assert_number(fixture, "clients.by_refused.0.max_connections", 3);
    assert_number(fixture, "clients.by_refused.0.limit.per_second", 4);
    assert_number(fixture, "clients.by_refused.0.limit.burst", 8);
    assert_number(fixture, "clients.by_refused.0.refused", 3);
    assert_number(fixture, "clients.unidentified.refused", 1);
    assert_number(fixture, "refusals.total", 4);
    assert_number(fixture, "now.refusing", 4);
    weir_client_leave(&slot);
}

static void who_was_refused_lately_stands_before_who_was_refused_long_ago(void **state)
{
    struct fixture *fixture = *state;
    struct client *clients = fixture->balancer->snapshot->clients;
    counter_add(&clients[0].counters->denied[CLOSE_CLIENT_RATE], 100);
    look(fixture, SECOND);
    for (unsigned n = 0; n < 600; n++)
        look(fixture, SECOND);
    counter_add(&clients[1].counters->denied[CLOSE_CLIENT_RATE], 1);
    look(fixture, SECOND);
    assert_string_equal(text_at(fixture, "clients.by_refused.0.name"), "bob");
    assert_string_equal(text_at(fixture, "clients.by_refused.1.name"), "alice");
}

static void keep(struct fixture *fixture, uint32_t worker, uint64_t wall_ns, const char *client)
{
    struct refusal refusal = { .id = wall_ns, .wall_ns = wall_ns, .reason = CLOSE_NOT_AUTHORIZED, .listener = "edge" };
    refusal_text_set(&refusal.client, client, strlen(client));
    if (fixture->balancer->refusals[worker] == NULL)
        fixture->balancer->refusals[worker] = refusals_new();
    refusals_add(fixture->balancer->refusals[worker], &refusal);
}

static void the_last_refusals_of_all_workers_stand_the_newest_first(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t n = 1; n <= REFUSALS_KEPT; n++) {
        keep(fixture, 0, 2 * n, "even");
        keep(fixture, 1, 2 * n + 1, "odd");
    }
    look(fixture, SECOND);
    assert_int_equal(json_array_size(at(fixture, "refusals.last")), REFUSALS_KEPT);
    assert_number(fixture, "refusals.last.0.id", 2 * REFUSALS_KEPT + 1);
    assert_string_equal(text_at(fixture, "refusals.last.0.client"), "odd");
    assert_string_equal(text_at(fixture, "refusals.last.1.client"), "even");
    assert_string_equal(text_at(fixture, "refusals.last.0.reason"), "not_authorized");
    assert_string_equal(text_at(fixture, "refusals.last.0.sentence"), close_reason_sentence(CLOSE_NOT_AUTHORIZED));
}

static void names_of_strangers_are_made_safe(void **state)
{
    struct fixture *fixture = *state;
    keep(fixture, 0, 1, "a\xff\x1b[31m<b>\xe2\x80\xae");
    look(fixture, SECOND);
    assert_string_equal(text_at(fixture, "refusals.last.0.client"), "a\xef\xbf\xbd\xef\xbf\xbd[31m<b>\xef\xbf\xbd");
}

static void the_last_reloads_are_kept_the_newest_first_and_their_lines_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct reload_result results[FIGURES_RELOADS + 2] = { 0 };
    char *lines[FIGURES_RELOAD_LINES + 3];
    for (unsigned n = 0; n < FIGURES_RELOAD_LINES + 3; n++)
        lines[n] = "a line";
    assert_int_equal(json_array_size(at(fixture, "reloads")), 0);
    for (unsigned n = 0; n < FIGURES_RELOADS + 2; n++) {
        results[n] = (struct reload_result){ .outcome = n % 2 == 0 ? RELOAD_DONE : RELOAD_REFUSED,
                                             .wall_ns = n * SECOND,
                                             .lines = lines,
                                             .line_count = FIGURES_RELOAD_LINES + 3 };
        fixture->reloader.last = &results[n];
        look(fixture, SECOND);
        look(fixture, SECOND);
    }
    assert_int_equal(json_array_size(at(fixture, "reloads")), FIGURES_RELOADS);
    assert_number(fixture, "reloads.0.time", FIGURES_RELOADS + 1);
    assert_string_equal(text_at(fixture, "reloads.0.result"), "done");
    assert_string_equal(text_at(fixture, "reloads.1.result"), "refused");
    assert_int_equal(json_array_size(at(fixture, "reloads.0.lines")), FIGURES_RELOAD_LINES);
    assert_number(fixture, "reloads.0.line_total", FIGURES_RELOAD_LINES + 3);
    fixture->reloader.last = NULL;
    figures_free(&fixture->figures);
    for (unsigned n = 0; n < FIGURES_RELOADS + 2; n++)
        assert_int_equal(results[n].references, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_rate_is_what_was_counted_between_two_looks, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_counted_before_the_first_look_is_no_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(upstreams_have_health_state_limit_and_place, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mark_has_the_most_and_the_worst_of_its_looks, setup, teardown),
        cmocka_unit_test_setup_teardown(what_stays_in_a_reload_keeps_its_past, setup, teardown),
        cmocka_unit_test_setup_teardown(the_past_is_bounded_and_ends_with_now, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_stand_by_connections_and_by_refusals_with_their_limits, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_was_refused_lately_stands_before_who_was_refused_long_ago, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_refusals_of_all_workers_stand_the_newest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(names_of_strangers_are_made_safe, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_reloads_are_kept_the_newest_first_and_their_lines_are_bounded, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("figures", tests, NULL, NULL);
}
