/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* Lent buffers: good until given back, bounded for each socket, shared fairly when they run out. */

#define KIB (UINT64_C(1) << 10)

static const struct weir_loop_options small_pool = { .buffers = 16, .buffer_bytes = 1024 };

static void a_lent_buffer_stays_good_until_it_is_given_back(void **state)
{
    (void)state;
    struct world world;
    struct end client, server, other_client, other_server;
    world_open(&world, &small_pool);
    pair_up(&world, &client, &server);
    pair_up(&world, &other_client, &other_server);
    server.keeps = true;
    weir_recv(&server.socket);
    weir_recv(&other_server.socket);
    send_text(&client, "remember me", WEIR_SEND_WAIT);
    run_until(&world, &server.kept_count, 1);
    close_end(&server, WEIR_CLOSE_NORMAL);
    stream(&other_client, 256 * KIB); /* goes many times through all other buffers */
    run_until(&world, &other_server.bytes_in, 256 * KIB);
    assert_false(other_server.wrong_bytes);
    assert_int_equal(server.kept->size, 11);
    assert_memory_equal(server.kept->data, "remember me", 11);
    memset(server.kept->data, 'x', server.kept->size); /* may be changed in place */
    give_back_all(&server);
    close_end(&client, WEIR_CLOSE_NORMAL);
    close_pair(&other_client, &other_server);
    world_close(&world);
}

/* Whoever frees a connection may still hold its loans. */
static void a_loan_outlives_its_sockets_memory(void **state)
{
    (void)state;
    struct world world;
    struct end client, server, gone;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    server.keeps = true;
    weir_recv(&server.socket);
    send_text(&client, "remember me", WEIR_SEND_WAIT);
    run_until(&world, &server.kept_count, 1);
    close_end(&server, WEIR_CLOSE_NORMAL);
    struct weir_loan *kept = server.kept;
    memset(&server, 0xa5, sizeof server);
    memset(&gone, 0xa5, sizeof gone);
    weir_loan_return(world.loop, kept);
    run_for(&world, 1 * MS);
    assert_memory_equal(&server, &gone, sizeof gone);
    close_end(&client, WEIR_CLOSE_NORMAL);
    world_close(&world);
}

static void leave_at_once(struct end *end)
{
    if (!end->quits)
        quit(end, WEIR_CLOSE_NORMAL);
}

static void nothing_is_lent_after_closing(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, &small_pool);
    pair_up(&world, &client, &server);
    uint64_t filled = fill_up(&client);
    assert_true(filled > small_pool.buffer_bytes);
    server.on_received = leave_at_once;
    weir_recv(&server.socket);
    run_until(&world, &server.closes, 1);
    assert_string_equal(server.log, "RrX");
    close_end(&client, WEIR_CLOSE_NORMAL);
    world_close(&world);
}

static void a_socket_that_keeps_its_loans_gets_no_more(void **state)
{
    (void)state;
    enum { BURST = 100 }; /* a bound plus what one turn may bring */
    struct world world;
    struct end client, server;
    world_open(&world, &(struct weir_loop_options){ .buffers = 256, .buffer_bytes = 1024 });
    pair_up(&world, &client, &server);
    server.keeps = true;
    weir_recv(&server.socket);
    stream(&client, 1024 * KIB);
    run_for(&world, 30 * MS);
    assert_in_range(server.kept_count, 1, BURST);
    uint64_t kept = server.kept_count;
    run_for(&world, 30 * MS);
    assert_int_equal(server.kept_count, kept);
    server.keeps = false;
    give_back_all(&server);
    run_until(&world, &server.bytes_in, 1024 * KIB);
    assert_false(server.wrong_bytes);
    close_pair(&client, &server);
    world_close(&world);
}

static void a_bounded_socket_can_be_stopped_and_closed(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, &small_pool);
    pair_up(&world, &client, &server);
    server.keeps = true;
    weir_recv(&server.socket);
    stream(&client, 256 * KIB);
    run_for(&world, 20 * MS);
    weir_recv_stop(&server.socket);
    run_until(&world, &server.recv_ends, 1);
    assert_int_equal(server.recv_status, WEIR_ECANCELED);
    weir_recv(&server.socket);
    run_for(&world, 5 * MS);
    close_end(&server, WEIR_CLOSE_NORMAL);
    assert_int_equal(server.recv_ends, 2);
    give_back_all(&server);
    close_end(&client, WEIR_CLOSE_NORMAL);
    world_close(&world);
}

static void open_pairs(struct world *world, struct end *clients, struct end *servers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        pair_up(world, &clients[i], &servers[i]);
}

static void close_pairs(struct end *clients, struct end *servers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        close_pair(&clients[i], &servers[i]);
}

/* Every buffer is held by somebody, others wait; as each comes back, somebody else gets on. */
static void an_empty_pool_serves_everybody_in_turn(void **state)
{
    (void)state;
    enum { PAIRS = 60 };
    static struct end clients[PAIRS], servers[PAIRS];
    struct world world;
    uint64_t served = 0;
    world_open(&world, &small_pool);
    open_pairs(&world, clients, servers, PAIRS);
    for (unsigned i = 0; i < PAIRS; i++) {
        servers[i].keeps = true;
        weir_recv(&servers[i].socket);
        send_text(&clients[i], "me too", WEIR_SEND_WAIT);
    }
    run_for(&world, 20 * MS);
    for (unsigned i = 0; i < PAIRS; i++)
        served += servers[i].kept_count;
    assert_int_equal(served, small_pool.buffers);
    for (unsigned left = PAIRS; left > 0;) {
        for (unsigned i = 0; i < PAIRS; i++) {
            left -= (unsigned)servers[i].kept_count;
            give_back_all(&servers[i]);
        }
        run_for(&world, 2 * MS);
    }
    for (unsigned i = 0; i < PAIRS; i++)
        assert_int_equal(servers[i].bytes_in, 6);
    close_pairs(clients, servers, PAIRS);
    world_close(&world);
}

static void those_who_wait_for_a_buffer_can_be_stopped_and_closed(void **state)
{
    (void)state;
    enum { PAIRS = 40 };
    static struct end clients[PAIRS], servers[PAIRS];
    struct world world;
    world_open(&world, &small_pool);
    open_pairs(&world, clients, servers, PAIRS);
    for (unsigned i = 0; i < PAIRS; i++) {
        servers[i].keeps = true;
        weir_recv(&servers[i].socket);
        send_text(&clients[i], "here", WEIR_SEND_WAIT);
    }
    run_for(&world, 10 * MS);
    for (unsigned i = 0; i < PAIRS; i += 2) {
        weir_recv_stop(&servers[i].socket);
        run_until(&world, &servers[i].recv_ends, 1);
        assert_int_equal(servers[i].recv_status, WEIR_ECANCELED);
    }
    for (unsigned i = 1; i < PAIRS; i += 2)
        close_end(&servers[i], WEIR_CLOSE_NORMAL);
    for (unsigned i = 1; i < PAIRS; i += 2)
        give_back_all(&servers[i]);
    for (unsigned i = 0; i < PAIRS; i += 2) {
        give_back_all(&servers[i]);
        weir_recv(&servers[i].socket);
        run_until(&world, &servers[i].bytes_in, 4);
        give_back_all(&servers[i]);
        close_pair(&clients[i], &servers[i]);
    }
    for (unsigned i = 1; i < PAIRS; i += 2)
        close_end(&clients[i], WEIR_CLOSE_NORMAL);
    world_close(&world);
}

static void fat_senders_share_a_small_pool(void **state)
{
    (void)state;
    enum { PAIRS = 24 };
    static struct end clients[PAIRS], servers[PAIRS];
    struct world world;
    world_open(&world, &small_pool);
    open_pairs(&world, clients, servers, PAIRS);
    for (unsigned i = 0; i < PAIRS; i++) {
        weir_recv(&servers[i].socket);
        stream(&clients[i], 512 * KIB);
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        run_until(&world, &servers[i].bytes_in, 512 * KIB);
        assert_false(servers[i].wrong_bytes);
    }
    close_pairs(clients, servers, PAIRS);
    world_close(&world);
}

static void keep_streaming(struct end *end)
{
    end->stream_left = 1 << 20;
}

/* Many more senders than the pool has buffers, and none of them stops: while one gets a MiB on, nobody stands still. */
static void fat_senders_beyond_the_pool_get_on_alike(void **state)
{
    (void)state;
    enum { PAIRS = 100 };
    static struct end clients[PAIRS], servers[PAIRS];
    struct world world;
    world_open(&world, &(struct weir_loop_options){ .buffers = 64, .buffer_bytes = 4096 });
    open_pairs(&world, clients, servers, PAIRS);
    for (unsigned i = 0; i < PAIRS; i++) {
        clients[i].on_sent = keep_streaming;
        weir_recv(&servers[i].socket);
        stream(&clients[i], 1 << 20);
    }
    run_until(&world, &servers[0].bytes_in, 1024 * KIB);
    for (unsigned i = 0; i < PAIRS; i++) {
        assert_true(servers[i].bytes_in > 32 * KIB);
        assert_false(servers[i].wrong_bytes);
        clients[i].on_sent = NULL;
        clients[i].stream_left = 0;
        close_end(&clients[i], WEIR_CLOSE_RESET);
        close_end(&servers[i], WEIR_CLOSE_RESET);
    }
    world_close(&world);
}

/* While the elephants never stop, a mouse's every message comes back. */
static void a_fat_sender_does_not_starve_the_others(void **state)
{
    (void)state;
    enum { ELEPHANTS = 4, MESSAGES = 200 };
    static struct end clients[ELEPHANTS], servers[ELEPHANTS];
    struct world world;
    struct end mouse, echo;
    world_open(&world, &(struct weir_loop_options){ .buffers = 32, .buffer_bytes = 4096 });
    open_pairs(&world, clients, servers, ELEPHANTS);
    pair_up(&world, &mouse, &echo);
    for (unsigned i = 0; i < ELEPHANTS; i++) {
        clients[i].on_sent = keep_streaming;
        weir_recv(&servers[i].socket);
        stream(&clients[i], 1 << 20);
    }
    echo.echoes = true;
    weir_recv(&echo.socket);
    weir_recv(&mouse.socket);
    for (unsigned i = 1; i <= MESSAGES; i++) {
        uint64_t before = servers[0].bytes_in;
        stream(&mouse, 64);
        run_until(&world, &mouse.bytes_in, 64 * i);
        assert_true(servers[0].bytes_in - before < 64 * 1024 * KIB);
    }
    for (unsigned i = 0; i < ELEPHANTS; i++) {
        assert_false(servers[i].wrong_bytes);
        clients[i].on_sent = NULL;
        clients[i].stream_left = 0; /* a send that is in flight may still complete */
        close_end(&clients[i], WEIR_CLOSE_RESET);
        close_end(&servers[i], WEIR_CLOSE_RESET);
    }
    close_pair(&mouse, &echo);
    world_close(&world);
}

int conformance_buffers(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lent_buffer_stays_good_until_it_is_given_back),
        cmocka_unit_test(a_loan_outlives_its_sockets_memory),
        cmocka_unit_test(nothing_is_lent_after_closing),
        cmocka_unit_test(a_socket_that_keeps_its_loans_gets_no_more),
        cmocka_unit_test(a_bounded_socket_can_be_stopped_and_closed),
        cmocka_unit_test(an_empty_pool_serves_everybody_in_turn),
        cmocka_unit_test(those_who_wait_for_a_buffer_can_be_stopped_and_closed),
        cmocka_unit_test(fat_senders_share_a_small_pool),
        cmocka_unit_test(fat_senders_beyond_the_pool_get_on_alike),
        cmocka_unit_test(a_fat_sender_does_not_starve_the_others),
    };
    return cmocka_run_group_tests_name("buffers", tests, NULL, NULL);
}
