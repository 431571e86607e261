/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshots.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

/* Room for one more at the end, zeroed. */
static void *grown(void *array, uint32_t count, size_t size)
{
    if ((count & (count - 1)) == 0)
        array = realloc(array, (count == 0 ? 1 : 2 * (size_t)count) * size);
    assert(array != NULL);
    memset((char *)array + count * size, 0, size);
    return array;
}

#define GROW(array, count) ((array) = grown((array), (count), sizeof *(array)), &(array)[(count)++])

struct snapshot *snapshot_make(void)
{
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    assert(snapshot != NULL);
    return snapshot;
}

void snapshot_add_place(struct snapshot *snapshot, uint32_t upstream, uint32_t weight, bool backup)
{
    struct pool *pool = &snapshot->pools[snapshot->pool_count - 1];
    *GROW(pool->places, pool->place_count) = (struct place){ upstream, weight, backup };
}

uint32_t snapshot_add_pool(struct snapshot *snapshot, uint32_t count)
{
    struct pool *pool = GROW(snapshot->pools, snapshot->pool_count);
    snprintf(pool->name, sizeof pool->name, "pool%u", snapshot->pool_count);
    for (uint32_t i = 0; i < count; i++) {
        struct upstream *upstream = GROW(snapshot->upstreams, snapshot->upstream_count);
        snprintf(upstream->name, sizeof upstream->name, "host%u", snapshot->upstream_count);
        upstream->address.u.v4.sin_family = AF_INET;
        upstream->address.u.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK + snapshot->upstream_count);
        snapshot_add_place(snapshot, snapshot->upstream_count - 1, 1, false);
    }
    return snapshot->pool_count - 1;
}

uint32_t snapshot_add_listener(struct snapshot *snapshot, uint32_t pool)
{
    struct listener *listener = GROW(snapshot->listeners, snapshot->listener_count);
    snprintf(listener->name, sizeof listener->name, "listener%u", snapshot->listener_count);
    listener->pool = pool;
    return snapshot->listener_count - 1;
}

uint32_t snapshot_add_client(struct snapshot *snapshot, const char *name)
{
    struct client *client = GROW(snapshot->clients, snapshot->client_count);
    snprintf(client->name, sizeof client->name, "%s", name);
    return snapshot->client_count - 1;
}

struct weir_address host(const char *text)
{
    struct weir_address address = { 0 };
    if (inet_pton(AF_INET, text, &address.u.v4.sin_addr) == 1)
        address.u.v4.sin_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &address.u.v6.sin6_addr) == 1)
        address.u.v6.sin6_family = AF_INET6;
    return address;
}

void snapshot_add_network(struct snapshot *snapshot, const char *base, uint8_t prefix, uint32_t client)
{
    struct network *network = GROW(snapshot->networks, snapshot->network_count);
    *network = (struct network){ .base = host(base), .prefix = prefix, .client = client };
}

void snapshot_add_identity(struct snapshot *snapshot, enum identity_kind kind, const char *text, uint32_t client)
{
    struct client_identity *identity = GROW(snapshot->identities, snapshot->identity_count);
    identity->name = (struct identity_name){ kind, (uint32_t)strlen(text), strdup(text) };
    identity->client = client;
}

uint32_t snapshot_add_rule(struct snapshot *snapshot, bool allow)
{
    struct rule *rule = GROW(snapshot->rules, snapshot->rule_count);
    rule->allow = allow;
    snapshot->has_policy = true;
    return snapshot->rule_count - 1;
}

void snapshot_rule_client(struct snapshot *snapshot, uint32_t client)
{
    struct rule *rule = &snapshot->rules[snapshot->rule_count - 1];
    if (client == ANY_INDEX)
        rule->any_client = true;
    else
        *GROW(rule->clients, rule->client_count) = client;
}

void snapshot_rule_target(struct snapshot *snapshot, uint32_t pool, uint32_t place)
{
    struct rule *rule = &snapshot->rules[snapshot->rule_count - 1];
    *GROW(rule->targets, rule->target_count) = (struct target){ pool, place };
}
