/* SPDX-License-Identifier: Apache-2.0 */
#include <weir/relay.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "io/backend.h"

/* The overflow is a list of chunks, so that bytes never move while a send reads them. */
#define CHUNK_BYTES (16u << 10)
#define OVERFLOW_BYTES_DEFAULT (64u << 10)

struct weir_relay_chunk {
    struct weir_relay_chunk *next;
    uint32_t head, tail; /* head <= tail <= CHUNK_BYTES: what waits */
    uint8_t bytes[CHUNK_BYTES];
};

static enum weir_relay_side other(enum weir_relay_side side)
{
    return side == WEIR_RELAY_CLIENT ? WEIR_RELAY_UPSTREAM : WEIR_RELAY_CLIENT;
}

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
static void watch_time(struct weir_relay *relay)
{
    uint64_t timeout = timeout_of(relay);
    if (timeout != 0)
        weir_timer_set(relay->loop, &relay->timer, relay->last_byte_ns + timeout);
}

static void time_passed(struct weir_timer *timer)
{
    struct weir_relay *relay = (struct weir_relay *)((char *)timer - offsetof(struct weir_relay, timer));
    uint64_t timeout = timeout_of(relay);
    if (weir_loop_now(relay->loop) - relay->last_byte_ns < timeout)
        watch_time(relay);
    else
        end(relay,
            timeout == relay->options->idle_timeout_ns ? WEIR_RELAY_IDLE_TIMEOUT : WEIR_RELAY_HALF_CLOSE_TIMEOUT);
}

/* Overflow */

static struct weir_relay_chunk *add_chunk(struct weir_relay *relay, struct weir_relay_direction *direction)
{
    struct weir_relay_budget *budget = relay->options->budget;
    if (budget != NULL && budget->limit - budget->used < sizeof(struct weir_relay_chunk))
        return NULL;
    struct weir_relay_chunk *chunk = malloc(sizeof *chunk);
    if (chunk == NULL)
        return NULL;
    if (budget != NULL)
        budget->used += sizeof *chunk;
    chunk->next = NULL;
    chunk->head = chunk->tail = 0;
    if (direction->overflow == NULL)
        direction->overflow = chunk;
    else
        direction->last_chunk->next = chunk;
    direction->last_chunk = chunk;
    return chunk;
}

static void drop_chunk(struct weir_relay *relay, struct weir_relay_direction *direction)
{
    struct weir_relay_chunk *chunk = direction->overflow;
    direction->overflow = chunk->next;
    if (relay->options->budget != NULL)
        relay->options->budget->used -= sizeof *chunk;
    free(chunk);
}

static bool keep(struct weir_relay *relay, struct weir_relay_direction *direction, const uint8_t *data, uint32_t size)
{
    direction->overflow_size += size;
    while (size > 0) {
        struct weir_relay_chunk *chunk = direction->overflow != NULL ? direction->last_chunk : NULL;
        if (chunk == NULL || chunk->tail == CHUNK_BYTES)
            chunk = add_chunk(relay, direction);
        if (chunk == NULL)
            return false;
        uint32_t part = size < CHUNK_BYTES - chunk->tail ? size : CHUNK_BYTES - chunk->tail;
        memcpy(chunk->bytes + chunk->tail, data, part);
        chunk->tail += part;
        data += part;
        size -= part;
    }
    return true;
}

/* Loans */

static void add_loan(struct weir_relay_direction *direction, struct weir_loan *loan)
{
    loan->next = NULL;
    if (direction->loans == NULL)
        direction->loans = loan;
    else
        direction->last_loan->next = loan;
    direction->last_loan = loan;
}

static void drop_loan(struct weir_relay *relay, struct weir_relay_direction *direction)
{
    struct weir_loan *loan = direction->loans;
    direction->loans = loan->next;
    direction->loan_sent = 0;
    weir_loan_return(relay->loop, loan);
}

/* The kernel takes no more: the loans go back to the pool, their bytes wait in the overflow. */
static bool spill(struct weir_relay *relay, struct weir_relay_direction *direction)
{
    bool kept = true;
    while (direction->loans != NULL) {
        struct weir_loan *loan = direction->loans;
        kept = kept && keep(relay, direction, loan->data + direction->loan_sent, loan->size - direction->loan_sent);
        drop_loan(relay, direction);
    }
    return kept;
}

/* Back-pressure */

static uint32_t overflow_limit(const struct weir_relay *relay)
{
    return relay->options->overflow_bytes != 0 ? relay->options->overflow_bytes : OVERFLOW_BYTES_DEFAULT;
}

/* A side that is not received from would hide a reset. */
static void watch_side(struct weir_relay *relay, enum weir_relay_side side)
{
    if ((relay->watching & (1u << side)) != 0)
        return;
    relay->watching = (uint8_t)(relay->watching | 1u << side);
    weir_watch(relay->sockets[side]);
}

static void rest_or_resume(struct weir_relay *relay, enum weir_relay_side from)
{
    struct weir_relay_direction *direction = &relay->direction[from];
    if (direction->ended)
        return;
    if (!direction->resting && direction->overflow_size >= overflow_limit(relay)) {
        direction->resting = true;
        weir_recv_stop(relay->sockets[from]);
        watch_side(relay, from);
    } else if (direction->resting && direction->overflow_size <= overflow_limit(relay) / 2) {
        direction->resting = false;
    }
    if (!direction->resting && !direction->receiving) {
        direction->receiving = true;
        weir_recv(relay->sockets[from]);
    }
}

/* Sending */

static void finish(struct weir_relay *relay, enum weir_relay_side from)
{
    relay->direction[from].finished = true;
    weir_shutdown(relay->sockets[other(from)]);
    if (relay->direction[other(from)].finished)
        end(relay, WEIR_RELAY_DONE);
}

static void send_next(struct weir_relay *relay, enum weir_relay_side from)
{
    struct weir_relay_direction *direction = &relay->direction[from];
    const struct weir_relay_chunk *chunk = direction->overflow;
    const struct weir_loan *loan = direction->loans;
    struct weir_socket *destination = relay->sockets[other(from)];
    if (direction->sending)
        return;
    direction->sending = chunk != NULL || loan != NULL;
    if (chunk != NULL)
        weir_send(destination, chunk->bytes + chunk->head, chunk->tail - chunk->head, WEIR_SEND_WAIT);
    else if (loan != NULL)
        weir_send(destination, loan->data + direction->loan_sent, loan->size - direction->loan_sent, WEIR_SEND_NOW);
    else if (direction->ended && !direction->finished)
        finish(relay, from);
}

static void count_sent(struct weir_relay *relay, enum weir_relay_side from, uint32_t size)
{
    uint64_t *totals = relay->options->totals;
    relay->direction[from].bytes += size;
    relay->last_byte_ns = weir_loop_now(relay->loop);
    if (totals != NULL)
        __atomic_store_n(&totals[from], totals[from] + size, __ATOMIC_RELAXED);
}

static void sent_overflow(struct weir_relay *relay, struct weir_relay_direction *direction, uint32_t size)
{
    struct weir_relay_chunk *chunk = direction->overflow;
    chunk->head += size;
    direction->overflow_size -= size;
    assert(chunk->head <= chunk->tail);
    if (chunk->head == chunk->tail)
        drop_chunk(relay, direction);
}

/* Returns false when what is left could not be kept. */
static bool sent_loan(struct weir_relay *relay, struct weir_relay_direction *direction, uint32_t size)
{
    direction->loan_sent += size;
    assert(direction->loan_sent <= direction->loans->size);
    if (direction->loan_sent < direction->loans->size)
        return spill(relay, direction);
    drop_loan(relay, direction);
    return true;
}

static void sent(struct weir_relay *relay, enum weir_relay_side from, int status)
{
    struct weir_relay_direction *direction = &relay->direction[from];
    direction->sending = false;
    if (status < 0 && status != WEIR_EAGAIN) {
        end_broken(relay, other(from));
        return;
    }
    uint32_t size = status > 0 ? (uint32_t)status : 0;
    bool kept = true;
    count_sent(relay, from, size);
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

static void received_bytes(struct weir_relay *relay, enum weir_relay_side from, struct weir_loan *loan)
{
    struct weir_relay_direction *direction = &relay->direction[from];
    relay->last_byte_ns = weir_loop_now(relay->loop);
    add_loan(direction, loan);
    if (direction->overflow != NULL && !spill(relay, direction)) {
        end(relay, WEIR_RELAY_OUT_OF_MEMORY);
        return;
    }
    rest_or_resume(relay, from);
    send_next(relay, from);
}

static void received_last(struct weir_relay *relay, enum weir_relay_side from, int status)
{
    struct weir_relay_direction *direction = &relay->direction[from];
    direction->receiving = false;
    if (status == WEIR_ECANCELED) {
        rest_or_resume(relay, from);
    } else if (status < 0) {
        end_broken(relay, from);
    } else {
        direction->ended = true;
        relay->last_byte_ns = weir_loop_now(relay->loop);
        watch_time(relay);
        watch_side(relay, from);
        send_next(relay, from);
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

static void socket_sent(struct weir_socket *socket, int status)
{
    struct weir_relay *relay = socket->owner;
    sent(relay, other(side_of(relay, socket)), status);
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
        weir_recv(socket);
    }
    watch_time(relay);
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
            drop_loan(relay, direction);
        while (direction->overflow != NULL)
            drop_chunk(relay, direction);
    }
    relay->loop = NULL;
}
