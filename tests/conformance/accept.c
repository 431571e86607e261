/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* Accepting: starting, stopping, closing, discarding. */

static void a_stopped_acceptor_leaves_connections_in_the_queue(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    run_for(&world, 2 * MS);
    weir_accept_stop(&world.acceptor);
    weir_accept_stop(&world.acceptor);
    run_until(&world, &world.accept_ends, 1);
    assert_int_equal(world.accept_status, WEIR_ECANCELED);
    weir_accept_stop(&world.acceptor); /* not accepting any more: nothing happens */
    end_init(&client, &world);
    end_init(&server, &world);
    expect_end(&server);
    weir_connect(&client.socket, &world.address, 0);
    run_until(&world, &client.connects, 1);
    run_for(&world, 5 * MS);
    assert_int_equal(world.accepted, 0);
    weir_accept(&world.acceptor);
    run_until(&world, &world.accepted, 1);
    close_pair(&client, &server);
    assert_int_equal(world.accept_ends, 1);
    world_close(&world);
    assert_int_equal(world.accept_ends, 2);
}

static void a_closed_acceptor_refuses(void **state)
{
    (void)state;
    struct world world;
    struct end client;
    world_open(&world, NULL);
    run_for(&world, 2 * MS);
    weir_acceptor_close(&world.acceptor);
    assert_int_equal(world.accept_ends, 0);
    run_until(&world, &world.acceptor_closed, 1);
    assert_int_equal(world.accept_ends, 1);
    assert_int_equal(world.accept_status, WEIR_ECANCELED);
    end_init(&client, &world);
    weir_connect(&client.socket, &world.address, 0);
    run_until(&world, &client.connects, 1);
    assert_int_equal(client.connect_status, WEIR_ECONNREFUSED);
    close_end(&client, WEIR_CLOSE_NORMAL);
    world_close(&world);
}

static void an_acceptor_that_does_not_accept_closes_too(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, NULL);
    weir_accept_stop(&world.acceptor);
    run_until(&world, &world.accept_ends, 1);
    weir_acceptor_close(&world.acceptor);
    run_until(&world, &world.acceptor_closed, 1);
    assert_int_equal(world.accept_ends, 1);
    world_close(&world);
}

static void a_discarded_connection_is_reset(void **state)
{
    (void)state;
    struct world world;
    struct end client;
    world_open(&world, NULL);
    weir_accept_stop(&world.acceptor);
    run_until(&world, &world.accept_ends, 1);
    end_init(&client, &world);
    weir_connect(&client.socket, &world.address, 0);
    run_until(&world, &client.connects, 1);
    weir_accept(&world.acceptor);
    run_until(&world, &world.surplus, 1);
    weir_recv(&client.socket);
    run_until(&world, &client.recv_ends, 1);
    assert_int_equal(client.recv_status, WEIR_ECONNRESET);
    close_end(&client, WEIR_CLOSE_NORMAL);
    world_close(&world);
}

/* More than any backend takes in one turn; and each is accepted exactly once. */
static void many_connections_arrive_at_once(void **state)
{
    (void)state;
    enum { CONNECTIONS = 300 };
    static struct end clients[CONNECTIONS], servers[CONNECTIONS];
    struct world world;
    world_open(&world, NULL);
    weir_accept_stop(&world.acceptor);
    run_until(&world, &world.accept_ends, 1);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        end_init(&clients[i], &world);
        end_init(&servers[i], &world);
        expect_end(&servers[i]);
        weir_connect(&clients[i].socket, &world.address, 0);
    }
    for (unsigned i = 0; i < CONNECTIONS; i++)
        run_until(&world, &clients[i].connects, 1);
    weir_accept(&world.acceptor);
    run_until(&world, &world.accepted, CONNECTIONS);
    run_for(&world, 5 * MS);
    assert_int_equal(world.accepted, CONNECTIONS);
    assert_int_equal(world.surplus, 0);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        quit(&clients[i], WEIR_CLOSE_NORMAL);
        quit(&servers[i], WEIR_CLOSE_NORMAL);
    }
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        run_until(&world, &clients[i].closes, 1);
        run_until(&world, &servers[i].closes, 1);
    }
    world_close(&world);
}

int conformance_accept(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_acceptor_leaves_connections_in_the_queue),
        cmocka_unit_test(a_closed_acceptor_refuses),
        cmocka_unit_test(an_acceptor_that_does_not_accept_closes_too),
        cmocka_unit_test(a_discarded_connection_is_reset),
        cmocka_unit_test(many_connections_arrive_at_once),
    };
    return cmocka_run_group_tests_name("accept", tests, NULL, NULL);
}
