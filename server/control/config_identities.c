/* SPDX-License-Identifier: Apache-2.0 */
#include "config_parts.h"

#include <string.h>

#include "../base/suggest.h"
#include "../policy/identities.h"

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

struct network_key network_key(const struct network *network)
{
    struct network_key key = { value_address_key(&network->base), network->prefix,
                               network->base.u.any.sa_family == AF_INET6 };
    return key;
}

/* An identity is that of one client, and stands there once. `other` has it already, or is INDEX_NONE. */
static bool is_free(struct reader *reader, const struct node *node, uint32_t client, uint32_t other)
{
    const struct client *clients = reader->snapshot->clients;

    if (other == INDEX_NONE)
        return true;
    if (other == client)
        report_add(reader->report, node->at, "%s stands here twice; remove one of them", quote(node->text).text);
    else
        report_add(reader->report, node->at,
                   "%s is the identity of client \"%s\" (line %u); it can be that of one only", quote(node->text).text,
                   clients[other].name, clients[other].at.line);
    return false;
}

static void add_network(struct reader *reader, const struct node *node, const struct network *network)
{
    struct snapshot *snapshot = reader->snapshot;
    struct network_key key = network_key(network);

    if (!is_free(reader, node, network->client, index_find(&reader->networks, 0, &key, sizeof key)))
        return;
    reader_index(reader, &reader->networks, 0, &key, sizeof key, network->client);
    snapshot->networks[snapshot->network_count++] = *network;
}

static void read_network(struct reader *reader, const struct node *node, const char *text, uint32_t client)
{
    char host[WEIR_ADDRESS_TEXT_MAX];
    struct network network;
    bool exact;

    if (value_network(text, &network, &exact) != 0) {
        report_add(reader->report, node->at,
                   "%s is not a network; write cidr:IP/BITS, like cidr:192.168.0.0/16 or cidr:2001:db8::/32",
                   quote(node->text).text);
        return;
    }
    if (!exact) {
        report_add(reader->report, node->at, "%s has bits behind its prefix; the network is cidr:%s/%u",
                   quote(node->text).text, weir_address_format_host(&network.base, host, sizeof host), network.prefix);
        return;
    }
    network.client = client;
    network.at = node->at;
    add_network(reader, node, &network);
}

static void read_name_of_certificate(struct reader *reader, const struct node *node, const char *text, uint32_t client)
{
    struct snapshot *snapshot = reader->snapshot;
    const char *reason;
    struct typed_name name;

    if (names_read(text, &name, &reason) != 0) {
        report_add(reader->report, node->at, "%s %s", quote(text).text, reason);
        return;
    }
    uint32_t other = index_find(&reader->identities, (uint32_t)name.kind, name.bytes, name.size);
    if (!is_free(reader, node, client, other))
        return;
    reader_index(reader, &reader->identities, (uint32_t)name.kind, name.bytes, name.size, client);
    char *bytes = reader_copy(reader, name.bytes);
    if (bytes != NULL)
        snapshot->identities[snapshot->identity_count++] =
            (struct client_identity){ { name.kind, name.size, bytes }, client, node->at };
}

/* The type that "DNS:alice" was meant to have; NULL: nobody can tell. */
static const char *near_type(const char *text, char word[16])
{
    static const char *const types[] = { "dns", "uri", "email", "cn", "sha256", "cidr" };
    size_t size = strcspn(text, ":");

    if (text[size] == '\0' || size >= 16)
        return NULL;
    memcpy(word, text, size);
    word[size] = '\0';
    struct suggestion suggestion = suggest_for(word);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        suggest_offer(&suggestion, types[i]);
    return suggestion.best;
}

static void refuse_untyped(struct reader *reader, const struct node *node, const char *text)
{
    struct network network;
    bool exact;
    char word[16];
    const char *near = near_type(text, word);

    if (value_network(text, &network, &exact) == 0)
        report_add(reader->report, node->at, "%s is not a typed identity; did you mean \"cidr:%s\"?", quote(text).text,
                   text);
    else if (near != NULL)
        report_add(reader->report, node->at, "%s is not a typed identity; did you mean \"%s:\"?", quote(text).text,
                   near);
    else
        report_add(reader->report, node->at,
                   "%s is not a typed identity; write dns:, uri:, email:, cn:, sha256: or cidr: before it",
                   quote(text).text);
}

void read_identity(struct reader *reader, const struct node *node, uint32_t client)
{
    const char *text = node_text(node);

    if (text == NULL)
        refuse(reader, "an identity", node, "a text like dns:alice.example.com or cidr:192.168.0.0/16");
    else if (begins_with(text, "cidr:"))
        read_network(reader, node, text + strlen("cidr:"), client);
    else if (names_has_type(text))
        read_name_of_certificate(reader, node, text, client);
    else
        refuse_untyped(reader, node, text);
}

/* Whoever has the name of the one has it of the other, and that one comes first. */
void warn_of_hidden_identities(struct reader *reader)
{
    const struct snapshot *snapshot = reader->snapshot;
    char wildcard[IDENTITY_WILDCARD_MAX];

    for (uint32_t i = 0; i < snapshot->identity_count; i++) {
        const struct client_identity *identity = &snapshot->identities[i];
        uint32_t size = identity_wildcard(&identity->name, wildcard);
        uint32_t first =
            size == 0 ? INDEX_NONE : index_find(&reader->identities, (uint32_t)identity->name.kind, wildcard, size);
        if (first >= identity->client)
            continue;
        report_warn(reader->report, identity->at,
                    "\"%s:%s\" says nothing: \"%s:%.*s\" of client \"%s\" (line %u) stands before it; "
                    "put this client first",
                    identity_kind_name(identity->name.kind), identity->name.bytes,
                    identity_kind_name(identity->name.kind), (int)size, wildcard, snapshot->clients[first].name,
                    snapshot->clients[first].at.line);
    }
}
