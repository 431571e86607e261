/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RELAY_H
#define RELAY_H

#include <weir/relay.h>

/* The parts of the relay: relay.c moves bytes and ends, relay_queue.c keeps what waits, relay_filter.c takes bytes
 * through filters, relay_splice.c lets the kernel move them. */

enum relay_splice {
    RELAY_COPIES = 0,
    RELAY_SPLICES_SOON, /* when what is on its way has gone out */
    RELAY_SPLICES,
    RELAY_COPIES_SOON, /* when the pipes are empty */
};

/* The overflow is a list of chunks, so that bytes never move while a send reads them. */
#define RELAY_CHUNK_BYTES (16u << 10)

struct weir_relay_chunk {
    struct weir_relay_chunk *next;
    uint32_t head, tail; /* head <= tail <= RELAY_CHUNK_BYTES: what waits */
    uint8_t bytes[RELAY_CHUNK_BYTES];
};

static inline enum weir_relay_side relay_other(enum weir_relay_side side)
{
    return side == WEIR_RELAY_CLIENT ? WEIR_RELAY_UPSTREAM : WEIR_RELAY_CLIENT;
}

static inline bool relay_is_filtered(const struct weir_relay *relay)
{
    return relay->filters[WEIR_RELAY_CLIENT] != NULL || relay->filters[WEIR_RELAY_UPSTREAM] != NULL;
}

/* A plain byte has come. */
void relay_heard(struct weir_relay *relay, enum weir_relay_side from);

/* Counts plain bytes of a direction. */
void relay_count(struct weir_relay *relay, enum weir_relay_side from, uint32_t size);

/* A chunk at the end of the overflow with some room; NULL: no memory, or the budget is used up. */
struct weir_relay_chunk *relay_chunk_with_room(struct weir_relay *relay, struct weir_relay_direction *direction);
void relay_drop_chunk(struct weir_relay *relay, struct weir_relay_direction *direction);
/* A filter asks for room before it knows whether it has anything to put there: drops a chunk that was left empty. */
void relay_drop_empty(struct weir_relay *relay, struct weir_relay_direction *direction);

void relay_add_loan(struct weir_relay_direction *direction, struct weir_loan *loan);
void relay_drop_loan(struct weir_relay *relay, struct weir_relay_direction *direction);

/* The kernel takes no more: the loans go back to the pool, their bytes wait in the overflow. Returns false when it
 * could not take them all. */
bool relay_spill(struct weir_relay *relay, struct weir_relay_direction *direction);

/* Takes bytes from a side's socket (size 0: what its filter holds) through the filters of both sides, into the queues.
 */
enum weir_filter_result relay_filter(struct weir_relay *relay, enum weir_relay_side from, const uint8_t *data,
                                     uint32_t size);

/* The source has ended: its destination's filter puts its own end into the queue. */
enum weir_filter_result relay_filter_end(struct weir_relay *relay, enum weir_relay_side from);

/* Bytes that were received. */
void relay_splice_count(struct weir_relay *relay, enum weir_relay_side from, uint32_t size);
/* This direction is better spliced. */
bool relay_splice_wanted(const struct weir_relay *relay, enum weir_relay_side from);
/* Begins to go over to splicing: until that is done or aborted, nobody starts to receive. Returns false when that
 * cannot be now: then many bytes come before the next try. */
bool relay_splice_try(struct weir_relay *relay, enum weir_relay_side from);
/* This direction has bytes that cannot go out at once. If it is the one that is to be spliced, it receives nothing more
 * until they are out, and tries again. */
void relay_splice_abort(struct weir_relay *relay, enum weir_relay_side from);
/* A direction has become quiet: when both are, the way of moving bytes changes if it is to. */
void relay_splice_turn(struct weir_relay *relay);
/* Begins to go back to copying, unless a pipe holds bytes. */
void relay_splice_leave(struct weir_relay *relay);

/* Completions while it splices. */
void relay_spliced(struct weir_relay *relay, enum weir_relay_side from, uint32_t size);
void relay_splice_canceled(struct weir_relay *relay, enum weir_relay_side from);
void relay_splice_sent(struct weir_relay *relay, enum weir_relay_side from);

/* Of relay.c: a side that is not received from would hide a reset. */
void relay_watch_side(struct weir_relay *relay, enum weir_relay_side side);
/* Of relay.c: sets the timer for what comes next. */
void relay_watch_time(struct weir_relay *relay);

#endif
