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
    uint32_t busy;  /* checks under way; once stopped: messages under way as well */
    uint32_t begun; /* the first of the turns, those that have begun and not been ended */
    struct weir_timer slice;
    bool stopped;
};

/* Turns that begin or end in one turn of the loop: some microseconds for each hundred. */
#define SLICE 256

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
    if (turns->prober->stopped)
        return;
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

static bool has_ended(const struct turns *turns)
{
    return turns->prober->stopped && turns - turns->prober->turns >= turns->prober->begun;
}

static void deliver_ejected(struct weir_loop *loop, struct weir_message *message)
{
    (void)loop;
    struct turns *turns = (struct turns *)((char *)message - offsetof(struct turns, message));
    atomic_store(&turns->posted, false);
    if (has_ended(turns))
        part_closed(turns->prober);
    else if (!turns->prober->stopped && probe_is_idle(&turns->probe))
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

static void begin_turns(struct turns *turns)
{
    const struct health_settings *settings = settings_of(turns);
    if (settings->check == HEALTH_CHECK_NONE)
        health_on_ejection(turns->health, ejected, turns);
    if (settings->check == HEALTH_CHECK_NONE || turns->health->checked_ns != 0)
        plan(turns);
    else
        weir_timer_set(turns->prober->worker->loop, &turns->next, now_of(turns) + spread(turns, settings->interval_ns));
}

static void end_turns(struct turns *turns)
{
    if (settings_of(turns)->check == HEALTH_CHECK_NONE)
        health_off_ejection(turns->health, turns);
    turns->prober->busy += atomic_load(&turns->posted);
    weir_timer_stop(turns->prober->worker->loop, &turns->next);
    probe_stop(&turns->probe);
}

static void take_slice(struct prober *prober)
{
    uint32_t end = prober->stopped ? 0 : prober->count;
    for (unsigned n = 0; n < SLICE && prober->begun != end; n++) {
        if (prober->stopped)
            end_turns(&prober->turns[--prober->begun]);
        else
            begin_turns(&prober->turns[prober->begun++]);
    }
    if (prober->begun != end)
        weir_timer_set(prober->worker->loop, &prober->slice, weir_loop_now(prober->worker->loop));
}

static void next_slice(struct weir_timer *timer)
{
    struct prober *prober = (struct prober *)((char *)timer - offsetof(struct prober, slice));
    take_slice(prober);
    if (prober_idle(prober))
        worker_part_closed(prober->worker);
}

void prober_start(struct prober *prober)
{
    prober->slice.fire = next_slice;
    take_slice(prober);
}

void prober_stop(struct prober *prober)
{
    prober->stopped = true;
    weir_timer_stop(prober->worker->loop, &prober->slice);
    take_slice(prober);
}

bool prober_idle(const struct prober *prober)
{
    return prober->busy == 0 && (!prober->stopped || prober->begun == 0);
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
