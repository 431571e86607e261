/* SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

const struct pool *reference_pool(const struct life *life)
{
    const struct snapshot *snapshot = life->world->snapshot;
    return &snapshot->pools[snapshot->listeners[life->listener].pool];
}

/* Who may reach what, by the words of the policy alone */

static bool concerns(const struct rule *rule, uint32_t caller)
{
    if (rule->any_client)
        return true;
    for (uint32_t n = 0; n < rule->client_count; n++)
        if (rule->clients[n] == caller)
            return true;
    return false;
}

static bool names(const struct rule *rule, uint32_t pool, uint32_t place)
{
    for (uint32_t n = 0; n < rule->target_count; n++)
        if (rule->targets[n].pool == pool && (rule->targets[n].place == ANY_INDEX || rule->targets[n].place == place))
            return true;
    return false;
}

bool reference_allows(const struct life *life, uint32_t place)
{
    const struct snapshot *snapshot = life->world->snapshot;
    uint32_t pool = snapshot->listeners[life->listener].pool;
    bool allowed = !snapshot->has_policy;
    for (uint32_t n = 0; n < snapshot->rule_count; n++) {
        const struct rule *rule = &snapshot->rules[n];
        if (!concerns(rule, life->caller) || !names(rule, pool, place))
            continue;
        if (!rule->allow)
            return false;
        allowed = true;
    }
    return allowed;
}

bool reference_allows_any(const struct life *life)
{
    for (uint32_t place = 0; place < reference_pool(life)->place_count; place++)
        if (reference_allows(life, place))
            return true;
    return false;
}

/* Choosing */

static bool was_tried(const struct life *life, uint32_t attempts, uint32_t upstream)
{
    if ((life->unreached & 1u << upstream) != 0)
        return true;
    for (uint32_t n = 0; n < attempts; n++)
        if (life->attempts[n].upstream == upstream)
            return true;
    return false;
}

uint32_t reference_active(const struct world *world, uint32_t upstream)
{
    return weir_upstreams_active(world->state.upstreams, world->snapshot->upstreams[upstream].id);
}

bool reference_available(const struct life *life, uint32_t attempts, uint32_t index, uint32_t active)
{
    const struct pool *pool = reference_pool(life);
    const struct place *place = &pool->places[index];
    const struct upstream *upstream = &life->world->snapshot->upstreams[place->upstream];
    bool full = upstream->max_connections != 0 && active >= upstream->max_connections;
    return reference_allows(life, index) && !was_tried(life, attempts, place->upstream) && !full &&
           weir_pool_health(pool->balancing, index) != WEIR_PLACE_DOWN &&
           life->world->hosts[place->upstream].state == WEIR_UPSTREAM_ENABLED;
}

bool reference_anything_available(const struct life *life)
{
    const struct pool *pool = reference_pool(life);
    for (uint32_t n = 0; n < pool->place_count; n++)
        if (reference_available(life, life->attempt_count, n, reference_active(life->world, pool->places[n].upstream)))
            return true;
    return false;
}

static uint32_t index_of(const struct world *world, const struct pool *pool)
{
    return (uint32_t)(pool - world->snapshot->pools);
}

/* In fractions; the balancer rounds. */
static long double slow_part(const struct world *world, uint32_t pool, uint32_t place)
{
    const struct known *known = &world->known[pool][place];
    uint64_t passed_ns = world->sim->now_ns - known->slow_since_ns;
    uint64_t whole_ns = world->snapshot->pools[pool].slow_start_ns;
    if (known->slow_since_ns == 0 || passed_ns >= whole_ns)
        return 0;
    return known->slow_start * (long double)(whole_ns - passed_ns) / (long double)whole_ns;
}

static bool takes_part(const struct world *world, uint32_t pool, uint32_t place)
{
    const struct known *known = &world->known[pool][place];
    uint32_t upstream = world->snapshot->pools[pool].places[place].upstream;
    return !known->down && !known->ejected && world->hosts[upstream].state == WEIR_UPSTREAM_ENABLED;
}

void reference_starts_slowly(struct world *world, uint32_t index, uint32_t place)
{
    const struct pool *pool = &world->snapshot->pools[index];
    long double connections = 0, weights = 0;
    for (uint32_t n = 0; n < pool->place_count; n++) {
        if (n == place || pool->places[n].backup != pool->places[place].backup || !takes_part(world, index, n))
            continue;
        connections += reference_active(world, pool->places[n].upstream) + slow_part(world, index, n);
        weights += pool->places[n].weight;
    }
    struct known *known = &world->known[index][place];
    long double fair = weights > 0 ? connections / weights * pool->places[place].weight : 0;
    fair -= reference_active(world, pool->places[place].upstream);
    known->slow_start = fair > 0 ? fair : 0;
    known->slow_since_ns = world->sim->now_ns;
}

/* A connection of play where there is anything that the balancer rounds. */
static long double play_of(const struct world *world, uint32_t pool, uint32_t place)
{
    return slow_part(world, pool, place) > 0 ? 1 : 0;
}

bool reference_goes_before(const struct world *world, const struct pool *pool, uint32_t a, uint32_t active_a,
                           uint32_t b, uint32_t active_b)
{
    const struct place *first = &pool->places[a], *second = &pool->places[b];
    int class_a = 2 * (weir_pool_health(pool->balancing, a) == WEIR_PLACE_EJECTED) + first->backup;
    int class_b = 2 * (weir_pool_health(pool->balancing, b) == WEIR_PLACE_EJECTED) + second->backup;
    uint32_t index = index_of(world, pool);
    long double counts_a = active_a + slow_part(world, index, a) + 1 + play_of(world, index, a);
    long double counts_b = active_b + slow_part(world, index, b) + 1 - play_of(world, index, b);
    return class_a != class_b ? class_a < class_b : counts_a * second->weight < counts_b * first->weight;
}

/* Limits */

const struct weir_limits *reference_limits(const struct life *life)
{
    const struct snapshot *snapshot = life->world->snapshot;
    return life->caller < WORLD_CLIENTS ? &snapshot->clients[life->caller].limits : &snapshot->default_limits;
}

bool reference_rate_allows(const struct life *life, uint64_t now_ns)
{
    const struct weir_limits *limits = reference_limits(life);
    const struct caller *caller = &life->world->callers[life->caller];
    for (uint32_t n = 0; n < caller->admitted && limits->rate_period_ns != 0; n++) {
        uint64_t came = caller->admitted - n;
        if (came * limits->rate_period_ns >
            now_ns - caller->admitted_ns[n] + (limits->burst - 1) * limits->rate_period_ns)
            return false;
    }
    return true;
}
