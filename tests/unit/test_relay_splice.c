/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_fixture.h"

/* When a relay goes over to splicing, and when it goes back. */

#define ENOUGH (256u << 10)

static int set_up(void **state)
{
    struct fixture *f = fixture_new();
    f->loop.pipes_max = 64;
    fixture_start(f);
    *state = f;
    return 0;
}

static void passes_at_once(struct fixture *f, int from, uint32_t bytes)
{
    for (uint32_t moved = 0; moved < bytes; moved += LOAN_BYTES) {
        arrives(f, from, LOAN_BYTES);
        takes(f, 1 - from, LOAN_BYTES);
    }
}

static bool splices(const struct fixture *f, int side)
{
    return f->sockets[side].pipe_in != NULL;
}

static void begins(struct fixture *f)
{
    passes_at_once(f, UPSTREAM, ENOUGH);
    cancel_completes(f, UPSTREAM);
    cancel_completes(f, CLIENT);
    assert_true(f->splicing[CLIENT] && f->splicing[UPSTREAM]);
    assert_true(splices(f, CLIENT) && splices(f, UPSTREAM));
}

static void goes_through_the_pipe(struct fixture *f, int from, uint32_t size)
{
    io_spliced(&f->sockets[from], (int)size);
    takes(f, 1 - from, (int)size);
}

static void much_in_one_direction_is_spliced_once_nothing_is_on_its_way(void **state)
{
    struct fixture *f = *state;
    passes_at_once(f, UPSTREAM, ENOUGH - LOAN_BYTES);
    assert_false(f->stopping_recv[CLIENT]);
    arrives(f, UPSTREAM, LOAN_BYTES);
    assert_true(f->stopping_recv[CLIENT] && f->stopping_recv[UPSTREAM]);
    cancel_completes(f, CLIENT);
    cancel_completes(f, UPSTREAM);
    assert_false(splices(f, UPSTREAM));
    takes(f, CLIENT, LOAN_BYTES);
    assert_true(splices(f, UPSTREAM) && splices(f, CLIENT));
    assert_int_equal(f->pipes, 2);
}

static void a_dialogue_is_never_spliced(void **state)
{
    struct fixture *f = *state;
    for (unsigned n = 0; n < 100; n++) {
        passes_at_once(f, UPSTREAM, LOAN_BYTES);
        arrives(f, CLIENT, 2000);
        takes(f, UPSTREAM, 2000);
    }
    assert_false(f->stopping_recv[UPSTREAM]);
    assert_int_equal(f->pipes, 0);
}

static void bytes_are_counted_and_an_end_is_carried_through(void **state)
{
    struct fixture *f = *state;
    begins(f);
    goes_through_the_pipe(f, UPSTREAM, 1000000);
    assert_int_equal(f->relay.direction[UPSTREAM].bytes, ENOUGH + 1000000);
    io_spliced(&f->sockets[UPSTREAM], 3000);
    takes(f, CLIENT, 1000); /* the rest stays in the pipe */
    assert_false(splices(f, UPSTREAM));
    takes(f, CLIENT, 2000);
    io_recv_ended(&f->sockets[UPSTREAM], 0);
    assert_true(f->shut[CLIENT] && f->ended == 0);
    goes_through_the_pipe(f, CLIENT, 5);
    io_recv_ended(&f->sockets[CLIENT], 0);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->end, WEIR_RELAY_DONE);
}

static void a_direction_that_must_wait_keeps_nobody_from_going_on(void **state)
{
    struct fixture *f = *state;
    passes_at_once(f, UPSTREAM, ENOUGH);
    arrives(f, CLIENT, 100);
    takes(f, UPSTREAM, WEIR_EAGAIN); /* the obstacle */
    assert_int_equal(f->pipes, 0);
    cancel_completes(f, CLIENT);
    cancel_completes(f, UPSTREAM);
    assert_true(receives(f, CLIENT) && receives(f, UPSTREAM));
    takes(f, UPSTREAM, 100);
    passes_at_once(f, UPSTREAM, LOAN_BYTES);
    assert_false(f->stopping_recv[UPSTREAM]); /* for a while */
}

static void a_slow_reader_is_waited_for_and_then_spliced_to(void **state)
{
    struct fixture *f = *state;
    passes_at_once(f, UPSTREAM, ENOUGH - LOAN_BYTES);
    arrives(f, UPSTREAM, LOAN_BYTES);
    takes(f, CLIENT, 1000);
    cancel_completes(f, CLIENT);
    assert_true(receives(f, CLIENT));
    cancel_completes(f, UPSTREAM);
    assert_false(receives(f, UPSTREAM)); /* until the rest is out */
    takes(f, CLIENT, LOAN_BYTES - 1000);
    assert_true(f->stopping_recv[CLIENT]);
    cancel_completes(f, CLIENT);
    assert_true(splices(f, UPSTREAM) && splices(f, CLIENT));
}

static void many_small_pieces_are_copied_again(void **state)
{
    struct fixture *f = *state;
    begins(f);
    for (unsigned n = 0; n < 64; n++)
        goes_through_the_pipe(f, UPSTREAM, 100);
    assert_true(f->stopping_recv[CLIENT]);
    cancel_completes(f, CLIENT);
    if (receives(f, UPSTREAM))
        cancel_completes(f, UPSTREAM);
    assert_int_equal(f->pipes, 0);
    assert_false(f->splicing[CLIENT] || f->splicing[UPSTREAM]);
    assert_true(receives(f, CLIENT) && receives(f, UPSTREAM));
    passes_at_once(f, UPSTREAM, 3 * ENOUGH);
    assert_false(f->stopping_recv[UPSTREAM]); /* more than the first time */
}

static void silence_gives_the_pipes_back(void **state)
{
    struct fixture *f = *state;
    begins(f);
    passes(f, 5 * SECOND);
    assert_true(f->stopping_recv[CLIENT] && f->stopping_recv[UPSTREAM]);
    cancel_completes(f, CLIENT);
    assert_int_equal(f->pipes, 2);
    cancel_completes(f, UPSTREAM);
    assert_int_equal(f->pipes, 0);
    assert_true(receives(f, CLIENT) && receives(f, UPSTREAM));
}

static void a_pipe_that_holds_bytes_is_kept_in_silence(void **state)
{
    struct fixture *f = *state;
    begins(f);
    io_spliced(&f->sockets[UPSTREAM], 1000);
    passes(f, 6 * SECOND);
    assert_false(f->stopping_recv[CLIENT]);
    takes(f, CLIENT, 1000);
    assert_true(splices(f, UPSTREAM));
}

static void bytes_that_come_while_it_leaves_keep_it(void **state)
{
    struct fixture *f = *state;
    begins(f);
    passes(f, 5 * SECOND);
    cancel_completes(f, CLIENT);
    io_spliced(&f->sockets[UPSTREAM], 1000);
    assert_true(splices(f, CLIENT));
    takes(f, CLIENT, 1000);
    assert_true(splices(f, UPSTREAM));
    assert_int_equal(f->pipes, 2);
}

static void without_pipes_it_goes_on_copying(void **state)
{
    struct fixture *f = *state;
    f->loop.pipes_max = 1;
    passes_at_once(f, UPSTREAM, 3 * ENOUGH);
    assert_false(f->stopping_recv[UPSTREAM]);
    assert_int_equal(f->pipes, 0);
}

static void a_reset_ends_it(void **state)
{
    struct fixture *f = *state;
    begins(f);
    io_spliced(&f->sockets[UPSTREAM], 1000);
    io_recv_ended(&f->sockets[CLIENT], WEIR_ECONNRESET);
    assert_int_equal(f->end, WEIR_RELAY_CLIENT_RESET);
}

#define RELAY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELAY_TEST(much_in_one_direction_is_spliced_once_nothing_is_on_its_way),
        RELAY_TEST(a_dialogue_is_never_spliced),
        RELAY_TEST(bytes_are_counted_and_an_end_is_carried_through),
        RELAY_TEST(a_direction_that_must_wait_keeps_nobody_from_going_on),
        RELAY_TEST(a_slow_reader_is_waited_for_and_then_spliced_to),
        RELAY_TEST(many_small_pieces_are_copied_again),
        RELAY_TEST(silence_gives_the_pipes_back),
        RELAY_TEST(a_pipe_that_holds_bytes_is_kept_in_silence),
        RELAY_TEST(bytes_that_come_while_it_leaves_keep_it),
        RELAY_TEST(without_pipes_it_goes_on_copying),
        RELAY_TEST(a_reset_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
