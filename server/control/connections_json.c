/* SPDX-License-Identifier: Apache-2.0 */
#include "connections_json.h"

#include "json_text.h"

static double ms(uint64_t ns)
{
    return (double)(ns - ns % 1000) / 1e6;
}

static json_t *connection_json(const struct connection *c)
{
    return json_pack("{s:I, s:s, s:o, s:o, s:s, s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:i, s:s, s:s}", "id",
                     (json_int_t)c->id, "listener", c->listener, "client", json_text(c->client.bytes, c->client.size),
                     "identity", json_text(c->identity.bytes, c->identity.size), "peer", c->peer, "upstream",
                     c->upstream, "upstream_address", c->upstream_address, "to_upstream_bytes",
                     (json_int_t)c->to_upstream_bytes, "to_client_bytes", (json_int_t)c->to_client_bytes, "duration_ms",
                     ms(c->duration_ns), "handshake_ms", ms(c->handshake_ns), "connect_ms", ms(c->connect_ns), "tries",
                     (int)c->tries, "tls_version", c->tls_version, "tls_cipher", c->tls_cipher);
}

json_t *connections_json(const struct connections *connections)
{
    json_t *list = json_array();

    for (uint32_t n = 0; n < connections->count; n++)
        if (json_array_append_new(list, connection_json(&connections->list[n])) != 0) {
            json_decref(list);
            return NULL;
        }
    return json_pack("{s:o, s:o}", "connections", list, "next",
                     connections->next == 0 ? json_null() : json_integer((json_int_t)connections->next));
}
