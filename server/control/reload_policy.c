/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "config_report.h"
#include "reload_changes.h"

/* Told one by one; clients share what they may reach, and most reloads change little. */
#define TOLD_MAX 20
/* Places compared in one reload, all clients together: more would take its time. */
#define COMPARED_MAX 2000000

/* A pool that both configurations have. */
struct common_pool {
    uint32_t before, after;
    uint32_t *places; /* of `after`, by place of `before`; ANY_INDEX: it has none for it */
    uint8_t *has;     /* by place of `after`, while two sets are compared: whether it is in the new one */
};

struct comparison {
    const struct snapshot *before, *after;
    struct config_errors *changes;
    struct common_pool *pools;
    uint32_t pool_count;
    uint32_t told, left_out, compared;
};

/* What both have */

static const char *upstream_name(const struct snapshot *snapshot, uint32_t pool, uint32_t place)
{
    return snapshot->upstreams[snapshot->pools[pool].places[place].upstream].name;
}

struct named {
    const char *name;
    uint32_t index;
};

static int compare_named(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static uint32_t find_named(const struct named *list, uint32_t count, const char *name)
{
    const struct named key = { .name = name };
    const struct named *found = count == 0 ? NULL : bsearch(&key, list, count, sizeof *list, compare_named);
    return found == NULL ? ANY_INDEX : found->index;
}

static int match_places(const struct comparison *comparison, struct common_pool *common)
{
    const struct pool *before = &comparison->before->pools[common->before];
    const struct pool *after = &comparison->after->pools[common->after];
    struct named *names = calloc(after->place_count + (size_t)1, sizeof *names);
    common->places = calloc(before->place_count + (size_t)1, sizeof *common->places);
    common->has = calloc(after->place_count + (size_t)1, sizeof *common->has);
    if (names == NULL || common->places == NULL || common->has == NULL) {
        free(names);
        return WEIR_ENOMEM;
    }
    for (uint32_t n = 0; n < after->place_count; n++)
        names[n] = (struct named){ upstream_name(comparison->after, common->after, n), n };
    qsort(names, after->place_count, sizeof *names, compare_named);
    for (uint32_t n = 0; n < before->place_count; n++)
        common->places[n] = find_named(names, after->place_count, upstream_name(comparison->before, common->before, n));
    free(names);
    return 0;
}

static int match_pools(struct comparison *comparison)
{
    const struct snapshot *before = comparison->before, *after = comparison->after;
    int err = 0;
    for (uint32_t old = 0; err == 0 && old < before->pool_count; old++)
        for (uint32_t new = 0; err == 0 && new < after->pool_count; new ++) {
            if (strcmp(before->pools[old].name, after->pools[new].name) != 0)
                continue;
            struct common_pool *common = &comparison->pools[comparison->pool_count++];
            *common = (struct common_pool){ .before = old, .after = new };
            err = match_places(comparison, common);
        }
    return err;
}

/* Differences */

static int tell(struct comparison *comparison, const char *client, bool gains, const char *pool, const char *upstream)
{
    if (comparison->told == TOLD_MAX) {
        comparison->left_out++;
        return 0;
    }
    comparison->told++;
    return config_errors_add(comparison->changes, "policy: %s %s %s%s%s", client, gains ? "gains" : "loses", pool,
                             upstream == NULL ? "" : "/", upstream == NULL ? "" : upstream);
}

/* A set's places ascend, and so do those that are asked for: `next` goes along. */
static bool reaches(const struct weir_set *set, uint32_t place, uint32_t *next)
{
    while (set != NULL && *next < weir_set_count(set) && weir_set_place(set, *next) < place)
        (*next)++;
    return set != NULL && *next < weir_set_count(set) && weir_set_place(set, *next) == place;
}

static void mark(struct common_pool *common, const struct weir_set *set, bool on)
{
    for (uint32_t n = 0; set != NULL && n < weir_set_count(set); n++)
        common->has[weir_set_place(set, n)] = on;
}

static bool is_whole(const struct weir_set *set)
{
    return set != NULL && weir_set_count(set) == weir_pool_count(weir_set_pool(set));
}

/* Nothing, or everything, before and after: most sets need no closer look. */
static bool is_same_at_once(const struct weir_set *old, const struct weir_set *new)
{
    return (old == NULL && new == NULL) || (is_whole(old) && is_whole(new));
}

struct counts {
    uint32_t common, gained, lost;
};

static struct counts count_differences(const struct comparison *comparison, const struct common_pool *common,
                                       const struct weir_set *old)
{
    struct counts counts = { 0 };
    uint32_t next = 0;
    for (uint32_t n = 0; n < comparison->before->pools[common->before].place_count; n++) {
        if (common->places[n] == ANY_INDEX)
            continue;
        bool had = reaches(old, n, &next), has = common->has[common->places[n]];
        counts.common++;
        counts.gained += !had && has;
        counts.lost += had && !has;
    }
    return counts;
}

static int tell_places(struct comparison *comparison, const char *client, const struct common_pool *common,
                       const struct weir_set *old)
{
    const struct pool *pool = &comparison->before->pools[common->before];
    uint32_t next = 0;
    int err = 0;
    for (uint32_t n = 0; err == 0 && n < pool->place_count; n++) {
        if (common->places[n] == ANY_INDEX)
            continue;
        bool had = reaches(old, n, &next), has = common->has[common->places[n]];
        if (had != has)
            err = tell(comparison, client, has, pool->name, upstream_name(comparison->before, common->before, n));
    }
    return err;
}

static int tell_differences(struct comparison *comparison, const char *client, const struct common_pool *common,
                            const struct weir_set *old)
{
    struct counts counts = count_differences(comparison, common, old);
    if (counts.gained == 0 && counts.lost == 0)
        return 0;
    if (counts.gained == counts.common || counts.lost == counts.common)
        return tell(comparison, client, counts.gained > 0, comparison->before->pools[common->before].name, NULL);
    return tell_places(comparison, client, common, old);
}

static int compare_sets(struct comparison *comparison, const char *client, uint32_t pool, const struct reach *before,
                        const struct reach *after)
{
    struct common_pool *common = &comparison->pools[pool];
    const struct weir_set *old = before->sets[common->before], *new = after->sets[common->after];
    if (is_same_at_once(old, new) || comparison->compared > COMPARED_MAX)
        return 0;
    comparison->compared += comparison->before->pools[common->before].place_count;
    mark(common, new, true);
    int err = tell_differences(comparison, client, common, old);
    mark(common, new, false);
    return err;
}

static int compare_reach(struct comparison *comparison, const char *client, const struct reach *old,
                         const struct reach *new)
{
    int err = 0;
    for (uint32_t n = 0; err == 0 && n < comparison->pool_count; n++)
        err = compare_sets(comparison, client, n, old, new);
    return err;
}

static int compare_clients(struct comparison *comparison)
{
    const struct snapshot *before = comparison->before, *after = comparison->after;
    struct named *names = calloc(after->client_count + (size_t)1, sizeof *names);
    int err = names == NULL ? WEIR_ENOMEM : 0;
    for (uint32_t n = 0; names != NULL && n < after->client_count; n++)
        names[n] = (struct named){ after->clients[n].name, n };
    if (names != NULL && after->client_count > 1)
        qsort(names, after->client_count, sizeof *names, compare_named);
    for (uint32_t n = 0; err == 0 && n < before->client_count; n++) {
        uint32_t other = find_named(names, after->client_count, before->clients[n].name);
        if (other != ANY_INDEX)
            err = compare_reach(comparison, before->clients[n].name, &before->client_reach[n],
                                &after->client_reach[other]);
    }
    free(names);
    return err == 0 ? compare_reach(comparison, "an unknown client", &before->unknown_reach, &after->unknown_reach)
                    : err;
}

static int tell_rest(const struct comparison *comparison)
{
    if (comparison->compared > COMPARED_MAX)
        return config_errors_add(comparison->changes, "policy: more may have changed than is told here");
    if (comparison->left_out == 0)
        return 0;
    return config_errors_add(comparison->changes, "policy: %" PRIu32 " more changes", comparison->left_out);
}

/* Where the rules say the same, nobody gains or loses anything that was there before. */

static bool is_same_target(const struct snapshot *before, const struct target *old, const struct snapshot *after,
                           const struct target *new)
{
    if (strcmp(before->pools[old->pool].name, after->pools[new->pool].name) != 0)
        return false;
    if (old->place == ANY_INDEX || new->place == ANY_INDEX)
        return old->place == new->place;
    return strcmp(upstream_name(before, old->pool, old->place), upstream_name(after, new->pool, new->place)) == 0;
}

static bool is_same_rule(const struct snapshot *before, const struct rule *old, const struct snapshot *after,
                         const struct rule *new)
{
    bool same = old->allow == new->allow && old->any_client == new->any_client &&
                old->client_count == new->client_count && old->target_count == new->target_count;
    for (uint32_t n = 0; same && n < old->client_count; n++)
        same = strcmp(before->clients[old->clients[n]].name, after->clients[new->clients[n]].name) == 0;
    for (uint32_t n = 0; same && n < old->target_count; n++)
        same = is_same_target(before, &old->targets[n], after, &new->targets[n]);
    return same;
}

static bool is_same_policy(const struct snapshot *before, const struct snapshot *after)
{
    bool same = before->has_policy == after->has_policy && before->rule_count == after->rule_count;
    for (uint32_t n = 0; same && n < before->rule_count; n++)
        same = is_same_rule(before, &before->rules[n], after, &after->rules[n]);
    return same;
}

int reload_policy_changes(const struct snapshot *before, const struct snapshot *after, struct config_errors *changes)
{
    struct comparison comparison = { .before = before, .after = after, .changes = changes };
    struct common_pool *pools = NULL;
    if (is_same_policy(before, after))
        return 0;
    comparison.pools = pools = calloc(before->pool_count + (size_t)1, sizeof *pools);
    if (pools == NULL)
        return WEIR_ENOMEM;
    int err = match_pools(&comparison);
    if (err == 0)
        err = compare_clients(&comparison);
    if (err == 0)
        err = tell_rest(&comparison);
    for (uint32_t n = 0; n < comparison.pool_count; n++) {
        free(pools[n].places);
        free(pools[n].has);
    }
    free(pools);
    return err;
}
