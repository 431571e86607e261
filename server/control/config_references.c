/* SPDX-License-Identifier: Apache-2.0 */
#include "config_parts.h"

#include <string.h>

#include "../base/suggest.h"

void refuse_taken(struct reader *reader, const char *kind, const char *name, struct position at, uint32_t line)
{
    report_add(reader->report, at, "the name \"%s\" is that of the %s on line %u; choose another one", name, kind,
               line);
}

/* "unknown pool "wbe"; did you mean "web"?"; `near` may be NULL. */
static void refuse_unknown(struct reader *reader, const char *kind, const char *name, struct position at,
                           const char *near)
{
    if (near != NULL)
        report_add(reader->report, at, "unknown %s %s; did you mean \"%s\"?", kind, quote(name).text, near);
    else
        report_add(reader->report, at, "unknown %s %s; write the name of one that this file defines", kind,
                   quote(name).text);
}

uint32_t find_pool(struct reader *reader, const struct node *node, const char *name)
{
    const struct snapshot *snapshot = reader->snapshot;
    uint32_t found = index_find(&reader->pools, 0, name, strlen(name));

    if (found != INDEX_NONE || reader->pools_incomplete || !report_wants(reader->report, node->at))
        return found;
    struct suggestion suggestion = suggest_for(name);
    for (uint32_t i = 0; i < snapshot->pool_count; i++)
        suggest_offer(&suggestion, snapshot->pools[i].name);
    refuse_unknown(reader, "pool", name, node->at, suggestion.best);
    return ANY_INDEX;
}

uint32_t find_client(struct reader *reader, const struct node *node, const char *name)
{
    const struct snapshot *snapshot = reader->snapshot;
    uint32_t found = index_find(&reader->clients, 0, name, strlen(name));

    if (found != INDEX_NONE || reader->clients_incomplete || !report_wants(reader->report, node->at))
        return found;
    struct suggestion suggestion = suggest_for(name);
    for (uint32_t i = 0; i < snapshot->client_count; i++)
        suggest_offer(&suggestion, snapshot->clients[i].name);
    refuse_unknown(reader, "client", name, node->at, suggestion.best);
    return ANY_INDEX;
}

/* An upstream of the pool that `target` has already. */
static bool find_place(struct reader *reader, const struct node *node, const char *name, struct target *target)
{
    const struct snapshot *snapshot = reader->snapshot;
    const struct pool *pool = &snapshot->pools[target->pool];

    target->place = index_find(&reader->places, target->pool, name, strlen(name));
    if (target->place != INDEX_NONE)
        return true;
    if (reader->places_incomplete || !report_wants(reader->report, node->at))
        return false;
    struct suggestion suggestion = suggest_for(name);
    for (uint32_t i = 0; i < pool->place_count; i++)
        if (pool->places[i].upstream != ANY_INDEX)
            suggest_offer(&suggestion, snapshot->upstreams[pool->places[i].upstream].name);
    if (suggestion.best != NULL)
        report_add(reader->report, node->at, "pool \"%s\" has no upstream %s; did you mean \"%s/%s\"?", pool->name,
                   quote(name).text, pool->name, suggestion.best);
    else
        report_add(reader->report, node->at, "pool \"%s\" has no upstream %s; write one of its upstreams", pool->name,
                   quote(name).text);
    return false;
}

bool find_target(struct reader *reader, const struct node *node, const char *text, struct target *ret_target)
{
    const char *slash = strchr(text, '/');
    char *pool = arena_copy(&reader->arena, text, slash == NULL ? strlen(text) : (size_t)(slash - text));
    struct target target = { .place = ANY_INDEX };

    if (pool == NULL) {
        reader->report->out_of_memory = true;
        return false;
    }
    target.pool = find_pool(reader, node, pool);
    if (target.pool == ANY_INDEX || (slash != NULL && !find_place(reader, node, slash + 1, &target)))
        return false;
    *ret_target = target;
    return true;
}
