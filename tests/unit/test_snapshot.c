/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include <weir/errors.h>

#include "allocations.h"
#include "snapshots.h"

#define WORKERS 2

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct state));
    return *state == NULL ? -1 : state_new(1, *state);
}

static int teardown(void **state)
{
    state_free(*state);
    free(*state);
    return 0;
}

static void add_clients(struct snapshot *snapshot, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char name[NAME_MAX_BYTES + 1];
        snprintf(name, sizeof name, "client%u", i);
        snapshot_add_client(snapshot, name);
    }
}

static void everything_is_bound(void **state)
{
    struct state *shared = *state;
    struct snapshot *snapshot = snapshot_make();
    snapshot_add_listener(snapshot, snapshot_add_pool(snapshot, 3));
    snapshot_add_pool(snapshot, 1);
    snapshot_add_place(snapshot, 1, 7, true);
    snapshot->upstreams[2].max_connections = 1;
    add_clients(snapshot, 2);
    assert_int_equal(snapshot_bind(snapshot, shared, WORKERS), 0);

    assert_non_null(snapshot->listeners[0].slots);
    assert_non_null(snapshot->other);
    for (uint32_t i = 0; i < 4; i++) {
        assert_non_null(snapshot->upstreams[i].counters);
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(snapshot->upstreams[i].id, snapshot->upstreams[j].id);
    }
    for (uint32_t i = 0; i < 2; i++) {
        assert_non_null(snapshot->clients[i].record);
        assert_non_null(snapshot->clients[i].counters);
        assert_non_null(snapshot->pools[i].slots);
        struct weir_pool *pool = snapshot->pools[i].balancing;
        assert_int_equal(weir_pool_count(pool), snapshot->pools[i].place_count);
        for (uint32_t j = 0; j < snapshot->pools[i].place_count; j++)
            assert_int_equal(weir_pool_upstream(pool, j),
                             snapshot->upstreams[snapshot->pools[i].places[j].upstream].id);
    }
    snapshot_free(&snapshot);
    assert_null(snapshot);
    snapshot_free(&snapshot);
}

static void upstreams_of_the_same_weight_are_neighbours(void **state)
{
    struct snapshot *snapshot = snapshot_make();
    uint32_t first = UINT32_MAX;
    snapshot_add_pool(snapshot, 300);
    for (uint32_t i = 0; i < 300; i++)
        snapshot->pools[0].places[i].weight = 1 + i % 3;
    assert_int_equal(snapshot_bind(snapshot, *state, WORKERS), 0);
    for (uint32_t i = 0; i < 300; i++)
        first = snapshot->upstreams[i].id < first ? snapshot->upstreams[i].id : first;
    for (uint32_t i = 0; i < 300; i++)
        assert_int_equal(snapshot->upstreams[i].id - first, i % 3 * 100 + i / 3);
    snapshot_free(&snapshot);
}

static void an_upstream_of_two_pools_is_counted_once(void **state)
{
    struct state *shared = *state;
    struct snapshot *snapshot = snapshot_make();
    struct weir_lease lease;
    snapshot_add_pool(snapshot, 1);
    snapshot_add_pool(snapshot, 0);
    snapshot_add_place(snapshot, 0, 1, false);
    snapshot->upstreams[0].max_connections = 1;
    assert_int_equal(snapshot_bind(snapshot, shared, WORKERS), 0);
    assert_int_equal(weir_set_acquire(snapshot->unknown_reach.sets[0], NULL, 0, &lease), 0);
    assert_int_equal(weir_upstreams_active(shared->upstreams, snapshot->upstreams[0].id), 1);
    assert_int_equal(weir_set_acquire(snapshot->unknown_reach.sets[1], NULL, 0, &lease), WEIR_ENOUPSTREAM);
    weir_lease_release(&lease);
    assert_int_equal(weir_set_acquire(snapshot->unknown_reach.sets[1], NULL, 0, &lease), 0);
    weir_lease_release(&lease);
    snapshot_free(&snapshot);
}

static void without_a_policy_everybody_reaches_everything(void **state)
{
    struct snapshot *snapshot = snapshot_make();
    snapshot_add_pool(snapshot, 70);
    snapshot_add_pool(snapshot, 1);
    add_clients(snapshot, 100);
    assert_int_equal(snapshot_bind(snapshot, *state, WORKERS), 0);
    assert_true(snapshot->unknown_let_in);
    assert_int_equal(snapshot->set_count, 2);
    assert_int_equal(snapshot->row_count, 1);
    for (uint32_t pool = 0; pool < 2; pool++) {
        assert_int_equal(weir_set_count(snapshot->unknown_reach.sets[pool]), snapshot->pools[pool].place_count);
        assert_int_equal(snapshot->unknown_reach.rules[pool], ANY_INDEX);
        for (uint32_t i = 0; i < 100; i++)
            assert_ptr_equal(snapshot->client_reach[i].sets[pool], snapshot->unknown_reach.sets[pool]);
    }
    snapshot_free(&snapshot);
}

static void an_empty_policy_lets_nobody_in(void **state)
{
    struct snapshot *snapshot = snapshot_make();
    snapshot_add_pool(snapshot, 2);
    add_clients(snapshot, 1);
    snapshot->has_policy = true;
    assert_int_equal(snapshot_bind(snapshot, *state, WORKERS), 0);
    assert_false(snapshot->unknown_let_in);
    assert_null(snapshot->unknown_reach.sets[0]);
    assert_null(snapshot->client_reach[0].sets[0]);
    assert_int_equal(snapshot->set_count, 0);
    snapshot_free(&snapshot);
}

/* Thousands of clients, a handful of sets: however differently the rules say the same. */
static void equal_sets_are_stored_once(void **state)
{
    struct snapshot *snapshot = snapshot_make();
    uint32_t pool = snapshot_add_pool(snapshot, 4);
    add_clients(snapshot, 3000);
    for (uint32_t i = 0; i < 3000; i++) {
        snapshot_add_rule(snapshot, true);
        snapshot_rule_client(snapshot, i);
        switch (i % 3) {
        case 0:
            snapshot_rule_target(snapshot, pool, ANY_INDEX);
            break;
        case 1:
            for (uint32_t place = 4; place-- > 0;)
                snapshot_rule_target(snapshot, pool, place);
            break;
        default:
            snapshot_rule_target(snapshot, pool, i % 2);
            break;
        }
    }
    assert_int_equal(snapshot_bind(snapshot, *state, WORKERS), 0);
    assert_int_equal(snapshot->set_count, 3);
    assert_ptr_equal(snapshot->client_reach[0].sets[pool], snapshot->client_reach[1].sets[pool]);
    assert_int_equal(snapshot->client_reach[7].rules[pool], 7);
    snapshot_free(&snapshot);
}

static void clients_of_the_same_rules_share_a_row(void **state)
{
    struct snapshot *snapshot = snapshot_make();
    uint32_t pool = snapshot_add_pool(snapshot, 10);
    add_clients(snapshot, 10000);
    for (uint32_t rule = 0; rule < 5; rule++) {
        snapshot_add_rule(snapshot, rule != 4);
        snapshot_rule_target(snapshot, pool, rule);
        for (uint32_t i = rule; i < 10000; i += 5)
            snapshot_rule_client(snapshot, i);
    }
    assert_int_equal(snapshot_bind(snapshot, *state, WORKERS), 0);
    assert_int_equal(snapshot->row_count, 6);
    assert_int_equal(snapshot->set_count, 4);
    for (uint32_t i = 0; i < 10000; i++) {
        struct weir_set *set = snapshot->client_reach[i].sets[pool];
        assert_int_equal(set == NULL, i % 5 == 4);
        assert_true(set == NULL || weir_set_place(set, 0) == i % 5);
    }
    snapshot_free(&snapshot);
}

/* A model of policies: any pool, place and client, asked rule by rule. */

#define POOLS 3
#define PLACES 5
#define CLIENTS 8

static bool names(const struct rule *rule, uint32_t client)
{
    bool named = rule->any_client;
    for (uint32_t i = 0; i < rule->client_count; i++)
        named = named || rule->clients[i] == client;
    return named;
}

static bool covers(const struct rule *rule, uint32_t pool, uint32_t place)
{
    for (uint32_t i = 0; i < rule->target_count; i++) {
        if (rule->targets[i].pool == pool && (rule->targets[i].place == ANY_INDEX || rule->targets[i].place == place))
            return true;
    }
    return false;
}

/* The first rule that allows it; ANY_INDEX when none does or one denies it. */
static uint32_t allowed_by(const struct snapshot *snapshot, uint32_t client, uint32_t pool, uint32_t place)
{
    uint32_t allowed = ANY_INDEX;
    for (uint32_t i = 0; i < snapshot->rule_count; i++) {
        const struct rule *rule = &snapshot->rules[i];
        if (!names(rule, client) || !covers(rule, pool, place))
            continue;
        if (!rule->allow)
            return ANY_INDEX;
        allowed = allowed == ANY_INDEX ? i : allowed;
    }
    return allowed;
}

static struct snapshot *random_policy(uint64_t *random)
{
    struct snapshot *snapshot = snapshot_make();
    uint32_t rules = test_random_below(random, 8);
    for (uint32_t i = 0; i < POOLS; i++)
        snapshot_add_pool(snapshot, PLACES);
    add_clients(snapshot, CLIENTS);
    snapshot->has_policy = true;
    for (uint32_t i = 0; i < rules; i++) {
        snapshot_add_rule(snapshot, test_random_below(random, 3) != 0);
        for (uint32_t n = test_random_below(random, 4); n > 0; n--)
            snapshot_rule_client(snapshot, test_random_below(random, CLIENTS));
        if (test_random_below(random, 4) == 0)
            snapshot_rule_client(snapshot, ANY_INDEX);
        for (uint32_t n = test_random_below(random, 5); n > 0; n--) {
            uint32_t place = test_random_below(random, PLACES + 2);
            snapshot_rule_target(snapshot, test_random_below(random, POOLS), place < PLACES ? place : ANY_INDEX);
        }
    }
    return snapshot;
}

static void check_reach(const struct snapshot *snapshot, uint32_t client, const struct reach *reach)
{
    for (uint32_t pool = 0; pool < POOLS; pool++) {
        uint32_t first = ANY_INDEX, count = 0;
        for (uint32_t place = 0; place < PLACES; place++) {
            uint32_t rule = allowed_by(snapshot, client, pool, place);
            first = rule < first ? rule : first;
            count += rule != ANY_INDEX;
            bool holds = reach->sets[pool] != NULL && weir_set_contains(reach->sets[pool], place);
            assert_int_equal(holds, rule != ANY_INDEX);
        }
        assert_int_equal(reach->sets[pool] == NULL, count == 0);
        assert_true(count == 0 || weir_set_pool(reach->sets[pool]) == snapshot->pools[pool].balancing);
        assert_int_equal(reach->rules[pool], first);
    }
}

static bool same_set(const struct weir_set *a, const struct weir_set *b)
{
    if (weir_set_pool(a) != weir_set_pool(b) || weir_set_count(a) != weir_set_count(b))
        return false;
    for (uint32_t i = 0; i < weir_set_count(a); i++) {
        if (weir_set_place(a, i) != weir_set_place(b, i))
            return false;
    }
    return true;
}

static void policies_agree_with_rules_read_one_by_one(void **state)
{
    uint64_t random = 1;
    for (int run = 0; run < 2000; run++) {
        struct snapshot *snapshot = random_policy(&random);
        assert_int_equal(snapshot_bind(snapshot, *state, WORKERS), 0);
        check_reach(snapshot, ANY_INDEX, &snapshot->unknown_reach);
        for (uint32_t client = 0; client < CLIENTS; client++)
            check_reach(snapshot, client, &snapshot->client_reach[client]);
        bool anything = false;
        for (uint32_t pool = 0; pool < POOLS; pool++)
            anything = anything || snapshot->unknown_reach.sets[pool] != NULL;
        assert_int_equal(snapshot->unknown_let_in, anything);
        for (uint32_t i = 0; i < snapshot->set_count; i++) {
            for (uint32_t j = 0; j < i; j++)
                assert_false(same_set(snapshot->sets[i], snapshot->sets[j]));
        }
        snapshot_free(&snapshot);
    }
}

static void ids_come_back_with_their_snapshot(void **state)
{
    for (int i = 0; i < 4; i++) {
        struct snapshot *snapshot = snapshot_make();
        snapshot_add_pool(snapshot, 60000);
        assert_int_equal(snapshot_bind(snapshot, *state, WORKERS), 0);
        snapshot_free(&snapshot);
    }
}

static struct snapshot *bound_snapshot(struct state *shared, uint32_t max_connections)
{
    struct snapshot *snapshot = snapshot_make();
    snapshot_add_listener(snapshot, snapshot_add_pool(snapshot, 2));
    snapshot->upstreams[0].max_connections = max_connections;
    add_clients(snapshot, 1);
    assert_int_equal(snapshot_bind(snapshot, shared, WORKERS), 0);
    return snapshot;
}

static void what_is_counted_outlives_its_snapshot(void **state)
{
    struct state *shared = *state;
    struct snapshot *before = bound_snapshot(shared, 0), *after = bound_snapshot(shared, 0);
    assert_ptr_equal(before->listeners[0].slots, after->listeners[0].slots);
    assert_ptr_equal(before->pools[0].slots, after->pools[0].slots);
    assert_ptr_equal(before->clients[0].record, after->clients[0].record);
    assert_ptr_equal(before->upstreams[1].counters, after->upstreams[1].counters);
    assert_int_equal(before->upstreams[1].id, after->upstreams[1].id);
    uint32_t kept = shared->keep.count;
    snapshot_free(&before);
    keep_sweep(&shared->keep);
    assert_int_equal(shared->keep.count, kept);
    snapshot_free(&after);
    keep_sweep(&shared->keep);
    assert_int_equal(shared->keep.count, 0);
}

static void an_address_is_kept_while_it_has_connections(void **state)
{
    struct state *shared = *state;
    struct snapshot *before = bound_snapshot(shared, 0);
    struct weir_lease lease;
    assert_int_equal(weir_set_acquire(before->unknown_reach.sets[0], NULL, 0, &lease), 0);
    snapshot_free(&before);
    keep_sweep(&shared->keep);
    struct snapshot *after = bound_snapshot(shared, 0);
    assert_int_equal(weir_upstreams_active(shared->upstreams, after->upstreams[0].id) +
                         weir_upstreams_active(shared->upstreams, after->upstreams[1].id),
                     1);
    weir_lease_release(&lease);
    snapshot_free(&after);
}

static void limits_change_when_a_snapshot_is_applied(void **state)
{
    struct state *shared = *state;
    struct snapshot *before = bound_snapshot(shared, 0), *after = bound_snapshot(shared, 1);
    struct weir_lease leases[4];
    for (int n = 0; n < 2; n++)
        assert_int_equal(weir_set_acquire(before->unknown_reach.sets[0], NULL, 0, &leases[n]), 0);
    assert_int_equal(weir_set_acquire(before->unknown_reach.sets[0], NULL, 0, &leases[2]), 0);
    weir_lease_release(&leases[2]);
    snapshot_apply(after);
    for (int n = 2; n < 4; n++) {
        assert_int_equal(weir_set_acquire(after->unknown_reach.sets[0], NULL, 0, &leases[n]), 0);
        assert_int_equal(leases[n].upstream, after->upstreams[1].id);
    }
    for (int n = 0; n < 4; n++)
        weir_lease_release(&leases[n]);
    snapshot_free(&before);
    snapshot_free(&after);
}

static void more_upstreams_than_the_table_holds_are_refused(void **state)
{
    struct snapshot *snapshots[3] = { snapshot_make(), snapshot_make(), snapshot_make() };
    for (int i = 0; i < 3; i++) {
        snapshot_add_pool(snapshots[i], 60000);
        for (uint32_t n = 0; n < 60000; n++)
            snapshots[i]->upstreams[n].address.u.v4.sin_port = (in_port_t)(1 + i);
        assert_int_equal(snapshot_bind(snapshots[i], *state, WORKERS), i < 2 ? 0 : WEIR_EFULL);
    }
    for (int i = 0; i < 3; i++)
        snapshot_free(&snapshots[i]);
}

static void an_unbound_snapshot_can_be_freed(void **state)
{
    struct snapshot *snapshot = snapshot_make();
    snapshot_add_listener(snapshot, snapshot_add_pool(snapshot, 3));
    snapshot_add_network(snapshot, "10.0.0.0", 8, snapshot_add_client(snapshot, "a"));
    snapshot_add_rule(snapshot, true);
    snapshot_rule_client(snapshot, 0);
    snapshot_rule_target(snapshot, 0, ANY_INDEX);
    snapshot_free(&snapshot);
    (void)state;
}

static void every_allocation_that_fails_is_reported_and_nothing_leaks(void **state)
{
    (void)state;
    int err = WEIR_ENOMEM;
    for (uint64_t n = 1; err != 0; n++) {
        struct state shared = { 0 };
        struct snapshot *snapshot = snapshot_make();
        snapshot_add_listener(snapshot, snapshot_add_pool(snapshot, 3));
        snapshot_add_pool(snapshot, 2);
        add_clients(snapshot, 3);
        for (uint32_t i = 0; i < 4; i++) {
            snapshot_add_rule(snapshot, i != 2);
            snapshot_rule_client(snapshot, i == 3 ? ANY_INDEX : i);
            snapshot_rule_target(snapshot, i % 2, i == 0 ? ANY_INDEX : i % 2);
        }
        allocations_fail_at(n);
        err = state_new(1, &shared);
        if (err == 0)
            err = snapshot_bind(snapshot, &shared, WORKERS);
        allocations_fail_at(0);
        assert_true(err == 0 ? n > 30 : err == WEIR_ENOMEM);
        snapshot_free(&snapshot);
        state_free(&shared);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_is_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(upstreams_of_the_same_weight_are_neighbours, setup, teardown),
        cmocka_unit_test_setup_teardown(an_upstream_of_two_pools_is_counted_once, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_policy_everybody_reaches_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_policy_lets_nobody_in, setup, teardown),
        cmocka_unit_test_setup_teardown(equal_sets_are_stored_once, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_of_the_same_rules_share_a_row, setup, teardown),
        cmocka_unit_test_setup_teardown(policies_agree_with_rules_read_one_by_one, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_come_back_with_their_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_counted_outlives_its_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_is_kept_while_it_has_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_change_when_a_snapshot_is_applied, setup, teardown),
        cmocka_unit_test_setup_teardown(more_upstreams_than_the_table_holds_are_refused, setup, teardown),
        cmocka_unit_test(an_unbound_snapshot_can_be_freed),
        cmocka_unit_test(every_allocation_that_fails_is_reported_and_nothing_leaks),
    };
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
