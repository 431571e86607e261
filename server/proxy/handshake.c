/* SPDX-License-Identifier: Apache-2.0 */
#include "handshake.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

/* Beyond this receiving rests; no flight of a handshake is near it. What had been received when that takes effect still
 * comes: a buffer or two. */
#define BYTES_FULL (64u << 10)
#define BYTES_MAX (128u << 10)
#define ROOM_MIN 2048

/* Bytes */

static bool make_room(struct bytes *bytes, uint32_t room)
{
    if (bytes->room - bytes->size >= room)
        return true;
    uint32_t needed = bytes->size + room, twice = 2 * bytes->room < BYTES_MAX ? 2 * bytes->room : BYTES_MAX;
    uint32_t size = needed > twice ? needed : twice;
    uint8_t *data = needed <= BYTES_MAX ? realloc(bytes->data, size) : NULL;
    if (data == NULL)
        return false;
    bytes->data = data;
    bytes->room = size;
    return true;
}

static void drop_bytes(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){ 0 };
}

static struct handshake *of_sink(struct weir_sink *sink)
{
    return (struct handshake *)((char *)sink - offsetof(struct handshake, sink));
}

static uint8_t *sink_reserve(struct weir_sink *sink, uint32_t *ret_room)
{
    struct bytes *out = &of_sink(sink)->out;
    if (!make_room(out, ROOM_MIN))
        return NULL;
    *ret_room = out->room - out->size;
    return out->data + out->size;
}

static int sink_commit(struct weir_sink *sink, uint32_t size)
{
    of_sink(sink)->out.size += size;
    return 0;
}

/* The line */

static void leave_line(struct handshake *handshake)
{
    if (!handshake->queued)
        return;
    handshake->queued = false;
    *handshake->pprev = handshake->next;
    if (handshake->next != NULL)
        handshake->next->pprev = handshake->pprev;
    else
        handshake->line->last = handshake->pprev;
}

static void stand_in_line(struct handshake *handshake)
{
    struct handshakes *line = handshake->line;
    if (handshake->queued)
        return;
    handshake->queued = true;
    handshake->next = NULL;
    handshake->pprev = line->last;
    *line->last = handshake;
    line->last = &handshake->next;
    if (!line->turn.armed)
        weir_timer_set(line->loop, &line->turn, weir_loop_now(line->loop));
}

static void step(struct handshake *handshake);

/* One step, then whatever else has come to the loop goes first. */
static void take_turn(struct weir_timer *timer)
{
    struct handshakes *line = (struct handshakes *)((char *)timer - offsetof(struct handshakes, turn));
    struct handshake *handshake = line->first;
    if (handshake == NULL)
        return;
    leave_line(handshake);
    if (line->first != NULL)
        weir_timer_set(line->loop, &line->turn, weir_loop_now(line->loop));
    step(handshake);
}

void handshakes_init(struct handshakes *handshakes, struct weir_loop *loop)
{
    handshakes->loop = loop;
    handshakes->turn.fire = take_turn;
    handshakes->last = &handshakes->first;
}

/* Sending */

/* One that failed may still have an alert to send. */
static void tell(struct handshake *handshake, int status)
{
    leave_line(handshake);
    if (status != 0 && status != WEIR_EIO)
        handshake->state = HANDSHAKE_OVER;
    handshake->done(handshake, status);
}

static void end_sending_side(struct handshake *handshake)
{
    if (handshake->state != HANDSHAKE_FAREWELL || handshake->shut || !handshake_sent_all(handshake))
        return;
    handshake->shut = true;
    weir_shutdown(handshake->socket);
    if (handshake->peer_ended)
        tell(handshake, WEIR_ECANCELED);
}

/* What is in flight must not move: it is put aside, and new bytes go elsewhere. */
static void flush(struct handshake *handshake)
{
    if (handshake->sending || handshake->out.size == 0)
        return;
    drop_bytes(&handshake->in_flight);
    handshake->in_flight = handshake->out;
    handshake->out = (struct bytes){ 0 };
    handshake->sending = true;
    weir_send(handshake->socket, handshake->in_flight.data, handshake->in_flight.size, WEIR_SEND_WAIT);
}

bool handshake_sent_all(const struct handshake *handshake)
{
    return !handshake->sending && handshake->out.size == 0;
}

static void broken(struct handshake *handshake)
{
    if (handshake->state != HANDSHAKE_OVER)
        tell(handshake, handshake->state == HANDSHAKE_FAREWELL ? WEIR_ECANCELED : WEIR_ECONNRESET);
}

static void sent(struct weir_socket *socket, int status)
{
    struct handshake *handshake = socket->owner;
    handshake->sending = false;
    if (status < 0) {
        broken(handshake);
        return;
    }
    struct bytes *bytes = &handshake->in_flight;
    uint32_t left = bytes->size - (uint32_t)status;
    if (left > 0) {
        memmove(bytes->data, bytes->data + status, left);
        bytes->size = left;
        handshake->sending = true;
        weir_send(socket, bytes->data, left, WEIR_SEND_WAIT);
        return;
    }
    drop_bytes(bytes);
    flush(handshake);
    if (handshake->state == HANDSHAKE_ESTABLISHED && handshake_sent_all(handshake))
        tell(handshake, 0);
    else
        end_sending_side(handshake);
}

/* Steps */

static void resume(struct handshake *handshake)
{
    if (handshake->receiving || handshake->peer_ended || handshake->in.size >= BYTES_FULL)
        return;
    handshake->receiving = true;
    weir_recv(handshake->socket);
}

/* Whoever waits for an upstream may have to wait long, and may go: where nothing is received, a watch tells of it. */
static void keep_watch(struct handshake *handshake)
{
    if (handshake->state != HANDSHAKE_ESTABLISHED || handshake->receiving || handshake->watching)
        return;
    handshake->watching = true;
    weir_watch(handshake->socket);
}

static void established(struct handshake *handshake)
{
    handshake->state = HANDSHAKE_ESTABLISHED;
    resume(handshake);
    keep_watch(handshake);
    if (handshake_sent_all(handshake))
        tell(handshake, 0);
}

static void step(struct handshake *handshake)
{
    enum tls_progress progress =
        tls_handshake(handshake->session, handshake->in.data, handshake->in.size, &handshake->sink);
    drop_bytes(&handshake->in);
    flush(handshake);
    if (progress == TLS_ESTABLISHED)
        established(handshake);
    else if (progress == TLS_FAILED)
        tell(handshake,
             tls_session_failure(handshake->session)->kind == TLS_FAILURE_NO_MEMORY ? WEIR_ENOMEM : WEIR_EIO);
    else if (handshake->peer_ended)
        tell(handshake, WEIR_ECONNRESET);
    else
        resume(handshake);
}

/* Receiving */

static void received_bytes(struct handshake *handshake, struct weir_loan *loan)
{
    struct bytes *in = &handshake->in;
    bool wanted = handshake->state == HANDSHAKE_RUNNING || handshake->state == HANDSHAKE_ESTABLISHED;
    bool kept = !wanted || make_room(in, loan->size);
    if (wanted && kept) {
        memcpy(in->data + in->size, loan->data, loan->size);
        in->size += loan->size;
    }
    weir_loan_return(handshake->line->loop, loan);
    if (!kept) {
        tell(handshake, WEIR_ENOMEM);
        return;
    }
    if (in->size >= BYTES_FULL)
        weir_recv_stop(handshake->socket);
    if (handshake->state == HANDSHAKE_RUNNING)
        stand_in_line(handshake);
}

static void received_end(struct handshake *handshake)
{
    handshake->peer_ended = true;
    if (handshake->state == HANDSHAKE_RUNNING && !handshake->queued)
        tell(handshake, WEIR_ECONNRESET);
    else if (handshake->state == HANDSHAKE_FAREWELL && handshake->shut)
        tell(handshake, WEIR_ECANCELED);
}

static void received(struct weir_socket *socket, int status, struct weir_loan *loan)
{
    struct handshake *handshake = socket->owner;
    if (status > 0) {
        received_bytes(handshake, loan);
        return;
    }
    handshake->receiving = false;
    if (status == 0)
        received_end(handshake);
    else if (status != WEIR_ECANCELED)
        broken(handshake);
    else if (handshake->state != HANDSHAKE_OVER)
        resume(handshake);
    keep_watch(handshake);
}

static void noticed(struct weir_socket *socket, int status)
{
    struct handshake *handshake = socket->owner;
    if (status < 0)
        handshake->watching = false;
    else if (status == WEIR_WATCH_RESET)
        broken(handshake);
}

/* Whoever closes the socket has put events of its own on it. */
static void closed(struct weir_socket *socket)
{
    (void)socket;
    assert(false && "a socket was closed under its handshake");
}

static const struct weir_socket_events handshake_events = {
    .received = received,
    .sent = sent,
    .noticed = noticed,
    .closed = closed,
};

void handshake_start(struct handshake *handshake, struct handshakes *line, struct weir_socket *socket,
                     struct tls_session *session, void (*done)(struct handshake *handshake, int status))
{
    assert(handshake->line == NULL);
    handshake->line = line;
    handshake->socket = socket;
    handshake->session = session;
    handshake->done = done;
    handshake->sink = (struct weir_sink){ .reserve = sink_reserve, .commit = sink_commit };
    socket->events = &handshake_events;
    socket->owner = handshake;
    weir_recv_sparing(socket, true);
    resume(handshake);
    stand_in_line(handshake);
}

void handshake_feed(struct handshake *handshake, struct weir_relay *relay, enum weir_relay_side side)
{
    struct bytes in = handshake->in;
    handshake->in = (struct bytes){ 0 };
    weir_relay_feed(relay, side, in.data, in.size);
    free(in.data);
}

void handshake_hand_over(struct handshake *handshake, struct bytes *ret_bytes)
{
    *ret_bytes = handshake->in;
    handshake->in = (struct bytes){ 0 };
    handshake_release(handshake);
}

void handshake_farewell(struct handshake *handshake)
{
    leave_line(handshake);
    if (handshake->state == HANDSHAKE_ESTABLISHED && tls_session_end(handshake->session, &handshake->sink) == 0)
        flush(handshake);
    handshake->state = HANDSHAKE_FAREWELL;
    drop_bytes(&handshake->in);
    resume(handshake);
    end_sending_side(handshake);
}

void handshake_stop(struct handshake *handshake)
{
    if (handshake->line != NULL)
        leave_line(handshake);
    handshake->state = HANDSHAKE_OVER;
}

void handshake_release(struct handshake *handshake)
{
    if (handshake->line == NULL)
        return;
    handshake_stop(handshake);
    drop_bytes(&handshake->in);
    drop_bytes(&handshake->out);
    drop_bytes(&handshake->in_flight);
    handshake->line = NULL;
}
