/* SPDX-License-Identifier: Apache-2.0 */
#include "decide.h"

#include <stdio.h>
#include <string.h>

#include "identities.h"
#include "networks.h"

uint32_t client_of_address(const struct snapshot *snapshot, const struct weir_address *address)
{
    return networks_find(snapshot->networks, snapshot->network_count, address);
}

static uint32_t client_of_certificate(const struct snapshot *snapshot, const struct identity *identity)
{
    uint32_t first = ANY_INDEX;
    for (uint32_t i = 0; i < identity->name_count; i++) {
        const struct client_identity *found[IDENTITY_MATCHES_MAX];
        uint32_t count = identities_find(snapshot->identities, snapshot->identity_count, &identity->names[i], found);
        for (uint32_t j = 0; j < count; j++) {
            if (found[j]->client < first)
                first = found[j]->client;
        }
    }
    return first;
}

uint32_t client_of_identity(const struct snapshot *snapshot, const struct identity *identity)
{
    return identity->has_certificate ? client_of_certificate(snapshot, identity)
                                     : client_of_address(snapshot, &identity->address);
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

/* "uri:spiffe://example.com/eve". Returns the size; 0: it has no name, or one that is too long for a record. */
static uint32_t name_of_certificate(const struct identity_name *own, char *name, size_t size)
{
    const char *kind = own == NULL ? "" : identity_kind_name(own->kind);
    size_t before = strlen(kind) + 1;
    if (own == NULL || before + own->size >= size)
        return 0;
    memcpy(name, kind, before - 1);
    name[before - 1] = ':';
    memcpy(name + before, own->bytes, own->size);
    name[before + own->size] = '\0';
    return (uint32_t)before + own->size;
}

/* A certificate whose name is too long is known by its hash, the last of its names. */
static uint32_t own_name(const struct identity *identity, char *name, size_t size)
{
    if (!identity->has_certificate || identity->name_count == 0)
        return name_of_address(&identity->address, name, size);
    uint32_t used = name_of_certificate(identity_own_name(identity), name, size);
    return used != 0 ? used : name_of_certificate(&identity->names[identity->name_count - 1], name, size);
}

static void authorize(const struct snapshot *snapshot, uint32_t listener, uint32_t client, struct decision *decision)
{
    uint32_t pool = snapshot->listeners[listener].pool;
    const struct reach *reach = reach_of(snapshot, client);
    uint32_t rule = reach->rules[pool];

    decision->set = reach->sets[pool];
    decision->rule = rule == ANY_INDEX ? NULL : &snapshot->rules[rule];
    if (client == ANY_INDEX && !snapshot->unknown_let_in)
        decision->refusal = CLOSE_UNKNOWN_CLIENT;
    else
        decision->refusal = decision->set == NULL ? CLOSE_NOT_AUTHORIZED : CLOSE_NONE;
}

void decide_client(const struct snapshot *snapshot, uint32_t listener, uint32_t client, struct decision *ret_decision)
{
    ret_decision->client = &snapshot->clients[client];
    ret_decision->limits = &ret_decision->client->limits;
    ret_decision->counters = ret_decision->client->counters;
    memcpy(ret_decision->name, ret_decision->client->name, sizeof ret_decision->client->name);
    ret_decision->name_size = (uint32_t)strlen(ret_decision->name);
    authorize(snapshot, listener, client, ret_decision);
}

static void decide_unknown(const struct snapshot *snapshot, uint32_t listener, const struct identity *identity,
                           struct decision *decision)
{
    decision->client = NULL;
    decision->limits = &snapshot->default_limits;
    decision->counters = snapshot->other;
    decision->name_size = own_name(identity, decision->name, sizeof decision->name);
    authorize(snapshot, listener, ANY_INDEX, decision);
}

void decide(const struct snapshot *snapshot, uint32_t listener, const struct identity *identity,
            struct decision *ret_decision)
{
    uint32_t client = client_of_identity(snapshot, identity);
    if (client == ANY_INDEX)
        decide_unknown(snapshot, listener, identity, ret_decision);
    else
        decide_client(snapshot, listener, client, ret_decision);
}

bool decision_allows(const struct decision *decision, uint32_t place)
{
    return decision->set != NULL && weir_set_contains(decision->set, place);
}

bool client_may_reach(const struct snapshot *snapshot, uint32_t client, uint32_t pool, uint32_t place)
{
    const struct weir_set *set = reach_of(snapshot, client)->sets[pool];
    return set != NULL && weir_set_contains(set, place);
}

static bool rule_is_for(const struct rule *rule, uint32_t client)
{
    bool found = rule->any_client;
    for (uint32_t i = 0; !found && i < rule->client_count; i++)
        found = rule->clients[i] == client;
    return found;
}

static bool rule_is_about(const struct rule *rule, uint32_t pool, uint32_t place)
{
    for (uint32_t i = 0; i < rule->target_count; i++) {
        const struct target *target = &rule->targets[i];
        if (target->pool == pool && (target->place == ANY_INDEX || target->place == place))
            return true;
    }
    return false;
}

bool policy_allows(const struct snapshot *snapshot, uint32_t client, uint32_t pool, uint32_t place,
                   const struct rule **ret_rule)
{
    const struct rule *allowing = NULL;
    for (uint32_t i = 0; i < snapshot->rule_count; i++) {
        const struct rule *rule = &snapshot->rules[i];
        if ((rule->allow && allowing != NULL) || !rule_is_for(rule, client) || !rule_is_about(rule, pool, place))
            continue;
        if (!rule->allow) {
            *ret_rule = rule;
            return false;
        }
        allowing = rule;
    }
    *ret_rule = allowing;
    return allowing != NULL || !snapshot->has_policy;
}

/* Whom an `expect` line is about; ANY_INDEX: an unknown client. */
static uint32_t client_expected(const struct snapshot *snapshot, const struct expectation *expectation)
{
    const struct identity identity = {
        .address = expectation->address,
        .has_certificate = expectation->has_name,
        .names = &expectation->name,
        .name_count = expectation->has_name,
    };
    if (expectation->any_client || expectation->client != ANY_INDEX)
        return expectation->any_client ? ANY_INDEX : expectation->client;
    return client_of_identity(snapshot, &identity);
}

bool expectation_holds(const struct snapshot *snapshot, const struct expectation *expectation)
{
    const struct weir_set *set = reach_of(snapshot, client_expected(snapshot, expectation))->sets[expectation->pool];
    bool can = set != NULL && (expectation->place == ANY_INDEX || weir_set_contains(set, expectation->place));
    return can == expectation->can;
}
