/* SPDX-License-Identifier: Apache-2.0 */
#include "explain_text.h"

#include <stdio.h>
#include <string.h>

#include "options.h"

#define LABEL_WIDTH 12

/* A label for the first line of a paragraph only. */
static const char *print_label(const char *label)
{
    printf("%s%-*s%s", cli_bold(stdout), LABEL_WIDTH, label, cli_plain(stdout));
    return "";
}

static void print_place(const struct explanation *e, struct position at)
{
    printf("%s:%u", e->snapshot->path, at.line);
}

static void print_identities(const struct explanation *e)
{
    const char *label = "identities";
    int width = 0;

    for (uint32_t i = 0; i < e->identity_count; i++)
        if ((int)strlen(e->identities[i].text) > width)
            width = (int)strlen(e->identities[i].text);
    for (uint32_t i = 0; i < e->identity_count; i++) {
        const struct explain_identity *identity = &e->identities[i];
        label = print_label(label);
        printf("%-*s", identity->at.line == 0 ? 0 : width + 2, identity->text);
        if (identity->at.line != 0)
            print_place(e, identity->at);
        printf("\n");
    }
}

static void print_match(const struct explanation *e, const struct explain_identity *match)
{
    printf("%s, by %s (", e->snapshot->clients[match->client].name, match->text);
    print_place(e, match->at);
    printf(")");
}

static void print_others(const struct explanation *e)
{
    const char *why = e->subject->kind == EXPLAIN_ADDRESS ? "the longest prefix wins" : "it stands later in the file";

    for (uint32_t i = 0; i < e->match_count; i++) {
        if (e->matches[i].client == e->client)
            continue;
        print_label("");
        printf("not ");
        print_match(e, &e->matches[i]);
        printf(": %s\n", why);
    }
}

static void print_client(const struct explanation *e)
{
    if (e->subject->kind == EXPLAIN_CLIENT)
        return;
    print_label("client");
    if (e->client != ANY_INDEX) {
        print_match(e, &e->matches[0]);
        printf("\n");
        print_others(e);
        return;
    }
    printf("unknown: no client has %s\n",
           e->subject->kind == EXPLAIN_ADDRESS ? "a network that holds it" : "one of its identities");
    print_label("");
    if (e->snapshot->unknown_let_in)
        printf("it goes by its own name, %s\n", e->name);
    else
        printf("no rule for \"*\" lets unknown clients in\n");
}

static void print_limits(const struct explanation *e)
{
    const struct weir_limits *limits = e->limits;
    char rate[32];

    print_label("limits");
    if (limits->connections != 0)
        printf("%u connection%s at once", limits->connections, limits->connections == 1 ? "" : "s");
    if (limits->rate_period_ns != 0)
        printf("%snew ones at %s, %u in a burst", limits->connections != 0 ? "; " : "", explain_rate(limits, rate),
               limits->burst);
    printf("%s\n", limits->connections == 0 && limits->rate_period_ns == 0 ? "none" : "");
}

static void print_upstream(const struct explanation *e, const struct explain_listener *entry,
                           const struct explain_upstream *upstream, int width)
{
    int used = printf("  %s/%s", entry->pool->name, upstream->upstream->name);

    printf("%*s  %-7s  ", width - used, "", upstream->allowed ? "allowed" : "denied");
    if (upstream->rule != NULL)
        print_place(e, upstream->rule->at);
    else
        printf("%s", upstream->allowed ? "there is no policy" : "no rule allows it");
    printf("\n");
}

static void print_listener(const struct explanation *e, const struct explain_listener *entry)
{
    char address[WEIR_ADDRESS_TEXT_MAX];
    int width = 0;

    printf("\n%slistener %s%s at %s, clients by %s, to pool %s\n", cli_bold(stdout), entry->listener->name,
           cli_plain(stdout), weir_address_format(&entry->listener->address, address, sizeof address),
           explain_listener_by_certificate(entry->listener) ? "certificate" : "address", entry->pool->name);
    if (!entry->accepted && entry->refusal == CLOSE_NONE)
        printf("  not here: %s\n", entry->why);
    else if (!entry->accepted)
        printf("  refused (%s): %s\n", close_reason_label(entry->refusal), entry->why);
    for (uint32_t i = 0; i < entry->upstream_count; i++) {
        int used = 3 + (int)strlen(entry->pool->name) + (int)strlen(entry->upstreams[i].upstream->name);
        width = used > width ? used : width;
    }
    for (uint32_t i = 0; i < entry->upstream_count; i++)
        print_upstream(e, entry, &entry->upstreams[i], width);
}

void explain_print(const struct explanation *e)
{
    static const char *const kinds[] = {
        [EXPLAIN_CLIENT] = "a client",
        [EXPLAIN_CERTIFICATE] = "a certificate",
        [EXPLAIN_ADDRESS] = "an address",
    };

    printf("%s%s%s is %s", cli_bold(stdout), e->subject->name, cli_plain(stdout), kinds[e->subject->kind]);
    if (e->subject->kind == EXPLAIN_CLIENT) {
        printf(" (");
        print_place(e, e->snapshot->clients[e->client].at);
        printf(")");
    }
    printf("\n\n");
    print_identities(e);
    print_client(e);
    print_limits(e);
    for (uint32_t i = 0; i < e->listener_count; i++)
        print_listener(e, &e->listeners[i]);
}
