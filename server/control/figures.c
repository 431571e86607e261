/* SPDX-License-Identifier: Apache-2.0 */
#include "figures_parts.h"

#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#define SECOND_NS 1e9
#define HALF_LIFE_S 60

/* Rates */

/* The first look has nothing to compare with: `span` is 0. */
static double rate_of(uint64_t *before, uint64_t now, double span)
{
    double rate = span > 0 && now > *before ? (double)(now - *before) / span : 0;
    *before = now;
    return rate;
}

/* Looking */

static void look_at_listeners(struct figures *figures, double span, struct moment *moment)
{
    const struct snapshot *snapshot = figures->snapshot;
    for (uint32_t n = 0; n < snapshot->listener_count; n++) {
        struct listener_figures *listener = &figures->tables.listeners[n];
        uint64_t accepted = 0, bytes[2] = { 0 };
        for (uint32_t worker = 0; worker < balancer_workers(figures->balancer); worker++) {
            const struct listener_slot *slot = &snapshot->listeners[n].slots[worker];
            accepted += counter_read(&slot->accepted);
            for (unsigned side = 0; side < 2; side++)
                bytes[side] += __atomic_load_n(&slot->bytes[side], __ATOMIC_RELAXED);
        }
        listener->rate = rate_of(&listener->accepted, accepted, span);
        moment->accepting += listener->rate;
        for (unsigned side = 0; side < 2; side++) {
            listener->byte_rates[side] = rate_of(&listener->bytes[side], bytes[side], span);
            moment->byte_rates[side] += listener->byte_rates[side];
        }
        moment->active += (uint32_t)balancer_listener_active(figures->balancer, &snapshot->listeners[n]);
    }
}

/* The time of a mark begins with this look. */
static bool is_new_mark(const struct figures *figures)
{
    return (figures->looks - 1) % FIGURES_MARK_LOOKS == 0;
}

static void mark_active(const struct figures *figures, uint32_t *marks, uint32_t active)
{
    uint32_t *mark = &marks[figures_mark(figures) % FIGURES_MARKS];
    if (is_new_mark(figures) || active > *mark)
        *mark = active;
}

static void mark_health(const struct figures *figures, uint8_t *marks, enum weir_place_health health)
{
    uint8_t *mark = &marks[figures_mark(figures) % FIGURES_MARKS];
    if (is_new_mark(figures) || health > *mark)
        *mark = (uint8_t)health;
}

static uint64_t failures_of(const struct upstream *upstream)
{
    uint64_t sum = 0;
    for (unsigned reason = 0; reason < UPSTREAM_FAILURES; reason++)
        sum += counter_read(&upstream->counters->failures[reason]);
    return sum;
}

static void look_at_pool(struct figures *figures, uint32_t index, double span)
{
    const struct snapshot *snapshot = figures->snapshot;
    const struct pool *pool = &snapshot->pools[index];
    struct place_figures *places = &figures->tables.places[figures->tables.first_place[index]];
    const struct weir_upstreams *table = balancer_state(figures->balancer)->upstreams;
    for (uint32_t n = 0; n < pool->place_count; n++) {
        const struct upstream *upstream = &snapshot->upstreams[pool->places[n].upstream];
        places[n].rate = rate_of(&places[n].connections, counter_read(&upstream->counters->connections), span);
        places[n].failing = rate_of(&places[n].failures, failures_of(upstream), span);
        mark_active(figures, places[n].active, weir_upstreams_active(table, upstream->id));
        mark_health(figures, places[n].health, weir_pool_health(pool->balancing, n));
    }
}

/* Adds to `reasons` by the way. */
static void look_at_client(struct client_figures *client, const struct client_counters *counters, double span,
                           uint64_t *reasons)
{
    uint64_t denied = 0, before = client->denied;
    for (unsigned reason = 0; reason < CLOSE_REASONS; reason++) {
        uint64_t count = counter_read(&counters->denied[reason]);
        reasons[reason] += count;
        denied += count;
    }
    client->refusing = rate_of(&client->denied, denied, span);
    if (denied > before)
        client->recent += (double)(denied - before);
    /* Without a logarithm: for a second this is nearly the same. */
    client->recent /= 1 + 0.693 * span / HALF_LIFE_S;
}

static void look_at_clients(struct figures *figures, double span, struct moment *moment)
{
    const struct snapshot *snapshot = figures->snapshot;
    uint64_t reasons[CLOSE_REASONS] = { 0 }, refused = 0;
    for (uint32_t n = 0; n < snapshot->client_count; n++) {
        struct client_figures *client = &figures->tables.clients[n];
        look_at_client(client, snapshot->clients[n].counters, span, reasons);
        mark_active(figures, client->active, weir_client_active(snapshot->clients[n].record));
    }
    look_at_client(&figures->other, snapshot->other, span, reasons);
    look_at_client(&figures->nobody, snapshot->nobody, span, reasons);
    for (unsigned reason = 0; reason < CLOSE_REASONS; reason++) {
        figures->reason_rates[reason] = rate_of(&figures->reasons[reason], reasons[reason], span);
        refused += reasons[reason];
    }
    moment->refusing = rate_of(&figures->refused, refused, span);
}

static void look_at_workers(struct figures *figures, double span)
{
    for (uint32_t n = 0; n < balancer_workers(figures->balancer); n++) {
        uint64_t busy_ns = balancer_worker_busy_ns(figures->balancer, n);
        double ratio = rate_of(&figures->busy_ns[n], busy_ns, span) / SECOND_NS;
        figures->busy_ratios[n] = ratio < 1 ? ratio : 1;
    }
}

static void look_at_reloads(struct figures *figures)
{
    struct reload_result *last = figures->reloader == NULL ? NULL : reloader_last(figures->reloader);
    struct reload_result **kept = figures->reloads;
    if (last == NULL || last == kept[0]) {
        reload_result_unref(&last);
        return;
    }
    reload_result_unref(&kept[FIGURES_RELOADS - 1]);
    memmove(kept + 1, kept, (FIGURES_RELOADS - 1) * sizeof *kept);
    kept[0] = last;
}

/* What runs now; it is held until the look after this one. */
static int hold_snapshot(struct figures *figures)
{
    const struct snapshot *snapshot = balancer_snapshot_ref(figures->balancer);
    int err = 0;
    if (snapshot != figures->snapshot)
        err = tables_adopt(&figures->tables, figures->snapshot, snapshot);
    if (err != 0) {
        balancer_snapshot_unref(figures->balancer, &snapshot);
        return err;
    }
    balancer_snapshot_unref(figures->balancer, &figures->snapshot);
    figures->snapshot = snapshot;
    return 0;
}

int figures_look(struct figures *figures, uint64_t now_ns, uint64_t wall_ns)
{
    int err = hold_snapshot(figures);
    if (err != 0)
        return err;
    double span = figures->looks == 0 ? 0 : (double)(now_ns - figures->looked_ns) / SECOND_NS;
    struct moment *moment = &figures->past[figures->looks % FIGURES_PAST];
    *moment = (struct moment){ .wall_ns = wall_ns };
    figures->looked_ns = now_ns;
    figures->looks++;
    look_at_listeners(figures, span, moment);
    for (uint32_t n = 0; n < figures->snapshot->pool_count; n++)
        look_at_pool(figures, n, span);
    look_at_clients(figures, span, moment);
    look_at_workers(figures, span);
    look_at_reloads(figures);
    return 0;
}

/* Begin and end */

int figures_new(const struct balancer *balancer, struct reloader *reloader, struct figures **ret_figures)
{
    struct figures *figures = calloc(1, sizeof *figures);
    if (figures == NULL)
        return WEIR_ENOMEM;
    figures->balancer = balancer;
    figures->reloader = reloader;
    figures->busy_ns = calloc(balancer_workers(balancer), sizeof *figures->busy_ns);
    figures->busy_ratios = calloc(balancer_workers(balancer), sizeof *figures->busy_ratios);
    int err = figures->busy_ns == NULL || figures->busy_ratios == NULL ? WEIR_ENOMEM : 0;
    if (err == 0)
        err = hold_snapshot(figures);
    if (err == 0)
        *ret_figures = figures;
    else
        figures_free(&figures);
    return err;
}

void figures_free(struct figures **pfigures)
{
    struct figures *figures = *pfigures;
    if (figures == NULL)
        return;
    for (unsigned n = 0; n < FIGURES_RELOADS; n++)
        reload_result_unref(&figures->reloads[n]);
    tables_free(&figures->tables);
    balancer_snapshot_unref(figures->balancer, &figures->snapshot);
    free(figures->busy_ns);
    free(figures->busy_ratios);
    free(figures);
    *pfigures = NULL;
}
