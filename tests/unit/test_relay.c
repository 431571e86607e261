/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_fixture.h"

static int set_up(void **state)
{
    struct fixture *f = fixture_new();
    fixture_start(f);
    *state = f;
    return 0;
}

static void bytes_are_sent_from_the_loan_and_the_loan_goes_back(void **state)
{
    struct fixture *f = *state;
    arrives(f, CLIENT, 64);
    assert_int_equal(offered(f, UPSTREAM), 64);
    assert_false(waits(f, UPSTREAM));
    assert_int_equal(f->lent, 1);
    takes(f, UPSTREAM, 64);
    assert_int_equal(f->lent, 0);
    assert_int_equal(f->relay.direction[CLIENT].bytes, 64);
    assert_int_equal(f->totals[CLIENT], 64);
    assert_int_equal(f->budget.used, 0);
}

static void loans_wait_in_line_while_one_is_sent(void **state)
{
    struct fixture *f = *state;
    arrives(f, CLIENT, 10);
    arrives(f, CLIENT, 20);
    assert_int_equal(offered(f, UPSTREAM), 10);
    takes(f, UPSTREAM, 10);
    assert_int_equal(offered(f, UPSTREAM), 20);
    takes(f, UPSTREAM, 20);
    assert_int_equal(offered(f, UPSTREAM), 0);
    assert_int_equal(f->relay.direction[CLIENT].bytes, 30);
}

static void what_the_kernel_does_not_take_waits_in_the_overflow(void **state)
{
    struct fixture *f = *state;
    arrives(f, CLIENT, 1000);
    arrives(f, CLIENT, 500);
    takes(f, UPSTREAM, 300);
    assert_int_equal(f->lent, 0);
    assert_true(f->budget.used > 0);
    assert_int_equal(offered(f, UPSTREAM), 1200);
    assert_true(waits(f, UPSTREAM));
    assert_memory_equal(f->sockets[UPSTREAM].send_data, "aaaa", 4);
    assert_memory_equal(f->sockets[UPSTREAM].send_data + 699, "ab", 2);
    takes(f, UPSTREAM, 1200);
    assert_int_equal(f->budget.used, 0);
    assert_int_equal(f->relay.direction[CLIENT].bytes, 1500);
}

static void a_full_socket_makes_the_whole_loan_overflow(void **state)
{
    struct fixture *f = *state;
    arrives(f, CLIENT, 1000);
    takes(f, UPSTREAM, WEIR_EAGAIN);
    assert_int_equal(offered(f, UPSTREAM), 1000);
    assert_true(waits(f, UPSTREAM));
    takes(f, UPSTREAM, 1000);
    assert_int_equal(f->relay.direction[CLIENT].bytes, 1000);
}

static void fill(struct fixture *f, int from, int to)
{
    arrives(f, from, LOAN_BYTES);
    takes(f, to, WEIR_EAGAIN);
    while (!f->stopping_recv[from])
        arrives(f, from, LOAN_BYTES);
}

static void receiving_rests_at_the_bound_and_resumes_when_half_empty(void **state)
{
    struct fixture *f = *state;
    fill(f, CLIENT, UPSTREAM);
    assert_int_equal(f->relay.direction[CLIENT].overflow_size, 4 * LOAN_BYTES);
    cancel_completes(f, CLIENT);
    assert_false(receives(f, CLIENT));
    takes(f, UPSTREAM, LOAN_BYTES);
    assert_false(receives(f, CLIENT));
    takes(f, UPSTREAM, LOAN_BYTES);
    assert_true(receives(f, CLIENT));
    takes(f, UPSTREAM, LOAN_BYTES);
    takes(f, UPSTREAM, LOAN_BYTES);
    assert_int_equal(f->budget.used, 0);
}

static void what_arrives_before_the_cancel_completes_is_kept(void **state)
{
    struct fixture *f = *state;
    fill(f, CLIENT, UPSTREAM);
    arrives(f, CLIENT, 100);
    cancel_completes(f, CLIENT);
    assert_int_equal(f->relay.direction[CLIENT].overflow_size, 4 * LOAN_BYTES + 100);
    for (int n = 0; n < 4; n++)
        takes(f, UPSTREAM, LOAN_BYTES);
    takes(f, UPSTREAM, 100);
    assert_int_equal(f->relay.direction[CLIENT].bytes, 4 * LOAN_BYTES + 100);
}

static void receiving_resumes_when_the_room_came_before_the_cancel_completed(void **state)
{
    struct fixture *f = *state;
    fill(f, CLIENT, UPSTREAM);
    for (int n = 0; n < 4; n++)
        takes(f, UPSTREAM, LOAN_BYTES);
    cancel_completes(f, CLIENT);
    assert_true(receives(f, CLIENT));
}

static void the_other_direction_goes_on_while_one_rests(void **state)
{
    struct fixture *f = *state;
    fill(f, CLIENT, UPSTREAM);
    cancel_completes(f, CLIENT);
    arrives(f, UPSTREAM, 5);
    takes(f, CLIENT, 5);
    assert_int_equal(f->relay.direction[UPSTREAM].bytes, 5);
}

static void a_reset_is_seen_while_receiving_rests(void **state)
{
    struct fixture *f = *state;
    fill(f, CLIENT, UPSTREAM);
    cancel_completes(f, CLIENT);
    assert_true((f->sockets[CLIENT].in_flight & IO_WATCH) != 0);
    io_noticed(&f->sockets[CLIENT], WEIR_WATCH_HALF_CLOSED);
    assert_int_equal(f->ended, 0);
    io_noticed(&f->sockets[CLIENT], WEIR_WATCH_RESET);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->end, WEIR_RELAY_CLIENT_RESET);
}

static void the_end_of_one_direction_is_carried_through_after_its_last_byte(void **state)
{
    struct fixture *f = *state;
    arrives(f, CLIENT, 7);
    io_recv_ended(&f->sockets[CLIENT], 0);
    assert_false(f->shut[UPSTREAM]);
    takes(f, UPSTREAM, 7);
    assert_true(f->shut[UPSTREAM]);
    assert_false(f->shut[CLIENT]);
    assert_int_equal(f->ended, 0);
    arrives(f, UPSTREAM, 9);
    takes(f, CLIENT, 9);
    io_recv_ended(&f->sockets[UPSTREAM], 0);
    assert_true(f->shut[CLIENT]);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->end, WEIR_RELAY_DONE);
}

static void an_end_behind_an_overflow_waits_for_it(void **state)
{
    struct fixture *f = *state;
    arrives(f, UPSTREAM, 100);
    takes(f, CLIENT, 40);
    io_recv_ended(&f->sockets[UPSTREAM], 0);
    assert_false(f->shut[CLIENT]);
    takes(f, CLIENT, 60);
    assert_true(f->shut[CLIENT]);
}

static void the_upstreams_first_byte_is_told_once(void **state)
{
    struct fixture *f = *state;
    arrives(f, CLIENT, 10);
    takes(f, UPSTREAM, 10);
    assert_int_equal(f->answered, 0);
    arrives(f, UPSTREAM, 10);
    assert_int_equal(f->answered, 1);
    takes(f, CLIENT, 10);
    arrives(f, UPSTREAM, 10);
    takes(f, CLIENT, 10);
    assert_int_equal(f->answered, 1);
}

static void a_broken_side_is_named(void **state)
{
    struct fixture *f = *state;
    io_recv_ended(&f->sockets[UPSTREAM], WEIR_ECONNRESET);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->end, WEIR_RELAY_UPSTREAM_RESET);
}

static void a_failed_send_means_the_receiving_side_is_gone(void **state)
{
    struct fixture *f = *state;
    arrives(f, UPSTREAM, 5);
    takes(f, CLIENT, WEIR_EPIPE);
    assert_int_equal(f->end, WEIR_RELAY_CLIENT_RESET);
}

static void silence_ends_it_after_the_idle_timeout(void **state)
{
    struct fixture *f = *state;
    passes(f, 59 * SECOND);
    assert_int_equal(f->ended, 0);
    passes(f, SECOND);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->end, WEIR_RELAY_IDLE_TIMEOUT);
}

static void bytes_in_one_direction_are_enough_to_live(void **state)
{
    struct fixture *f = *state;
    for (int n = 0; n < 10; n++) {
        passes(f, 40 * SECOND);
        arrives(f, UPSTREAM, 1);
        takes(f, CLIENT, 1);
    }
    assert_int_equal(f->ended, 0);
    passes(f, 60 * SECOND);
    assert_int_equal(f->end, WEIR_RELAY_IDLE_TIMEOUT);
}

static void a_mute_half_ends_after_the_half_close_timeout(void **state)
{
    struct fixture *f = *state;
    passes(f, 30 * SECOND);
    io_recv_ended(&f->sockets[CLIENT], 0);
    passes(f, 9 * SECOND);
    arrives(f, UPSTREAM, 1);
    takes(f, CLIENT, 1);
    passes(f, 9 * SECOND);
    assert_int_equal(f->ended, 0);
    passes(f, SECOND);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->end, WEIR_RELAY_HALF_CLOSE_TIMEOUT);
}

static void a_used_up_budget_ends_the_connection_that_needs_more(void **state)
{
    struct fixture *f = *state;
    f->budget.limit = 2 * LOAN_BYTES;
    arrives(f, CLIENT, LOAN_BYTES);
    takes(f, UPSTREAM, WEIR_EAGAIN);
    assert_int_equal(f->ended, 0);
    arrives(f, CLIENT, LOAN_BYTES);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->end, WEIR_RELAY_OUT_OF_MEMORY);
    assert_true(f->budget.used <= f->budget.limit);
}

static void a_stopped_relay_is_silent(void **state)
{
    struct fixture *f = *state;
    weir_relay_stop(&f->relay);
    passes(f, 3600 * SECOND);
    assert_int_equal(f->ended, 0);
}

#define RELAY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELAY_TEST(bytes_are_sent_from_the_loan_and_the_loan_goes_back),
        RELAY_TEST(loans_wait_in_line_while_one_is_sent),
        RELAY_TEST(what_the_kernel_does_not_take_waits_in_the_overflow),
        RELAY_TEST(a_full_socket_makes_the_whole_loan_overflow),
        RELAY_TEST(receiving_rests_at_the_bound_and_resumes_when_half_empty),
        RELAY_TEST(what_arrives_before_the_cancel_completes_is_kept),
        RELAY_TEST(receiving_resumes_when_the_room_came_before_the_cancel_completed),
        RELAY_TEST(the_other_direction_goes_on_while_one_rests),
        RELAY_TEST(a_reset_is_seen_while_receiving_rests),
        RELAY_TEST(the_end_of_one_direction_is_carried_through_after_its_last_byte),
        RELAY_TEST(an_end_behind_an_overflow_waits_for_it),
        RELAY_TEST(the_upstreams_first_byte_is_told_once),
        RELAY_TEST(a_broken_side_is_named),
        RELAY_TEST(a_failed_send_means_the_receiving_side_is_gone),
        RELAY_TEST(silence_ends_it_after_the_idle_timeout),
        RELAY_TEST(bytes_in_one_direction_are_enough_to_live),
        RELAY_TEST(a_mute_half_ends_after_the_half_close_timeout),
        RELAY_TEST(a_used_up_budget_ends_the_connection_that_needs_more),
        RELAY_TEST(a_stopped_relay_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
