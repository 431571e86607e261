/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "tls_pair.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/err.h>

#include <weir/errors.h>

#include "../../lib/io/backend.h"

/* A test may make one allocation fail: never one of these. */
static void *allocate(void *old, size_t size)
{
    void *memory = realloc(old, size);
    return memory != NULL ? memory : realloc(old, size);
}

/* Sinks */

static uint8_t *reserve(struct weir_sink *sink, uint32_t *ret_room)
{
    struct collector *collector = (struct collector *)sink;
    uint32_t room = collector->step != 0 ? collector->step : 4096;
    if (collector->exhausted)
        return NULL;
    if (collector->capacity - collector->size < room) {
        collector->capacity = 2 * collector->capacity + room;
        collector->bytes = allocate(collector->bytes, collector->capacity);
        assert_non_null(collector->bytes);
    }
    *ret_room = room;
    return collector->bytes + collector->size;
}

static int commit(struct weir_sink *sink, uint32_t size)
{
    struct collector *collector = (struct collector *)sink;
    collector->size += size;
    assert_true(collector->size <= collector->capacity);
    return 0;
}

void collector_init(struct collector *collector)
{
    memset(collector, 0, sizeof *collector);
    collector->sink = (struct weir_sink){ .reserve = reserve, .commit = commit };
}

void collector_free(struct collector *collector)
{
    free(collector->bytes);
    collector->bytes = NULL;
    collector->size = collector->capacity = 0;
}

void collector_put(struct collector *collector, const void *bytes, uint32_t size)
{
    assert_int_equal(weir_sink_put(&collector->sink, bytes, size), 0);
}

void collector_drop(struct collector *collector, uint32_t size)
{
    collector->size -= size;
    if (size > 0)
        memmove(collector->bytes, collector->bytes + size, collector->size);
}

/* The clock */

static int64_t time_s;

static uint64_t wall(const struct weir_loop *loop)
{
    (void)loop;
    return (uint64_t)pair_time() * 1000000000;
}

struct weir_loop *pair_loop(void)
{
    static const struct io_backend backend = { .name = "clock", .wall = wall };
    static struct weir_loop loop;
    if (loop.backend == NULL)
        io_loop_init(&loop, &backend);
    return &loop;
}

void pair_set_time(int64_t now_s)
{
    time_s = now_s;
}

int64_t pair_time(void)
{
    return time_s != 0 ? time_s : time(NULL);
}

/* Contexts */

struct tls_material *pair_material(const struct tls_settings *settings, enum tls_role role)
{
    struct tls_complaint complaints[4];
    struct tls_material *material = NULL;
    uint32_t count = 4, errors = 0;
    int err = tls_material_load(settings, role, complaints, &count, &errors, &material);
    if (errors > 0)
        print_error("%s\n", complaints[0].text);
    assert_int_equal(err, 0);
    return material;
}

struct tls_context *pair_context(const struct tls_settings *settings, enum tls_role role)
{
    struct tls_material *material = pair_material(settings, role);
    struct tls_context *context = NULL;
    assert_int_equal(tls_context_new(material, role, pair_loop(), &context), 0);
    tls_material_unref(&material);
    return context;
}

/* Ends */

static void open_end(struct end *end, struct tls_context *context)
{
    struct weir_address address;
    assert_int_equal(weir_address_parse("192.0.2.7:443", &address), 0);
    memset(end, 0, sizeof *end);
    end->context = context;
    collector_init(&end->out);
    collector_init(&end->plain);
    assert_int_equal(tls_session_new(context, &address, &end->session), 0);
}

void pair_open(struct pair *pair, struct tls_context *client, struct tls_context *server)
{
    open_end(&pair->client, client);
    open_end(&pair->server, server);
}

static void close_end(struct end *end)
{
    tls_session_free(&end->session);
    collector_free(&end->out);
    collector_free(&end->plain);
}

void pair_close(struct pair *pair)
{
    close_end(&pair->client);
    close_end(&pair->server);
}

static void decode(struct end *end, const uint8_t *data, uint32_t size)
{
    struct weir_filter *filter = tls_session_filter(end->session);
    end->result = filter->ops->decode(filter, data, size, &end->plain.sink, &end->out.sink);
}

static void take(struct end *end, const uint8_t *data, uint32_t size)
{
    if (end->progress == TLS_WANTS_BYTES) {
        end->progress = tls_handshake(end->session, data, size, &end->out.sink);
        if (end->progress == TLS_ESTABLISHED)
            decode(end, NULL, 0);
    } else if (end->progress == TLS_ESTABLISHED && end->result == WEIR_FILTER_OK) {
        decode(end, data, size);
    }
    assert_int_equal(ERR_peek_error(), 0);
}

/* Some bytes travel, in a buffer of just their size so that a sanitizer sees reads beyond. */
bool pair_carry(struct pair *pair, struct end *from, struct end *to)
{
    uint32_t size = from->out.size;
    if (size == 0)
        return false;
    if (pair->piece != 0)
        size = 1 + test_random_below(&pair->random, pair->piece < size ? pair->piece : size);
    if (pair->bounded && size > pair->budget)
        return false;
    pair->budget -= size;
    uint8_t *data = allocate(NULL, size);
    assert_non_null(data);
    memcpy(data, from->out.bytes, size);
    collector_drop(&from->out, size);
    take(to, data, size);
    free(data);
    return true;
}

void pair_start(struct pair *pair)
{
    take(&pair->client, NULL, 0);
}

void pair_run(struct pair *pair)
{
    bool went_on = true;
    if (pair->client.progress == TLS_WANTS_BYTES)
        pair_start(pair);
    while (went_on) {
        went_on = pair_carry(pair, &pair->client, &pair->server);
        went_on = pair_carry(pair, &pair->server, &pair->client) || went_on;
    }
}

void pair_connect(struct pair *pair)
{
    pair_run(pair);
    assert_string_equal(tls_session_failure(pair->server.session)->text, "");
    assert_string_equal(tls_session_failure(pair->client.session)->text, "");
    assert_int_equal(pair->client.progress, TLS_ESTABLISHED);
    assert_int_equal(pair->server.progress, TLS_ESTABLISHED);
}

void pair_send(struct end *end, const void *data, uint32_t size)
{
    struct weir_filter *filter = tls_session_filter(end->session);
    assert_int_equal(filter->ops->encode(filter, data, size, &end->out.sink), WEIR_FILTER_OK);
}

void pair_end(struct end *end)
{
    struct weir_filter *filter = tls_session_filter(end->session);
    assert_int_equal(filter->ops->encode_end(filter, &end->out.sink), WEIR_FILTER_OK);
}
