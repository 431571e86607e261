/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* Watching: ends are told without a receive. */

static void a_watch_tells_of_the_peers_end_while_receiving_rests(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_watch(&server.socket);
    stream(&client, 1000);
    run_until(&world, &client.sends, 1);
    run_for(&world, 10 * MS);
    assert_string_equal(server.log, ""); /* quiet on data */
    weir_shutdown(&client.socket);
    run_until(&world, &server.half_closes, 1);
    run_for(&world, 10 * MS);
    assert_string_equal(server.log, "h"); /* told once */
    weir_recv(&server.socket);
    run_until(&world, &server.recv_ends, 1);
    assert_int_equal(server.bytes_in, 1000);
    close_pair(&client, &server);
    world_close(&world);
}

static void a_watch_tells_of_a_reset_then_ends(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_watch(&server.socket);
    run_for(&world, 2 * MS);
    close_end(&client, WEIR_CLOSE_RESET);
    run_until(&world, &server.watch_ends, 1);
    assert_string_equal(server.log, "bw");
    assert_true(server.watch_status < 0);
    close_end(&server, WEIR_CLOSE_NORMAL);
    world_close(&world);
}

static void an_end_and_then_a_reset_are_both_told(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_watch(&server.socket);
    weir_shutdown(&client.socket);
    run_until(&world, &server.half_closes, 1);
    close_end(&client, WEIR_CLOSE_RESET);
    run_until(&world, &server.watch_ends, 1);
    assert_string_equal(server.log, "hbw");
    close_end(&server, WEIR_CLOSE_NORMAL);
    world_close(&world);
}

static void a_watch_started_late_tells_what_happened_before(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_shutdown(&client.socket);
    run_for(&world, 5 * MS);
    weir_watch(&server.socket);
    run_until(&world, &server.half_closes, 1);
    weir_watch_stop(&server.socket);
    run_until(&world, &server.watch_ends, 1);
    assert_int_equal(server.watch_status, WEIR_ECANCELED);
    close_end(&client, WEIR_CLOSE_RESET);
    run_for(&world, 5 * MS);
    weir_watch(&server.socket);
    run_until(&world, &server.watch_ends, 2);
    assert_int_equal(server.resets, 1);
    close_end(&server, WEIR_CLOSE_NORMAL);
    world_close(&world);
}

static void ends_on_both_sides_are_no_reset(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_watch(&server.socket);
    weir_shutdown(&client.socket);
    run_until(&world, &server.half_closes, 1);
    weir_shutdown(&server.socket);
    run_for(&world, 10 * MS);
    assert_string_equal(server.log, "h");
    close_end(&client, WEIR_CLOSE_NORMAL);
    run_for(&world, 10 * MS);
    assert_string_equal(server.log, "h");
    close_end(&server, WEIR_CLOSE_NORMAL);
    assert_string_equal(server.log, "hwX");
    world_close(&world);
}

static void a_stopped_watch_ends_once_and_can_start_again(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_watch_stop(&server.socket); /* none in flight */
    for (unsigned i = 1; i <= 3; i++) {
        weir_watch(&server.socket);
        weir_watch_stop(&server.socket);
        weir_watch_stop(&server.socket);
        run_until(&world, &server.watch_ends, i);
        assert_int_equal(server.watch_status, WEIR_ECANCELED);
    }
    weir_watch(&server.socket);
    run_for(&world, 2 * MS);
    assert_int_equal(server.watch_ends, 3);
    weir_shutdown(&client.socket);
    run_until(&world, &server.half_closes, 1);
    close_pair(&client, &server);
    world_close(&world);
}

static void receive_and_watch_are_both_told_of_a_reset(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_watch(&server.socket);
    weir_recv(&server.socket);
    run_for(&world, 2 * MS);
    close_end(&client, WEIR_CLOSE_RESET);
    run_until(&world, &server.recv_ends, 1);
    assert_int_equal(server.recv_status, WEIR_ECONNRESET);
    close_end(&server, WEIR_CLOSE_NORMAL);
    assert_int_equal(server.watch_ends, 1);
    world_close(&world);
}

static void a_reset_while_a_send_waits_ends_the_send(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    fill_up(&server);
    weir_watch(&server.socket);
    send_text(&server, "waits", WEIR_SEND_WAIT);
    uint64_t sends = server.sends;
    run_for(&world, 5 * MS);
    close_end(&client, WEIR_CLOSE_RESET);
    run_until(&world, &server.sends, sends + 1);
    assert_true(server.send_status == WEIR_ECONNRESET || server.send_status == WEIR_EPIPE);
    close_end(&server, WEIR_CLOSE_NORMAL);
    world_close(&world);
}

int conformance_ends(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watch_tells_of_the_peers_end_while_receiving_rests),
        cmocka_unit_test(a_watch_tells_of_a_reset_then_ends),
        cmocka_unit_test(an_end_and_then_a_reset_are_both_told),
        cmocka_unit_test(a_watch_started_late_tells_what_happened_before),
        cmocka_unit_test(ends_on_both_sides_are_no_reset),
        cmocka_unit_test(a_stopped_watch_ends_once_and_can_start_again),
        cmocka_unit_test(receive_and_watch_are_both_told_of_a_reset),
        cmocka_unit_test(a_reset_while_a_send_waits_ends_the_send),
    };
    return cmocka_run_group_tests_name("ends", tests, NULL, NULL);
}
