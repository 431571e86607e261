/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

/* Each world leaves out many of the things that can happen and does the others often: what needs three rare things at
 * once is then met as well. */

static uint32_t share(struct random *random, uint32_t most)
{
    return random_chance(random, 500) ? 0 : (uint32_t)random_between(random, 1, most);
}

static bool coin(struct random *random)
{
    return random_chance(random, 500);
}

struct weir_address draw_address(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    struct weir_address address = { .u.v4.sin_family = AF_INET };
    address.u.v4.sin_addr.s_addr = htonl((uint32_t)a << 24 | (uint32_t)b << 16 | (uint32_t)c << 8 | d);
    weir_address_set_port(&address, port);
    return address;
}

/* The network and the loops */

void draw_weather(struct random *random, struct net_weather *weather)
{
    uint32_t smallest = coin(random) ? 1 : 512;
    *weather = (struct net_weather){
        .delay_min_ns = 5 * SIM_US,
        .delay_max_ns = random_scaled(random, 20 * SIM_US, 50 * SIM_MS),
        .buffer_min = smallest,
        .buffer_max = (uint32_t)random_scaled(random, smallest, 32u << 10),
        .chunk_min = 1,
        .chunk_max = (uint32_t)random_scaled(random, 16, 16u << 10),
        .partial = share(random, 500),
        .backlog = (uint32_t)random_scaled(random, 1, 64),
        .descriptor_faults = coin(random) ? 0 : share(random, 60),
        .descriptors = coin(random) ? UINT32_MAX : (uint32_t)random_between(random, 12, 80),
    };
}

void draw_loops(struct world *world)
{
    struct random *random = &world->sim->random;
    world->io = (struct sim_loop_options){
        .buffers = 1u << random_between(random, 0, 6),
        .buffer_bytes = (uint32_t)random_scaled(random, 16, 16u << 10),
        .lazy = share(random, 500),
        .turn_delay_ns = random_scaled(random, SIM_US, SIM_MS),
        .pipes = coin(random) ? 0 : (uint32_t)random_between(random, 0, 16),
        .stall = coin(random) ? 0 : share(random, 5),
        .stall_ns = random_scaled(random, SIM_MS, 30 * SIM_SECOND),
        .driven = true,
        .local = draw_address(10, 255, 0, 1, 0),
    };
    world->overflow_bytes = coin(random) ? 0 : (uint32_t)random_scaled(random, 1, 64u << 10);
    world->splice_bytes = (uint32_t)random_scaled(random, 16, 64u << 10);
}

/* The configuration */

static void *array(uint32_t count, size_t size)
{
    void *zeroed = calloc(count > 0 ? count : 1, size);
    assert(zeroed != NULL);
    return zeroed;
}

static void draw_listener(struct random *random, struct listener *listener, uint32_t index, uint32_t pools)
{
    snprintf(listener->name, sizeof listener->name, "listener%u", index);
    listener->address = draw_address(10, 254, 0, 1, (uint16_t)(80 + index));
    listener->pool = (uint32_t)random_below(random, pools);
    listener->idle_timeout_ns = random_chance(random, 200) ? 0 : random_scaled(random, SIM_SECOND, 120 * SIM_SECOND);
    listener->half_close_timeout_ns =
        random_chance(random, 200) ? 0 : random_scaled(random, SIM_SECOND, 60 * SIM_SECOND);
}

static void draw_upstream(struct random *random, struct upstream *upstream, uint32_t index)
{
    snprintf(upstream->name, sizeof upstream->name, "upstream%u", index);
    upstream->address = draw_address(10, 253, 0, (uint8_t)(index + 1), 7000);
    upstream->max_connections = random_chance(random, 250) ? (uint32_t)random_between(random, 1, 4) : 0;
}

static enum health_check draw_check(struct random *random)
{
    uint64_t chance = random_below(random, 1000);
    return chance < 150 ? HEALTH_CHECK_CONNECT : chance < 300 ? HEALTH_CHECK_EXCHANGE : HEALTH_CHECK_NONE;
}

/* Places of a random part of the upstreams, at least one. */
static void draw_pool(struct random *random, struct pool *pool, uint32_t index, uint32_t upstreams)
{
    snprintf(pool->name, sizeof pool->name, "pool%u", index);
    pool->places = array(upstreams, sizeof pool->places[0]);
    uint32_t must = (uint32_t)random_below(random, upstreams);
    bool weights = coin(random), backups = coin(random);
    for (uint32_t n = 0; n < upstreams; n++)
        if (n == must || random_chance(random, 700))
            pool->places[pool->place_count++] = (struct place){
                .upstream = n,
                .weight = weights ? (uint32_t)random_between(random, 1, 4) : 1,
                .backup = backups && random_chance(random, 300),
            };
    pool->connect_timeout_ns = random_scaled(random, 100 * SIM_MS, 30 * SIM_SECOND);
    pool->retries = (uint32_t)random_below(random, 5);
    pool->health = (struct health_settings){
        .interval_ns = random_scaled(random, SIM_SECOND, 10 * SIM_SECOND),
        .timeout_ns = random_scaled(random, 100 * SIM_MS, 2 * SIM_SECOND),
        .fall = (uint32_t)random_between(random, 1, 4),
        .rise = (uint32_t)random_between(random, 1, 3),
        .check = draw_check(random),
        .passive = coin(random),
    };
}

static struct weir_limits draw_limits(struct random *random)
{
    struct weir_limits limits = { 0 };
    if (random_chance(random, 400))
        limits.connections = (uint32_t)random_between(random, 1, 6);
    if (random_chance(random, 300)) {
        limits.rate_period_ns = random_scaled(random, 10 * SIM_MS, 2 * SIM_SECOND);
        limits.burst = (uint32_t)random_between(random, 1, 5);
    }
    return limits;
}

/* Client n comes from 10.n.0.0/16; the last one from a part of the first one's network. */
static void draw_client(struct random *random, struct snapshot *snapshot, uint32_t index)
{
    struct client *client = &snapshot->clients[index];
    struct network *network = &snapshot->networks[index];
    bool nested = index == WORLD_CLIENTS - 1;
    snprintf(client->name, sizeof client->name, "client%u", index);
    client->limits = draw_limits(random);
    network->base = nested ? draw_address(10, 0, 7, 0, 0) : draw_address(10, (uint8_t)index, 0, 0, 0);
    network->prefix = nested ? 24 : 16;
    network->client = index;
}

static void draw_rule(struct random *random, const struct snapshot *snapshot, struct rule *rule)
{
    rule->clients = array(snapshot->client_count, sizeof rule->clients[0]);
    rule->targets = array(snapshot->pool_count, sizeof rule->targets[0]);
    rule->allow = random_chance(random, 700);
    rule->any_client = random_chance(random, 300);
    uint32_t must = (uint32_t)random_below(random, snapshot->client_count);
    for (uint32_t n = 0; n < snapshot->client_count && !rule->any_client; n++)
        if (n == must || coin(random))
            rule->clients[rule->client_count++] = n;
    for (uint32_t n = 0; n < snapshot->pool_count; n++) {
        uint32_t place = (uint32_t)random_below(random, snapshot->pools[n].place_count);
        if (n == 0 || coin(random))
            rule->targets[rule->target_count++] =
                (struct target){ .pool = n, .place = coin(random) ? ANY_INDEX : place };
    }
}

static void draw_parts(struct random *random, struct snapshot *snapshot)
{
    for (uint32_t n = 0; n < snapshot->listener_count; n++)
        draw_listener(random, &snapshot->listeners[n], n, snapshot->pool_count);
    for (uint32_t n = 0; n < snapshot->upstream_count; n++)
        draw_upstream(random, &snapshot->upstreams[n], n);
    for (uint32_t n = 0; n < snapshot->client_count; n++)
        draw_client(random, snapshot, n);
    for (uint32_t n = 0; n < snapshot->pool_count; n++)
        draw_pool(random, &snapshot->pools[n], n, snapshot->upstream_count);
    for (uint32_t n = 0; n < snapshot->rule_count; n++)
        draw_rule(random, snapshot, &snapshot->rules[n]);
}

struct snapshot *draw_snapshot(struct world *world)
{
    struct random *random = &world->sim->random;
    struct snapshot *snapshot = array(1, sizeof *snapshot);
    snapshot->settings.workers = (uint32_t)random_between(random, 1, WORLD_WORKERS);
    snapshot->settings.log_level = LOG_LEVEL_INFO;
    snapshot->settings.log_connections = true;
    snapshot->listener_count = (uint32_t)random_between(random, 1, WORLD_LISTENERS);
    snapshot->pool_count = (uint32_t)random_between(random, 1, WORLD_POOLS);
    snapshot->upstream_count = (uint32_t)random_between(random, 1, WORLD_UPSTREAMS);
    snapshot->client_count = snapshot->network_count = WORLD_CLIENTS;
    snapshot->has_policy = random_chance(random, 300);
    snapshot->rule_count = snapshot->has_policy ? (uint32_t)random_between(random, 1, WORLD_RULES) : 0;
    snapshot->default_limits = draw_limits(random);

    snapshot->path = strdup("drawn");
    snapshot->listeners = array(snapshot->listener_count, sizeof snapshot->listeners[0]);
    snapshot->upstreams = array(snapshot->upstream_count, sizeof snapshot->upstreams[0]);
    snapshot->pools = array(snapshot->pool_count, sizeof snapshot->pools[0]);
    snapshot->clients = array(snapshot->client_count, sizeof snapshot->clients[0]);
    snapshot->networks = array(snapshot->network_count, sizeof snapshot->networks[0]);
    snapshot->rules = array(snapshot->rule_count, sizeof snapshot->rules[0]);
    draw_parts(random, snapshot);
    return snapshot;
}

/* The people */

/* Through buffers of a few bytes, much would take for ever. */
static void draw_manners(struct random *random, const struct net_weather *weather, struct manners *manners)
{
    *manners = (struct manners){
        .bytes_max = random_scaled(random, 16, weather->buffer_min == 1 ? 8u << 10 : 512u << 10),
        .piece_max = (uint32_t)random_scaled(random, 1, 32u << 10),
        .pause_max_ns = coin(random) ? 0 : random_scaled(random, 10 * SIM_US, SIM_SECOND),
        .mute = share(random, 300),
        .waits = share(random, 600),
        .echoes = share(random, 600),
        .ends_last = share(random, 800),
        .closes = share(random, 300),
        .resets = share(random, 200),
        .lingers = share(random, 150),
        .dies = share(random, 200),
        .rests = share(random, 200),
    };
}

static enum party_manner draw_manner(struct random *random, const struct manners *manners)
{
    if (random_chance(random, manners->closes))
        return PARTY_CLOSES;
    if (random_chance(random, manners->resets))
        return PARTY_RESETS;
    return random_chance(random, manners->lingers) ? PARTY_LINGERS : PARTY_SHUTS;
}

struct party_script draw_script(struct world *world, const struct manners *manners)
{
    struct random *random = &world->sim->random;
    /* A hundred pieces a party at most: what matters is how they fall, not how many there are. */
    uint32_t piece = (uint32_t)random_between(random, 1, manners->piece_max);
    uint64_t most = 100 * (uint64_t)piece < manners->bytes_max ? 100 * (uint64_t)piece : manners->bytes_max;
    struct party_script script = {
        .bytes = random_chance(random, manners->mute) ? 0 : random_between(random, 1, most),
        .echo = random_chance(random, manners->echoes),
        .manner = draw_manner(random, manners),
        .ends_last = random_chance(random, manners->ends_last),
        .dies_after = random_chance(random, manners->dies) ? random_below(random, 2 * most) : UINT64_MAX,
        .dies_ns = random_chance(random, manners->dies) ? random_scaled(random, SIM_US, 20 * SIM_SECOND) : 0,
        .write_max = piece,
        .read_max = coin(random) ? UINT32_MAX : piece + 16,
        .patience_ns = random_between(random, 300, 900) * SIM_SECOND,
    };
    if (script.echo && script.write_max < world->clients.bytes_max / 100)
        script.write_max = (uint32_t)(world->clients.bytes_max / 100);
    if (random_chance(random, manners->waits))
        script.after_bytes = random_below(random, most);
    else if (random_chance(random, manners->waits / 4))
        script.after_end = true;
    if (coin(random) && manners->pause_max_ns > 0)
        script.write_pause_ns = random_below(random, manners->pause_max_ns);
    if (coin(random) && manners->pause_max_ns > 0)
        script.read_pause_ns = random_below(random, manners->pause_max_ns);
    if (random_chance(random, manners->rests)) {
        script.rests_at = random_below(random, most);
        script.rest_ns = coin(random) ? random_scaled(random, SIM_MS, SIM_SECOND)
                                      : random_between(random, SIM_SECOND, 100 * SIM_SECOND);
    }
    return script;
}

/* Slow readers on one side, sudden deaths on the other one: much is under way when it breaks. */
static void draw_jam(struct world *world)
{
    struct random *random = &world->sim->random;
    struct manners *slow = &world->clients, *sudden = &world->upstreams;
    if (coin(random)) {
        slow = &world->upstreams;
        sudden = &world->clients;
    }
    slow->rests = 700;
    sudden->dies = 400;
    sudden->mute = sudden->waits = slow->echoes = 0;
    sudden->bytes_max = world->net->weather.buffer_min == 1 ? 8u << 10 : 128u << 10;
    sudden->piece_max = 16u << 10;
    world->overflow_bytes = (uint32_t)random_scaled(random, 64, 4u << 10);
}

static void draw_host(struct world *world, struct host *host, bool troubled)
{
    struct random *random = &world->sim->random;
    if (random_chance(random, 100))
        host->drain_ns = world->sim->now_ns + random_scaled(random, SIM_MS, 20 * SIM_SECOND);
    if (!troubled)
        return;
    host->mood = (struct mood){
        .refuses = share(random, 700),
        .drops = share(random, 400),
        .unreachable = share(random, 300),
        .resets = share(random, 400),
        .leaves = share(random, 200),
    };
    if (coin(random)) {
        host->mood.down_from_ns = world->sim->now_ns + random_below(random, 10 * SIM_SECOND);
        host->mood.down_until_ns = host->mood.down_from_ns + random_scaled(random, SIM_MS, 20 * SIM_SECOND);
    }
}

/* A configured client's address, or a stranger's. */
static void draw_caller(struct random *random, struct life *life, bool strangers)
{
    bool stranger = strangers && coin(random);
    uint32_t who = (uint32_t)random_below(random, stranger ? WORLD_STRANGERS : WORLD_CLIENTS);
    uint16_t port = (uint16_t)(10000 + life->index);
    uint8_t host = (uint8_t)random_between(random, 1, 250);
    life->caller = stranger ? WORLD_CLIENTS + who : who;
    if (stranger)
        life->address = draw_address(172, 16, 0, (uint8_t)(who + 1), port);
    else if (who == WORLD_CLIENTS - 1)
        life->address = draw_address(10, 0, 7, host, port);
    else
        life->address = draw_address(10, (uint8_t)who, 3, host, port);
}

void draw_people(struct world *world)
{
    struct random *random = &world->sim->random;
    bool troubled = random_chance(random, 700), strangers = coin(random);
    uint64_t apart_ns = random_scaled(random, 10 * SIM_US, 3 * SIM_SECOND), at_ns = world->sim->now_ns;
    draw_manners(random, &world->net->weather, &world->clients);
    draw_manners(random, &world->net->weather, &world->upstreams);
    if (random_chance(random, 150))
        draw_jam(world);
    /* Two who both say only what the other said have nothing to say. */
    world->clients.echoes = 0;
    for (uint32_t n = 0; n < world->snapshot->upstream_count; n++)
        draw_host(world, &world->hosts[n], troubled && coin(random));
    world->life_count = (uint32_t)random_between(random, 1, WORLD_LIVES);
    for (uint32_t n = 0; n < world->life_count; n++) {
        struct life *life = &world->lives[n];
        life->world = world;
        life->index = n;
        life->listener = (uint32_t)random_below(random, world->snapshot->listener_count);
        draw_caller(random, life, strangers);
        life->client.script = draw_script(world, &world->clients);
        at_ns += random_below(random, apart_ns + 1);
        life->arrival.at_ns = at_ns;
    }
}

void draw_troubles(struct world *world)
{
    struct random *random = &world->sim->random;
    if (random_chance(random, 150)) {
        world->drain_ns = world->sim->now_ns + random_scaled(random, SIM_MS, 30 * SIM_SECOND);
        world->stop_ns = world->drain_ns + random_scaled(random, SIM_MS, 30 * SIM_SECOND);
    }
    if (random_chance(random, 100)) {
        world->deny_at_start = random_chance(random, 300);
        world->deny_skip = random_below(random, world->deny_at_start ? 60 : 4 * WORLD_LIVES);
        world->deny_count = random_scaled(random, 1, 40);
    }
    world->max_connections = (uint32_t)random_scaled(random, 1, 2 * WORLD_LIVES);
    world->budget_bytes = random_chance(random, 100) ? random_scaled(random, 1, 256u << 10) : 0;
    world->strangers_max = (uint32_t)random_between(random, 1, 2 * WORLD_STRANGERS);
}
