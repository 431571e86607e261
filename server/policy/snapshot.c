/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot.h"

#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "identities.h"
#include "networks.h"
#include "reach.h"

int state_new(uint64_t seed, struct state *ret_state)
{
    struct state state = { 0 };
    int err = weir_upstreams_new(TABLE_UPSTREAMS_MAX, &state.upstreams);
    if (err == 0)
        err = weir_limiter_new(UNKNOWN_CLIENTS_MAX, seed, &state.limiter);
    if (err != 0)
        state_free(&state);
    else
        *ret_state = state;
    return err;
}

void state_free(struct state *state)
{
    keep_free(&state->keep);
    weir_upstreams_free(&state->upstreams);
    weir_limiter_free(&state->limiter);
}

static int bind_listener(struct listener *listener, struct keep *keep, uint32_t workers)
{
    int err = listener_record_get(keep, listener->name, workers, &listener->record);
    if (err == 0)
        listener->slots = listener->record->slots;
    return err;
}

/* An upstream with a row is in the table. Every upstream has a place in some pool. */
static int bind_upstream(struct upstream *upstream, struct state *state)
{
    int err = upstream_record_get(&state->keep, upstream->name, &upstream->record);
    if (err == 0)
        err = address_record_get(&state->keep, &upstream->address, state->upstreams, upstream->max_connections,
                                 &upstream->row);
    if (err != 0)
        return err;
    upstream->counters = &upstream->record->counters;
    upstream->id = upstream->row->id;
    return 0;
}

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->backup != y->backup)
        return x->backup - y->backup;
    if (x->weight != y->weight)
        return x->weight < y->weight ? -1 : 1;
    return (x->upstream > y->upstream) - (x->upstream < y->upstream);
}

/* Gives the upstreams of a pool their ids by weight: choosing looks at blocks of neighbours, and fastest at those of
 * the same weight. */
static int bind_upstreams(struct snapshot *snapshot, struct state *state, const struct pool *pool)
{
    struct place *places = calloc(pool->place_count + (size_t)1, sizeof *places);
    int err = places == NULL ? WEIR_ENOMEM : 0;
    if (err == 0 && pool->place_count > 0) {
        memcpy(places, pool->places, pool->place_count * sizeof *places);
        qsort(places, pool->place_count, sizeof *places, compare_places);
    }
    for (uint32_t i = 0; err == 0 && i < pool->place_count; i++) {
        struct upstream *upstream = &snapshot->upstreams[places[i].upstream];
        if (upstream->row == NULL)
            err = bind_upstream(upstream, state);
    }
    free(places);
    return err;
}

static int bind_pool(struct pool *pool, const struct snapshot *snapshot, struct keep *keep, uint32_t workers)
{
    int err = pool_record_get(keep, pool->name, workers, &pool->record);
    if (err != 0)
        return err;
    pool->slots = pool->record->slots;
    struct weir_place *places = calloc(pool->place_count + (size_t)1, sizeof *places);
    err = places == NULL ? WEIR_ENOMEM : 0;
    for (uint32_t i = 0; err == 0 && i < pool->place_count; i++) {
        const struct place *place = &pool->places[i];
        places[i] = (struct weir_place){ snapshot->upstreams[place->upstream].id, place->weight, place->backup };
    }
    if (err == 0)
        err = weir_pool_new(snapshot->table, places, pool->place_count, &pool->balancing);
    free(places);
    return err;
}

static int bind_client(struct client *client, struct keep *keep)
{
    int err = client_record_get(keep, client->name, &client->kept);
    if (err != 0)
        return err;
    client->record = client->kept->client;
    client->counters = &client->kept->counters;
    return 0;
}

int snapshot_bind(struct snapshot *snapshot, struct state *state, uint32_t workers)
{
    int err = 0;
    snapshot->table = state->upstreams;
    for (uint32_t i = 0; err == 0 && i < snapshot->listener_count; i++)
        err = bind_listener(&snapshot->listeners[i], &state->keep, workers);
    for (uint32_t i = 0; err == 0 && i < snapshot->pool_count; i++)
        err = bind_upstreams(snapshot, state, &snapshot->pools[i]);
    for (uint32_t i = 0; err == 0 && i < snapshot->pool_count; i++)
        err = bind_pool(&snapshot->pools[i], snapshot, &state->keep, workers);
    for (uint32_t i = 0; err == 0 && i < snapshot->client_count; i++)
        err = bind_client(&snapshot->clients[i], &state->keep);
    snapshot->other = &state->other;
    snapshot->nobody = &state->nobody;
    networks_sort(snapshot->networks, snapshot->network_count);
    identities_sort(snapshot->identities, snapshot->identity_count);
    return err == 0 ? reach_bind(snapshot) : err;
}

void snapshot_apply(const struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->upstream_count; i++)
        if (snapshot->upstreams[i].row != NULL)
            weir_upstreams_set_max(snapshot->table, snapshot->upstreams[i].id, snapshot->upstreams[i].max_connections);
}

/* Records that are there are given back. */
#define UNREF(record) ((record) == NULL ? (void)0 : kept_unref(&(record)->kept))

static void free_upstreams(struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->upstream_count; i++) {
        UNREF(snapshot->upstreams[i].record);
        UNREF(snapshot->upstreams[i].row);
    }
    free(snapshot->upstreams);
}

static void free_tls(const struct snapshot *snapshot, struct tls_settings **psettings, struct tls_material **pmaterial)
{
    tls_settings_free(psettings);
    if (*pmaterial != NULL)
        snapshot->material_unref(pmaterial);
}

static void free_pools(struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->pool_count; i++) {
        struct pool *pool = &snapshot->pools[i];
        weir_pool_free(&pool->balancing);
        free_tls(snapshot, &pool->tls, &pool->material);
        UNREF(pool->record);
        free(pool->health.send.data);
        free(pool->health.expect.data);
        free(pool->places);
    }
    free(snapshot->pools);
}

static void free_listeners(struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->listener_count; i++) {
        struct listener *listener = &snapshot->listeners[i];
        free_tls(snapshot, &listener->tls, &listener->material);
        UNREF(listener->record);
    }
    free(snapshot->listeners);
}

static void free_clients(struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->client_count; i++)
        UNREF(snapshot->clients[i].kept);
    free(snapshot->clients);
    for (uint32_t i = 0; i < snapshot->identity_count; i++)
        free((char *)snapshot->identities[i].name.bytes);
    free(snapshot->identities);
    free(snapshot->networks);
}

static void free_policy(struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->rule_count; i++) {
        free(snapshot->rules[i].clients);
        free(snapshot->rules[i].targets);
    }
    free(snapshot->rules);
    for (uint32_t i = 0; i < snapshot->expectation_count; i++)
        free((char *)snapshot->expectations[i].name.bytes);
    free(snapshot->expectations);
}

void snapshot_free(struct snapshot **psnapshot)
{
    struct snapshot *snapshot = *psnapshot;
    if (snapshot == NULL)
        return;
    reach_free(snapshot);
    free_listeners(snapshot);
    free_pools(snapshot);
    free_upstreams(snapshot);
    free_clients(snapshot);
    free_policy(snapshot);
    free(snapshot->path);
    free(snapshot->settings.admin_socket);
    free(snapshot->settings.user);
    free(snapshot);
    *psnapshot = NULL;
}
