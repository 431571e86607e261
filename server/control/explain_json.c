/* SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include <stdio.h>
#include <stdlib.h>

#include "status.h"

/* Packing and appending accept NULL, so that only the whole need be looked at. */

/* A text that somebody chose, who need not have chosen UTF-8. */
static json_t *text_json(const char *text)
{
    json_t *string = json_string(text);

    return string != NULL ? string : json_string("(not UTF-8)");
}

/* "weir.yaml:12:5" */
static json_t *place_json(const struct explanation *e, struct position at)
{
    char *text = NULL;

    if (asprintf(&text, "%s:%u:%u", e->snapshot->path, at.line, at.column) < 0)
        return NULL;
    json_t *place = text_json(text);
    free(text);
    return place;
}

static json_t *identities_json(const struct explanation *e)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < e->identity_count; i++)
        json_array_append_new(array, json_string(e->identities[i].text));
    return array;
}

/* Where the configuration has them; of those that only a certificate has, nowhere. */
static json_t *places_json(const struct explanation *e)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < e->identity_count; i++) {
        struct position at = e->identities[i].at;
        json_array_append_new(array, at.line == 0 ? json_null() : place_json(e, at));
    }
    return array;
}

static json_t *matches_json(const struct explanation *e)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < e->match_count; i++) {
        const struct explain_identity *match = &e->matches[i];
        json_array_append_new(array, json_pack("{s:s, s:s, s:o, s:b}", "client",
                                               e->snapshot->clients[match->client].name, "identity", match->text, "at",
                                               place_json(e, match->at), "chosen", (int)(match->client == e->client)));
    }
    return array;
}

static json_t *limits_json(const struct weir_limits *limits)
{
    char rate[32];
    bool rated = limits->rate_period_ns != 0;

    explain_rate(limits, rate);
    return json_pack(
        "{s:o, s:o, s:o}", "connections", limits->connections == 0 ? json_null() : json_integer(limits->connections),
        "rate", rated ? json_string(rate) : json_null(), "burst", rated ? json_integer(limits->burst) : json_null());
}

static json_t *upstream_json(const struct explanation *e, const struct explain_upstream *entry)
{
    char address[WEIR_ADDRESS_TEXT_MAX];

    return json_pack("{s:s, s:s, s:b, s:o}", "name", entry->upstream->name, "address",
                     weir_address_format(&entry->upstream->address, address, sizeof address), "allowed",
                     (int)entry->allowed, "rule", entry->rule == NULL ? json_null() : place_json(e, entry->rule->at));
}

/* What it is like at this moment. */
static void add_live_upstream(json_t *json, const struct pool *pool, uint32_t place, const struct upstream *upstream,
                              const struct weir_upstreams *table)
{
    json_object_set_new(json, "state", json_string(status_upstream_state(weir_upstreams_state(table, upstream->id))));
    json_object_set_new(json, "health", json_string(status_health(weir_pool_health(pool->balancing, place))));
    json_object_set_new(json, "active", json_integer(weir_upstreams_active(table, upstream->id)));
}

static json_t *upstreams_json(const struct explanation *e, const struct explain_listener *listener,
                              const struct state *live)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < listener->upstream_count; i++) {
        json_t *json = upstream_json(e, &listener->upstreams[i]);
        if (live != NULL)
            add_live_upstream(json, listener->pool, i, listener->upstreams[i].upstream, live->upstreams);
        json_array_append_new(array, json);
    }
    return array;
}

static json_t *listeners_json(const struct explanation *e, const struct state *live)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < e->listener_count; i++) {
        const struct explain_listener *entry = &e->listeners[i];
        char address[WEIR_ADDRESS_TEXT_MAX];
        json_array_append_new(
            array,
            json_pack(
                "{s:s, s:s, s:s, s:s, s:b, s:o, s:o, s:o}", "name", entry->listener->name, "address",
                weir_address_format(&entry->listener->address, address, sizeof address), "pool", entry->pool->name,
                "clients_by", explain_listener_by_certificate(entry->listener) ? "certificate" : "address", "accepted",
                (int)entry->accepted, "reason",
                entry->refusal == CLOSE_NONE ? json_null() : json_string(close_reason_label(entry->refusal)), "why",
                entry->accepted ? json_null() : text_json(entry->why), "upstreams", upstreams_json(e, entry, live)));
    }
    return array;
}

static json_t *client_json(const struct explanation *e, const struct state *live)
{
    bool configured = e->client != ANY_INDEX;
    json_t *json = json_pack("{s:s, s:b, s:b, s:o}", "name", e->name, "configured", (int)configured, "let_in",
                             (int)(configured || e->snapshot->unknown_let_in), "at",
                             configured ? place_json(e, e->snapshot->clients[e->client].at) : json_null());

    if (live != NULL && configured)
        json_object_set_new(json, "active", json_integer(weir_client_active(e->snapshot->clients[e->client].record)));
    return json;
}

json_t *explain_json(const struct explanation *e, const struct state *live)
{
    static const char *const kinds[] = {
        [EXPLAIN_CLIENT] = "client",
        [EXPLAIN_CERTIFICATE] = "certificate",
        [EXPLAIN_ADDRESS] = "address",
    };
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "subject", text_json(e->subject->name), "kind",
                     kinds[e->subject->kind], "identities", identities_json(e), "identities_at", places_json(e),
                     "client", client_json(e, live), "matches", matches_json(e), "limits", limits_json(e->limits),
                     "listeners", listeners_json(e, live));
}
