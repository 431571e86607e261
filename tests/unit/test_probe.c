/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "../../lib/io/backend.h"
#include "../../server/proxy/probe.h"

#define SECOND UINT64_C(1000000000)

/* A check on a backend that does nothing by itself: each test plays the kernel, one completion at a time. Checks inside
 * TLS have the simulator and real upstreams. */
struct fixture {
    struct weir_loop loop; /* first: the backend's loop */
    struct handshakes line;
    struct health_settings settings;
    struct weir_address address;
    struct probe probe;
    bool shut, closing;
    int lent;
    int judged, over; /* times */
    enum probe_verdict verdict;
    char cause[256];
};

static struct fixture *fixture_of(const struct weir_socket *socket)
{
    return (struct fixture *)socket->loop;
}

static void fake_connect(struct weir_socket *socket, const struct weir_address *address, uint32_t keepalive_s)
{
    assert_ptr_equal(address, &fixture_of(socket)->address);
    assert_int_equal(keepalive_s, 0);
    socket->fd = 100;
}

static void fake_nothing(struct weir_socket *socket)
{
    (void)socket;
}

static void fake_send(struct weir_socket *socket, enum weir_send_mode mode)
{
    (void)socket;
    assert_int_equal(mode, WEIR_SEND_WAIT);
}

static void fake_shutdown(struct weir_socket *socket)
{
    fixture_of(socket)->shut = true;
}

static void fake_close(struct weir_socket *socket, enum weir_close_mode mode)
{
    assert_int_equal(mode, WEIR_CLOSE_NORMAL);
    fixture_of(socket)->closing = true;
}

static void fake_loan_return(struct weir_loop *loop, struct weir_loan *loan)
{
    ((struct fixture *)loop)->lent--;
    free(loan->data);
    free(loan);
}

static const struct io_backend fake_backend = {
    .name = "fake",
    .connect = fake_connect,
    .recv = fake_nothing,
    .send = fake_send,
    .shutdown = fake_shutdown,
    .close = fake_close,
    .loan_return = fake_loan_return,
};

static void note_verdict(struct probe *probe, enum probe_verdict verdict, const char *cause)
{
    struct fixture *f = (struct fixture *)((char *)probe - offsetof(struct fixture, probe));
    f->judged++;
    f->verdict = verdict;
    snprintf(f->cause, sizeof f->cause, "%s", cause);
}

static void note_end(struct probe *probe)
{
    ((struct fixture *)((char *)probe - offsetof(struct fixture, probe)))->over++;
}

static int set_up(void **state)
{
    static const char send[] = "PING\r\n", expect[] = "+PONG";
    struct fixture *f = calloc(1, sizeof *f);
    io_loop_init(&f->loop, &fake_backend);
    f->loop.now_ns = 100 * SECOND;
    handshakes_init(&f->line, &f->loop);
    f->settings = (struct health_settings){
        .timeout_ns = 2 * SECOND,
        .check = HEALTH_CHECK_EXCHANGE,
        .send = { (uint8_t *)(uintptr_t)send, sizeof send - 1 },
        .expect = { (uint8_t *)(uintptr_t)expect, sizeof expect - 1 },
    };
    f->probe = (struct probe){ .loop = &f->loop,
                               .line = &f->line,
                               .settings = &f->settings,
                               .address = &f->address,
                               .judged = note_verdict,
                               .over = note_end };
    *state = f;
    return 0;
}

/* Whatever a test did: in the end there is one verdict at most, and nothing is left. */
static int tear_down(void **state)
{
    struct fixture *f = *state;
    bool good = f->judged <= 1 && f->over == 1 && probe_is_idle(&f->probe) && f->lent == 0 &&
                f->loop.timers.first == NULL && f->probe.talk == NULL;
    free(f);
    return good ? 0 : -1;
}

/* What the kernel does. */

static void start(struct fixture *f)
{
    probe_start(&f->probe, NULL);
}

static void connects(struct fixture *f, int status)
{
    io_connected(&f->probe.socket, status);
}

static void arrives(struct fixture *f, const char *text, uint32_t size)
{
    struct weir_loan *loan = calloc(1, sizeof *loan);
    loan->data = malloc(size);
    memcpy(loan->data, text, size);
    loan->size = size;
    f->lent++;
    io_lent(&f->probe.socket, loan);
}

static void ends(struct fixture *f, int status)
{
    io_recv_ended(&f->probe.socket, status);
}

static bool sends(const struct fixture *f, const char *text)
{
    return (f->probe.socket.in_flight & IO_SEND) != 0 && f->probe.socket.send_size == strlen(text) &&
           memcmp(f->probe.socket.send_data, text, strlen(text)) == 0;
}

static void takes(struct fixture *f, int status)
{
    io_sent(&f->probe.socket, status);
}

static void passes(struct fixture *f, uint64_t ns)
{
    f->loop.now_ns += ns;
    struct weir_timer *timer;
    while ((timer = timers_due(&f->loop.timers, f->loop.now_ns, UINT64_MAX)) != NULL)
        timer->fire(timer);
}

static void closes(struct fixture *f)
{
    struct weir_socket *socket = &f->probe.socket;
    assert_true(f->closing);
    if ((socket->in_flight & IO_CONNECT) != 0)
        io_connected(socket, WEIR_ECANCELED);
    if ((socket->in_flight & IO_RECV) != 0)
        io_recv_ended(socket, WEIR_ECANCELED);
    if ((socket->in_flight & IO_SEND) != 0)
        io_sent(socket, WEIR_ECANCELED);
    io_socket_closed(socket);
}

static void assert_judged(const struct fixture *f, enum probe_verdict verdict, const char *cause)
{
    assert_int_equal(f->judged, 1);
    assert_int_equal(f->verdict, verdict);
    assert_string_equal(f->cause, cause);
}

static void a_connection_is_good_and_ends_on_both_sides_before_it_closes(void **state)
{
    struct fixture *f = *state;
    f->settings.check = HEALTH_CHECK_CONNECT;
    start(f);
    assert_false(f->judged);
    connects(f, 0);
    assert_judged(f, PROBE_GOOD, "");
    assert_true(f->shut);
    arrives(f, "220 hello", 9);
    assert_false(f->closing);
    ends(f, 0);
    closes(f);
}

static void a_check_that_cannot_connect_is_bad(void **state)
{
    struct fixture *f = *state;
    start(f);
    connects(f, WEIR_ECONNREFUSED);
    assert_judged(f, PROBE_BAD, "the connection was refused");
    closes(f);
}

static void what_is_missing_here_says_nothing_about_the_upstream(void **state)
{
    struct fixture *f = *state;
    start(f);
    connects(f, WEIR_EADDRNOTAVAIL);
    assert_int_equal(f->judged, 1);
    assert_int_equal(f->verdict, PROBE_VOID);
    closes(f);
}

static void a_connect_that_hangs_ends_at_the_timeout(void **state)
{
    struct fixture *f = *state;
    start(f);
    passes(f, 2 * SECOND - 1);
    assert_false(f->closing);
    passes(f, 1);
    assert_judged(f, PROBE_BAD, "the connection timed out");
    closes(f);
}

static void the_expected_reply_is_good_as_soon_as_it_is_there(void **state)
{
    struct fixture *f = *state;
    start(f);
    connects(f, 0);
    assert_true(sends(f, "PING\r\n"));
    takes(f, 2);
    assert_true(sends(f, "NG\r\n"));
    takes(f, 4);
    assert_false(f->shut);
    arrives(f, "+PO", 3);
    assert_false(f->judged);
    arrives(f, "NG\r\n", 4);
    assert_judged(f, PROBE_GOOD, "");
    assert_true(f->shut);
    ends(f, 0);
    closes(f);
}

static void our_side_does_not_end_before_everything_is_sent(void **state)
{
    struct fixture *f = *state;
    start(f);
    connects(f, 0);
    arrives(f, "+PONG", 5);
    ends(f, 0);
    assert_judged(f, PROBE_GOOD, "");
    assert_false(f->shut || f->closing);
    takes(f, 6);
    assert_true(f->shut);
    closes(f);
}

static void a_reset_while_sending_is_told_by_what_is_received(void **state)
{
    struct fixture *f = *state;
    start(f);
    connects(f, 0);
    takes(f, WEIR_EPIPE);
    assert_false(f->judged);
    arrives(f, "-ERR", 4);
    ends(f, 0);
    assert_judged(f, PROBE_BAD, "expected \"+PONG\", but the upstream sent \"-ERR\" and ended the connection");
    assert_false(f->shut);
    closes(f);
}

static void an_upstream_that_resets_gets_no_end(void **state)
{
    struct fixture *f = *state;
    start(f);
    connects(f, 0);
    takes(f, 6);
    ends(f, WEIR_ECONNRESET);
    assert_judged(f, PROBE_BAD, "expected \"+PONG\", but the upstream sent nothing and reset the connection");
    assert_false(f->shut);
    closes(f);
}

static void bytes_do_not_prolong_a_check(void **state)
{
    struct fixture *f = *state;
    start(f);
    connects(f, 0);
    takes(f, 6);
    for (int n = 0; n < 19; n++) {
        passes(f, SECOND / 10);
        arrives(f, ".", 1);
    }
    assert_false(f->judged);
    passes(f, SECOND / 10);
    assert_judged(f, PROBE_BAD, "expected \"+PONG\", but the upstream sent \"...................\" until the timeout");
    closes(f);
}

static void waiting_for_the_upstreams_end_stops_at_the_timeout(void **state)
{
    struct fixture *f = *state;
    f->settings.check = HEALTH_CHECK_CONNECT;
    start(f);
    passes(f, SECOND);
    connects(f, 0);
    passes(f, SECOND - 1);
    assert_false(f->closing);
    passes(f, 1);
    closes(f);
    assert_judged(f, PROBE_GOOD, "");
}

static void a_flood_is_read_to_a_bound(void **state)
{
    struct fixture *f = *state;
    char flood[4096];
    memset(flood, 'x', sizeof flood);
    start(f);
    connects(f, 0);
    takes(f, 6);
    for (int n = 0; n < 4; n++)
        arrives(f, flood, sizeof flood);
    assert_int_equal(f->verdict, PROBE_BAD);
    assert_non_null(strstr(f->cause, "and more than a check reads"));
    assert_false(f->closing);
    for (int n = 0; n < 20 && !f->closing; n++)
        arrives(f, flood, sizeof flood);
    closes(f);
}

static void a_check_that_is_stopped_has_no_verdict(void **state)
{
    struct fixture *f = *state;
    start(f);
    connects(f, 0);
    probe_stop(&f->probe);
    probe_stop(&f->probe);
    closes(f);
    assert_int_equal(f->judged, 0);
    probe_stop(&f->probe);
}

static void checks_follow_each_other(void **state)
{
    struct fixture *f = *state;
    for (int n = 0; n < 3; n++) {
        f->judged = f->over = 0;
        f->shut = f->closing = false;
        start(f);
        connects(f, 0);
        assert_true(sends(f, "PING\r\n"));
        takes(f, 6);
        arrives(f, "+PONG", 5);
        ends(f, 0);
        closes(f);
        assert_judged(f, PROBE_GOOD, "");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_connection_is_good_and_ends_on_both_sides_before_it_closes),
        TEST(a_check_that_cannot_connect_is_bad),
        TEST(what_is_missing_here_says_nothing_about_the_upstream),
        TEST(a_connect_that_hangs_ends_at_the_timeout),
        TEST(the_expected_reply_is_good_as_soon_as_it_is_there),
        TEST(our_side_does_not_end_before_everything_is_sent),
        TEST(a_reset_while_sending_is_told_by_what_is_received),
        TEST(an_upstream_that_resets_gets_no_end),
        TEST(bytes_do_not_prolong_a_check),
        TEST(waiting_for_the_upstreams_end_stops_at_the_timeout),
        TEST(a_flood_is_read_to_a_bound),
        TEST(a_check_that_is_stopped_has_no_verdict),
        TEST(checks_follow_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
