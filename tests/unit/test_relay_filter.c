/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_fixture.h"

/* A filter that is easy to follow: on the socket every plain byte is written twice ("aabb"), `.` is the end, `!` cannot
 * be understood, and `?` must be answered with 100 `=`. It holds back half a pair. */
struct twice {
    struct weir_filter filter;
    char half;
};

static enum weir_filter_result twice_answer(struct weir_sink *back)
{
    char text[100];
    memset(text, '=', sizeof text);
    return weir_sink_put(back, text, sizeof text) == 0 ? WEIR_FILTER_OK : WEIR_FILTER_NO_MEMORY;
}

static enum weir_filter_result twice_decode(struct weir_filter *filter, const uint8_t *data, uint32_t size,
                                            struct weir_sink *plain, struct weir_sink *back)
{
    struct twice *twice = (struct twice *)filter;
    enum weir_filter_result result = WEIR_FILTER_OK;
    uint32_t room;
    /* Like TLS, which wants room before it knows whether there is anything to put there. */
    assert_non_null(plain->reserve(plain, &room));
    for (uint32_t n = 0; n < size && result == WEIR_FILTER_OK; n++) {
        char byte = (char)data[n];
        if (byte == '!')
            result = WEIR_FILTER_CORRUPT;
        else if (byte == '.')
            result = WEIR_FILTER_ENDED;
        else if (byte == '?')
            result = twice_answer(back);
        else if (twice->half == 0)
            twice->half = byte;
        else if (weir_sink_put(plain, &byte, 1) != 0)
            result = WEIR_FILTER_NO_MEMORY;
        else
            twice->half = 0;
    }
    return result;
}

static enum weir_filter_result twice_encode(struct weir_filter *filter, const uint8_t *data, uint32_t size,
                                            struct weir_sink *out)
{
    (void)filter;
    for (uint32_t n = 0; n < size; n++) {
        const uint8_t pair[] = { data[n], data[n] };
        if (weir_sink_put(out, pair, 2) != 0)
            return WEIR_FILTER_NO_MEMORY;
    }
    return WEIR_FILTER_OK;
}

static enum weir_filter_result twice_encode_end(struct weir_filter *filter, struct weir_sink *out)
{
    (void)filter;
    return weir_sink_put(out, ".", 1) == 0 ? WEIR_FILTER_OK : WEIR_FILTER_NO_MEMORY;
}

static const struct weir_filter_ops twice_ops = { .decode = twice_decode,
                                                  .encode = twice_encode,
                                                  .encode_end = twice_encode_end };

static struct twice client_filter, upstream_filter;

static struct fixture *start_with(void **state, bool client, bool upstream)
{
    struct fixture *f = fixture_new();
    client_filter = upstream_filter = (struct twice){ .filter = { &twice_ops } };
    f->relay.filters[CLIENT] = client ? &client_filter.filter : NULL;
    f->relay.filters[UPSTREAM] = upstream ? &upstream_filter.filter : NULL;
    fixture_start(f);
    *state = f;
    return f;
}

static int filter_at_client(void **state)
{
    start_with(state, true, false);
    return 0;
}

static int filters_at_both(void **state)
{
    start_with(state, true, true);
    return 0;
}

static void arrives_text(struct fixture *f, int side, const char *text)
{
    struct weir_loan *loan = calloc(1, sizeof *loan);
    loan->data = (uint8_t *)strdup(text);
    loan->size = (uint32_t)strlen(text);
    f->lent++;
    io_lent(&f->sockets[side], loan);
}

/* What is offered to a side; the kernel takes all of it. */
static void assert_takes(struct fixture *f, int side, const char *text)
{
    assert_int_equal(offered(f, side), strlen(text));
    assert_memory_equal(f->sockets[side].send_data, text, strlen(text));
    takes(f, side, (int)strlen(text));
}

static void bytes_are_decoded_on_their_way_and_loans_go_back_at_once(void **state)
{
    struct fixture *f = *state;
    arrives_text(f, CLIENT, "aabbc");
    assert_int_equal(f->lent, 0);
    assert_takes(f, UPSTREAM, "ab");
    arrives_text(f, CLIENT, "c");
    assert_takes(f, UPSTREAM, "c");
    assert_int_equal(f->relay.direction[CLIENT].bytes, 3);
    assert_int_equal(f->totals[CLIENT], 3);
    assert_int_equal(f->budget.used, 0);
}

static void bytes_towards_a_filter_are_encoded_and_counted_plain(void **state)
{
    struct fixture *f = *state;
    arrives_text(f, UPSTREAM, "xyz");
    assert_takes(f, CLIENT, "xxyyzz");
    assert_int_equal(f->relay.direction[UPSTREAM].bytes, 3);
}

static void from_filter_to_filter_bytes_are_decoded_and_encoded(void **state)
{
    struct fixture *f = *state;
    arrives_text(f, CLIENT, "aabb");
    assert_takes(f, UPSTREAM, "aabb");
    arrives_text(f, UPSTREAM, "cc");
    assert_takes(f, CLIENT, "cc");
    assert_int_equal(f->relay.direction[CLIENT].bytes, 2);
}

static void a_filters_end_is_carried_through_as_the_other_sides_end(void **state)
{
    struct fixture *f = *state;
    arrives_text(f, CLIENT, "aa.");
    assert_false(f->shut[UPSTREAM]);
    assert_takes(f, UPSTREAM, "a");
    assert_true(f->shut[UPSTREAM]);
    arrives_text(f, CLIENT, "bb");
    assert_int_equal(offered(f, UPSTREAM), 0);
    arrives_text(f, UPSTREAM, "q");
    assert_takes(f, CLIENT, "qq");
    io_recv_ended(&f->sockets[UPSTREAM], 0);
    assert_takes(f, CLIENT, ".");
    assert_true(f->shut[CLIENT]);
    assert_int_equal(f->end, WEIR_RELAY_DONE);
    assert_int_equal(f->ended, 1);
}

static void the_sockets_end_behind_the_filters_end_changes_nothing(void **state)
{
    struct fixture *f = *state;
    arrives_text(f, CLIENT, ".");
    assert_true(f->shut[UPSTREAM]);
    io_recv_ended(&f->sockets[CLIENT], 0);
    assert_int_equal(f->ended, 0);
}

static void a_socket_that_ends_before_its_filter_is_truncated_and_what_came_is_delivered(void **state)
{
    struct fixture *f = *state;
    arrives_text(f, CLIENT, "aa");
    io_recv_ended(&f->sockets[CLIENT], 0);
    assert_int_equal(f->ended, 0);
    takes(f, UPSTREAM, 1);
    assert_false(f->shut[UPSTREAM]);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->end, WEIR_RELAY_CLIENT_TRUNCATED);
}

static void a_truncated_end_waits_for_what_has_not_arrived(void **state)
{
    struct fixture *f = *state;
    f->unsent[UPSTREAM] = 1;
    arrives_text(f, CLIENT, "aa");
    io_recv_ended(&f->sockets[CLIENT], 0);
    takes(f, UPSTREAM, 1);
    passes(f, 9 * SECOND);
    assert_int_equal(f->ended, 0);
    f->unsent[UPSTREAM] = 0;
    passes(f, SECOND / 2);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->end, WEIR_RELAY_CLIENT_TRUNCATED);
}

static void a_truncated_end_waits_no_longer_than_a_half_closed_one(void **state)
{
    struct fixture *f = *state;
    f->unsent[UPSTREAM] = 1;
    arrives_text(f, CLIENT, "aa");
    io_recv_ended(&f->sockets[CLIENT], 0);
    takes(f, UPSTREAM, 1);
    passes(f, 10 * SECOND);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->end, WEIR_RELAY_CLIENT_TRUNCATED);
}

static void corrupt_bytes_end_it(void **state)
{
    struct fixture *f = *state;
    arrives_text(f, CLIENT, "aa!");
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->end, WEIR_RELAY_CLIENT_CORRUPT);
    assert_int_equal(f->lent, 0);
}

static void answers_go_back_to_the_side_that_asked(void **state)
{
    struct fixture *f = *state;
    arrives_text(f, CLIENT, "?");
    assert_int_equal(offered(f, CLIENT), 100);
    assert_int_equal(offered(f, UPSTREAM), 0);
    takes(f, CLIENT, 100);
    assert_int_equal(f->relay.direction[UPSTREAM].bytes, 0);
}

static void a_peer_that_asks_without_reading_is_cut_off(void **state)
{
    struct fixture *f = *state;
    for (int n = 0; n < 1000 && f->ended == 0; n++)
        arrives_text(f, CLIENT, "?");
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->end, WEIR_RELAY_CLIENT_CORRUPT);
    assert_true(f->budget.used < 200000);
}

static void a_filtered_direction_rests_when_its_queue_is_full(void **state)
{
    struct fixture *f = *state;
    for (int n = 0; n < 4; n++)
        arrives(f, UPSTREAM, 10000); /* twice that in the queue */
    assert_true(f->stopping_recv[UPSTREAM]);
    cancel_completes(f, UPSTREAM);
    assert_false(receives(f, UPSTREAM));
    while (offered(f, CLIENT) > 0)
        takes(f, CLIENT, (int)offered(f, CLIENT));
    assert_true(receives(f, UPSTREAM));
    assert_int_equal(f->relay.direction[UPSTREAM].bytes, 40000);
}

static void bytes_from_before_the_start_go_first(void **state)
{
    struct fixture *f = *state;
    weir_relay_feed(&f->relay, CLIENT, "aab", 3);
    arrives_text(f, CLIENT, "b");
    assert_takes(f, UPSTREAM, "a");
    assert_takes(f, UPSTREAM, "b");
}

static void an_end_from_before_the_start_counts(void **state)
{
    struct fixture *f = *state;
    weir_relay_feed(&f->relay, CLIENT, "aa.", 3);
    assert_takes(f, UPSTREAM, "a");
    assert_true(f->shut[UPSTREAM]);
}

#define CLIENT_TEST(name) cmocka_unit_test_setup_teardown(name, filter_at_client, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLIENT_TEST(bytes_are_decoded_on_their_way_and_loans_go_back_at_once),
        CLIENT_TEST(bytes_towards_a_filter_are_encoded_and_counted_plain),
        cmocka_unit_test_setup_teardown(from_filter_to_filter_bytes_are_decoded_and_encoded, filters_at_both,
                                        tear_down),
        CLIENT_TEST(a_filters_end_is_carried_through_as_the_other_sides_end),
        CLIENT_TEST(the_sockets_end_behind_the_filters_end_changes_nothing),
        CLIENT_TEST(a_socket_that_ends_before_its_filter_is_truncated_and_what_came_is_delivered),
        CLIENT_TEST(a_truncated_end_waits_for_what_has_not_arrived),
        CLIENT_TEST(a_truncated_end_waits_no_longer_than_a_half_closed_one),
        CLIENT_TEST(corrupt_bytes_end_it),
        CLIENT_TEST(answers_go_back_to_the_side_that_asked),
        CLIENT_TEST(a_peer_that_asks_without_reading_is_cut_off),
        CLIENT_TEST(a_filtered_direction_rests_when_its_queue_is_full),
        CLIENT_TEST(bytes_from_before_the_start_go_first),
        CLIENT_TEST(an_end_from_before_the_start_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
