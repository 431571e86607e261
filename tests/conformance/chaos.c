/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* Everything at once, at random: whatever is called when, each operation completes once and no byte is lost. */

#define PAIRS 12
#define ROUNDS 4000

struct player {
    struct end end;
    uint64_t receives, watches, sends; /* submitted */
    bool playing, shut;
};

static struct player players[2 * PAIRS];
static uint64_t random_state;

static bool one_in(uint32_t bound)
{
    return test_random_below(&random_state, bound) == 0;
}

static void join(struct world *world, unsigned pair)
{
    struct player *client = &players[2 * pair], *server = client + 1;
    if (client->playing || server->playing)
        return;
    memset(client, 0, 2 * sizeof *client);
    pair_up(world, &client->end, &server->end);
    client->playing = server->playing = true;
}

static void leave(struct player *player)
{
    quit(&player->end, one_in(2) ? WEIR_CLOSE_NORMAL : WEIR_CLOSE_RESET);
    if (one_in(2))
        give_back_all(&player->end);
}

static void play_send(struct player *player)
{
    if (player->shut || player->sends != player->end.sends)
        return;
    player->sends++;
    stream_some(&player->end, 1 + test_random_below(&random_state, one_in(4) ? 200000 : 100),
                one_in(2) ? WEIR_SEND_NOW : WEIR_SEND_WAIT);
}

static void play_receive(struct player *player)
{
    if (player->receives == player->end.recv_ends) {
        player->receives++;
        weir_recv(&player->end.socket);
    } else if (one_in(4)) {
        weir_recv_stop(&player->end.socket);
    }
}

static void play_watch(struct player *player)
{
    if (player->watches == player->end.watch_ends) {
        player->watches++;
        weir_watch(&player->end.socket);
    } else if (one_in(2)) {
        weir_watch_stop(&player->end.socket);
    }
}

static void play_loans(struct player *player)
{
    player->end.keeps = one_in(3);
    if (one_in(2))
        give_back_all(&player->end);
    else if (player->end.kept != NULL)
        give_back_one(&player->end);
}

static void play_shutdown(struct player *player)
{
    if (player->shut || player->sends != player->end.sends || !one_in(10))
        return;
    player->shut = true;
    weir_shutdown(&player->end.socket);
}

static void play(struct player *player)
{
    static void (*const moves[])(struct player *) = { play_send,  play_send,  play_receive,
                                                      play_watch, play_loans, play_shutdown };
    if (!player->playing || player->end.quits)
        return;
    if (one_in(100))
        leave(player);
    else
        moves[test_random_below(&random_state, ARRAY_SIZE(moves))](player);
}

/* Whoever is closed must have had every completion. */
static void settle(struct player *player)
{
    if (!player->playing || player->end.closes == 0)
        return;
    assert_int_equal(player->receives, player->end.recv_ends);
    assert_int_equal(player->watches, player->end.watch_ends);
    assert_int_equal(player->sends, player->end.sends);
    assert_false(player->end.wrong_bytes);
    give_back_all(&player->end);
    player->playing = false;
}

static void leave_all(struct world *world)
{
    for (unsigned i = 0; i < 2 * PAIRS; i++) {
        struct player *player = &players[i];
        if (!player->playing)
            continue;
        if (!player->end.quits)
            leave(player);
        run_until(world, &player->end.closes, 1);
        settle(player);
    }
}

static void any_sequence_of_calls_completes_each_operation_once(void **state)
{
    (void)state;
    static const struct weir_loop_options options[] = { { .buffers = 16, .buffer_bytes = 4096 }, { 0 } };
    for (random_state = 1; random_state <= ARRAY_SIZE(options); random_state++) {
        struct world world;
        uint64_t seed = random_state;
        memset(players, 0, sizeof players);
        world_open(&world, &options[seed - 1]);
        for (unsigned round = 0; round < ROUNDS; round++) {
            if (one_in(5))
                join(&world, test_random_below(&random_state, PAIRS));
            for (unsigned i = 0; i < 2 * PAIRS; i++)
                if (one_in(3))
                    play(&players[i]);
            run_for(&world, 0);
            for (unsigned i = 0; i < 2 * PAIRS; i++)
                settle(&players[i]);
        }
        leave_all(&world);
        world_close(&world);
        random_state = seed;
    }
}

int conformance_chaos(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_sequence_of_calls_completes_each_operation_once),
    };
    return cmocka_run_group_tests_name("chaos", tests, NULL, NULL);
}
