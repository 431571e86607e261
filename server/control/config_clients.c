/* SPDX-License-Identifier: Apache-2.0 */
#include "config_parts.h"

#include <string.h>

#define BURST_MAX 1000000
#define CONNECTIONS_MAX 1000000

struct client_draft {
    struct client client;
    struct limits_draft limits;
    const struct node *identity;
};

static void read_rate(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    static const struct rate wrong = { .period_ns = 1, .a_second = 1 }; /* a burst beside it is no further error */
    const char *text = node_text(node);

    if (text != NULL && value_rate(text, slot) == 0)
        return;
    refuse(reader, field->key, node, "1 to %d per second, minute or hour, written like 20/s, 100/m or 5/h", RATE_MAX);
    *(struct rate *)slot = wrong;
}

static const struct field limits_fields[] = {
    { "connections", read_u32, offsetof(struct limits_draft, connections), 0, CONNECTIONS_MAX },
    { "rate", read_rate, offsetof(struct limits_draft, rate) },
    { "burst", read_u32, offsetof(struct limits_draft, burst), 1, BURST_MAX, PLACED_AT(struct limits_draft, burst_at) },
};
static const struct section limits_section = SECTION("limits", limits_fields);

static const struct field client_fields[] = {
    { "name", read_name, offsetof(struct client_draft, client.name), .add = "name: NAME",
      PLACED_AT(struct client_draft, client.at) },
    { "identity", read_node, offsetof(struct client_draft, identity), 1, 1000, .add = "identity: [\"dns:NAME\"]" },
    { "limits", read_section, offsetof(struct client_draft, limits), .section = &limits_section },
};
static const struct section client_section = SECTION("this client", client_fields);
enum { IDENTITY_FIELD = 1 };

struct weir_limits limits_complete(const struct limits_draft *draft, const struct limits_draft *defaults)
{
    uint32_t connections = draft->connections == LIMIT_ABSENT ? defaults->connections : draft->connections;
    const struct rate *rate = draft->rate.period_ns == 0 ? &defaults->rate : &draft->rate;
    uint32_t burst = draft->burst == 0 ? defaults->burst : draft->burst;
    struct weir_limits limits = { .connections = connections == LIMIT_ABSENT ? 0 : connections };

    if (rate->period_ns == 0)
        return limits;
    limits.rate_period_ns = rate->period_ns;
    limits.burst = burst == 0 ? rate->a_second : burst;
    return limits;
}

void read_limits(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    static const struct limits_draft none = NO_LIMITS;
    struct snapshot *snapshot = slot;

    if (node->kind != NODE_MAPPING) {
        refuse(reader, field->key, node, "a mapping, like { connections: 100, rate: 50/s }");
        return;
    }
    section_read(reader, &limits_section, node, &reader->default_limits);
    snapshot->default_limits = limits_complete(&reader->default_limits, &none);
}

static void add_client(struct reader *reader, struct client_draft *draft)
{
    struct snapshot *snapshot = reader->snapshot;
    const char *name = draft->client.name;
    uint32_t i = snapshot->client_count++;
    uint32_t other = index_find(&reader->clients, 0, name, strlen(name));

    draft->client.limits = limits_complete(&draft->limits, &reader->default_limits);
    snapshot->clients[i] = draft->client;
    if (draft->limits.burst != 0 && draft->client.limits.rate_period_ns == 0)
        report_add(reader->report, draft->limits.burst_at, "burst needs a rate; add rate, like rate: 5/s");
    if (name[0] == '\0')
        reader->clients_incomplete = true;
    else if (strcmp(name, "other") == 0)
        report_add(reader->report, draft->client.at,
                   "\"other\" is the name of all clients that are not configured; choose another one");
    else if (other != INDEX_NONE)
        refuse_taken(reader, "client", name, draft->client.at, snapshot->clients[other].at.line);
    else
        reader_index(reader, &reader->clients, 0, name, strlen(name), i);
    if (draft->identity == NULL || !list_is_fine(reader, &client_fields[IDENTITY_FIELD], draft->identity,
                                                 "identities, like [dns:alice.example.com]"))
        return;
    for (const struct node *item = draft->identity->first; item != NULL; item = item->next)
        read_identity(reader, item, i);
}

/* Room for those of all clients. */
static uint32_t count_identities(const struct node *clients)
{
    uint32_t count = 0;

    for (const struct node *item = clients->first; item != NULL; item = item->next) {
        if (item->kind != NODE_MAPPING)
            continue;
        for (const struct node *key = item->first; key != NULL; key = key->next->next)
            if (key->next->kind == NODE_LIST)
                count += key->next->count;
    }
    return count;
}

void read_clients(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    struct snapshot *snapshot = slot;

    reader->clients_incomplete = true;
    if (!list_is_fine(reader, field, node, "clients"))
        return;
    uint32_t identities = count_identities(node);
    snapshot->clients = reader_array(reader, node->count, sizeof *snapshot->clients);
    snapshot->networks = reader_array(reader, identities, sizeof *snapshot->networks);
    snapshot->identities = reader_array(reader, identities, sizeof *snapshot->identities);
    if (snapshot->clients == NULL || snapshot->networks == NULL || snapshot->identities == NULL)
        return;
    reader->clients_incomplete = false;
    for (const struct node *item = node->first; item != NULL; item = item->next) {
        struct client_draft draft = { .limits = NO_LIMITS };
        if (section_read(reader, &client_section, item, &draft))
            add_client(reader, &draft);
        else
            reader->clients_incomplete = true;
    }
    warn_of_hidden_identities(reader);
}
