/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

/* What a world with TLS decides beyond the others. It has chance of its own: the same seed without TLS lives as if
 * there were none. */

#define TLS_EVERY 20

static bool coin(struct random *random)
{
    return random_chance(random, 500);
}

static uint32_t share(struct random *random, uint32_t most)
{
    return coin(random) ? 0 : (uint32_t)random_between(random, 1, most);
}

static void draw_listener(struct world *world, struct listener *listener)
{
    static const enum kit_part parts[] = { KIT_LISTENER, KIT_LISTENER_CRL, KIT_LISTENER_CRL, KIT_LISTENER_ANONYMOUS };
    struct random *random = &world->tls.chance;
    enum kit_part part = parts[random_below(random, 4)];
    world->tls.listeners[listener - world->snapshot->listeners] = part;
    listener->material = tls_material_ref(kit_material(part));
    listener->handshake_timeout_ns = random_scaled(random, 20 * SIM_MS, 60 * SIM_SECOND);
}

static void draw_pool(struct world *world, struct pool *pool)
{
    enum kit_part part = random_chance(&world->tls.chance, 800) ? KIT_POOL : KIT_POOL_NAMELESS;
    world->tls.pools[pool - world->snapshot->pools] = part;
    pool->material = tls_material_ref(kit_material(part));
    if (pool->health.check == HEALTH_CHECK_CONNECT && coin(&world->tls.chance))
        pool->health.check = HEALTH_CHECK_TLS;
}

/* On either side, or on both. */
static void draw_sides(struct world *world)
{
    struct random *random = &world->tls.chance;
    bool clients = random_chance(random, 800), upstreams = !clients || coin(random);
    for (uint32_t n = 0; n < world->snapshot->listener_count; n++)
        if (clients && ((n == 0 && !upstreams) || random_chance(random, 800)))
            draw_listener(world, &world->snapshot->listeners[n]);
    for (uint32_t n = 0; n < world->snapshot->pool_count; n++)
        if (upstreams && random_chance(random, 800))
            draw_pool(world, &world->snapshot->pools[n]);
}

static void draw_hosts(struct world *world)
{
    static const enum kit_part bad[] = { KIT_HOST_REFUSES, KIT_HOST_WRONG_NAME, KIT_HOST_WRONG_CA, KIT_HOST_EXPIRED };
    struct random *random = &world->tls.chance;
    uint32_t share_bad = share(random, 600);
    for (uint32_t n = 0; n < WORLD_UPSTREAMS; n++) {
        world->tls.hosts[n] = random_chance(random, 700) ? KIT_HOST : KIT_HOST_ANONYMOUS;
        if (random_chance(random, share_bad))
            world->tls.hosts[n] = bad[random_below(random, 4)];
    }
}

/* Each configured client is known by its certificate as well; what it comes with decides, not its address. */
static void draw_identities(struct world *world)
{
    struct snapshot *snapshot = world->snapshot;
    char name[64];
    snapshot->identities = calloc(WORLD_CLIENTS, sizeof snapshot->identities[0]);
    assert(snapshot->identities != NULL);
    for (uint32_t n = 0; n < WORLD_CLIENTS; n++) {
        kit_name(n, name, sizeof name);
        snapshot->identities[n] = (struct client_identity){
            .name = { .kind = IDENTITY_DNS, .size = (uint32_t)strlen(name), .bytes = strdup(name) },
            .client = n,
        };
    }
    snapshot->identity_count = WORLD_CLIENTS;
}

static void draw_certificate(struct world *world, struct life *life)
{
    struct random *random = &world->tls.chance;
    uint32_t who = (uint32_t)random_below(random, KIT_CLIENTS + KIT_STRANGERS);
    life->part = KIT_CLIENT + who;
    if (random_chance(random, world->tls.bad))
        life->part = (enum kit_part)random_between(random, KIT_CLIENT_NONE, KIT_CLIENT_DISTRUSTS);
    if (world->tls.listeners[life->listener] == KIT_LISTENER_ANONYMOUS)
        return;
    if (life->part >= KIT_CLIENT_NONE)
        life->caller = 0;
    else
        life->caller = who < KIT_CLIENTS ? who : who + WORLD_STRANGERS;
}

struct channel_script draw_channel(struct world *world)
{
    struct random *random = &world->tls.chance;
    struct channel_script script = { .quits_at = UINT64_MAX };
    if (random_chance(random, world->tls.misplays))
        script.play = (enum channel_play)random_between(random, CHANNEL_GARBAGE, CHANNEL_SILENT);
    if (random_chance(random, world->tls.truncates))
        script.end = CHANNEL_TRUNCATES;
    else if (random_chance(random, world->tls.holds))
        script.end = CHANNEL_HOLDS;
    script.old = random_chance(random, world->tls.old);
    if (random_chance(random, world->tls.updates))
        script.updates = (uint32_t)random_between(random, 1, 1000);
    if (random_chance(random, world->tls.quits))
        script.quits_at = random_below(random, 3000);
    return script;
}

void draw_tls(struct world *world, uint64_t seed, bool forced)
{
    struct random *random = &world->tls.chance;
    for (uint32_t n = 0; n < WORLD_LISTENERS; n++)
        world->tls.listeners[n] = KIT_PARTS;
    for (uint32_t n = 0; n < WORLD_POOLS; n++)
        world->tls.pools[n] = KIT_PARTS;
    random->state = seed ^ UINT64_C(0x605CED7C15F39CC0);
    if (random_below(random, TLS_EVERY) != 0 && !forced)
        return;
    kit_material(KIT_LISTENER);
    kit_seed(seed);
    world->tls.on = true;
    world->tls.bad = share(random, 600);
    world->tls.misplays = share(random, 300);
    world->tls.truncates = share(random, 500);
    world->tls.holds = share(random, 800);
    world->tls.quits = share(random, 400);
    world->tls.old = share(random, 500);
    world->tls.updates = share(random, 600);
    world->snapshot->material_unref = tls_material_unref;
    world->snapshot->settings.max_handshakes = (uint32_t)random_scaled(random, 1, 64);
    world->snapshot->settings.max_handshakes_per_source =
        random_chance(random, 200) ? (uint32_t)random_between(random, 1, 3) : 0;
    draw_sides(world);
    draw_hosts(world);
    draw_identities(world);
    for (uint32_t n = 0; n < world->life_count; n++)
        if (world->tls.listeners[world->lives[n].listener] != KIT_PARTS)
            draw_certificate(world, &world->lives[n]);
}
