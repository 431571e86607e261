/* SPDX-License-Identifier: Apache-2.0 */
#include "reach.h"

#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "interned.h"

/* One target of one rule. */
struct grant {
    uint32_t pool;
    uint32_t rule;
    uint32_t place; /* ANY_INDEX: the whole pool */
    bool allow;
};

struct grants {
    struct grant *list; /* sorted by pool, then rule */
    uint32_t count;
    uint32_t capacity;
};

enum { MARK_ALLOWED = 1, MARK_DENIED = 2 };

struct resolver {
    struct snapshot *snapshot;
    struct interned interned;
    struct grants everybody; /* of the rules for "*" */
    struct grants own;       /* of the rules that name the clients that are looked at */
    uint32_t *client_rules;  /* those that name client c: from client_first[c] up to client_first[c + 1], ascending */
    uint32_t *client_first;
    struct weir_set **whole; /* by pool: the set of all its places, once it was needed */
    uint8_t *marks;          /* by place of the pool that is looked at; zero in between */
    uint32_t *places;        /* of that pool: those in question, then those allowed */
    uint32_t place_count;
};

/* Rules by client */

static int index_rules(struct resolver *resolver)
{
    const struct snapshot *snapshot = resolver->snapshot;
    size_t pairs = 0;
    for (uint32_t i = 0; i < snapshot->rule_count; i++)
        pairs += snapshot->rules[i].client_count;
    resolver->client_rules = calloc(pairs + 1, sizeof *resolver->client_rules);
    resolver->client_first = calloc(snapshot->client_count + (size_t)2, sizeof *resolver->client_first);
    if (resolver->client_rules == NULL || resolver->client_first == NULL)
        return WEIR_ENOMEM;

    /* Counted two further on and filled one further on, every entry ends up where its client's rules begin. */
    uint32_t *first = resolver->client_first;
    for (uint32_t i = 0; i < snapshot->rule_count; i++) {
        for (uint32_t j = 0; j < snapshot->rules[i].client_count; j++)
            first[snapshot->rules[i].clients[j] + 2]++;
    }
    for (uint32_t i = 2; i < snapshot->client_count + 2; i++)
        first[i] += first[i - 1];
    for (uint32_t i = 0; i < snapshot->rule_count; i++) {
        for (uint32_t j = 0; j < snapshot->rules[i].client_count; j++)
            resolver->client_rules[first[snapshot->rules[i].clients[j] + 1]++] = i;
    }
    return 0;
}

static uint32_t rules_of(const struct resolver *resolver, uint32_t client, const uint32_t **ret_rules)
{
    *ret_rules = resolver->client_rules + resolver->client_first[client];
    return resolver->client_first[client + 1] - resolver->client_first[client];
}

static int compare_rules(const void *a, const void *b, void *context)
{
    const struct resolver *resolver = context;
    const uint32_t *x, *y;
    uint32_t x_count = rules_of(resolver, *(const uint32_t *)a, &x);
    uint32_t y_count = rules_of(resolver, *(const uint32_t *)b, &y);
    if (x_count != y_count)
        return x_count < y_count ? -1 : 1;
    for (uint32_t i = 0; i < x_count; i++) {
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}

/* Grants */

static int grants_add(struct grants *grants, const struct rule *rule, uint32_t index)
{
    uint32_t count = grants->count + rule->target_count;
    if (count > grants->capacity) {
        struct grant *list = realloc(grants->list, 2 * (size_t)count * sizeof *list);
        if (list == NULL)
            return WEIR_ENOMEM;
        grants->list = list;
        grants->capacity = 2 * count;
    }
    for (uint32_t i = 0; i < rule->target_count; i++)
        grants->list[grants->count++] =
            (struct grant){ rule->targets[i].pool, index, rule->targets[i].place, rule->allow };
    return 0;
}

static int compare_grants(const void *a, const void *b)
{
    const struct grant *x = a, *y = b;
    if (x->pool != y->pool)
        return x->pool < y->pool ? -1 : 1;
    return (x->rule > y->rule) - (x->rule < y->rule);
}

static void grants_sort(struct grants *grants)
{
    if (grants->count > 1)
        qsort(grants->list, grants->count, sizeof *grants->list, compare_grants);
}

/* Those for one pool, from *next on, which is moved behind them. */
static struct grants grants_for(const struct grants *grants, uint32_t pool, uint32_t *next)
{
    while (*next < grants->count && grants->list[*next].pool < pool)
        (*next)++;
    struct grants part = { .list = grants->count == 0 ? NULL : grants->list + *next };
    while (*next < grants->count && grants->list[*next].pool == pool) {
        (*next)++;
        part.count++;
    }
    return part;
}

/* One pool for one class of clients */

struct whole {
    bool allowed, denied; /* the whole pool */
    bool exceptions;      /* single places are denied */
};

static void mark(struct resolver *resolver, const struct grants *grants, struct whole *whole)
{
    for (uint32_t i = 0; i < grants->count; i++) {
        const struct grant *grant = &grants->list[i];
        if (grant->place == ANY_INDEX) {
            *(grant->allow ? &whole->allowed : &whole->denied) = true;
            continue;
        }
        if (resolver->marks[grant->place] == 0)
            resolver->places[resolver->place_count++] = grant->place;
        resolver->marks[grant->place] |= grant->allow ? MARK_ALLOWED : MARK_DENIED;
        whole->exceptions = whole->exceptions || !grant->allow;
    }
}

/* The first of these rules that allows something which no rule denies. */
static uint32_t first_rule(const struct resolver *resolver, const struct grants *grants)
{
    for (uint32_t i = 0; i < grants->count; i++) {
        const struct grant *grant = &grants->list[i];
        if (grant->allow && (grant->place == ANY_INDEX || resolver->marks[grant->place] == MARK_ALLOWED))
            return grant->rule;
    }
    return ANY_INDEX;
}

static int compare_places(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Turns the places in question into those that are allowed, ascending. */
static void keep_allowed(struct resolver *resolver, uint32_t pool_places, bool whole)
{
    uint32_t kept = 0, candidates = whole ? pool_places : resolver->place_count;
    for (uint32_t i = 0; i < candidates; i++) {
        uint32_t place = whole ? i : resolver->places[i];
        if ((resolver->marks[place] & MARK_DENIED) == 0)
            resolver->places[kept++] = place;
    }
    resolver->place_count = kept;
    if (!whole && kept > 1)
        qsort(resolver->places, kept, sizeof *resolver->places, compare_places);
}

static int whole_set(struct resolver *resolver, uint32_t pool, struct weir_set **ret_set)
{
    uint32_t count = resolver->snapshot->pools[pool].place_count;
    struct weir_set **whole = &resolver->whole[pool];
    for (uint32_t i = 0; *whole == NULL && i < count; i++)
        resolver->places[i] = i;
    int err = *whole != NULL
                  ? 0
                  : interned_set(&resolver->interned, resolver->snapshot, pool, resolver->places, count, whole);
    if (err == 0)
        *ret_set = *whole;
    return err;
}

/* *ret_set stays NULL when nothing is allowed. */
static int allowed_set(struct resolver *resolver, uint32_t pool, const struct whole *whole, struct weir_set **ret_set)
{
    if (whole->denied)
        return 0;
    if (whole->allowed && !whole->exceptions)
        return whole_set(resolver, pool, ret_set);
    keep_allowed(resolver, resolver->snapshot->pools[pool].place_count, whole->allowed);
    if (resolver->place_count == 0)
        return 0;
    return interned_set(&resolver->interned, resolver->snapshot, pool, resolver->places, resolver->place_count,
                        ret_set);
}

static void unmark(struct resolver *resolver, const struct grants *grants)
{
    for (uint32_t i = 0; i < grants->count; i++) {
        if (grants->list[i].place != ANY_INDEX)
            resolver->marks[grants->list[i].place] = 0;
    }
}

static int resolve_pool(struct resolver *resolver, uint32_t pool, const struct grants *everybody,
                        const struct grants *own, struct reach *reach)
{
    struct whole whole = { 0 };
    struct weir_set *set = NULL;
    resolver->place_count = 0;
    mark(resolver, everybody, &whole);
    mark(resolver, own, &whole);
    int err = allowed_set(resolver, pool, &whole, &set);
    if (err == 0) {
        uint32_t rule = first_rule(resolver, everybody), own_rule = first_rule(resolver, own);
        reach->sets[pool] = set;
        reach->rules[pool] = set == NULL ? ANY_INDEX : own_rule < rule ? own_rule : rule;
    }
    unmark(resolver, everybody);
    unmark(resolver, own);
    return err;
}

/* Classes of clients */

static int add_row(struct snapshot *snapshot, struct reach **ret_row)
{
    struct reach row = {
        .sets = calloc(snapshot->pool_count + (size_t)1, sizeof(struct weir_set *)),
        .rules = malloc((snapshot->pool_count + (size_t)1) * sizeof *row.rules),
    };
    if (row.sets == NULL || row.rules == NULL) {
        free(row.sets);
        free(row.rules);
        return WEIR_ENOMEM;
    }
    memset(row.rules, 0xff, snapshot->pool_count * sizeof *row.rules);
    *ret_row = &snapshot->rows[snapshot->row_count++];
    **ret_row = row;
    return 0;
}

/* What everybody may reach. */
static int resolve_unknown(struct resolver *resolver)
{
    struct snapshot *snapshot = resolver->snapshot;
    static const struct grants none;
    struct reach *row;
    uint32_t next = 0;
    int err = add_row(snapshot, &row);
    for (uint32_t i = 0; err == 0 && i < snapshot->rule_count; i++) {
        if (snapshot->rules[i].any_client)
            err = grants_add(&resolver->everybody, &snapshot->rules[i], i);
    }
    grants_sort(&resolver->everybody);
    for (uint32_t pool = 0; err == 0 && pool < snapshot->pool_count; pool++) {
        struct grants everybody = grants_for(&resolver->everybody, pool, &next);
        err = snapshot->has_policy ? resolve_pool(resolver, pool, &everybody, &none, row)
                                   : whole_set(resolver, pool, &row->sets[pool]);
        if (err == 0 && row->sets[pool] != NULL)
            snapshot->unknown_let_in = true;
    }
    if (err == 0)
        snapshot->unknown_reach = *row;
    return err;
}

/* What the clients that these rules name may reach: as everybody, but for the pools in the rules. */
static int resolve_class(struct resolver *resolver, const uint32_t *rules, uint32_t count, struct reach *ret_reach)
{
    struct snapshot *snapshot = resolver->snapshot;
    struct reach *row;
    int err = add_row(snapshot, &row);
    if (err != 0)
        return err;
    memcpy(row->sets, snapshot->unknown_reach.sets, snapshot->pool_count * sizeof(struct weir_set *));
    memcpy(row->rules, snapshot->unknown_reach.rules, snapshot->pool_count * sizeof *row->rules);
    resolver->own.count = 0;
    for (uint32_t i = 0; err == 0 && i < count; i++)
        err = grants_add(&resolver->own, &snapshot->rules[rules[i]], rules[i]);
    grants_sort(&resolver->own);
    for (uint32_t i = 0, next = 0; err == 0 && i < resolver->own.count;) {
        uint32_t pool = resolver->own.list[i].pool;
        struct grants own = grants_for(&resolver->own, pool, &i);
        struct grants everybody = grants_for(&resolver->everybody, pool, &next);
        err = resolve_pool(resolver, pool, &everybody, &own, row);
    }
    *ret_reach = *row;
    return err;
}

/* Clients that are named by the same rules share what they may reach. */
static int resolve_clients(struct resolver *resolver)
{
    struct snapshot *snapshot = resolver->snapshot;
    uint32_t *order = calloc(snapshot->client_count + (size_t)1, sizeof *order);
    int err = order == NULL ? WEIR_ENOMEM : index_rules(resolver);
    for (uint32_t i = 0; err == 0 && i < snapshot->client_count; i++)
        order[i] = i;
    if (err == 0)
        qsort_r(order, snapshot->client_count, sizeof *order, compare_rules, resolver);
    for (uint32_t i = 0; err == 0 && i < snapshot->client_count; i++) {
        struct reach *reach = &snapshot->client_reach[order[i]];
        const uint32_t *rules;
        uint32_t count = rules_of(resolver, order[i], &rules);
        if (count == 0)
            *reach = snapshot->unknown_reach;
        else if (i > 0 && compare_rules(&order[i], &order[i - 1], resolver) == 0)
            *reach = snapshot->client_reach[order[i - 1]];
        else
            err = resolve_class(resolver, rules, count, reach);
    }
    free(order);
    return err;
}

static int resolver_open(struct resolver *resolver)
{
    struct snapshot *snapshot = resolver->snapshot;
    uint32_t places = 1;
    for (uint32_t i = 0; i < snapshot->pool_count; i++) {
        if (snapshot->pools[i].place_count > places)
            places = snapshot->pools[i].place_count;
    }
    resolver->marks = calloc(places, sizeof *resolver->marks);
    resolver->places = calloc(places, sizeof *resolver->places);
    resolver->whole = calloc(snapshot->pool_count + (size_t)1, sizeof(struct weir_set *));
    snapshot->rows = calloc(snapshot->client_count + (size_t)1, sizeof *snapshot->rows);
    snapshot->client_reach = calloc(snapshot->client_count + (size_t)1, sizeof *snapshot->client_reach);
    bool complete = resolver->marks != NULL && resolver->places != NULL && resolver->whole != NULL &&
                    snapshot->rows != NULL && snapshot->client_reach != NULL;
    return complete ? 0 : WEIR_ENOMEM;
}

static void resolver_close(struct resolver *resolver)
{
    interned_free(&resolver->interned);
    free(resolver->everybody.list);
    free(resolver->own.list);
    free(resolver->client_rules);
    free(resolver->client_first);
    free(resolver->whole);
    free(resolver->marks);
    free(resolver->places);
}

int reach_bind(struct snapshot *snapshot)
{
    struct resolver resolver = { .snapshot = snapshot };
    int err = resolver_open(&resolver);
    if (err == 0)
        err = resolve_unknown(&resolver);
    if (err == 0)
        err = resolve_clients(&resolver);
    resolver_close(&resolver);
    return err;
}

void reach_free(struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->row_count; i++) {
        free(snapshot->rows[i].sets);
        free(snapshot->rows[i].rules);
    }
    free(snapshot->rows);
    free(snapshot->client_reach);
    for (uint32_t i = 0; i < snapshot->set_count; i++)
        weir_set_free(&snapshot->sets[i]);
    free(snapshot->sets);
}
