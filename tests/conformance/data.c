/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* Bytes: all of them, in order, whatever the rhythm of sending, receiving, stopping and ending. */

#define MIB (UINT64_C(1) << 20)

static void bytes_come_back_from_an_echo(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    server.echoes = true;
    weir_recv(&server.socket);
    weir_recv(&client.socket);
    stream(&client, 4 * MIB);
    run_until(&world, &client.bytes_in, 4 * MIB);
    assert_int_equal(client.bytes_in, 4 * MIB);
    assert_false(client.wrong_bytes || server.wrong_bytes);
    close_pair(&client, &server);
    world_close(&world);
}

static void a_send_takes_at_least_one_byte_and_at_most_all(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    uint64_t filled = fill_up(&client);
    assert_true(filled > 0);
    weir_recv(&server.socket);
    run_until(&world, &server.bytes_in, filled);
    assert_int_equal(server.bytes_in, filled);
    assert_false(server.wrong_bytes);
    close_pair(&client, &server);
    world_close(&world);
}

static void a_waiting_send_goes_on_when_the_peer_reads(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    uint64_t filled = fill_up(&client), sends = client.sends;
    stream(&client, 100);
    run_for(&world, 20 * MS);
    assert_int_equal(client.sends, sends);
    weir_recv(&server.socket);
    run_until(&world, &server.bytes_in, filled + 100);
    assert_int_equal(server.bytes_in, filled + 100);
    assert_false(server.wrong_bytes);
    close_pair(&client, &server);
    world_close(&world);
}

static void one_byte_at_a_time_arrives_whole(void **state)
{
    (void)state;
    enum { BYTES = 3000 };
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_recv(&server.socket);
    for (unsigned i = 0; i < BYTES; i++) {
        stream(&client, 1);
        run_until(&world, &client.sends, i + 1);
    }
    run_until(&world, &server.bytes_in, BYTES);
    assert_int_equal(server.bytes_in, BYTES);
    assert_false(server.wrong_bytes);
    close_pair(&client, &server);
    world_close(&world);
}

static void bytes_flow_both_ways_at_once(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_recv(&server.socket);
    weir_recv(&client.socket);
    stream(&client, 8 * MIB);
    stream(&server, 8 * MIB);
    run_until(&world, &client.bytes_in, 8 * MIB);
    run_until(&world, &server.bytes_in, 8 * MIB);
    assert_false(client.wrong_bytes || server.wrong_bytes);
    close_pair(&client, &server);
    world_close(&world);
}

/* After one end has said its last, the other one still has much to say. */
static void a_half_close_leaves_the_other_direction_alone(void **state)
{
    (void)state;
    struct world world;
    struct end ends[2];
    for (unsigned first = 0; first < 2; first++) {
        struct end *early = &ends[first], *late = &ends[1 - first];
        world_open(&world, NULL);
        pair_up(&world, &ends[0], &ends[1]);
        weir_recv(&early->socket);
        weir_recv(&late->socket);
        early->shut_after = true;
        stream(early, MIB);
        run_until(&world, &late->recv_ends, 1);
        assert_int_equal(late->recv_status, 0);
        assert_int_equal(late->bytes_in, MIB);
        late->shut_after = true;
        stream(late, 4 * MIB);
        run_until(&world, &early->recv_ends, 1);
        assert_int_equal(early->recv_status, 0);
        assert_int_equal(early->bytes_in, 4 * MIB);
        assert_false(early->wrong_bytes || late->wrong_bytes);
        close_pair(&ends[0], &ends[1]);
        world_close(&world);
    }
}

static void receiving_again_after_an_end_tells_the_end_again(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_shutdown(&client.socket);
    for (unsigned i = 1; i <= 3; i++) {
        weir_recv(&server.socket);
        run_until(&world, &server.recv_ends, i);
        assert_int_equal(server.recv_status, 0);
    }
    close_pair(&client, &server);
    world_close(&world);
}

static void stop_now_and_then(struct end *end)
{
    uint64_t *random = end->data;
    if (end->recv_ends == 0 && test_random_below(random, 4) == 0)
        weir_recv_stop(&end->socket);
}

static void stopping_and_going_on_loses_nothing(void **state)
{
    (void)state;
    const uint64_t total = 16 * MIB;
    struct world world;
    struct end client, server;
    uint64_t random = 7, stops = 0;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    client.shut_after = true;
    server.data = &random;
    server.on_received = stop_now_and_then;
    stream(&client, total);
    do {
        server.recv_ends = 0;
        weir_recv(&server.socket);
        run_until(&world, &server.recv_ends, 1);
        stops += server.recv_status == WEIR_ECANCELED;
    } while (server.recv_status == WEIR_ECANCELED);
    assert_int_equal(server.recv_status, 0);
    assert_int_equal(server.bytes_in, total);
    assert_false(server.wrong_bytes);
    assert_true(stops > 10);
    close_pair(&client, &server);
    world_close(&world);
}

static void a_stopped_receive_is_quiet_until_it_is_started_again(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_recv_stop(&server.socket); /* none in flight: nothing happens */
    weir_recv(&server.socket);
    run_for(&world, 2 * MS);
    weir_recv_stop(&server.socket);
    weir_recv_stop(&server.socket);
    run_until(&world, &server.recv_ends, 1);
    assert_int_equal(server.recv_status, WEIR_ECANCELED);
    stream(&client, 1000);
    run_for(&world, 10 * MS);
    assert_string_equal(server.log, "r");
    weir_recv(&server.socket);
    run_until(&world, &server.bytes_in, 1000);
    assert_false(server.wrong_bytes);
    close_pair(&client, &server);
    world_close(&world);
}

static void send_again(struct end *end)
{
    if (end->sends < 1000)
        send_text(end, "x", WEIR_SEND_WAIT);
}

/* Endless submitting from completions must not keep a turn from ending. */
static void completions_that_submit_let_timers_fire(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_recv(&server.socket);
    client.on_sent = send_again;
    send_text(&client, "x", WEIR_SEND_WAIT);
    weir_timer_set(world.loop, &world.pause, 0);
    run_until(&world, &world.paused, 1);
    assert_true(client.sends < 1000);
    run_until(&world, &client.sends, 1000);
    run_until(&world, &server.bytes_in, 1000);
    close_pair(&client, &server);
    world_close(&world);
}

int conformance_data(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_back_from_an_echo),
        cmocka_unit_test(a_send_takes_at_least_one_byte_and_at_most_all),
        cmocka_unit_test(a_waiting_send_goes_on_when_the_peer_reads),
        cmocka_unit_test(one_byte_at_a_time_arrives_whole),
        cmocka_unit_test(bytes_flow_both_ways_at_once),
        cmocka_unit_test(a_half_close_leaves_the_other_direction_alone),
        cmocka_unit_test(receiving_again_after_an_end_tells_the_end_again),
        cmocka_unit_test(stopping_and_going_on_loses_nothing),
        cmocka_unit_test(a_stopped_receive_is_quiet_until_it_is_started_again),
        cmocka_unit_test(completions_that_submit_let_timers_fire),
    };
    return cmocka_run_group_tests_name("data", tests, NULL, NULL);
}
