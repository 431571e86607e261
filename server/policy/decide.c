/* SPDX-License-Identifier: Apache-2.0 */
#include "decide.h"

#include <stdio.h>
#include <string.h>

#include "networks.h"

uint32_t client_of_address(const struct snapshot *snapshot, const struct weir_address *address)
{
    return networks_find(snapshot->networks, snapshot->network_count, address);
}

static const struct reach *reach_of(const struct snapshot *snapshot, uint32_t client)
{
    return client == ANY_INDEX ? &snapshot->unknown_reach : &snapshot->client_reach[client];
}

/* The name that an unknown address goes by. Whoever has one IPv6 address has its whole /64. */
static uint32_t name_of_address(const struct weir_address *address, char *name, size_t size)
{
    char host[WEIR_ADDRESS_TEXT_MAX];
    struct weir_address own = address_unmapped(address);
    bool v6 = own.u.any.sa_family == AF_INET6;
    if (v6)
        memset(&own.u.v6.sin6_addr.s6_addr[8], 0, 8);
    weir_address_format_host(&own, host, sizeof host);
    return (uint32_t)snprintf(name, size, "%s%s", host, v6 ? "/64" : "");
}

static void identify(const struct snapshot *snapshot, uint32_t client, const struct identity *identity,
                     struct decision *decision)
{
    if (client == ANY_INDEX) {
        decision->client = NULL;
        decision->limits = &snapshot->default_limits;
        decision->counters = snapshot->other;
        decision->name_size = name_of_address(&identity->address, decision->name, sizeof decision->name);
    } else {
        decision->client = &snapshot->clients[client];
        decision->limits = &decision->client->limits;
        decision->counters = decision->client->counters;
        memcpy(decision->name, decision->client->name, sizeof decision->client->name);
        decision->name_size = (uint32_t)strlen(decision->name);
    }
}

void decide(const struct snapshot *snapshot, uint32_t listener, const struct identity *identity,
            struct decision *ret_decision)
{
    uint32_t client = client_of_address(snapshot, &identity->address);
    uint32_t pool = snapshot->listeners[listener].pool;
    const struct reach *reach = reach_of(snapshot, client);
    uint32_t rule = reach->rules[pool];

    identify(snapshot, client, identity, ret_decision);
    ret_decision->set = reach->sets[pool];
    ret_decision->rule = rule == ANY_INDEX ? NULL : &snapshot->rules[rule];
    if (client == ANY_INDEX && !snapshot->unknown_let_in)
        ret_decision->refusal = CLOSE_UNKNOWN_CLIENT;
    else
        ret_decision->refusal = ret_decision->set == NULL ? CLOSE_NOT_AUTHORIZED : CLOSE_NONE;
}

bool decision_allows(const struct decision *decision, uint32_t place)
{
    return decision->set != NULL && weir_set_contains(decision->set, place);
}

bool expectation_holds(const struct snapshot *snapshot, const struct expectation *expectation)
{
    uint32_t client = expectation->client;
    if (!expectation->any_client && client == ANY_INDEX)
        client = client_of_address(snapshot, &expectation->address);
    const struct weir_set *set =
        reach_of(snapshot, expectation->any_client ? ANY_INDEX : client)->sets[expectation->pool];
    bool can = set != NULL && (expectation->place == ANY_INDEX || weir_set_contains(set, expectation->place));
    return can == expectation->can;
}
