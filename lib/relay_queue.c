/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <stdlib.h>
#include <string.h>

/* Less room than this at the end of a chunk is left alone. */
#define ROOM_MIN 1024

void relay_heard(struct weir_relay *relay, enum weir_relay_side from)
{
    void (*answered)(struct weir_relay * relay) = relay->answered;
    if (answered == NULL || from != WEIR_RELAY_UPSTREAM)
        return;
    relay->answered = NULL;
    answered(relay);
}

void relay_count(struct weir_relay *relay, enum weir_relay_side from, uint32_t size)
{
    uint64_t *totals = relay->options->totals;
    relay->direction[from].bytes += size;
    if (size > 0)
        relay_heard(relay, from);
    if (totals != NULL)
        __atomic_store_n(&totals[from], totals[from] + size, __ATOMIC_RELAXED);
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

struct weir_relay_chunk *relay_chunk_with_room(struct weir_relay *relay, struct weir_relay_direction *direction)
{
    if (direction->overflow == NULL || RELAY_CHUNK_BYTES - direction->last_chunk->tail < ROOM_MIN)
        return add_chunk(relay, direction);
    return direction->last_chunk;
}

void relay_drop_chunk(struct weir_relay *relay, struct weir_relay_direction *direction)
{
    struct weir_relay_chunk *chunk = direction->overflow;
    direction->overflow = chunk->next;
    if (relay->options->budget != NULL)
        relay->options->budget->used -= sizeof *chunk;
    free(chunk);
}

void relay_drop_empty(struct weir_relay *relay, struct weir_relay_direction *direction)
{
    if (direction->overflow != NULL && direction->overflow->head == direction->overflow->tail)
        relay_drop_chunk(relay, direction);
}

static bool keep(struct weir_relay *relay, struct weir_relay_direction *direction, const uint8_t *data, uint32_t size)
{
    while (size > 0) {
        struct weir_relay_chunk *chunk = relay_chunk_with_room(relay, direction);
        if (chunk == NULL)
            return false;
        uint32_t room = RELAY_CHUNK_BYTES - chunk->tail, part = size < room ? size : room;
        memcpy(chunk->bytes + chunk->tail, data, part);
        chunk->tail += part;
        direction->overflow_size += part;
        data += part;
        size -= part;
    }
    return true;
}

/* Loans */

void relay_add_loan(struct weir_relay_direction *direction, struct weir_loan *loan)
{
    loan->next = NULL;
    if (direction->loans == NULL)
        direction->loans = loan;
    else
        direction->last_loan->next = loan;
    direction->last_loan = loan;
}

void relay_drop_loan(struct weir_relay *relay, struct weir_relay_direction *direction)
{
    struct weir_loan *loan = direction->loans;
    direction->loans = loan->next;
    direction->loan_sent = 0;
    weir_loan_return(relay->loop, loan);
}

bool relay_spill(struct weir_relay *relay, struct weir_relay_direction *direction)
{
    bool kept = true;
    while (direction->loans != NULL) {
        struct weir_loan *loan = direction->loans;
        kept = kept && keep(relay, direction, loan->data + direction->loan_sent, loan->size - direction->loan_sent);
        relay_drop_loan(relay, direction);
    }
    return kept;
}
