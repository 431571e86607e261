/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <assert.h>
#include <string.h>

#include <weir/errors.h>

/* What filters put out goes into the overflow of the direction it belongs to, which is then the queue of its sends. */

struct queue_sink {
    struct weir_sink sink;
    struct weir_relay *relay;
    enum weir_relay_side from;
    bool plain;  /* what is put in are plain bytes of this direction */
    bool answer; /* what is put in answers the peer itself */
};

static uint8_t *queue_reserve(struct weir_sink *sink, uint32_t *ret_room)
{
    struct queue_sink *queue = (struct queue_sink *)sink;
    struct weir_relay_chunk *chunk = relay_chunk_with_room(queue->relay, &queue->relay->direction[queue->from]);
    if (chunk == NULL)
        return NULL;
    *ret_room = RELAY_CHUNK_BYTES - chunk->tail;
    return chunk->bytes + chunk->tail;
}

static int queue_commit(struct weir_sink *sink, uint32_t size)
{
    struct queue_sink *queue = (struct queue_sink *)sink;
    struct weir_relay_direction *direction = &queue->relay->direction[queue->from];
    assert(size <= RELAY_CHUNK_BYTES - direction->last_chunk->tail);
    direction->last_chunk->tail += size;
    direction->overflow_size += size;
    if (queue->plain)
        relay_count(queue->relay, queue->from, size);
    if (queue->answer)
        direction->answers += size;
    return 0;
}

/* The queue of a direction. */
static struct queue_sink queue_of(struct weir_relay *relay, enum weir_relay_side from)
{
    return (struct queue_sink){ .sink = { .reserve = queue_reserve, .commit = queue_commit },
                                .relay = relay,
                                .from = from };
}

static enum weir_filter_result encode(struct weir_relay *relay, enum weir_relay_side from, const uint8_t *data,
                                      uint32_t size)
{
    struct weir_filter *filter = relay->filters[relay_other(from)];
    struct queue_sink queue = queue_of(relay, from);
    assert(filter != NULL);
    relay_count(relay, from, size);
    return filter->ops->encode(filter, data, size, &queue.sink);
}

/* Plain bytes on their way from one filter into the other. */
struct encoding_sink {
    struct weir_sink sink;
    struct weir_relay *relay;
    enum weir_relay_side from;
    uint8_t bytes[RELAY_CHUNK_BYTES];
};

static uint8_t *encoding_reserve(struct weir_sink *sink, uint32_t *ret_room)
{
    *ret_room = RELAY_CHUNK_BYTES;
    return ((struct encoding_sink *)sink)->bytes;
}

static int encoding_commit(struct weir_sink *sink, uint32_t size)
{
    struct encoding_sink *encoding = (struct encoding_sink *)sink;
    enum weir_filter_result result = encode(encoding->relay, encoding->from, encoding->bytes, size);
    return result == WEIR_FILTER_OK ? 0 : WEIR_ENOMEM;
}

static enum weir_filter_result decode(struct weir_relay *relay, enum weir_relay_side from, const uint8_t *data,
                                      uint32_t size)
{
    struct weir_filter *filter = relay->filters[from];
    struct queue_sink plain = queue_of(relay, from), back = queue_of(relay, relay_other(from));
    plain.plain = true;
    back.answer = true;
    return filter->ops->decode(filter, data, size, &plain.sink, &back.sink);
}

static enum weir_filter_result recode(struct weir_relay *relay, enum weir_relay_side from, const uint8_t *data,
                                      uint32_t size)
{
    struct weir_filter *filter = relay->filters[from];
    struct queue_sink back = queue_of(relay, relay_other(from));
    struct encoding_sink encoding;
    encoding.sink = (struct weir_sink){ .reserve = encoding_reserve, .commit = encoding_commit };
    encoding.relay = relay;
    encoding.from = from;
    back.answer = true;
    return filter->ops->decode(filter, data, size, &encoding.sink, &back.sink);
}

enum weir_filter_result relay_filter(struct weir_relay *relay, enum weir_relay_side from, const uint8_t *data,
                                     uint32_t size)
{
    bool decodes = relay->filters[from] != NULL, encodes = relay->filters[relay_other(from)] != NULL;
    if (decodes)
        return encodes ? recode(relay, from, data, size) : decode(relay, from, data, size);
    return size > 0 ? encode(relay, from, data, size) : WEIR_FILTER_OK;
}

enum weir_filter_result relay_filter_end(struct weir_relay *relay, enum weir_relay_side from)
{
    struct weir_filter *filter = relay->filters[relay_other(from)];
    struct queue_sink queue = queue_of(relay, from);
    return filter != NULL ? filter->ops->encode_end(filter, &queue.sink) : WEIR_FILTER_OK;
}

int weir_sink_put(struct weir_sink *sink, const void *data, uint32_t size)
{
    const uint8_t *bytes = data;
    while (size > 0) {
        uint32_t room = 0;
        uint8_t *space = sink->reserve(sink, &room);
        if (space == NULL)
            return WEIR_ENOMEM;
        uint32_t part = size < room ? size : room;
        memcpy(space, bytes, part);
        int err = sink->commit(sink, part);
        if (err != 0)
            return err;
        bytes += part;
        size -= part;
    }
    return 0;
}
