/* SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "../policy/identities.h"
#include "../policy/networks.h"
#include "../tls/certificate.h"
#include "config_values.h"

bool explain_listener_by_certificate(const struct listener *listener)
{
    return listener->tls != NULL && listener->tls->ca != NULL;
}

/* Any bytes as text that a terminal can show: what is not printable ASCII becomes \xNN. NULL when out of memory. */
static char *printable(const char *prefix, const char *bytes, uint32_t size)
{
    size_t used = strlen(prefix);
    char *text = malloc(used + 4 * (size_t)size + 1);

    if (text == NULL)
        return NULL;
    memcpy(text, prefix, used);
    for (uint32_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= ' ' && c <= '~' && c != '\\')
            text[used++] = (char)c;
        else
            used += (size_t)sprintf(text + used, "\\x%02x", c);
    }
    text[used] = '\0';
    return text;
}

static char *text_of_name(const struct identity_name *name)
{
    char prefix[16];

    snprintf(prefix, sizeof prefix, "%s:", identity_kind_name(name->kind));
    return printable(prefix, name->bytes, name->size);
}

static char *text_of_network(const struct network *network)
{
    char host[WEIR_ADDRESS_TEXT_MAX], *text = NULL;

    weir_address_format_host(&network->base, host, sizeof host);
    return asprintf(&text, "cidr:%s/%u", host, network->prefix) < 0 ? NULL : text;
}

/* Adds an entry whose text is owned from then on. */
static int add_entry(struct explain_identity **list, uint32_t *count, char *text, uint32_t client, struct position at)
{
    struct explain_identity *grown = text == NULL ? NULL : reallocarray(*list, *count + (size_t)1, sizeof *grown);

    if (grown == NULL) {
        free(text);
        return WEIR_ENOMEM;
    }
    grown[*count] = (struct explain_identity){ text, client, at };
    *list = grown;
    (*count)++;
    return 0;
}

static int add_identity(struct explanation *e, char *text, uint32_t client, struct position at)
{
    return add_entry(&e->identities, &e->identity_count, text, client, at);
}

static int add_match(struct explanation *e, char *text, uint32_t client, struct position at)
{
    return add_entry(&e->matches, &e->match_count, text, client, at);
}

static bool stands_before(struct position a, struct position b)
{
    return a.line < b.line || (a.line == b.line && a.column < b.column);
}

/* In the order of the file. */
static void sort_identities(struct explain_identity *list, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        for (uint32_t j = i; j > 0 && stands_before(list[j].at, list[j - 1].at); j--) {
            struct explain_identity later = list[j - 1];
            list[j - 1] = list[j];
            list[j] = later;
        }
    }
}

/* A configured client */

static int client_identities(struct explanation *e)
{
    const struct snapshot *snapshot = e->snapshot;
    int err = 0;

    for (uint32_t i = 0; err == 0 && i < snapshot->identity_count; i++) {
        const struct client_identity *identity = &snapshot->identities[i];
        if (identity->client == e->client)
            err = add_identity(e, text_of_name(&identity->name), e->client, identity->at);
    }
    for (uint32_t i = 0; err == 0 && i < snapshot->network_count; i++) {
        const struct network *network = &snapshot->networks[i];
        if (network->client == e->client)
            err = add_identity(e, text_of_network(network), e->client, network->at);
    }
    sort_identities(e->identities, e->identity_count);
    return err;
}

/* A certificate */

static bool is_match(const struct explanation *e, struct position at)
{
    for (uint32_t i = 0; i < e->match_count; i++)
        if (memcmp(&e->matches[i].at, &at, sizeof at) == 0)
            return true;
    return false;
}

static int certificate_matches(struct explanation *e, const struct identity_name *name)
{
    const struct snapshot *snapshot = e->snapshot;
    const struct client_identity *found[IDENTITY_MATCHES_MAX];
    uint32_t count = identities_find(snapshot->identities, snapshot->identity_count, name, found);
    int err = 0;

    for (uint32_t i = 0; err == 0 && i < count; i++)
        if (!is_match(e, found[i]->at))
            err = add_match(e, text_of_name(&found[i]->name), found[i]->client, found[i]->at);
    return err;
}

static int certificate_identities(struct explanation *e)
{
    const struct identity *identity = &e->subject->identity;
    int err = 0;

    for (uint32_t i = 0; err == 0 && i < identity->name_count; i++) {
        err = add_identity(e, text_of_name(&identity->names[i]), ANY_INDEX, (struct position){ 0 });
        if (err == 0)
            err = certificate_matches(e, &identity->names[i]);
    }
    sort_identities(e->matches, e->match_count);
    return err;
}

/* An address. Networks stand in the order of their prefixes, the longest first. */
static int address_matches(struct explanation *e)
{
    const struct snapshot *snapshot = e->snapshot;
    int err = 0;

    for (uint32_t i = 0; err == 0 && i < snapshot->network_count; i++) {
        const struct network *network = &snapshot->networks[i];
        if (network_holds(network, &e->subject->identity.address))
            err = add_match(e, text_of_network(network), network->client, network->at);
    }
    return err;
}

/* Listeners */

static void say_who(const struct explanation *e, struct explain_listener *entry)
{
    bool by_certificate = explain_listener_by_certificate(entry->listener);

    if (e->subject->kind == EXPLAIN_ADDRESS) {
        entry->refusal = CLOSE_TLS_NO_CERTIFICATE;
        snprintf(entry->why, sizeof entry->why, "this listener asks for a certificate; an address is not enough");
    } else if (e->subject->kind == EXPLAIN_CERTIFICATE)
        snprintf(entry->why, sizeof entry->why,
                 "this listener asks for no certificate; clients are known by their address");
    else
        snprintf(entry->why, sizeof entry->why, "clients are known by %s here, and %s has no %s identity",
                 by_certificate ? "certificate" : "address", e->subject->name,
                 by_certificate ? "dns:, uri:, email:, cn: or sha256:" : "cidr:");
}

static bool client_has(const struct explanation *e, bool certificate)
{
    for (uint32_t i = 0; i < e->identity_count; i++)
        if ((strncmp(e->identities[i].text, "cidr:", 5) != 0) == certificate)
            return true;
    return false;
}

/* Whether the listener can know the subject by what it has. */
static bool can_be_known(const struct explanation *e, const struct listener *listener)
{
    bool by_certificate = explain_listener_by_certificate(listener);

    if (e->subject->kind == EXPLAIN_CLIENT)
        return client_has(e, by_certificate);
    return by_certificate == e->subject->identity.has_certificate;
}

static bool certificate_is_good(const struct explanation *e, struct explain_listener *entry)
{
    if (e->subject->kind != EXPLAIN_CERTIFICATE ||
        certificate_verify_file(e->subject->name, entry->listener->material, e->subject->wall_ns, entry->why,
                                sizeof entry->why) == 0)
        return true;
    entry->refusal = CLOSE_TLS_BAD_CERTIFICATE;
    return false;
}

static int judge_upstreams(const struct explanation *e, struct explain_listener *entry, const struct decision *decision)
{
    const struct snapshot *snapshot = e->snapshot;
    uint32_t count = entry->pool->place_count;

    entry->upstreams = calloc(count + (size_t)1, sizeof *entry->upstreams);
    if (entry->upstreams == NULL)
        return WEIR_ENOMEM;
    entry->upstream_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct explain_upstream *upstream = &entry->upstreams[i];
        upstream->upstream = &snapshot->upstreams[entry->pool->places[i].upstream];
        upstream->allowed = policy_allows(snapshot, e->client, entry->listener->pool, i, &upstream->rule);
        assert(upstream->allowed == decision_allows(decision, i));
    }
    return 0;
}

static int explain_listener(const struct explanation *e, uint32_t listener, struct explain_listener *entry)
{
    struct decision decision;

    entry->listener = &e->snapshot->listeners[listener];
    entry->pool = &e->snapshot->pools[entry->listener->pool];
    if (!can_be_known(e, entry->listener)) {
        say_who(e, entry);
        return 0;
    }
    if (!certificate_is_good(e, entry))
        return 0;
    if (e->client == ANY_INDEX)
        decide(e->snapshot, listener, &e->subject->identity, &decision);
    else
        decide_client(e->snapshot, listener, e->client, &decision);
    entry->refusal = decision.refusal;
    entry->accepted = decision.refusal == CLOSE_NONE;
    if (!entry->accepted)
        snprintf(entry->why, sizeof entry->why, "%s", close_reason_sentence(decision.refusal));
    return judge_upstreams(e, entry, &decision);
}

static int explain_listeners(struct explanation *e, uint32_t only)
{
    uint32_t first = only == ANY_INDEX ? 0 : only;
    int err = 0;

    e->listener_count = only == ANY_INDEX ? e->snapshot->listener_count : 1;
    e->listeners = calloc(e->listener_count + (size_t)1, sizeof *e->listeners);
    if (e->listeners == NULL)
        return WEIR_ENOMEM;
    for (uint32_t i = 0; err == 0 && i < e->listener_count; i++)
        err = explain_listener(e, first + i, &e->listeners[i]);
    return err;
}

/* Who the subject is. */
static int explain_client(struct explanation *e)
{
    const struct explain_subject *subject = e->subject;
    struct decision decision;
    int err;

    if (subject->kind == EXPLAIN_CLIENT) {
        e->client = subject->client;
        decide_client(e->snapshot, 0, e->client, &decision);
        err = client_identities(e);
    } else {
        e->client = client_of_identity(e->snapshot, &subject->identity);
        decide(e->snapshot, 0, &subject->identity, &decision);
        err = subject->kind == EXPLAIN_CERTIFICATE ? certificate_identities(e) : address_matches(e);
    }
    e->limits = decision.limits;
    e->name = printable("", decision.name, decision.name_size);
    return err != 0 || e->name != NULL ? err : WEIR_ENOMEM;
}

int explain(const struct snapshot *snapshot, const struct explain_subject *subject, uint32_t listener,
            struct explanation **ret_explanation)
{
    struct explanation *e = calloc(1, sizeof *e);

    if (e == NULL)
        return WEIR_ENOMEM;
    e->snapshot = snapshot;
    e->subject = subject;
    int err = explain_client(e);
    if (err == 0)
        err = explain_listeners(e, listener);
    if (err != 0)
        explanation_free(&e);
    else
        *ret_explanation = e;
    return err;
}

static void free_identities(struct explain_identity *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(list[i].text);
    free(list);
}

void explanation_free(struct explanation **pexplanation)
{
    struct explanation *e = *pexplanation;

    if (e == NULL)
        return;
    free_identities(e->identities, e->identity_count);
    free_identities(e->matches, e->match_count);
    for (uint32_t i = 0; e->listeners != NULL && i < e->listener_count; i++)
        free(e->listeners[i].upstreams);
    free(e->listeners);
    free(e->name);
    free(e);
    *pexplanation = NULL;
}

char *explain_rate(const struct weir_limits *limits, char text[32])
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = { { "s", NS_PER_S }, { "m", NS_PER_MINUTE }, { "h", NS_PER_HOUR } };
    uint64_t period = limits->rate_period_ns;

    text[0] = '\0';
    for (size_t i = 0; period != 0 && i < sizeof units / sizeof units[0]; i++) {
        uint64_t number = (units[i].ns + period / 2) / period;
        snprintf(text, 32, "%" PRIu64 "/%s", number, units[i].name);
        if (number > 0 && (units[i].ns + number / 2) / number == period)
            break;
    }
    return text;
}
