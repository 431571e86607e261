/* SPDX-License-Identifier: Apache-2.0 */
#include "prober.h"

#include <stdlib.h>

#include <weir/errors.h>

#include "health.h"

struct probe {
    struct prober *prober;
    struct place_health *health;
    const struct upstream *upstream;
    struct weir_socket socket;
    struct weir_timer timer;     /* the next check; while one is under way: its timeout */
    struct weir_message message; /* from other threads: the place was ejected */
    _Atomic bool posted;
    bool busy, closing;
    uint32_t count; /* of checks, for the jitter */
};

struct prober {
    struct worker *worker;
    struct probe *probes;
    uint32_t probe_count;
    uint32_t busy;
    bool stopped;
};

static const struct weir_socket_events probe_events;

static struct probe *probe_of(struct weir_socket *socket)
{
    return (struct probe *)((char *)socket - offsetof(struct probe, socket));
}

static const struct health_settings *settings_of(const struct probe *probe)
{
    return &probe->health->pool->health;
}

static uint64_t now_of(const struct probe *probe)
{
    return weir_loop_now(probe->prober->worker->loop);
}

/* A number that differs from probe to probe and from check to check, but repeats with the same configuration. */
static uint64_t spread(const struct probe *probe, uint64_t range_ns)
{
    uint64_t mix = ((uint64_t)probe->health->place << 32 | probe->count) + (uint64_t)probe->prober->worker->index * 31;
    mix = (mix ^ mix >> 29) * UINT64_C(0xBF58476D1CE4E5B9);
    mix = (mix ^ mix >> 32) * UINT64_C(0x94D049BB133111EB);
    return range_ns == 0 ? 0 : (mix ^ mix >> 31) % range_ns;
}

/* When to look next: after the interval, a tenth more or less; without checks, when an ejection is over. One that is
 * over already could not be looked at for want of descriptors or memory. */
static void plan(struct probe *probe)
{
    const struct health_settings *settings = settings_of(probe);
    uint64_t ejected_until_ns = health_ejected_until(probe->health);
    uint64_t next_ns =
        now_of(probe) + settings->interval_ns - settings->interval_ns / 10 + spread(probe, settings->interval_ns / 5);
    if (settings->check == HEALTH_CHECK_NONE && ejected_until_ns == 0)
        return;
    if (settings->check == HEALTH_CHECK_NONE && ejected_until_ns > now_of(probe))
        next_ns = ejected_until_ns;
    weir_timer_set(probe->prober->worker->loop, &probe->timer, next_ns);
}

static void judge(struct probe *probe, int status)
{
    bool good = status == 0;
    bool our_fault = status == WEIR_EMFILE || status == WEIR_ENOBUFS || status == WEIR_ENOMEM ||
                     status == WEIR_EADDRNOTAVAIL || status == WEIR_ECANCELED;
    if (our_fault)
        return;
    health_tick(probe->health, now_of(probe));
    if (settings_of(probe)->check == HEALTH_CHECK_CONNECT)
        health_check(probe->health, good, now_of(probe), weir_strerror(status));
    else if (!good)
        health_traffic(probe->health->pool, probe->health->place, false, now_of(probe), now_of(probe),
                       weir_strerror(status));
}

static void finish(struct probe *probe, int status)
{
    judge(probe, status);
    probe->closing = true;
    weir_close(&probe->socket, WEIR_CLOSE_NORMAL);
}

static void begin(struct probe *probe)
{
    struct weir_loop *loop = probe->prober->worker->loop;
    probe->busy = true;
    probe->closing = false;
    probe->count++;
    probe->prober->busy++;
    probe->socket = (struct weir_socket){ 0 };
    weir_socket_init(&probe->socket, loop, &probe_events);
    weir_connect(&probe->socket, &probe->upstream->address, 0);
    weir_timer_set(loop, &probe->timer, now_of(probe) + settings_of(probe)->timeout_ns);
}

static void probe_timer(struct weir_timer *timer)
{
    struct probe *probe = (struct probe *)((char *)timer - offsetof(struct probe, timer));
    if (probe->busy)
        finish(probe, WEIR_ETIMEDOUT);
    else
        begin(probe);
}

static void probe_connected(struct weir_socket *socket, int status)
{
    struct probe *probe = probe_of(socket);
    if (probe->closing)
        return;
    weir_timer_stop(probe->prober->worker->loop, &probe->timer);
    finish(probe, status);
}

static void probe_closed(struct weir_socket *socket)
{
    struct probe *probe = probe_of(socket);
    struct prober *prober = probe->prober;
    probe->busy = false;
    prober->busy--;
    if (prober->stopped)
        worker_part_closed(prober->worker);
    else
        plan(probe);
}

static const struct weir_socket_events probe_events = { .connected = probe_connected, .closed = probe_closed };

static void deliver_ejected(struct weir_loop *loop, struct weir_message *message)
{
    (void)loop;
    struct probe *probe = (struct probe *)((char *)message - offsetof(struct probe, message));
    atomic_store(&probe->posted, false);
    if (!probe->busy && !probe->prober->stopped)
        plan(probe);
}

/* From whichever worker saw the last failure. */
static void place_ejected(struct place_health *health, void *context)
{
    (void)health;
    struct probe *probe = context;
    if (!atomic_exchange(&probe->posted, true))
        weir_loop_post(probe->prober->worker->loop, &probe->message);
}

static void init_probe(struct probe *probe, struct prober *prober, const struct snapshot *snapshot,
                       const struct pool *pool, uint32_t place)
{
    probe->prober = prober;
    probe->health = health_of(pool, place);
    probe->upstream = &snapshot->upstreams[pool->places[place].upstream];
    probe->timer.fire = probe_timer;
    probe->message.deliver = deliver_ejected;
    if (pool->health.check == HEALTH_CHECK_NONE) {
        probe->health->ejected = place_ejected;
        probe->health->ejected_context = probe;
    }
}

/* Places are dealt out to the workers in turn. Calls back for each of this worker's; returns how many there are. */
static uint32_t each_place(struct prober *prober, bool init)
{
    const struct snapshot *snapshot = prober->worker->shared->snapshot;
    uint32_t nth = 0, mine = 0;
    for (uint32_t n = 0; n < snapshot->pool_count; n++)
        for (uint32_t place = 0; place < snapshot->pools[n].place_count; place++) {
            if (nth++ % prober->worker->shared->workers != prober->worker->index)
                continue;
            if (init)
                init_probe(&prober->probes[mine], prober, snapshot, &snapshot->pools[n], place);
            mine++;
        }
    return mine;
}

int prober_new(struct worker *worker, struct prober **ret_prober)
{
    struct prober *prober = calloc(1, sizeof *prober);
    if (prober == NULL)
        return WEIR_ENOMEM;
    prober->worker = worker;
    prober->probe_count = each_place(prober, false);
    prober->probes = calloc(prober->probe_count + 1, sizeof *prober->probes);
    if (prober->probes == NULL) {
        prober_free(&prober);
        return WEIR_ENOMEM;
    }
    each_place(prober, true);
    *ret_prober = prober;
    return 0;
}

void prober_start(struct prober *prober)
{
    for (uint32_t n = 0; n < prober->probe_count; n++) {
        struct probe *probe = &prober->probes[n];
        const struct health_settings *settings = settings_of(probe);
        if (settings->check == HEALTH_CHECK_CONNECT)
            weir_timer_set(prober->worker->loop, &probe->timer, now_of(probe) + spread(probe, settings->interval_ns));
    }
}

void prober_stop(struct prober *prober)
{
    prober->stopped = true;
    for (uint32_t n = 0; n < prober->probe_count; n++) {
        struct probe *probe = &prober->probes[n];
        weir_timer_stop(prober->worker->loop, &probe->timer);
        if (probe->busy && !probe->closing) {
            probe->closing = true;
            weir_close(&probe->socket, WEIR_CLOSE_NORMAL);
        }
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
    free(prober->probes);
    free(prober);
    *pprober = NULL;
}
