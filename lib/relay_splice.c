/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <assert.h>

#include "io/backend.h"

/* A relay without filters copies, until one direction has moved many bytes while the other moved hardly any. Then both
 * are spliced, each through a pipe of its own that is filled when it is empty. When what comes is small for a while, or
 * nothing comes, it copies again: a small message costs less so, and an idle relay holds no pipe.
 *
 * The change takes a moment in which nothing is on its way in either direction. Nobody may be kept waiting for that: a
 * direction that cannot send at once is an obstacle, and things go on as before. */

#define SPLICE_BYTES_DEFAULT (256u << 10)
/* A byte in the other direction makes up for this many. */
#define DIALOGUE_WEIGHT 16
#define SMALL_BYTES (16u << 10)
#define SMALL_SPLICES_MAX 64
/* Once it was left, splicing needs so many times as many bytes to come again. */
#define HYSTERESIS 4

static void next_splice(struct weir_relay *relay, enum weir_relay_side from)
{
    relay->direction[from].receiving = true;
    weir_splice_in(relay->sockets[from], relay->pipes[from]);
}

static bool holds_bytes(const struct weir_relay_direction *direction)
{
    return direction->sending || direction->loans != NULL || direction->overflow != NULL;
}

static bool is_quiet(const struct weir_relay_direction *direction)
{
    return !direction->receiving && !holds_bytes(direction) && direction->ended == direction->finished;
}

/* Pipes */

static void close_pipes(struct weir_relay *relay)
{
    for (unsigned side = 0; side < 2; side++)
        weir_pipe_close(relay->loop, &relay->pipes[side]);
}

static bool open_pipes(struct weir_relay *relay)
{
    for (unsigned side = 0; side < 2; side++)
        relay->pipes[side] = weir_pipe_open(relay->loop);
    if (relay->pipes[0] != NULL && relay->pipes[1] != NULL)
        return true;
    close_pipes(relay);
    return false;
}

/* From copying to splicing */

void relay_splice_count(struct weir_relay *relay, enum weir_relay_side from, uint32_t size)
{
    uint32_t *this = &relay->direction[from].surplus, *other = &relay->direction[relay_other(from)].surplus;
    uint64_t weight = (uint64_t)size * DIALOGUE_WEIGHT;
    *other = *other > weight ? *other - (uint32_t)weight : 0;
    *this = *this < UINT32_MAX - size ? *this + size : UINT32_MAX;
}

bool relay_splice_wanted(const struct weir_relay *relay, enum weir_relay_side from)
{
    uint64_t enough = relay->options->splice_bytes != 0 ? relay->options->splice_bytes : SPLICE_BYTES_DEFAULT;
    return relay->direction[from].surplus >= enough * (relay->has_spliced ? HYSTERESIS : 1);
}

bool relay_splice_try(struct weir_relay *relay, enum weir_relay_side from)
{
    assert(relay->splice == RELAY_COPIES);
    if (holds_bytes(&relay->direction[relay_other(from)]) || !open_pipes(relay)) {
        relay->direction[from].surplus = 0;
        return false;
    }
    relay->splice = RELAY_SPLICES_SOON;
    for (unsigned side = 0; side < 2; side++)
        weir_recv_stop(relay->sockets[side]);
    return true;
}

void relay_splice_abort(struct weir_relay *relay, enum weir_relay_side from)
{
    assert(relay->splice == RELAY_SPLICES_SOON);
    relay->splice = RELAY_COPIES;
    relay->direction[relay_other(from)].surplus = 0;
    close_pipes(relay);
}

static void begin(struct weir_relay *relay)
{
    relay->splice = RELAY_SPLICES;
    relay->has_spliced = true;
    relay->small_splices = 0;
    for (unsigned side = 0; side < 2; side++) {
        weir_splicing(relay->sockets[side], true);
        relay_watch_side(relay, (enum weir_relay_side)side); /* nobody receives while a pipe is full */
        relay->direction[side].resting = false;
        if (!relay->direction[side].ended)
            next_splice(relay, (enum weir_relay_side)side);
    }
    relay_watch_time(relay);
}

/* From splicing to copying */

void relay_splice_leave(struct weir_relay *relay)
{
    if (relay->splice != RELAY_SPLICES || holds_bytes(&relay->direction[0]) || holds_bytes(&relay->direction[1]))
        return;
    relay->splice = RELAY_COPIES_SOON;
    for (unsigned side = 0; side < 2; side++)
        weir_recv_stop(relay->sockets[side]);
}

static void copy_again(struct weir_relay *relay)
{
    relay->splice = RELAY_COPIES;
    close_pipes(relay);
    for (unsigned side = 0; side < 2; side++) {
        relay->direction[side].surplus = 0;
        weir_splicing(relay->sockets[side], false);
        if (relay->direction[side].ended)
            continue;
        relay->direction[side].receiving = true;
        weir_recv(relay->sockets[side]);
    }
}

static void stay(struct weir_relay *relay, enum weir_relay_side from)
{
    relay->splice = RELAY_SPLICES;
    if (is_quiet(&relay->direction[from]) && !relay->direction[from].ended)
        next_splice(relay, from);
}

void relay_splice_turn(struct weir_relay *relay)
{
    if (!is_quiet(&relay->direction[0]) || !is_quiet(&relay->direction[1]))
        return;
    if (relay->splice == RELAY_SPLICES_SOON)
        begin(relay);
    else if (relay->splice == RELAY_COPIES_SOON)
        copy_again(relay);
}

/* Splicing */

void relay_spliced(struct weir_relay *relay, enum weir_relay_side from, uint32_t size)
{
    struct weir_relay_direction *direction = &relay->direction[from];
    assert(!direction->sending);
    relay->small_splices = size < SMALL_BYTES ? (uint8_t)(relay->small_splices + 1) : 0;
    direction->receiving = false;
    direction->sending = true;
    weir_splice_out(relay->sockets[relay_other(from)], relay->pipes[from]);
    if (relay->splice == RELAY_COPIES_SOON)
        stay(relay, relay_other(from));
}

void relay_splice_canceled(struct weir_relay *relay, enum weir_relay_side from)
{
    relay->direction[from].receiving = false;
    if (relay->splice == RELAY_SPLICES)
        next_splice(relay, from);
    else
        relay_splice_turn(relay);
}

void relay_splice_sent(struct weir_relay *relay, enum weir_relay_side from)
{
    struct weir_relay_direction *direction = &relay->direction[from];
    direction->sending = relay->pipes[from]->size > 0;
    if (direction->sending) {
        weir_splice_out(relay->sockets[relay_other(from)], relay->pipes[from]);
        return;
    }
    if (relay->small_splices >= SMALL_SPLICES_MAX)
        relay_splice_leave(relay);
    if (relay->splice == RELAY_SPLICES)
        next_splice(relay, from);
    else
        relay_splice_turn(relay);
}
