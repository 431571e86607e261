/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* Splicing: bytes go from one connection to another through a pipe, all of them, in order; a splice waits, ends and is
 * cancelled as a receive or a send is. */

#define MIB (UINT64_C(1) << 20)

/* More than is buffered anywhere. */
static uint64_t very_much(void)
{
    return conformance_backend->real ? 32 * MIB : 2 * MIB;
}

/* What comes from `client` to `in` is spliced from `in` to `out`, and so comes to `sink`. */
struct passage {
    struct world world;
    struct end client, in, out, sink;
    struct weir_pipe *pipe;
    uint64_t moved, ends;
};

static void pass_on(struct end *in)
{
    struct passage *passage = in->data;
    if (in->splice_status > 0) {
        passage->moved += (uint64_t)in->splice_status;
        weir_splice_out(&passage->out.socket, passage->pipe);
    } else {
        passage->ends++;
    }
}

static void ask_for_more(struct end *out)
{
    struct passage *passage = out->data;
    if (out->send_status <= 0 || out->quits)
        return;
    passage->moved -= (uint64_t)out->send_status;
    if (passage->moved > 0)
        weir_splice_out(&out->socket, passage->pipe);
    else
        weir_splice_in(&passage->in.socket, passage->pipe);
}

static void passage_open(struct passage *passage)
{
    passage->moved = passage->ends = 0;
    world_open(&passage->world, NULL);
    pair_up(&passage->world, &passage->client, &passage->in);
    pair_up(&passage->world, &passage->out, &passage->sink);
    passage->pipe = weir_pipe_open(passage->world.loop);
    assert_non_null(passage->pipe);
    passage->in.data = passage->out.data = passage;
    passage->in.on_spliced = pass_on;
    passage->out.on_sent = ask_for_more;
    weir_splicing(&passage->in.socket, true);
    weir_splicing(&passage->out.socket, true);
    weir_splice_in(&passage->in.socket, passage->pipe);
}

static void passage_close(struct passage *passage)
{
    close_pair(&passage->client, &passage->in);
    close_pair(&passage->out, &passage->sink);
    weir_pipe_close(passage->world.loop, &passage->pipe);
    assert_null(passage->pipe);
    world_close(&passage->world);
}

static void all_bytes_pass_and_then_the_end(void **state)
{
    (void)state;
    struct passage passage;
    passage_open(&passage);
    weir_recv(&passage.sink.socket);
    passage.client.shut_after = true;
    stream(&passage.client, 2 * MIB);
    run_until(&passage.world, &passage.sink.bytes_in, 2 * MIB);
    run_until(&passage.world, &passage.ends, 1);
    assert_int_equal(passage.in.splice_status, 0);
    assert_int_equal(passage.sink.bytes_in, 2 * MIB);
    assert_false(passage.sink.wrong_bytes);
    passage_close(&passage);
}

static void a_splice_waits_for_bytes_and_then_for_room(void **state)
{
    (void)state;
    struct passage passage;
    passage_open(&passage);
    run_for(&passage.world, 5 * MS);
    assert_int_equal(passage.in.splices, 0);
    stream(&passage.client, very_much());
    run_until(&passage.world, &passage.in.splices, 1);
    run_for(&passage.world, 50 * MS);
    uint64_t splices = passage.in.splices;
    run_for(&passage.world, 20 * MS);
    assert_int_equal(passage.in.splices, splices);
    weir_recv(&passage.sink.socket);
    run_until(&passage.world, &passage.sink.bytes_in, very_much());
    assert_false(passage.sink.wrong_bytes);
    passage_close(&passage);
}

static void a_splice_that_waits_is_stopped_and_no_byte_is_lost(void **state)
{
    (void)state;
    struct passage passage;
    passage_open(&passage);
    run_for(&passage.world, 2 * MS);
    weir_recv_stop(&passage.in.socket);
    run_until(&passage.world, &passage.ends, 1);
    assert_int_equal(passage.in.splice_status, WEIR_ECANCELED);
    weir_splicing(&passage.in.socket, false);
    weir_splicing(&passage.out.socket, false);
    stream(&passage.client, MIB);
    weir_recv(&passage.in.socket);
    run_until(&passage.world, &passage.in.bytes_in, MIB);
    assert_false(passage.in.wrong_bytes);
    passage_close(&passage);
}

static void splices_that_wait_end_before_the_sockets_close(void **state)
{
    (void)state;
    struct passage passage;
    passage_open(&passage);
    stream(&passage.client, very_much());
    run_until(&passage.world, &passage.out.sends, 1);
    uint64_t sends;
    do { /* until one waits for room */
        sends = passage.out.sends;
        run_for(&passage.world, 20 * MS);
    } while (passage.out.sends != sends);
    close_end(&passage.out, WEIR_CLOSE_RESET);
    assert_int_equal(passage.out.send_status, WEIR_ECANCELED);
    close_end(&passage.in, WEIR_CLOSE_RESET);
    close_end(&passage.client, WEIR_CLOSE_NORMAL);
    close_end(&passage.sink, WEIR_CLOSE_NORMAL);
    weir_pipe_close(passage.world.loop, &passage.pipe); /* with what is in it */
    world_close(&passage.world);
}

static void a_splice_is_told_of_a_reset(void **state)
{
    (void)state;
    struct passage passage;
    passage_open(&passage);
    run_for(&passage.world, 2 * MS);
    close_end(&passage.client, WEIR_CLOSE_RESET);
    run_until(&passage.world, &passage.ends, 1);
    assert_int_equal(passage.in.splice_status, WEIR_ECONNRESET);
    close_end(&passage.in, WEIR_CLOSE_NORMAL);
    close_pair(&passage.out, &passage.sink);
    weir_pipe_close(passage.world.loop, &passage.pipe);
    world_close(&passage.world);
}

static void there_are_no_more_pipes_than_were_asked_for(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, &(struct weir_loop_options){ .pipes = 2 });
    struct weir_pipe *pipes[3];
    for (unsigned n = 0; n < 3; n++)
        pipes[n] = weir_pipe_open(world.loop);
    assert_non_null(pipes[1]);
    assert_null(pipes[2]);
    weir_pipe_close(world.loop, &pipes[0]);
    pipes[2] = weir_pipe_open(world.loop);
    assert_non_null(pipes[2]);
    for (unsigned n = 0; n < 3; n++)
        weir_pipe_close(world.loop, &pipes[n]);
    world_close(&world);
}

int conformance_splice(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_bytes_pass_and_then_the_end),
        cmocka_unit_test(a_splice_waits_for_bytes_and_then_for_room),
        cmocka_unit_test(a_splice_that_waits_is_stopped_and_no_byte_is_lost),
        cmocka_unit_test(splices_that_wait_end_before_the_sockets_close),
        cmocka_unit_test(a_splice_is_told_of_a_reset),
        cmocka_unit_test(there_are_no_more_pipes_than_were_asked_for),
    };
    return cmocka_run_group_tests_name("splice", tests, NULL, NULL);
}
