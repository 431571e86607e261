/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* Which upstreams are in trouble for a while, who sets them aside, and how the balancer watches them: in one seed of so
 * many. */
#define HEALTH_EVERY 4

static enum health_check draw_check(struct random *random)
{
    uint64_t chance = random_below(random, 1000);
    return chance < 500 ? HEALTH_CHECK_CONNECT : chance < 800 ? HEALTH_CHECK_EXCHANGE : HEALTH_CHECK_NONE;
}

static void draw_checks(struct random *random, struct pool *pool)
{
    pool->slow_start_ns = random_chance(random, 500) ? random_scaled(random, SIM_SECOND, 100 * SIM_SECOND) : 0;
    pool->health = (struct health_settings){
        .interval_ns = random_scaled(random, 2 * SIM_SECOND, 6 * SIM_SECOND),
        .timeout_ns = random_between(random, 2 * SIM_SECOND, 4 * SIM_SECOND),
        .fall = (uint32_t)random_between(random, 1, 3),
        .rise = (uint32_t)random_between(random, 1, 3),
        .check = draw_check(random),
        .passive = random_chance(random, 600),
    };
}

/* For a while, and perhaps on and off during it. */
static void draw_outage(struct random *random, struct mood *mood, uint64_t now_ns)
{
    mood->outage = (enum outage)random_below(random, OUTAGES);
    mood->down_from_ns = now_ns + random_below(random, 10 * SIM_SECOND);
    mood->down_until_ns = mood->down_from_ns + random_scaled(random, 100 * SIM_MS, 60 * SIM_SECOND);
    mood->flap_ns = random_chance(random, 500) ? random_scaled(random, 10 * SIM_MS, 10 * SIM_SECOND) : 0;
}

/* Nobody waits for ever for who plays dead: checks make a long world expensive. Until then, a crowd stays. */
static void hurry(struct random *random, struct world *world)
{
    bool crowd = random_chance(random, 300);
    world->health.patience_ns = random_between(random, 10, 30) * SIM_SECOND;
    for (uint32_t n = 0; n < world->life_count; n++) {
        world->lives[n].client.script.patience_ns = world->health.patience_ns;
        if (crowd)
            world->lives[n].client.script.manner = PARTY_LINGERS;
    }
}

void draw_health(struct world *world, uint64_t seed)
{
    struct random *random = &world->health.chance;
    random->state = seed ^ UINT64_C(0x3C6EF372FE94F82B);
    if (random_below(random, HEALTH_EVERY) != 0)
        return;
    world->health.on = true;
    world->health.disables = (uint32_t)random_below(random, 1000);
    if (random_chance(random, 300))
        world->net->weather.local_faults = (uint32_t)random_between(random, 1, 200);
    hurry(random, world);
    for (uint32_t n = 0; n < world->snapshot->pool_count; n++)
        draw_checks(random, &world->snapshot->pools[n]);
    for (uint32_t n = 0; n < world->snapshot->upstream_count; n++) {
        struct host *host = &world->hosts[n];
        if (random_chance(random, 600))
            draw_outage(random, &host->mood, world->sim->now_ns);
        if (random_chance(random, 300))
            host->drain_ns = world->sim->now_ns + random_scaled(random, SIM_MS, 20 * SIM_SECOND);
    }
}
