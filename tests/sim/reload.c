/* SPDX-License-Identifier: Apache-2.0 */
#include "reload.h"

#include "oracle_health.h"

#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "../../server/proxy/generation.h"
#include "../../server/proxy/health.h"
#include "world.h"

#define RELOADS_MAX 5
#define RELOAD_SALT UINT64_C(0x52454C4F41445321)
#define WITH_RELOADS 400 /* of 1000 worlds */

/* A configuration that says the same as the one before: nobody may notice. */

struct exchange {
    struct weir_message message;
    struct reloads *reloads;
    struct worker *worker;
    struct view *view;
};

struct reloads {
    struct world *world;
    struct random chance;
    struct sim_event due;
    uint32_t left;
    uint32_t under_way; /* exchanges that workers have yet to make */
    struct generation *present;
    struct worker *workers[WORLD_WORKERS];
    struct exchange exchanges[WORLD_WORKERS];
};

/* Copies. NULL: out of memory. */

static void *copy_of(const void *data, size_t count, size_t size)
{
    void *copy = calloc(count + 1, size);
    if (copy != NULL && count > 0)
        memcpy(copy, data, count * size);
    return copy;
}

static void copy_bytes(struct check_bytes *bytes)
{
    bytes->data = bytes->data == NULL ? NULL : copy_of(bytes->data, bytes->size, 1);
    if (bytes->data == NULL)
        bytes->size = 0;
}

static bool copy_listeners(struct snapshot *copy, const struct snapshot *from)
{
    copy->listeners = copy_of(from->listeners, from->listener_count, sizeof from->listeners[0]);
    copy->listener_count = copy->listeners == NULL ? 0 : from->listener_count;
    for (uint32_t n = 0; n < copy->listener_count; n++) {
        copy->listeners[n].record = NULL;
        if (copy->listeners[n].material != NULL)
            tls_material_ref(copy->listeners[n].material);
    }
    return copy->listeners != NULL;
}

static bool copy_pools(struct snapshot *copy, const struct snapshot *from)
{
    bool whole = true;
    copy->pools = copy_of(from->pools, from->pool_count, sizeof from->pools[0]);
    copy->pool_count = copy->pools == NULL ? 0 : from->pool_count;
    for (uint32_t n = 0; n < copy->pool_count; n++) {
        struct pool *pool = &copy->pools[n];
        pool->record = NULL;
        pool->balancing = NULL;
        pool->health_state = NULL;
        pool->places = copy_of(pool->places, pool->place_count, sizeof pool->places[0]);
        copy_bytes(&pool->health.send);
        copy_bytes(&pool->health.expect);
        whole = whole && pool->places != NULL && pool->health.expect.size == from->pools[n].health.expect.size &&
                pool->health.send.size == from->pools[n].health.send.size;
        if (pool->material != NULL)
            tls_material_ref(pool->material);
    }
    return whole && copy->pools != NULL;
}

static bool copy_clients(struct snapshot *copy, const struct snapshot *from)
{
    bool whole = true;
    copy->clients = copy_of(from->clients, from->client_count, sizeof from->clients[0]);
    copy->client_count = copy->clients == NULL ? 0 : from->client_count;
    for (uint32_t n = 0; n < copy->client_count; n++)
        copy->clients[n].kept = NULL;
    copy->networks = copy_of(from->networks, from->network_count, sizeof from->networks[0]);
    copy->network_count = copy->networks == NULL ? 0 : from->network_count;
    copy->identities = copy_of(from->identities, from->identity_count, sizeof from->identities[0]);
    copy->identity_count = copy->identities == NULL ? 0 : from->identity_count;
    for (uint32_t n = 0; n < copy->identity_count; n++) {
        struct identity_name *name = &copy->identities[n].name;
        name->bytes = copy_of(name->bytes, name->size, 1);
        whole = whole && name->bytes != NULL;
    }
    return whole && copy->clients != NULL && copy->networks != NULL && copy->identities != NULL;
}

static bool copy_rules(struct snapshot *copy, const struct snapshot *from)
{
    bool whole = true;
    copy->rules = copy_of(from->rules, from->rule_count, sizeof from->rules[0]);
    copy->rule_count = copy->rules == NULL ? 0 : from->rule_count;
    for (uint32_t n = 0; n < copy->rule_count; n++) {
        struct rule *rule = &copy->rules[n];
        rule->clients = copy_of(rule->clients, rule->client_count, sizeof rule->clients[0]);
        rule->targets = copy_of(rule->targets, rule->target_count, sizeof rule->targets[0]);
        whole = whole && rule->clients != NULL && rule->targets != NULL;
    }
    return whole && copy->rules != NULL;
}

static bool copy_upstreams(struct snapshot *copy, const struct snapshot *from)
{
    copy->upstreams = copy_of(from->upstreams, from->upstream_count, sizeof from->upstreams[0]);
    copy->upstream_count = copy->upstreams == NULL ? 0 : from->upstream_count;
    for (uint32_t n = 0; n < copy->upstream_count; n++) {
        copy->upstreams[n].record = NULL;
        copy->upstreams[n].row = NULL;
    }
    return copy->upstreams != NULL;
}

static struct snapshot *copy_snapshot(const struct snapshot *from)
{
    struct snapshot *copy = calloc(1, sizeof *copy);
    if (copy == NULL)
        return NULL;
    copy->settings = from->settings;
    copy->material_unref = from->material_unref;
    copy->default_limits = from->default_limits;
    copy->has_policy = from->has_policy;
    copy->path = strdup(from->path);
    bool whole = copy->path != NULL && copy_listeners(copy, from);
    whole = whole && copy_pools(copy, from);
    whole = whole && copy_clients(copy, from);
    whole = whole && copy_rules(copy, from);
    whole = whole && copy_upstreams(copy, from);
    if (!whole)
        snapshot_free(&copy);
    return copy;
}

/* One reload */

static void deliver(struct weir_loop *loop, struct weir_message *message)
{
    struct exchange *exchange = (struct exchange *)((char *)message - offsetof(struct exchange, message));
    (void)loop;
    worker_exchange(exchange->worker, exchange->view);
    exchange->reloads->under_way--;
}

static void exchange_views(struct reloads *reloads)
{
    for (uint32_t n = 0; n < reloads->present->workers; n++) {
        reloads->exchanges[n] = (struct exchange){
            .message.deliver = deliver,
            .reloads = reloads,
            .worker = reloads->workers[n],
            .view = reloads->present->views[n],
        };
        reloads->under_way++;
        weir_loop_post(reloads->workers[n]->loop, &reloads->exchanges[n].message);
    }
}

static void reload(struct reloads *reloads)
{
    struct world *world = reloads->world;
    struct snapshot *copy = copy_snapshot(reloads->present->snapshot);
    struct generation *next = NULL;
    struct fault fault = { 0 };
    int err = copy == NULL ? WEIR_ENOMEM : snapshot_bind(copy, &world->state, world->shared.workers);
    if (err == 0)
        err = generation_new(copy, &world->state, reloads->workers, world->shared.workers, reloads->present, &fault,
                             &next);
    if (err != 0) {
        snapshot_free(&copy);
        keep_sweep(&world->state.keep);
        return;
    }
    SIM_TRACE(world->sim, "weir reloads");
    snapshot_apply(copy);
    health_apply(copy, reloads->present->snapshot, world->sim->now_ns);
    next->before = reloads->present;
    reloads->present = next;
    world->snapshot = copy;
    health_reloaded(world);
    exchange_views(reloads);
}

static void plan(struct reloads *reloads)
{
    if (reloads->left-- > 0)
        sim_at(reloads->world->sim, &reloads->due,
               reloads->world->sim->now_ns + random_scaled(&reloads->chance, SIM_MS, 10 * SIM_SECOND));
}

static void due(struct sim_event *event)
{
    struct reloads *reloads = (struct reloads *)((char *)event - offsetof(struct reloads, due));
    if (reloads->world->draining || reloads->world->stopping)
        return;
    if (reloads->under_way == 0)
        reload(reloads);
    plan(reloads);
}

/* Birth and death */

static struct generation *first_generation(struct world *world)
{
    struct generation *generation = sim_alloc(sizeof *generation);
    uint32_t workers = world->shared.workers, listeners = world->snapshot->listener_count;
    *generation = (struct generation){ .snapshot = world->snapshot, .workers = workers };
    generation->entrances = sim_alloc(workers * listeners * sizeof(struct entrance *));
    generation->views = sim_alloc(workers * sizeof(struct view *));
    for (uint32_t worker = 0; worker < workers; worker++) {
        generation->views[worker] = world->views[worker];
        for (uint32_t n = 0; n < listeners; n++)
            generation->entrances[worker * listeners + n] = world->entrances[worker][n];
    }
    return generation;
}

/* What is left of a slow start is weighed anew by a reload, which the reference does not know. */
static bool starts_slowly(const struct snapshot *snapshot)
{
    for (uint32_t n = 0; n < snapshot->pool_count; n++)
        if (snapshot->pools[n].slow_start_ns != 0)
            return true;
    return false;
}

void reloads_plan(struct world *world, uint64_t seed)
{
    struct reloads *reloads = sim_alloc(sizeof *reloads);
    world->reloads = reloads;
    reloads->world = world;
    reloads->due.run = due;
    reloads->present = first_generation(world);
    for (uint32_t n = 0; n < world->shared.workers; n++)
        reloads->workers[n] = &world->workers[n];
    reloads->chance.state = seed ^ RELOAD_SALT;
    if (!random_chance(&reloads->chance, WITH_RELOADS) || starts_slowly(world->snapshot))
        return;
    reloads->left = (uint32_t)random_between(&reloads->chance, 1, RELOADS_MAX);
    plan(reloads);
}

/* The first generation was not made like the others. */
static void free_generation(struct generation *generation, bool first)
{
    if (!first) {
        generation_free(&generation);
        return;
    }
    for (uint32_t n = 0; n < generation->workers; n++)
        view_free(&generation->views[n]);
    health_free(generation->snapshot);
    snapshot_free(&generation->snapshot);
}

void reloads_close(struct world *world)
{
    struct generation *generation = world->reloads->present;
    for (bool is_present = true; generation != NULL; is_present = false) {
        struct generation *before = generation->before;
        if (!is_present && !generation_is_over(generation))
            world_fail(world, "something still uses a configuration that was replaced");
        free_generation(generation, before == NULL);
        generation = before;
    }
    world->snapshot = NULL;
}
