/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"

#include <assert.h>
#include <string.h>

#include <weir/errors.h>

#include "memory.h"

#define ROOM (16u << 10)
#define RECORD_MAX ((16u << 10) + 256)

/* Bytes that wait */

static void make_room(struct channel_bytes *bytes, uint32_t room)
{
    if (bytes->head == bytes->size)
        bytes->head = bytes->size = 0;
    if (bytes->capacity - bytes->size >= room)
        return;
    uint32_t left = bytes->size - bytes->head;
    uint8_t *more = sim_bytes(2 * left + room);
    if (left > 0)
        memcpy(more, bytes->bytes + bytes->head, left);
    *bytes = (struct channel_bytes){ .bytes = more, .size = left, .capacity = 2 * left + room };
}

static void put(struct channel_bytes *bytes, const void *data, uint32_t size)
{
    make_room(bytes, size);
    memcpy(bytes->bytes + bytes->size, data, size);
    bytes->size += size;
}

struct into {
    struct weir_sink sink;
    struct channel_bytes *bytes;
};

static uint8_t *reserve(struct weir_sink *sink, uint32_t *ret_room)
{
    struct channel_bytes *bytes = ((struct into *)sink)->bytes;
    make_room(bytes, ROOM);
    *ret_room = ROOM;
    return bytes->bytes + bytes->size;
}

static int commit(struct weir_sink *sink, uint32_t size)
{
    ((struct into *)sink)->bytes->size += size;
    return 0;
}

static struct into into(struct channel_bytes *bytes)
{
    return (struct into){ .sink = { .reserve = reserve, .commit = commit }, .bytes = bytes };
}

/* The wire */

bool channel_flush(struct channel *channel)
{
    struct channel_bytes *out = &channel->out;
    while (out->head < out->size) {
        int status = net_write(channel->end, out->bytes + out->head, out->size - out->head);
        if (status < 0)
            return false;
        out->head += (uint32_t)status;
    }
    if (channel->shut && channel->ended_ns == 0) {
        channel->ended_ns = channel->end->net->sim->now_ns;
        if (channel->script.end != CHANNEL_HOLDS)
            net_shutdown(channel->end);
    }
    return true;
}

/* Follows the records: a byte that is not encrypted has no place in them. */
static void inspect(struct channel *channel, const uint8_t *data, uint32_t size)
{
    for (; size > 0 && !channel->foreign; data++, size--) {
        if (channel->record_left > 0) {
            channel->record_left--;
            continue;
        }
        channel->header[channel->header_size++] = *data;
        if (channel->header_size < sizeof channel->header)
            continue;
        uint32_t length = (uint32_t)channel->header[3] << 8 | channel->header[4];
        bool open = channel->header[0] == 23 || !channel->established || channel->script.old;
        channel->foreign = channel->header[0] < 20 || channel->header[0] > 23 || channel->header[1] != 3 ||
                           length > RECORD_MAX || !open;
        channel->record_left = length;
        channel->header_size = 0;
    }
}

/* Who says nothing of TLS waits for what comes of it. */
static int play(struct channel *channel)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: weir.example.com\r\n\r\n";
    uint8_t bytes[512];
    if (!channel->said && channel->script.play == CHANNEL_HTTP)
        put(&channel->out, request, sizeof request - 1);
    if (!channel->said && channel->script.play == CHANNEL_GARBAGE) {
        uint32_t size = (uint32_t)random_between(&channel->chance, 11, sizeof bytes);
        for (uint32_t n = 0; n < size; n++)
            bytes[n] = (uint8_t)random_next(&channel->chance);
        bytes[0] |= 0x80;
        put(&channel->out, bytes, size);
    }
    channel->said = true;
    channel_flush(channel);
    int status = net_read(channel->end, bytes, sizeof bytes);
    return status > 0 ? WEIR_EAGAIN : status == 0 ? WEIR_ECONNRESET : status;
}

/* Reading */

static int fail(struct channel *channel)
{
    channel->failed = true;
    channel_flush(channel);
    return WEIR_ECONNRESET;
}

static int decode(struct channel *channel, const uint8_t *data, uint32_t size)
{
    struct into plain = into(&channel->plain), back = into(&channel->out);
    struct weir_filter *filter = tls_session_filter(channel->session);
    enum weir_filter_result result = filter->ops->decode(filter, data, size, &plain.sink, &back.sink);
    channel->peer_ended = channel->peer_ended || result == WEIR_FILTER_ENDED;
    return result < 0 ? fail(channel) : 0;
}

static int shake(struct channel *channel, const uint8_t *data, uint32_t size)
{
    struct into out = into(&channel->out);
    switch (tls_handshake(channel->session, data, size, &out.sink)) {
    case TLS_WANTS_BYTES:
        return 0;
    case TLS_ESTABLISHED:
        channel->established = true;
        return decode(channel, NULL, 0);
    default:
        return fail(channel);
    }
}

/* What has come, through TLS. Returns WEIR_EAGAIN when nothing has. */
static int pull(struct channel *channel)
{
    uint8_t bytes[4096];
    int status = net_read(channel->end, bytes, sizeof bytes);
    if (status == 0) {
        channel->cut = channel->end->fin_ns != 0;
        return WEIR_ECONNRESET;
    }
    if (status < 0)
        return status;
    inspect(channel, bytes, (uint32_t)status);
    return channel->established ? decode(channel, bytes, (uint32_t)status) : shake(channel, bytes, (uint32_t)status);
}

static int take(struct channel *channel, void *data, uint32_t size)
{
    struct channel_bytes *plain = &channel->plain;
    uint32_t left = plain->size - plain->head, part = size < left ? size : left;
    memcpy(data, plain->bytes + plain->head, part);
    plain->head += part;
    return (int)part;
}

static int read_plain(struct channel *channel, void *data, uint32_t size)
{
    int status = 0;
    if (!channel->said && !channel->established && channel->end->connect_status == 0) {
        channel->said = true;
        status = shake(channel, NULL, 0);
    }
    while (status == 0 && channel->plain.head == channel->plain.size) {
        if (channel->failed || channel->peer_ended)
            return channel->failed ? WEIR_ECONNRESET : 0;
        status = pull(channel);
    }
    channel_flush(channel);
    return channel->plain.head < channel->plain.size ? take(channel, data, size) : status;
}

int channel_read(struct channel *channel, void *data, uint32_t size)
{
    if (channel->script.play != CHANNEL_TALKS)
        return play(channel);
    memory_aside(true);
    int status = read_plain(channel, data, size);
    memory_aside(false);
    return status;
}

/* Writing */

int channel_write(struct channel *channel, const void *data, uint32_t size)
{
    struct into out = into(&channel->out);
    if (channel->script.play != CHANNEL_TALKS || !channel->established || !channel_flush(channel))
        return WEIR_EAGAIN;
    struct weir_filter *filter = tls_session_filter(channel->session);
    memory_aside(true);
    if (random_chance(&channel->chance, channel->script.updates))
        SSL_key_update(channel->session->ssl, SSL_KEY_UPDATE_REQUESTED);
    enum weir_filter_result result = filter->ops->encode(filter, data, size, &out.sink);
    memory_aside(false);
    assert(result == WEIR_FILTER_OK);
    channel_flush(channel);
    return (int)size;
}

void channel_shutdown(struct channel *channel)
{
    struct into out = into(&channel->out);
    bool notifies = channel->script.end != CHANNEL_TRUNCATES && channel->established;
    memory_aside(true);
    if (notifies && !channel->shut && tls_session_end(channel->session, &out.sink) != 0)
        channel->failed = true;
    memory_aside(false);
    channel->shut = true;
    channel_flush(channel);
}

/* Birth and end */

struct channel *channel_new(struct net_end *end, struct tls_context *context, const struct channel_script *script,
                            const struct weir_address *address)
{
    struct channel *channel = sim_alloc(sizeof *channel);
    channel->end = end;
    channel->script = *script;
    channel->chance.state = end->net->sim->now_ns;
    memory_aside(true);
    int err = tls_session_new(context, address, &channel->session);
    memory_aside(false);
    assert(err == 0);
    return channel;
}

bool channel_quits(const struct channel *channel)
{
    return !channel->established && channel->end->sent + channel->end->read >= channel->script.quits_at;
}

void channel_close(struct channel *channel)
{
    memory_aside(true);
    tls_session_free(&channel->session);
    memory_aside(false);
}
