/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle_health.h"

#include <inttypes.h>
#include <string.h>

#include <weir/errors.h>

#include "../../server/proxy/probe.h"
#include "memory.h"
#include "reference.h"
#include "visits.h"

static uint64_t slack_ns(const struct world *world)
{
    return SIM_SECOND + 3 * world->io.stall_ns;
}

static const struct pool *pool_at(const struct world *world, uint32_t pool)
{
    return &world->snapshot->pools[pool];
}

static uint32_t upstream_at(const struct world *world, uint32_t pool, uint32_t place)
{
    return pool_at(world, pool)->places[place].upstream;
}

/* Verdicts are certain only while nothing is missing here and nobody stops. */
static bool is_clear(const struct world *world)
{
    return !world->stopping && memory_denied() == 0;
}

/* Which place a check belongs to: its settings are the pool's, its address is the upstream's. */
static struct known *known_of(struct world *world, const struct weir_socket *socket, uint32_t *ret_pool)
{
    const struct probe *probe = (const struct probe *)((const char *)socket - offsetof(struct probe, socket));
    const struct snapshot *snapshot = world->snapshot;
    for (uint32_t pool = 0; pool < snapshot->pool_count; pool++)
        for (uint32_t place = 0; place < snapshot->pools[pool].place_count; place++)
            if (probe->settings == &snapshot->pools[pool].health &&
                weir_address_equal(probe->address, &snapshot->upstreams[upstream_at(world, pool, place)].address)) {
                *ret_pool = pool;
                return &world->known[pool][place];
            }
    return NULL; /* of a configuration that is just being replaced */
}

void health_begin(struct world *world)
{
    for (uint32_t pool = 0; pool < WORLD_POOLS; pool++)
        for (uint32_t place = 0; place < WORLD_UPSTREAMS; place++)
            world->known[pool][place].looked_ns = world->sim->now_ns;
}

/* Checks */

/* A check whose time is over, or that was refused, is bad. One that was connected well before its time was over is
 * good. Of one that came close to it, or was reset, only the balancer knows. Where more than a connection is asked for,
 * the verdict itself is judged elsewhere. */
static void settle(const struct world *world, struct known *known, const struct pool *pool)
{
    const struct net_end *end = known->check;
    if (end == NULL)
        return;
    bool bad = end->connect_status != 0, reset = end->reset_ns != 0;
    bool good = !bad && !reset && end->connected_ns + slack_ns(world) < known->looked_ns + pool->health.timeout_ns;
    if (pool->health.check != HEALTH_CHECK_CONNECT) {
        good = known->visit->judged && known->visit->verdict == PROBE_GOOD;
        bad = known->visit->judged && known->visit->verdict == PROBE_BAD;
    }
    known->check = NULL;
    known->good = good ? known->good + 1 : 0;
    known->bad = bad ? known->bad + 1 : 0;
    known->not_good = good ? 0 : known->not_good + 1;
    known->not_bad = bad ? 0 : known->not_bad + 1;
}

static void start_counting(struct known *known)
{
    known->good = known->bad = known->not_good = known->not_bad = 0;
}

/* When the next check begins, the last one has been judged. */
void health_checks(struct world *world, const struct weir_socket *socket, struct net_end *end)
{
    uint32_t n;
    struct known *known = known_of(world, socket, &n);
    if (known == NULL)
        return;
    const struct pool *pool = pool_at(world, n);
    settle(world, known, pool);
    known->looked_ns = world->sim->now_ns;
    if (pool->health.check == HEALTH_CHECK_NONE)
        return;
    known->check = end;
    known->visit = visits_find(world, end);
    if (known->down && known->good >= pool->health.rise && is_clear(world))
        world_fail(world, "pool %u: %u good checks in a row have not brought an upstream back", n, known->good);
    if (!known->down && known->bad >= pool->health.fall && is_clear(world))
        world_fail(world, "pool %u: %u bad checks in a row have not taken an upstream out", n, known->bad);
}

void health_cannot_check(struct world *world, const struct weir_socket *socket)
{
    uint32_t n;
    struct known *known = known_of(world, socket, &n);
    if (known == NULL)
        return;
    settle(world, known, pool_at(world, n));
    known->looked_ns = world->sim->now_ns;
}

void health_reloaded(struct world *world)
{
    for (uint32_t pool = 0; pool < WORLD_POOLS; pool++)
        for (uint32_t place = 0; place < WORLD_UPSTREAMS; place++) {
            struct known *known = &world->known[pool][place];
            uint32_t perhaps = known->check != NULL;
            known->check = NULL;
            known->good = known->bad = 0;
            known->not_good += perhaps;
            known->not_bad += perhaps;
        }
}

/* Changes, as the log tells them */

static bool names(const char *text, const char *name)
{
    size_t size = strlen(name);
    return text[0] == '"' && strncmp(text + 1, name, size) == 0 && text[size + 1] == '"';
}

/* Real connections to a place that nobody can call well. */
static uint32_t failures(const struct world *world, uint32_t pool, uint32_t upstream)
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < world->life_count; n++) {
        const struct life *life = &world->lives[n];
        for (uint32_t i = 0; i < life->attempt_count; i++) {
            const struct attempt *attempt = &life->attempts[i];
            bool ours = reference_pool(life) == pool_at(world, pool) && attempt->upstream == upstream;
            bool failed =
                attempt->end->connect_status != 0 || attempt->end->reset_ns != 0 || i + 1 < life->attempt_count;
            count += ours && failed;
        }
    }
    return count;
}

static void went_down(struct world *world, uint32_t pool, struct known *known)
{
    const struct health_settings *health = &pool_at(world, pool)->health;
    settle(world, known, pool_at(world, pool));
    if (known->down || health->check == HEALTH_CHECK_NONE)
        world_fail(world, "pool %u: an upstream goes down that was not up", pool);
    else if (known->not_good < health->fall)
        world_fail(world, "pool %u: an upstream goes down after %u checks that may have failed", pool, known->not_good);
    known->down = true;
    known->ejected = false;
    start_counting(known);
}

static void came_up(struct world *world, uint32_t pool, struct known *known)
{
    const struct health_settings *health = &pool_at(world, pool)->health;
    settle(world, known, pool_at(world, pool));
    if (!known->down)
        world_fail(world, "pool %u: an upstream comes up that was not down", pool);
    else if (known->not_bad < health->rise)
        world_fail(world, "pool %u: an upstream comes up after %u checks that may have been good", pool,
                   known->not_bad);
    known->down = false;
    start_counting(known);
}

static void was_ejected(struct world *world, uint32_t pool, uint32_t place, struct known *known)
{
    const struct health_settings *health = &pool_at(world, pool)->health;
    uint32_t failed = failures(world, pool, upstream_at(world, pool, place));
    bool plain = world->tls.pools[pool] == KIT_PARTS;
    if (!health->passive || known->down || known->ejected)
        world_fail(world, "pool %u: an upstream is ejected that cannot be", pool);
    else if (plain && failed < health->fall)
        world_fail(world, "pool %u: an upstream is ejected after %u failures", pool, failed);
    known->ejected = true;
}

static void changed(struct world *world, const char *msg, uint32_t pool, uint32_t place)
{
    struct known *known = &world->known[pool][place];
    if (names(msg, "upstream down"))
        went_down(world, pool, known);
    else if (names(msg, "upstream up"))
        came_up(world, pool, known);
    else if (names(msg, "upstream ejected"))
        was_ejected(world, pool, place, known);
    else
        known->ejected = false;
    if (names(msg, "upstream up") || names(msg, "upstream returned"))
        reference_starts_slowly(world, pool, place);
}

void health_changed(struct world *world, const char *msg, const char *pool, const char *upstream)
{
    static const char *const changes[] = { "upstream down", "upstream up", "upstream ejected", "upstream returned" };
    const struct snapshot *snapshot = world->snapshot;
    bool concerns = false;
    for (unsigned n = 0; n < sizeof changes / sizeof *changes; n++)
        concerns = concerns || names(msg, changes[n]);
    for (uint32_t n = 0; concerns && n < snapshot->pool_count; n++)
        for (uint32_t place = 0; place < snapshot->pools[n].place_count; place++)
            if (names(pool, snapshot->pools[n].name) &&
                names(upstream, snapshot->upstreams[upstream_at(world, n, place)].name))
                changed(world, msg, n, place);
}

void health_enabled(struct world *world, uint32_t upstream)
{
    for (uint32_t pool = 0; pool < world->snapshot->pool_count; pool++)
        for (uint32_t place = 0; place < pool_at(world, pool)->place_count; place++)
            if (upstream_at(world, pool, place) == upstream)
                reference_starts_slowly(world, pool, place);
}

/* What follows from it */

void health_check_dialled(const struct life *life, uint32_t place)
{
    struct world *world = life->world;
    uint32_t pool = world->snapshot->listeners[life->listener].pool, upstream = upstream_at(world, pool, place);
    if (world->known[pool][place].down)
        world_fail(world, "client %u: upstream %u is dialled, which is known as down", life->index, upstream);
    if (world->hosts[upstream].state != WEIR_UPSTREAM_ENABLED)
        world_fail(world, "client %u: upstream %u is dialled, which is set aside", life->index, upstream);
}

/* Checks go on whatever happens: so who is well again is noticed. */
static void check_checks(struct world *world, uint32_t pool, uint32_t place)
{
    const struct health_settings *health = &pool_at(world, pool)->health;
    const struct known *known = &world->known[pool][place];
    uint64_t latest_ns = known->looked_ns + 2 * health->interval_ns + 2 * health->timeout_ns + slack_ns(world);
    if (health->check != HEALTH_CHECK_NONE && is_clear(world) && world->sim->now_ns > latest_ns)
        world_fail(world, "pool %u: upstream %u has not been checked for %" PRIu64 " ms", pool,
                   upstream_at(world, pool, place), (world->sim->now_ns - known->looked_ns) / SIM_MS);
}

static void check_disabled(struct world *world, const struct conn *conn)
{
    for (uint32_t n = 0; n < world->snapshot->upstream_count && conn->lease.upstreams != NULL; n++) {
        const struct host *host = &world->hosts[n];
        if (conn->lease.upstream == world->snapshot->upstreams[n].id && host->state == WEIR_UPSTREAM_DISABLED &&
            world->sim->now_ns > host->state_ns + slack_ns(world))
            world_fail(world, "a connection to upstream %u goes on, which was disabled %" PRIu64 " ms ago", n,
                       (world->sim->now_ns - host->state_ns) / SIM_MS);
    }
}

void health_check_turned(struct world *world, const struct worker *worker)
{
    for (uint32_t pool = 0; pool < world->snapshot->pool_count; pool++)
        for (uint32_t place = 0; place < pool_at(world, pool)->place_count; place++)
            check_checks(world, pool, place);
    for (const struct conn *conn = worker->conns; conn != NULL; conn = conn->next)
        check_disabled(world, conn);
}

/* What was missing here is no failure of theirs: on this network, they fail in no other way than by what has a reason
 * of its own. */
void health_check_final(struct world *world)
{
    for (uint32_t n = 0; n < world->snapshot->upstream_count; n++) {
        const struct upstream_counters *counters = world->snapshot->upstreams[n].counters;
        if (counters == NULL)
            continue; /* no pool names it */
        uint64_t others = counter_read(&counters->failures[UPSTREAM_FAILURE_OTHER]);
        if (others != 0)
            world_fail(world, "upstream %u has %" PRIu64 " failures that were not its own", n, others);
    }
}
