/* SPDX-License-Identifier: Apache-2.0 */
#include "explain_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "options.h"

#define LABEL_WIDTH 12

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static bool is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static bool is_kind(const json_t *e, const char *kind)
{
    return strcmp(text_of(e, "kind"), kind) == 0;
}

/* A label for the first line of a paragraph only. */
static const char *print_label(const char *label)
{
    printf("%s%-*s%s", cli_bold(stdout), LABEL_WIDTH, label, cli_plain(stdout));
    return "";
}

/* "weir.yaml:12:5" without the column. */
static void print_place(const char *at)
{
    const char *column = strrchr(at, ':');

    printf("%.*s", column == NULL ? (int)strlen(at) : (int)(column - at), at);
}

static void print_identities(const json_t *e)
{
    const json_t *identities = json_object_get(e, "identities"), *places = json_object_get(e, "identities_at");
    const char *label = "identities";
    int width = 0;
    size_t i;
    json_t *identity;

    json_array_foreach(identities, i, identity) if ((int)json_string_length(identity) > width) width =
        (int)json_string_length(identity);
    json_array_foreach(identities, i, identity)
    {
        const char *at = json_string_value(json_array_get(places, i));
        label = print_label(label);
        printf("%-*s", at == NULL ? 0 : width + 2, json_string_value(identity));
        if (at != NULL)
            print_place(at);
        printf("\n");
    }
}

static void print_match(const json_t *match)
{
    printf("%s, by %s (", text_of(match, "client"), text_of(match, "identity"));
    print_place(text_of(match, "at"));
    printf(")");
}

static void print_matches(const json_t *e)
{
    const char *why = is_kind(e, "address") ? "the longest prefix wins" : "it stands later in the file";
    const json_t *matches = json_object_get(e, "matches");
    size_t i;
    json_t *match;

    print_match(json_array_get(matches, 0));
    printf("\n");
    json_array_foreach(matches, i, match)
    {
        if (is_true(match, "chosen"))
            continue;
        print_label("");
        printf("not ");
        print_match(match);
        printf(": %s\n", why);
    }
}

static void print_client(const json_t *e)
{
    const json_t *client = json_object_get(e, "client");

    if (is_kind(e, "client"))
        return;
    print_label("client");
    if (is_true(client, "configured")) {
        print_matches(e);
        return;
    }
    printf("unknown: no client has %s\n", is_kind(e, "address") ? "a network that holds it" : "one of its identities");
    print_label("");
    if (is_true(client, "let_in"))
        printf("it goes by its own name, %s\n", text_of(client, "name"));
    else
        printf("no rule for \"*\" lets unknown clients in\n");
}

static void print_limits(const json_t *e)
{
    const json_t *limits = json_object_get(e, "limits"),
                 *active = json_object_get(json_object_get(e, "client"), "active");
    long long connections = json_integer_value(json_object_get(limits, "connections"));
    const char *rate = text_of(limits, "rate");

    print_label("limits");
    if (connections != 0)
        printf("%lld connection%s at once", connections, connections == 1 ? "" : "s");
    if (rate[0] != '\0')
        printf("%snew ones at %s, %lld in a burst", connections != 0 ? "; " : "", rate,
               json_integer_value(json_object_get(limits, "burst")));
    printf("%s", connections == 0 && rate[0] == '\0' ? "none" : "");
    if (active != NULL)
        printf("; %lld now", json_integer_value(active));
    printf("\n");
}

/* What is known of the running balancer only. */
static void print_live(const json_t *upstream)
{
    const json_t *active = json_object_get(upstream, "active");

    if (active != NULL)
        printf("  %s, %s, %lld active", text_of(upstream, "state"), text_of(upstream, "health"),
               json_integer_value(active));
}

static void print_upstream(const char *pool, const json_t *upstream, int width)
{
    bool allowed = is_true(upstream, "allowed");
    const char *rule = text_of(upstream, "rule");
    int used = printf("  %s/%s", pool, text_of(upstream, "name"));

    printf("%*s  %-7s  ", width - used, "", allowed ? "allowed" : "denied");
    if (rule[0] != '\0')
        print_place(rule);
    else
        printf("%s", allowed ? "there is no policy" : "no rule allows it");
    print_live(upstream);
    printf("\n");
}

static void print_listener(const json_t *listener)
{
    const char *pool = text_of(listener, "pool"), *reason = text_of(listener, "reason");
    const json_t *upstreams = json_object_get(listener, "upstreams");
    int width = 0;
    size_t i;
    json_t *upstream;

    printf("\n%slistener %s%s at %s, clients by %s, to pool %s\n", cli_bold(stdout), text_of(listener, "name"),
           cli_plain(stdout), text_of(listener, "address"), text_of(listener, "clients_by"), pool);
    if (!is_true(listener, "accepted") && reason[0] == '\0')
        printf("  not here: %s\n", text_of(listener, "why"));
    else if (!is_true(listener, "accepted"))
        printf("  refused (%s): %s\n", reason, text_of(listener, "why"));
    json_array_foreach(upstreams, i, upstream)
    {
        int used = 3 + (int)strlen(pool) + (int)strlen(text_of(upstream, "name"));
        width = used > width ? used : width;
    }
    json_array_foreach(upstreams, i, upstream) print_upstream(pool, upstream, width);
}

void explain_print(const json_t *e)
{
    const json_t *listeners = json_object_get(e, "listeners");
    size_t i;
    json_t *listener;

    printf("%s%s%s is %s %s", cli_bold(stdout), text_of(e, "subject"), cli_plain(stdout),
           is_kind(e, "address") ? "an" : "a", text_of(e, "kind"));
    if (is_kind(e, "client")) {
        printf(" (");
        print_place(text_of(json_object_get(e, "client"), "at"));
        printf(")");
    }
    printf("\n\n");
    print_identities(e);
    print_client(e);
    print_limits(e);
    json_array_foreach(listeners, i, listener) print_listener(listener);
}
