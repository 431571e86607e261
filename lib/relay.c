/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <assert.h>

#include <weir/errors.h>

#include "io/backend.h"

#define OVERFLOW_BYTES_DEFAULT (64u << 10)
/* What a peer that does not read may make its filter answer. */
#define ANSWERS_BYTES_MAX (64u << 10)
/* Silence after which pipes are given back. */
#define REST_NS (UINT64_C(5) * 1000000000)
/* Between looks at what has not arrived. */
#define DRAIN_MIN_NS (UINT64_C(1) * 1000000)
#define DRAIN_MAX_NS (UINT64_C(250) * 1000000)

static void end(struct weir_relay *relay, enum weir_relay_end reason)
{
    weir_relay_stop(relay);
    relay->ended(relay, reason);
}

static void end_broken(struct weir_relay *relay, enum weir_relay_side side)
{
    end(relay, side == WEIR_RELAY_CLIENT ? WEIR_RELAY_CLIENT_RESET : WEIR_RELAY_UPSTREAM_RESET);
}

/* Time */

static uint64_t timeout_of(const struct weir_relay *relay)
{
    const struct weir_relay_options *options = relay->options;
    bool half_closed = relay->direction[WEIR_RELAY_CLIENT].ended || relay->direction[WEIR_RELAY_UPSTREAM].ended;
    uint64_t idle = options->idle_timeout_ns, half = half_closed ? options->half_close_timeout_ns : 0;
    return half != 0 && (idle == 0 || half < idle) ? half : idle;
}

/* Bytes only note the time; the timer, when it fires, finds out how much is left. */
void relay_watch_time(struct weir_relay *relay)
{
    uint64_t timeout = timeout_of(relay), at_ns = timeout != 0 ? relay->last_byte_ns + timeout : UINT64_MAX;
    uint64_t rest_ns = weir_loop_now(relay->loop) + REST_NS;
    if (relay->splice == RELAY_SPLICES && rest_ns < at_ns)
        at_ns = rest_ns;
    if (at_ns != UINT64_MAX && !relay->draining)
        weir_timer_set(relay->loop, &relay->timer, at_ns);
}

static void note_byte(struct weir_relay *relay)
{
    relay->last_byte_ns = weir_loop_now(relay->loop);
}

/* The reset that tells of a truncation destroys what has not arrived yet: it waits for that, in steps that grow, while
 * bytes move. */
static void drain(struct weir_relay *relay)
{
    uint64_t now_ns = weir_loop_now(relay->loop), silent_ns = now_ns - relay->last_byte_ns;
    uint64_t timeout = timeout_of(relay), wait_ns = silent_ns / 4;
    bool overdue = timeout != 0 && silent_ns >= timeout;
    for (unsigned side = 0; side < 2; side++) {
        enum weir_relay_side from = (enum weir_relay_side)side;
        const struct weir_relay_direction *direction = &relay->direction[from];
        bool waits = direction->truncated && !direction->sending && direction->overflow == NULL;
        if (waits && (overdue || weir_socket_unsent(relay->sockets[relay_other(from)]) == 0)) {
            end(relay, from == WEIR_RELAY_CLIENT ? WEIR_RELAY_CLIENT_TRUNCATED : WEIR_RELAY_UPSTREAM_TRUNCATED);
            return;
        }
    }
    relay->draining = true;
    wait_ns = wait_ns < DRAIN_MIN_NS ? DRAIN_MIN_NS : wait_ns > DRAIN_MAX_NS ? DRAIN_MAX_NS : wait_ns;
    weir_timer_set(relay->loop, &relay->timer, now_ns + wait_ns);
}

static void time_passed(struct weir_timer *timer)
{
    struct weir_relay *relay = (struct weir_relay *)((char *)timer - offsetof(struct weir_relay, timer));
    uint64_t timeout = timeout_of(relay), silent_ns = weir_loop_now(relay->loop) - relay->last_byte_ns;
    if (relay->draining) {
        drain(relay);
        return;
    }
    if (silent_ns >= REST_NS)
        relay_splice_leave(relay);
    if (timeout == 0 || silent_ns < timeout)
        relay_watch_time(relay);
    else
        end(relay,
            timeout == relay->options->idle_timeout_ns ? WEIR_RELAY_IDLE_TIMEOUT : WEIR_RELAY_HALF_CLOSE_TIMEOUT);
}

/* Back-pressure */

static uint32_t overflow_limit(const struct weir_relay *relay)
{
    return relay->options->overflow_bytes != 0 ? relay->options->overflow_bytes : OVERFLOW_BYTES_DEFAULT;
}

void relay_watch_side(struct weir_relay *relay, enum weir_relay_side side)
{
    if ((relay->watching & (1u << side)) != 0)
        return;
    relay->watching = (uint8_t)(relay->watching | 1u << side);
    weir_watch(relay->sockets[side]);
}

static void rest_or_resume(struct weir_relay *relay, enum weir_relay_side from)
{
    struct weir_relay_direction *direction = &relay->direction[from];
    if (relay->splice == RELAY_SPLICES_SOON && direction->overflow != NULL) {
        relay_splice_abort(relay, from);
        rest_or_resume(relay, relay_other(from));
    }
    if (direction->ended || relay->splice != RELAY_COPIES)
        return;
    bool wanted = relay_splice_wanted(relay, from);
    uint32_t limit = wanted ? 1 : overflow_limit(relay); /* 1: to be empty soon */
    if (!direction->resting && direction->overflow_size >= limit) {
        direction->resting = true;
        weir_recv_stop(relay->sockets[from]);
        relay_watch_side(relay, from);
    } else if (direction->resting && direction->overflow_size <= limit / 2) {
        direction->resting = false;
    }
    if (direction->resting || (wanted && relay_splice_try(relay, from)))
        return;
    if (!direction->receiving) {
        direction->receiving = true;
        weir_recv(relay->sockets[from]);
    }
}

/* Sending */

/* Returns false when that was all. */
static bool finish(struct weir_relay *relay, enum weir_relay_side from)
{
    bool was_last = relay->direction[relay_other(from)].finished;
    relay->direction[from].finished = true;
    weir_shutdown(relay->sockets[relay_other(from)]);
    if (was_last)
        end(relay, WEIR_RELAY_DONE);
    return !was_last;
}

static void all_sent(struct weir_relay *relay, enum weir_relay_side from)
{
    struct weir_relay_direction *direction = &relay->direction[from];
    direction->answers = 0;
    if (direction->truncated)
        drain(relay);
    else if (direction->ended && !finish(relay, from))
        return;
    relay_splice_turn(relay);
}

static void send_next(struct weir_relay *relay, enum weir_relay_side from)
{
    struct weir_relay_direction *direction = &relay->direction[from];
    struct weir_socket *destination = relay->sockets[relay_other(from)];
    if (direction->sending || direction->finished)
        return;
    relay_drop_empty(relay, direction);
    const struct weir_relay_chunk *chunk = direction->overflow;
    const struct weir_loan *loan = direction->loans;
    direction->sending = chunk != NULL || loan != NULL;
    if (chunk != NULL)
        weir_send(destination, chunk->bytes + chunk->head, chunk->tail - chunk->head, WEIR_SEND_WAIT);
    else if (loan != NULL)
        weir_send(destination, loan->data + direction->loan_sent, loan->size - direction->loan_sent, WEIR_SEND_NOW);
    else
        all_sent(relay, from);
}

static void sent_overflow(struct weir_relay *relay, struct weir_relay_direction *direction, uint32_t size)
{
    struct weir_relay_chunk *chunk = direction->overflow;
    chunk->head += size;
    direction->overflow_size -= size;
    assert(chunk->head <= chunk->tail);
    if (chunk->head == chunk->tail)
        relay_drop_chunk(relay, direction);
}

/* Returns false when what is left could not be kept. */
static bool sent_loan(struct weir_relay *relay, struct weir_relay_direction *direction, uint32_t size)
{
    direction->loan_sent += size;
    assert(direction->loan_sent <= direction->loans->size);
    if (direction->loan_sent < direction->loans->size)
        return relay_spill(relay, direction);
    relay_drop_loan(relay, direction);
    return true;
}

static void sent(struct weir_relay *relay, enum weir_relay_side from, int status)
{
    struct weir_relay_direction *direction = &relay->direction[from];
    direction->sending = false;
    if (status < 0 && status != WEIR_EAGAIN) {
        end_broken(relay, relay_other(from));
        return;
    }
    uint32_t size = status > 0 ? (uint32_t)status : 0;
    bool kept = true;
    note_byte(relay);
    if (!relay_is_filtered(relay))
        relay_count(relay, from, size);
    if (relay->splice == RELAY_SPLICES || relay->splice == RELAY_COPIES_SOON) {
        relay_splice_sent(relay, from);
        return;
    }
    if (direction->overflow != NULL)
        sent_overflow(relay, direction, size);
    else
        kept = sent_loan(relay, direction, size);
    if (!kept) {
        end(relay, WEIR_RELAY_OUT_OF_MEMORY);
        return;
    }
    rest_or_resume(relay, from);
    send_next(relay, from);
}

/* Receiving */

/* The source has sent its last byte; its destination hears of it when all before has gone out. */
static void source_ended(struct weir_relay *relay, enum weir_relay_side from)
{
    struct weir_relay_direction *direction = &relay->direction[from];
    direction->ended = true;
    note_byte(relay);
    relay_watch_time(relay);
    relay_watch_side(relay, from);
    if (!direction->truncated && relay_filter_end(relay, from) != WEIR_FILTER_OK)
        end(relay, WEIR_RELAY_OUT_OF_MEMORY);
    else
        send_next(relay, from);
}

static void filtered_bytes(struct weir_relay *relay, enum weir_relay_side from, const uint8_t *data, uint32_t size)
{
    enum weir_filter_result result = relay_filter(relay, from, data, size);
    if (result == WEIR_FILTER_NO_MEMORY) {
        end(relay, WEIR_RELAY_OUT_OF_MEMORY);
        return;
    }
    if (result == WEIR_FILTER_CORRUPT || relay->direction[relay_other(from)].answers > ANSWERS_BYTES_MAX) {
        end(relay, from == WEIR_RELAY_CLIENT ? WEIR_RELAY_CLIENT_CORRUPT : WEIR_RELAY_UPSTREAM_CORRUPT);
        return;
    }
    if (relay->direction[relay_other(from)].answers > 0)
        send_next(relay, relay_other(from));
    if (result == WEIR_FILTER_ENDED) {
        weir_recv_stop(relay->sockets[from]);
        source_ended(relay, from);
    } else {
        rest_or_resume(relay, from);
        send_next(relay, from);
    }
}

static void plain_bytes(struct weir_relay *relay, enum weir_relay_side from, struct weir_loan *loan)
{
    struct weir_relay_direction *direction = &relay->direction[from];
    uint32_t size = loan->size;
    relay_heard(relay, from);
    relay_add_loan(direction, loan);
    if (direction->overflow != NULL && !relay_spill(relay, direction)) {
        end(relay, WEIR_RELAY_OUT_OF_MEMORY);
        return;
    }
    relay_splice_count(relay, from, size);
    rest_or_resume(relay, from);
    send_next(relay, from);
}

static void received_bytes(struct weir_relay *relay, enum weir_relay_side from, struct weir_loan *loan)
{
    note_byte(relay);
    if (!relay_is_filtered(relay)) {
        plain_bytes(relay, from, loan);
        return;
    }
    bool means_nothing = relay->direction[from].ended; /* it stands behind the filter's end */
    if (!means_nothing)
        filtered_bytes(relay, from, loan->data, loan->size);
    weir_loan_return(relay->loop, loan);
}

void weir_relay_feed(struct weir_relay *relay, enum weir_relay_side side, const void *data, uint32_t size)
{
    assert(relay->filters[side] != NULL);
    if (!relay->direction[side].ended)
        filtered_bytes(relay, side, data, size);
}

static void received_last(struct weir_relay *relay, enum weir_relay_side from, int status)
{
    struct weir_relay_direction *direction = &relay->direction[from];
    direction->receiving = false;
    if (status == WEIR_ECANCELED) {
        rest_or_resume(relay, from);
        relay_splice_turn(relay);
    } else if (status < 0) {
        end_broken(relay, from);
    } else if (!direction->ended) {
        direction->truncated = relay->filters[from] != NULL;
        source_ended(relay, from);
    }
}

/* Completions */

static enum weir_relay_side side_of(const struct weir_relay *relay, const struct weir_socket *socket)
{
    return socket == relay->sockets[WEIR_RELAY_UPSTREAM] ? WEIR_RELAY_UPSTREAM : WEIR_RELAY_CLIENT;
}

static void socket_received(struct weir_socket *socket, int status, struct weir_loan *loan)
{
    struct weir_relay *relay = socket->owner;
    if (status > 0)
        received_bytes(relay, side_of(relay, socket), loan);
    else
        received_last(relay, side_of(relay, socket), status);
}

static void socket_spliced(struct weir_socket *socket, int status)
{
    struct weir_relay *relay = socket->owner;
    enum weir_relay_side from = side_of(relay, socket);
    if (status == WEIR_ECANCELED) {
        relay_splice_canceled(relay, from);
    } else if (status <= 0) {
        received_last(relay, from, status);
    } else {
        note_byte(relay);
        relay_spliced(relay, from, (uint32_t)status);
    }
}

static void socket_sent(struct weir_socket *socket, int status)
{
    struct weir_relay *relay = socket->owner;
    sent(relay, relay_other(side_of(relay, socket)), status);
}

static void socket_noticed(struct weir_socket *socket, int status)
{
    struct weir_relay *relay = socket->owner;
    enum weir_relay_side side = side_of(relay, socket);
    if (status < 0)
        relay->watching = (uint8_t)(relay->watching & ~(1u << side));
    else if (status == WEIR_WATCH_RESET)
        end_broken(relay, side);
}

static const struct weir_socket_events relay_events = {
    .received = socket_received,
    .spliced = socket_spliced,
    .sent = socket_sent,
    .noticed = socket_noticed,
};

void weir_relay_start(struct weir_relay *relay, struct weir_loop *loop, struct weir_socket *client,
                      struct weir_socket *upstream, const struct weir_relay_options *options,
                      void (*ended)(struct weir_relay *relay, enum weir_relay_end end))
{
    assert(relay->loop == NULL);
    relay->loop = loop;
    relay->options = options;
    relay->ended = ended;
    relay->timer.fire = time_passed;
    relay->last_byte_ns = weir_loop_now(loop);
    relay->sockets[WEIR_RELAY_CLIENT] = client;
    relay->sockets[WEIR_RELAY_UPSTREAM] = upstream;
    for (unsigned side = 0; side < 2; side++) {
        struct weir_socket *socket = relay->sockets[side];
        socket->events = &relay_events;
        socket->owner = relay;
        if ((socket->in_flight & IO_WATCH) != 0)
            relay->watching = (uint8_t)(relay->watching | 1u << side);
        relay->direction[side].receiving = true;
        /* Filters give loans back at once: only one buffer at a time keeps a burst within the overflow's bound. */
        weir_recv_sparing(socket, relay_is_filtered(relay));
        if ((socket->in_flight & IO_RECV) == 0)
            weir_recv(socket);
    }
    relay_watch_time(relay);
}

void weir_relay_stop(struct weir_relay *relay)
{
    if (relay->loop != NULL)
        weir_timer_stop(relay->loop, &relay->timer);
}

void weir_relay_release(struct weir_relay *relay)
{
    if (relay->loop == NULL)
        return;
    weir_relay_stop(relay);
    for (unsigned side = 0; side < 2; side++) {
        struct weir_relay_direction *direction = &relay->direction[side];
        while (direction->loans != NULL)
            relay_drop_loan(relay, direction);
        while (direction->overflow != NULL)
            relay_drop_chunk(relay, direction);
        weir_pipe_close(relay->loop, &relay->pipes[side]);
    }
    relay->loop = NULL;
}
