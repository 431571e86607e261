/* SPDX-License-Identifier: Apache-2.0 */
#include "prober.h"

#include <stdlib.h>

#include <weir/errors.h>

#include "health.h"
#include "probe.h"

/* The checks of one place. */
struct turns {
    struct prober *prober;
    struct place_health *health;
    uint32_t pool, place;
    struct probe probe;
    struct weir_timer next;
    uint32_t count;              /* for the jitter */
    struct weir_message message; /* from other threads: the place was ejected */
    _Atomic bool posted;
};

struct prober {
    struct view *view;
    struct worker *worker; /* the view's */
    struct turns *turns;
    uint32_t count;
    uint32_t busy; /* checks under way; once stopped: messages under way as well */
    bool stopped;
};

static const struct health_settings *settings_of(const struct turns *turns)
{
    return turns->probe.settings;
}

static uint64_t now_of(const struct turns *turns)
{
    return weir_loop_now(turns->prober->worker->loop);
}

/* A number that differs from place to place and from check to check, but repeats with the same configuration. */
static uint64_t spread(const struct turns *turns, uint64_t range_ns)
{
    uint64_t mix = ((uint64_t)turns->place << 32 | turns->count) + (uint64_t)turns->pool * 0x9E3779B9;
    mix = (mix ^ mix >> 29) * UINT64_C(0xBF58476D1CE4E5B9);
    mix = (mix ^ mix >> 32) * UINT64_C(0x94D049BB133111EB);
    return range_ns == 0 ? 0 : (mix ^ mix >> 31) % range_ns;
}

/* When to look next: an interval after the last check began, a tenth more or less, but not before it has ended; without
 * checks, when an ejection is over. One that is over already could not be looked at for want of descriptors or memory.
 */
static void plan(struct turns *turns)
{
    const struct health_settings *settings = settings_of(turns);
    uint64_t ejected_until_ns = health_ejected_until(turns->health);
    uint64_t next_ns = turns->health->checked_ns + settings->interval_ns - settings->interval_ns / 10 +
                       spread(turns, settings->interval_ns / 5);
    if (settings->check == HEALTH_CHECK_NONE && ejected_until_ns == 0)
        return;
    if (settings->check == HEALTH_CHECK_NONE && ejected_until_ns > now_of(turns))
        next_ns = ejected_until_ns;
    weir_timer_set(turns->prober->worker->loop, &turns->next, next_ns);
}

static void begin(struct weir_timer *timer)
{
    struct turns *turns = (struct turns *)((char *)timer - offsetof(struct turns, next));
    turns->health->checked_ns = now_of(turns);
    turns->count++;
    turns->prober->busy++;
    probe_start(&turns->probe, turns->prober->view->pool_tls[turns->pool]);
}

static struct turns *of_probe(struct probe *probe)
{
    return (struct turns *)((char *)probe - offsetof(struct turns, probe));
}

static void judged(struct probe *probe, enum probe_verdict verdict, const char *cause)
{
    struct turns *turns = of_probe(probe);
    struct place_health *health = turns->health;
    uint64_t now_ns = now_of(turns);
    if (verdict == PROBE_VOID)
        return;
    if (probe->certificate_expires_s != 0)
        atomic_store_explicit(&health->certificate_expires_s, probe->certificate_expires_s, memory_order_relaxed);
    health_tick(health, now_ns);
    if (settings_of(turns)->check != HEALTH_CHECK_NONE)
        health_check(health, verdict == PROBE_GOOD, now_ns, cause);
    else if (verdict == PROBE_BAD)
        health_traffic(health, false, now_ns, now_ns, cause);
}

static void part_closed(struct prober *prober)
{
    prober->busy--;
    if (prober->stopped)
        worker_part_closed(prober->worker);
}

static void over(struct probe *probe)
{
    struct turns *turns = of_probe(probe);
    if (!turns->prober->stopped)
        plan(turns);
    part_closed(turns->prober);
}

static void deliver_ejected(struct weir_loop *loop, struct weir_message *message)
{
    (void)loop;
    struct turns *turns = (struct turns *)((char *)message - offsetof(struct turns, message));
    atomic_store(&turns->posted, false);
    if (turns->prober->stopped)
        part_closed(turns->prober);
    else if (probe_is_idle(&turns->probe))
        plan(turns);
}

/* From whichever worker saw the last failure. */
static void ejected(void *context)
{
    struct turns *turns = context;
    if (!atomic_exchange(&turns->posted, true))
        weir_loop_post(turns->prober->worker->loop, &turns->message);
}

static void init_turns(struct turns *turns, struct prober *prober, uint32_t pool_index, uint32_t place)
{
    struct worker *worker = prober->worker;
    const struct snapshot *snapshot = prober->view->snapshot;
    const struct pool *pool = &snapshot->pools[pool_index];
    turns->prober = prober;
    turns->pool = pool_index;
    turns->place = place;
    turns->health = health_of(pool, place);
    turns->next.fire = begin;
    turns->message.deliver = deliver_ejected;
    turns->probe.loop = worker->loop;
    turns->probe.line = &worker->handshakes;
    turns->probe.settings = &pool->health;
    turns->probe.address = &snapshot->upstreams[pool->places[place].upstream].address;
    turns->probe.judged = judged;
    turns->probe.over = over;
}

/* Places are dealt out to the workers in turn. Returns how many are this worker's; makes their turns, if there is room
 * for them. */
static uint32_t each_place(struct prober *prober)
{
    const struct snapshot *snapshot = prober->view->snapshot;
    uint32_t nth = 0, mine = 0;
    for (uint32_t pool = 0; pool < snapshot->pool_count; pool++)
        for (uint32_t place = 0; place < snapshot->pools[pool].place_count; place++) {
            if (nth++ % prober->worker->shared->workers != prober->worker->index)
                continue;
            if (prober->turns != NULL)
                init_turns(&prober->turns[mine], prober, pool, place);
            mine++;
        }
    return mine;
}

int prober_new(struct view *view, struct prober **ret_prober)
{
    struct prober *prober = calloc(1, sizeof *prober);
    if (prober == NULL)
        return WEIR_ENOMEM;
    prober->view = view;
    prober->worker = view->worker;
    prober->count = each_place(prober);
    prober->turns = calloc(prober->count + 1, sizeof *prober->turns);
    if (prober->turns == NULL) {
        prober_free(&prober);
        return WEIR_ENOMEM;
    }
    each_place(prober);
    *ret_prober = prober;
    return 0;
}

void prober_start(struct prober *prober)
{
    for (uint32_t n = 0; n < prober->count; n++) {
        struct turns *turns = &prober->turns[n];
        const struct health_settings *settings = settings_of(turns);
        if (settings->check == HEALTH_CHECK_NONE)
            health_on_ejection(turns->health, ejected, turns);
        if (settings->check == HEALTH_CHECK_NONE || turns->health->checked_ns != 0)
            plan(turns);
        else
            weir_timer_set(prober->worker->loop, &turns->next, now_of(turns) + spread(turns, settings->interval_ns));
    }
}

void prober_stop(struct prober *prober)
{
    prober->stopped = true;
    for (uint32_t n = 0; n < prober->count; n++) {
        struct turns *turns = &prober->turns[n];
        if (settings_of(turns)->check == HEALTH_CHECK_NONE)
            health_off_ejection(turns->health, turns);
        prober->busy += atomic_load(&turns->posted);
        weir_timer_stop(prober->worker->loop, &turns->next);
        probe_stop(&turns->probe);
    }
}

bool prober_idle(const struct prober *prober)
{
    return prober->busy == 0;
}

void prober_free(struct prober **pprober)
{
    struct prober *prober = *pprober;
    if (prober == NULL)
        return;
    free(prober->turns);
    free(prober);
    *pprober = NULL;
}
