/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <stdlib.h>

/* A connection's life: connecting, what closing does to what is in flight, what the peer sees of it. */

static void operations_complete_later_than_they_are_submitted(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    end_init(&client, &world);
    end_init(&server, &world);
    expect_end(&server);
    weir_connect(&client.socket, &world.address, 0);
    assert_int_equal(client.connects, 0);
    run_until(&world, &client.connects, 1);
    run_until(&world, &world.accepted, 1);
    send_text(&client, "now", WEIR_SEND_NOW);
    assert_int_equal(client.sends, 0);
    run_until(&world, &client.sends, 1);
    weir_recv(&server.socket);
    assert_int_equal(server.receipts, 0);
    run_until(&world, &server.receipts, 1);
    weir_recv_stop(&server.socket);
    assert_int_equal(server.recv_ends, 0);
    run_until(&world, &server.recv_ends, 1);
    quit(&client, WEIR_CLOSE_NORMAL);
    assert_int_equal(client.closes, 0);
    run_until(&world, &client.closes, 1);
    close_end(&server, WEIR_CLOSE_NORMAL);
    assert_string_equal(client.log, "CSX");
    assert_string_equal(server.log, "RrX");
    world_close(&world);
}

static void both_ends_know_each_others_address(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    struct weir_address a, b;
    world_open(&world, NULL);
    end_init(&client, &world);
    assert_int_equal(weir_socket_peer(&client.socket, &a), WEIR_EIO);
    quit(&client, WEIR_CLOSE_NORMAL);
    run_until(&world, &client.closes, 1);
    pair_up(&world, &client, &server);
    assert_int_equal(weir_socket_peer(&client.socket, &a), 0);
    assert_true(weir_address_equal(&a, &world.address));
    assert_int_equal(weir_socket_local(&client.socket, &a), 0);
    assert_int_equal(weir_socket_peer(&server.socket, &b), 0);
    assert_true(weir_address_equal(&a, &b));
    assert_int_equal(weir_socket_local(&server.socket, &b), 0);
    assert_true(weir_address_equal(&b, &world.address));
    close_pair(&client, &server);
    world_close(&world);
}

static void a_refused_connect_says_so_and_can_be_closed(void **state)
{
    (void)state;
    struct world world;
    struct end client;
    struct weir_address nobody;
    world_open(&world, NULL);
    conformance_backend->refusing(world.loop, &nobody);
    end_init(&client, &world);
    weir_connect(&client.socket, &nobody, 0);
    run_until(&world, &client.connects, 1);
    assert_int_equal(client.connect_status, WEIR_ECONNREFUSED);
    close_end(&client, WEIR_CLOSE_NORMAL);
    assert_string_equal(client.log, "CX");
    world_close(&world);
}

static void closing_cancels_a_connect_that_nobody_answers(void **state)
{
    (void)state;
    struct world world;
    struct end client;
    struct weir_address silence;
    world_open(&world, NULL);
    conformance_backend->silent(world.loop, &silence);
    end_init(&client, &world);
    weir_connect(&client.socket, &silence, 0);
    run_for(&world, 20 * MS);
    assert_int_equal(client.connects, 0);
    close_end(&client, WEIR_CLOSE_NORMAL);
    assert_string_equal(client.log, "CX");
    assert_int_equal(client.connect_status, WEIR_ECANCELED);
    world_close(&world);
}

static void closing_right_after_connect_completes_both(void **state)
{
    (void)state;
    struct world world;
    struct end client;
    world_open(&world, NULL);
    end_init(&client, &world);
    weir_connect(&client.socket, &world.address, 0);
    quit(&client, WEIR_CLOSE_RESET);
    run_until(&world, &client.closes, 1);
    assert_string_equal(client.log, "CX");
    assert_true(client.connect_status == 0 || client.connect_status == WEIR_ECANCELED);
    run_for(&world, 5 * MS);
    world_close(&world);
}

static void a_socket_without_descriptor_closes_too(void **state)
{
    (void)state;
    struct world world;
    struct end end;
    world_open(&world, NULL);
    end_init(&end, &world);
    quit(&end, WEIR_CLOSE_RESET);
    assert_int_equal(end.closes, 0);
    run_until(&world, &end.closes, 1);
    assert_string_equal(end.log, "X");
    world_close(&world);
}

static bool has_once(const char *log, char letter)
{
    const char *first = strchr(log, letter);
    return first != NULL && strchr(first + 1, letter) == NULL;
}

static void closing_cancels_all_that_is_in_flight_and_comes_last(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 2; mode++) {
        struct world world;
        struct end client, server;
        world_open(&world, NULL);
        pair_up(&world, &client, &server);
        fill_up(&client);
        weir_recv(&client.socket);
        weir_watch(&client.socket);
        send_text(&client, "does not fit", WEIR_SEND_WAIT);
        run_for(&world, 5 * MS);
        memset(client.log, 0, sizeof client.log);
        close_end(&client, mode == 0 ? WEIR_CLOSE_NORMAL : WEIR_CLOSE_RESET);
        assert_int_equal(strlen(client.log), 4);
        assert_true(has_once(client.log, 'r') && has_once(client.log, 'S') && has_once(client.log, 'w'));
        assert_int_equal(client.log[3], 'X');
        assert_int_equal(client.recv_status, WEIR_ECANCELED);
        assert_int_equal(client.send_status, WEIR_ECANCELED);
        assert_int_equal(client.watch_status, WEIR_ECANCELED);
        run_for(&world, 2 * MS);
        assert_int_equal(strlen(client.log), 4);
        close_end(&server, WEIR_CLOSE_RESET);
        world_close(&world);
    }
}

static void what_was_submitted_just_before_closing_completes_as_well(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_recv(&client.socket);
    weir_watch(&client.socket);
    send_text(&client, "last", WEIR_SEND_WAIT);
    weir_recv_stop(&client.socket);
    weir_watch_stop(&client.socket);
    close_end(&client, WEIR_CLOSE_NORMAL);
    assert_int_equal(strlen(client.log), 4);
    assert_true(has_once(client.log, 'r') && has_once(client.log, 'S') && has_once(client.log, 'w'));
    assert_int_equal(client.log[3], 'X');
    assert_true(client.send_status == 4 || client.send_status == WEIR_ECANCELED);
    weir_recv(&server.socket);
    run_until(&world, &server.recv_ends, 1);
    assert_int_equal(server.recv_status, 0);
    assert_int_equal(server.bytes_in, client.bytes_out);
    close_end(&server, WEIR_CLOSE_NORMAL);
    world_close(&world);
}

static void free_end(struct end *end)
{
    (*(uint64_t *)end->data)++;
    memset(end, 0xa5, sizeof *end); /* a backend that still looks at it stumbles */
    free(end);
}

static void close_once(struct end *end)
{
    if (end->recv_ends > 0)
        quit(end, WEIR_CLOSE_NORMAL);
}

static struct end *new_end(struct world *world, uint64_t *freed)
{
    struct end *end = malloc(sizeof *end);
    assert_non_null(end);
    end_init(end, world);
    end->data = freed;
    end->on_received = close_once;
    end->on_closed = free_end;
    return end;
}

/* Many at once, so that what one completion frees could still be named by another one of the same turn. */
static void a_sockets_memory_may_go_in_its_last_completion(void **state)
{
    (void)state;
    enum { PAIRS = 50, ROUNDS = 4 };
    struct world world;
    uint64_t freed = 0, pairs = 0;
    world_open(&world, NULL);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct end *clients[PAIRS], *servers[PAIRS];
        for (unsigned i = 0; i < PAIRS; i++) {
            clients[i] = new_end(&world, &freed);
            servers[i] = new_end(&world, &freed);
            expect_end(servers[i]);
            weir_connect(&clients[i]->socket, &world.address, 0);
        }
        pairs += PAIRS;
        for (unsigned i = 0; i < PAIRS; i++)
            run_until(&world, &clients[i]->connects, 1);
        run_until(&world, &world.accepted, pairs);
        for (unsigned i = 0; i < PAIRS; i++) {
            weir_recv(&servers[i]->socket);
            weir_watch(&servers[i]->socket);
            weir_recv(&clients[i]->socket);
            weir_shutdown(&clients[i]->socket); /* one end after the other: first the servers see it and close */
        }
        run_until(&world, &freed, 2 * pairs);
    }
    world_close(&world);
}

static void a_normal_close_is_a_clean_end_for_the_peer(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_recv(&server.socket);
    send_text(&client, "end", WEIR_SEND_WAIT);
    run_until(&world, &client.sends, 1);
    close_end(&client, WEIR_CLOSE_NORMAL);
    run_until(&world, &server.recv_ends, 1);
    assert_int_equal(server.recv_status, 0);
    assert_int_equal(server.bytes_in, 3);
    close_end(&server, WEIR_CLOSE_NORMAL);
    world_close(&world);
}

static void a_reset_is_one_for_the_peer(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_recv(&server.socket);
    close_end(&client, WEIR_CLOSE_RESET);
    run_until(&world, &server.recv_ends, 1);
    assert_int_equal(server.recv_status, WEIR_ECONNRESET);
    close_end(&server, WEIR_CLOSE_NORMAL);
    world_close(&world);
}

static void a_clean_end_arrives_even_when_a_receive_was_armed(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_recv(&client.socket);
    weir_watch(&client.socket);
    weir_recv(&server.socket);
    run_for(&world, 2 * MS);
    close_end(&client, WEIR_CLOSE_NORMAL);
    run_until(&world, &server.recv_ends, 1);
    assert_int_equal(server.recv_status, 0);
    close_end(&server, WEIR_CLOSE_NORMAL);
    world_close(&world);
}

static void sending_to_a_peer_that_has_gone_fails(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    close_end(&server, WEIR_CLOSE_RESET);
    run_for(&world, 5 * MS);
    send_text(&client, "hello?", WEIR_SEND_WAIT);
    run_until(&world, &client.sends, 1);
    assert_true(client.send_status == WEIR_ECONNRESET || client.send_status == WEIR_EPIPE);
    close_end(&client, WEIR_CLOSE_NORMAL);
    world_close(&world);
}

int conformance_life(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_complete_later_than_they_are_submitted),
        cmocka_unit_test(both_ends_know_each_others_address),
        cmocka_unit_test(a_refused_connect_says_so_and_can_be_closed),
        cmocka_unit_test(closing_cancels_a_connect_that_nobody_answers),
        cmocka_unit_test(closing_right_after_connect_completes_both),
        cmocka_unit_test(a_socket_without_descriptor_closes_too),
        cmocka_unit_test(closing_cancels_all_that_is_in_flight_and_comes_last),
        cmocka_unit_test(what_was_submitted_just_before_closing_completes_as_well),
        cmocka_unit_test(a_sockets_memory_may_go_in_its_last_completion),
        cmocka_unit_test(a_normal_close_is_a_clean_end_for_the_peer),
        cmocka_unit_test(a_reset_is_one_for_the_peer),
        cmocka_unit_test(a_clean_end_arrives_even_when_a_receive_was_armed),
        cmocka_unit_test(sending_to_a_peer_that_has_gone_fails),
    };
    return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}
