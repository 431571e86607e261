/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "reply.h"

/* Nobody has to say so much to a check. */
#define RECEIVED_MAX (64u << 10)
#define OUT_BYTES_MAX (2 * CHECK_BYTES_MAX)
#define CAUSE_BYTES 256

/* What a check holds beyond its socket, from connected to closed, where bytes matter. */
struct talk {
    struct tls_session *session; /* NULL: plain */
    struct handshake handshake;
    struct reply reply;
    struct weir_sink sink; /* towards the upstream */
    uint32_t out_size, out_sent;
    bool crowded; /* there was no room for what is to be sent */
    uint8_t out[OUT_BYTES_MAX];
};

static_assert(OUT_BYTES_MAX >= CHECK_BYTES_MAX + 1024, "what is sent, with its record and close_notify");

static const struct weir_socket_events probe_events;

static struct probe *of_socket(struct weir_socket *socket)
{
    return (struct probe *)((char *)socket - offsetof(struct probe, socket));
}

/* Closing: everything that was taken goes back, whatever the stage. */

static void close_probe(struct probe *probe)
{
    probe->stage = PROBE_CLOSING;
    weir_timer_stop(probe->loop, &probe->deadline);
    if (probe->talk != NULL)
        handshake_stop(&probe->talk->handshake);
    probe->socket.events = &probe_events;
    weir_close(&probe->socket, WEIR_CLOSE_NORMAL);
}

static void closed(struct weir_socket *socket)
{
    struct probe *probe = of_socket(socket);
    struct talk *talk = probe->talk;
    probe->talk = NULL;
    probe->stage = PROBE_IDLE;
    if (talk != NULL) {
        handshake_release(&talk->handshake);
        tls_session_free(&talk->session);
        free(talk);
    }
    probe->over(probe);
}

/* Sending, and ending our side once everything is sent. */

static uint8_t *out_reserve(struct weir_sink *sink, uint32_t *ret_room)
{
    struct talk *talk = (struct talk *)((char *)sink - offsetof(struct talk, sink));
    talk->crowded = talk->out_size == OUT_BYTES_MAX;
    *ret_room = OUT_BYTES_MAX - talk->out_size;
    return talk->crowded ? NULL : talk->out + talk->out_size;
}

static int out_commit(struct weir_sink *sink, uint32_t size)
{
    ((struct talk *)((char *)sink - offsetof(struct talk, sink)))->out_size += size;
    return 0;
}

static void go_on(struct probe *probe)
{
    struct talk *talk = probe->talk;
    if (probe->sending)
        return;
    if (talk != NULL && !probe->shut && talk->out_sent < talk->out_size) {
        probe->sending = true;
        weir_send(&probe->socket, talk->out + talk->out_sent, talk->out_size - talk->out_sent, WEIR_SEND_WAIT);
        return;
    }
    if (probe->ends && !probe->shut) {
        probe->shut = true;
        weir_shutdown(&probe->socket);
    }
    if (probe->stage == PROBE_ENDING && probe->shut && probe->peer_ended)
        close_probe(probe);
}

/* A reset shows here first, perhaps, but what came before it can still be read: that is where its end is told. */
static void sent(struct weir_socket *socket, int status)
{
    struct probe *probe = of_socket(socket);
    struct talk *talk = probe->talk;
    probe->sending = false;
    if (probe->stage == PROBE_CLOSING)
        return;
    talk->out_sent += status < 0 ? 0 : (uint32_t)status;
    if (talk->out_sent == talk->out_size)
        talk->out_sent = talk->out_size = 0;
    probe->shut = probe->shut || status < 0;
    go_on(probe);
}

static void end_our_side(struct probe *probe)
{
    struct talk *talk = probe->talk;
    /* Without room for close_notify, the end of the connection has to say it. */
    if (talk != NULL && talk->session != NULL && tls_session_end(talk->session, &talk->sink) != 0)
        talk->crowded = true;
    probe->ends = true;
}

/* Verdicts. */

/* The clean end follows. */
static void conclude(struct probe *probe, enum probe_verdict verdict, const char *cause)
{
    probe->judged(probe, verdict, cause);
    end_our_side(probe);
    probe->stage = PROBE_ENDING;
    go_on(probe);
}

/* The connection is of no use any more. */
static void give_up(struct probe *probe, enum probe_verdict verdict, const char *cause)
{
    probe->judged(probe, verdict, cause);
    close_probe(probe);
}

static void fail(struct probe *probe, int status)
{
    bool our_fault =
        status == WEIR_EMFILE || status == WEIR_ENOBUFS || status == WEIR_ENOMEM || status == WEIR_EADDRNOTAVAIL;
    give_up(probe, our_fault ? PROBE_VOID : PROBE_BAD, weir_strerror(status));
}

/* When nothing more comes that could change anything. */
static enum probe_verdict verdict_at(const struct probe *probe, enum reply_end end, char cause[CAUSE_BYTES])
{
    cause[0] = '\0';
    if (probe->settings->check == HEALTH_CHECK_TLS || probe->talk->reply.found)
        return PROBE_GOOD;
    reply_describe(&probe->talk->reply, end, cause, CAUSE_BYTES);
    return PROBE_BAD;
}

static void conclude_at(struct probe *probe, enum reply_end end)
{
    char cause[CAUSE_BYTES];
    conclude(probe, verdict_at(probe, end, cause), cause);
}

/* Talking. */

static enum weir_filter_result read_bytes(struct talk *talk, const uint8_t *data, uint32_t size)
{
    struct weir_filter *filter = talk->session == NULL ? NULL : tls_session_filter(talk->session);
    if (filter != NULL)
        return filter->ops->decode(filter, data, size, &talk->reply.sink, &talk->sink);
    return weir_sink_put(&talk->reply.sink, data, size) == 0 ? WEIR_FILTER_OK : WEIR_FILTER_NO_MEMORY;
}

static enum weir_filter_result write_bytes(struct talk *talk, const struct check_bytes *bytes)
{
    struct weir_filter *filter = talk->session == NULL ? NULL : tls_session_filter(talk->session);
    if (filter != NULL)
        return filter->ops->encode(filter, bytes->data, bytes->size, &talk->sink);
    return weir_sink_put(&talk->sink, bytes->data, bytes->size) == 0 ? WEIR_FILTER_OK : WEIR_FILTER_NO_MEMORY;
}

static void judge_bytes(struct probe *probe, enum weir_filter_result result)
{
    struct talk *talk = probe->talk;
    if (talk->reply.found)
        conclude(probe, PROBE_GOOD, "");
    else if (result == WEIR_FILTER_CORRUPT)
        conclude(probe, PROBE_BAD, tls_session_failure(talk->session)->text);
    else if (talk->crowded)
        give_up(probe, PROBE_BAD, "the upstream asks for more answers than a check gives");
    else if (result == WEIR_FILTER_NO_MEMORY)
        fail(probe, WEIR_ENOMEM);
    else if (result == WEIR_FILTER_ENDED)
        conclude_at(probe, REPLY_ENDED);
    else if (reply_is_full(&talk->reply) || probe->received > RECEIVED_MAX)
        conclude_at(probe, REPLY_FULL);
    else
        go_on(probe);
}

static void take(struct probe *probe, const uint8_t *data, uint32_t size)
{
    probe->received += size;
    if (probe->stage == PROBE_TALKING)
        judge_bytes(probe, read_bytes(probe->talk, data, size));
    if (probe->stage == PROBE_ENDING && probe->received > RECEIVED_MAX)
        close_probe(probe);
}

static void peer_ended(struct probe *probe, enum reply_end end)
{
    probe->peer_ended = true;
    if (probe->stage == PROBE_TALKING)
        conclude_at(probe, end);
    else
        go_on(probe);
}

static void received(struct weir_socket *socket, int status, struct weir_loan *loan)
{
    struct probe *probe = of_socket(socket);
    if (status > 0) {
        if (probe->stage != PROBE_CLOSING)
            take(probe, loan->data, loan->size);
        weir_loan_return(probe->loop, loan);
    } else if (probe->stage != PROBE_CLOSING) {
        probe->shut = probe->shut || status < 0;
        peer_ended(probe, status == 0 ? REPLY_ENDED : REPLY_BROKE);
    }
}

/* A watch that the handshake left behind; receiving tells the same. */
static void noticed(struct weir_socket *socket, int status)
{
    (void)socket;
    (void)status;
}

/* `behind`: what came with the end of a handshake. */
static void start_talking(struct probe *probe, bool receiving, const struct bytes *behind)
{
    probe->socket.events = &probe_events;
    probe->stage = PROBE_TALKING;
    weir_recv_sparing(&probe->socket, true);
    if (!receiving && !probe->peer_ended)
        weir_recv(&probe->socket);
    if (probe->settings->check == HEALTH_CHECK_TLS)
        end_our_side(probe);
    else if (write_bytes(probe->talk, &probe->settings->send) != WEIR_FILTER_OK) {
        fail(probe, WEIR_ENOMEM);
        return;
    }
    take(probe, behind->data, behind->size);
    if (probe->peer_ended && probe->stage != PROBE_CLOSING)
        peer_ended(probe, REPLY_ENDED);
}

/* The handshake. */

static void is_established(struct probe *probe)
{
    struct handshake *handshake = &probe->talk->handshake;
    bool receiving = handshake->receiving;
    struct bytes behind;
    probe->peer_ended = handshake->peer_ended;
    probe->certificate_expires_s = tls_session_peer_expires_s(probe->talk->session);
    handshake_hand_over(handshake, &behind);
    start_talking(probe, receiving, &behind);
    free(behind.data);
}

/* It may have gone while the end of the handshake was on its way; what it said before then counts. */
static void broke_off(struct probe *probe)
{
    struct talk *talk = probe->talk;
    char cause[CAUSE_BYTES];
    if (!tls_session_is_established(talk->session))
        give_up(probe, PROBE_BAD, "the upstream ended the connection in the TLS handshake");
    else if (read_bytes(talk, talk->handshake.in.data, talk->handshake.in.size) == WEIR_FILTER_CORRUPT)
        give_up(probe, PROBE_BAD, tls_session_failure(talk->session)->text);
    else
        give_up(probe, verdict_at(probe, REPLY_BROKE, cause), cause);
}

static void shaken(struct handshake *handshake, int status)
{
    struct probe *probe = handshake->owner;
    if (probe->stage == PROBE_ENDING) {
        close_probe(probe); /* the farewell is over */
    } else if (status == 0) {
        is_established(probe);
    } else if (status == WEIR_EIO) {
        probe->judged(probe, PROBE_BAD, tls_session_failure(probe->talk->session)->text);
        probe->stage = PROBE_ENDING;
        handshake_farewell(handshake);
    } else if (status == WEIR_ECONNRESET) {
        broke_off(probe);
    } else {
        fail(probe, status);
    }
}

static void start_shaking(struct probe *probe)
{
    struct talk *talk = probe->talk;
    int err = tls_session_new(probe->tls, probe->address, &talk->session);
    if (err != 0) {
        fail(probe, err);
        return;
    }
    probe->stage = PROBE_SHAKING;
    talk->handshake.owner = probe;
    handshake_start(&talk->handshake, probe->line, &probe->socket, talk->session, shaken);
}

/* The connection. */

static bool is_connect_only(const struct probe *probe)
{
    return probe->settings->check == HEALTH_CHECK_CONNECT || probe->settings->check == HEALTH_CHECK_NONE;
}

static struct talk *new_talk(const struct probe *probe)
{
    struct talk *talk = calloc(1, sizeof *talk);
    if (talk == NULL)
        return NULL;
    talk->sink = (struct weir_sink){ .reserve = out_reserve, .commit = out_commit };
    reply_init(&talk->reply, &probe->settings->expect);
    return talk;
}

static void connected(struct weir_socket *socket, int status)
{
    static const struct bytes nothing = { 0 };
    struct probe *probe = of_socket(socket);
    if (probe->stage == PROBE_CLOSING)
        return;
    if (status == 0 && !is_connect_only(probe) && (probe->talk = new_talk(probe)) == NULL)
        status = WEIR_ENOMEM;
    if (status != 0) {
        fail(probe, status);
    } else if (is_connect_only(probe)) {
        weir_recv_sparing(socket, true);
        weir_recv(socket);
        conclude(probe, PROBE_GOOD, "");
    } else if (probe->tls != NULL) {
        start_shaking(probe);
    } else {
        start_talking(probe, false, &nothing);
    }
}

static void deadline_is_over(struct weir_timer *timer)
{
    struct probe *probe = (struct probe *)((char *)timer - offsetof(struct probe, deadline));
    if (probe->stage == PROBE_CONNECTING)
        fail(probe, WEIR_ETIMEDOUT);
    else if (probe->stage == PROBE_SHAKING)
        give_up(probe, PROBE_BAD, "the TLS handshake timed out");
    else if (probe->stage == PROBE_TALKING)
        conclude_at(probe, REPLY_TIMED_OUT);
    if (probe->stage != PROBE_CLOSING)
        close_probe(probe);
}

static const struct weir_socket_events probe_events = {
    .connected = connected,
    .received = received,
    .sent = sent,
    .noticed = noticed,
    .closed = closed,
};

void probe_start(struct probe *probe, struct tls_context *tls)
{
    assert(probe->stage == PROBE_IDLE && (tls != NULL || probe->settings->check != HEALTH_CHECK_TLS));
    probe->tls = tls;
    probe->stage = PROBE_CONNECTING;
    probe->received = 0;
    probe->sending = probe->ends = probe->shut = probe->peer_ended = false;
    probe->socket = (struct weir_socket){ 0 };
    probe->deadline.fire = deadline_is_over;
    weir_timer_set(probe->loop, &probe->deadline, weir_loop_now(probe->loop) + probe->settings->timeout_ns);
    weir_socket_init(&probe->socket, probe->loop, &probe_events);
    weir_connect(&probe->socket, probe->address, 0);
}

void probe_stop(struct probe *probe)
{
    if (probe->stage != PROBE_IDLE && probe->stage != PROBE_CLOSING)
        close_probe(probe);
}

bool probe_is_idle(const struct probe *probe)
{
    return probe->stage == PROBE_IDLE;
}
