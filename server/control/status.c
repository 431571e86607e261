/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <stdio.h>

#include "../proxy/health.h"

const char *status_health(enum weir_place_health health)
{
    static const char *const words[] = {
        [WEIR_PLACE_UP] = "up",
        [WEIR_PLACE_EJECTED] = "ejected",
        [WEIR_PLACE_DOWN] = "down",
    };
    return words[health];
}

const char *status_upstream_state(enum weir_upstream_state state)
{
    static const char *const words[] = {
        [WEIR_UPSTREAM_ENABLED] = "enabled",
        [WEIR_UPSTREAM_DRAIN] = "drain",
        [WEIR_UPSTREAM_DISABLED] = "disabled",
    };
    return words[state];
}

/* JSON. Packing and appending accept NULL, so that only the whole need be looked at: an append that failed for want of
 * memory has freed its element and leaves a document that is shorter, and so wrong. */

static bool append(json_t *array, json_t *element)
{
    return json_array_append_new(array, element) == 0;
}

static json_t *finish(json_t *array, bool whole)
{
    if (whole)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *listeners_json(const struct balancer *balancer, const struct snapshot *snapshot)
{
    json_t *array = json_array();
    bool whole = array != NULL;
    for (uint32_t n = 0; whole && n < snapshot->listener_count; n++) {
        const struct listener *listener = &snapshot->listeners[n];
        char text[WEIR_ADDRESS_TEXT_MAX];
        whole = append(array, json_pack("{s:s, s:s, s:s, s:I}", "name", listener->name, "address",
                                        weir_address_format(&listener->bound, text, sizeof text), "pool",
                                        snapshot->pools[listener->pool].name, "active",
                                        (json_int_t)balancer_listener_active(balancer, listener)));
    }
    return finish(array, whole);
}

/* When the certificate that checks have seen ends; NULL when none was seen, or nobody looks after health. */
static const char *expiry(const struct pool *pool, uint32_t place, char text[HEALTH_EXPIRY_BYTES])
{
    return pool->health_state == NULL ? NULL : health_certificate_expires(health_of(pool, place), text);
}

static json_t *places_json(const struct snapshot *snapshot, const struct pool *pool)
{
    json_t *array = json_array();
    bool whole = array != NULL;
    for (uint32_t n = 0; whole && n < pool->place_count; n++) {
        const struct place *place = &pool->places[n];
        char expires[HEALTH_EXPIRY_BYTES];
        whole = append(array, json_pack("{s:s, s:s, s:i, s:b, s:s*}", "name", snapshot->upstreams[place->upstream].name,
                                        "health", status_health(weir_pool_health(pool->balancing, n)), "weight",
                                        (int)place->weight, "backup", (int)place->backup, "certificate_expires",
                                        expiry(pool, n, expires)));
    }
    return finish(array, whole);
}

static json_t *pools_json(const struct snapshot *snapshot)
{
    json_t *array = json_array();
    bool whole = array != NULL;
    for (uint32_t n = 0; whole && n < snapshot->pool_count; n++) {
        const struct pool *pool = &snapshot->pools[n];
        whole = append(array, json_pack("{s:s, s:o}", "name", pool->name, "upstreams", places_json(snapshot, pool)));
    }
    return finish(array, whole);
}

static json_t *upstreams_json(const struct snapshot *snapshot, const struct weir_upstreams *table)
{
    json_t *array = json_array();
    bool whole = array != NULL;
    for (uint32_t n = 0; whole && n < snapshot->upstream_count; n++) {
        const struct upstream *upstream = &snapshot->upstreams[n];
        char text[WEIR_ADDRESS_TEXT_MAX];
        whole = append(array, json_pack("{s:s, s:s, s:s, s:I, s:I}", "name", upstream->name, "address",
                                        weir_address_format(&upstream->address, text, sizeof text), "state",
                                        status_upstream_state(weir_upstreams_state(table, upstream->id)), "active",
                                        (json_int_t)weir_upstreams_active(table, upstream->id), "max_connections",
                                        (json_int_t)upstream->max_connections));
    }
    return finish(array, whole);
}

static json_t *clients_json(const struct snapshot *snapshot, const struct weir_limiter *others)
{
    json_t *array = json_array();
    bool whole = array != NULL;
    for (uint32_t n = 0; whole && n < snapshot->client_count; n++)
        whole = append(array, json_pack("{s:s, s:I, s:I}", "name", snapshot->clients[n].name, "active",
                                        (json_int_t)weir_client_active(snapshot->clients[n].record), "limit",
                                        (json_int_t)snapshot->clients[n].limits.connections));
    whole = whole && append(array, json_pack("{s:s, s:I, s:I}", "name", "other", "active",
                                             (json_int_t)weir_limiter_active(others), "limit", (json_int_t)0));
    return finish(array, whole);
}

json_t *status_json(const struct balancer *balancer)
{
    const struct snapshot *snapshot = balancer_snapshot_ref(balancer);
    const struct state *state = balancer_state(balancer);
    uint64_t uptime_ms = balancer_uptime_ns(balancer) / 1000000;
    json_t *json =
        json_pack("{s:s, s:f, s:I, s:s, s:b, s:I, s:o, s:o, s:o, s:o}", "version", WEIR_VERSION, "uptime",
                  (double)uptime_ms / 1000, "workers", (json_int_t)balancer_workers(balancer), "io",
                  balancer_backend_name(balancer), "draining", (int)balancer_draining(balancer), "max_connections",
                  (json_int_t)balancer_max_connections(balancer), "listeners", listeners_json(balancer, snapshot),
                  "pools", pools_json(snapshot), "upstreams", upstreams_json(snapshot, state->upstreams), "clients",
                  clients_json(snapshot, state->limiter));
    balancer_snapshot_unref(balancer, &snapshot);
    return json;
}

/* Readiness */

static bool is_available(const struct snapshot *snapshot, const struct weir_upstreams *table, const struct pool *pool,
                         uint32_t place)
{
    const struct upstream *upstream = &snapshot->upstreams[pool->places[place].upstream];
    return weir_pool_health(pool->balancing, place) != WEIR_PLACE_DOWN &&
           weir_upstreams_state(table, upstream->id) == WEIR_UPSTREAM_ENABLED &&
           (upstream->max_connections == 0 || weir_upstreams_active(table, upstream->id) < upstream->max_connections);
}

static bool has_available(const struct snapshot *snapshot, const struct weir_upstreams *table, const struct pool *pool)
{
    for (uint32_t n = 0; n < pool->place_count; n++)
        if (is_available(snapshot, table, pool, n))
            return true;
    return false;
}

static bool lacks_upstreams(const struct balancer *balancer, const struct snapshot *snapshot, char *why, size_t size)
{
    for (uint32_t n = 0; n < snapshot->listener_count; n++) {
        const struct listener *listener = &snapshot->listeners[n];
        const struct pool *pool = &snapshot->pools[listener->pool];
        if (has_available(snapshot, balancer_state(balancer)->upstreams, pool))
            continue;
        snprintf(why, size, "listener %s: pool %s has no available upstream", listener->name, pool->name);
        return true;
    }
    return false;
}

bool status_unready(const struct balancer *balancer, char *why, size_t size)
{
    if (balancer_draining(balancer)) {
        snprintf(why, size, "the balancer is draining");
        return true;
    }
    const struct snapshot *snapshot = balancer_snapshot_ref(balancer);
    bool unready = lacks_upstreams(balancer, snapshot, why, size);
    balancer_snapshot_unref(balancer, &snapshot);
    return unready;
}
