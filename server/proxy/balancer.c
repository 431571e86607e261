/* SPDX-License-Identifier: Apache-2.0 */
#include "balancer.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weir/errors.h>
#include <weir/socket.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/thread.h"
#include "generation.h"
#include "health.h"
#include "worker.h"

/* Descriptors beside those of connections: standard streams, log, admin with its clients, and what a worker's loop
 * needs. */
#define RESERVE_PROCESS 160
#define RESERVE_WORKER 8
#define RESERVE_PROBES_MAX 256
#define CONNECTION_DESCRIPTORS 2
/* Pipes of one worker: half as many connections are spliced at a time. */
#define PIPES_MAX 256

#define REVIEW_WAIT_S 1

struct thread {
    struct worker worker;
    struct weir_loop *loop;
    pthread_t pthread;
    bool running;
    struct weir_message start, drain, stop, pulse, exchange;
    struct view *view; /* to exchange */
    sem_t *exchanged;
    _Atomic bool pulse_awaited;
};

struct balancer {
    struct shared shared;
    pthread_mutex_t mutex;      /* of `present`, for readers, and of upstreams' states and limits */
    struct generation *present; /* the newest first; older ones are there as long as something uses them */
    sem_t exchanged;            /* once by each worker */
    sem_t reviewed;             /* a worker is done with looking at its connections anew, or was long ago */
    uint64_t started_ns;
    _Atomic bool draining;
    struct thread threads[];
};

/* Descriptors: one budget for the process. */

static uint64_t raise_descriptor_limit(void)
{
    struct rlimit limit = { 0 };
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = { .rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max };
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    return limit.rlim_cur;
}

/* A thirty-second part of the descriptors, two for each pipe; 1: too few for splicing. */
static uint32_t plan_pipes(uint32_t workers)
{
    uint64_t pipes = raise_descriptor_limit() / 64 / workers;
    return pipes > PIPES_MAX ? PIPES_MAX : pipes > 1 ? (uint32_t)pipes : 1;
}

static uint64_t reserved_descriptors(const struct snapshot *snapshot, uint32_t workers)
{
    uint64_t places = 0;
    for (uint32_t n = 0; n < snapshot->pool_count; n++)
        places += snapshot->pools[n].place_count;
    uint64_t probes = places < RESERVE_PROBES_MAX ? places : RESERVE_PROBES_MAX;
    uint64_t of_worker = RESERVE_WORKER + snapshot->listener_count + 2 * plan_pipes(workers);
    return RESERVE_PROCESS + probes + workers * of_worker;
}

static int plan_descriptors(const struct snapshot *snapshot, uint32_t workers, struct fault *fault,
                            uint32_t *ret_max_connections)
{
    const struct settings *settings = &snapshot->settings;
    uint64_t limit = raise_descriptor_limit(), reserve = reserved_descriptors(snapshot, workers);
    /* Where little is allowed, a part of it still serves connections. */
    uint64_t possible = (limit > 2 * reserve ? limit - reserve : limit / 2) / CONNECTION_DESCRIPTORS;
    possible = possible < UINT32_MAX ? possible : UINT32_MAX;
    if (settings->max_connections > possible) {
        fault->at = settings->max_connections_at;
        snprintf(fault->text, sizeof fault->text,
                 "max_connections is more than the descriptor limit allows; at most %" PRIu64 " are possible",
                 possible);
        log_error("max_connections is more than the descriptor limit allows", LOG_STR("file", snapshot->path),
                  LOG_U64("line", settings->max_connections_at.line), LOG_U64("descriptors", limit),
                  LOG_U64("possible", possible),
                  LOG_STR("hint", "raise the limit (ulimit -n, LimitNOFILE) or lower it"));
        return WEIR_EINVAL;
    }
    *ret_max_connections = settings->max_connections != 0 ? settings->max_connections : (uint32_t)possible;
    return 0;
}

/* Workers */

static void deliver_start(struct weir_loop *loop, struct weir_message *message)
{
    (void)loop;
    worker_start(&((struct thread *)((char *)message - offsetof(struct thread, start)))->worker);
}

static void deliver_drain(struct weir_loop *loop, struct weir_message *message)
{
    (void)loop;
    worker_drain(&((struct thread *)((char *)message - offsetof(struct thread, drain)))->worker);
}

static void deliver_stop(struct weir_loop *loop, struct weir_message *message)
{
    (void)loop;
    worker_stop(&((struct thread *)((char *)message - offsetof(struct thread, stop)))->worker);
}

static void deliver_pulse(struct weir_loop *loop, struct weir_message *message)
{
    (void)loop;
    atomic_store(&((struct thread *)((char *)message - offsetof(struct thread, pulse)))->pulse_awaited, false);
}

static void deliver_exchange(struct weir_loop *loop, struct weir_message *message)
{
    struct thread *thread = (struct thread *)((char *)message - offsetof(struct thread, exchange));
    (void)loop;
    worker_exchange(&thread->worker, thread->view);
    sem_post(thread->exchanged);
}

static int open_worker(struct balancer *balancer, uint32_t index, enum weir_backend backend)
{
    struct thread *thread = &balancer->threads[index];
    const struct weir_loop_options options = { .backend = backend, .pipes = plan_pipes(balancer->shared.workers) };
    thread->start.deliver = deliver_start;
    thread->drain.deliver = deliver_drain;
    thread->stop.deliver = deliver_stop;
    thread->pulse.deliver = deliver_pulse;
    thread->exchange.deliver = deliver_exchange;
    thread->exchanged = &balancer->exchanged;
    thread->worker.review.over = &balancer->reviewed;
    int err = weir_loop_new(&options, &thread->loop);
    if (err == 0)
        err = worker_init(&thread->worker, &balancer->shared, thread->loop, index);
    if (err != 0)
        log_error("cannot start a worker", LOG_U64("worker", index), LOG_STR("error", weir_strerror(err)));
    return err;
}

static void *run_worker(void *argument)
{
    struct thread *thread = argument;
    int err = weir_loop_run(thread->loop);
    if (err != 0) {
        log_error("a worker's loop failed", LOG_U64("worker", thread->worker.index),
                  LOG_STR("error", weir_strerror(err)));
        abort();
    }
    return NULL;
}

static void *run_thread(void *argument)
{
    char name[16]; /* the kernel's bound */
    snprintf(name, sizeof name, "weir-worker-%u", ((struct thread *)argument)->worker.index % 1000);
    pthread_setname_np(pthread_self(), name);
    return run_worker(argument);
}

/* The balancer */

/* All workers take their views; those that run do so in between their other work. */
static void exchange_views(struct balancer *balancer, const struct generation *generation)
{
    for (uint32_t n = 0; n < balancer->shared.workers; n++) {
        struct thread *thread = &balancer->threads[n];
        thread->view = generation->views[n];
        if (thread->running)
            weir_loop_post(thread->loop, &thread->exchange);
        else
            deliver_exchange(thread->loop, &thread->exchange);
    }
    for (uint32_t n = 0; n < balancer->shared.workers; n++)
        while (sem_wait(&balancer->exchanged) != 0)
            ;
}

static void apply(struct balancer *balancer, struct generation *generation, uint32_t max_connections)
{
    const struct generation *before = balancer->present;
    pthread_mutex_lock(&balancer->mutex);
    snapshot_apply(generation->snapshot);
    health_apply(generation->snapshot, before == NULL ? NULL : before->snapshot, clock_ns(CLOCK_MONOTONIC));
    generation->before = balancer->present;
    balancer->present = generation;
    pthread_mutex_unlock(&balancer->mutex);
    atomic_store(&balancer->shared.max_connections, max_connections);
    exchange_views(balancer, generation);
}

/* Takes the snapshot, if it succeeds. */
static int adopt(struct balancer *balancer, struct snapshot *snapshot, struct fault *fault)
{
    uint32_t workers = balancer->shared.workers, max_connections = 0;
    struct worker **list = calloc(workers + (size_t)1, sizeof(struct worker *));
    struct generation *generation = NULL;
    int err = list == NULL ? WEIR_ENOMEM : plan_descriptors(snapshot, workers, fault, &max_connections);
    for (uint32_t n = 0; err == 0 && n < workers; n++)
        list[n] = &balancer->threads[n].worker;
    if (err == 0)
        err = generation_new(snapshot, balancer->shared.state, list, workers, balancer->present, fault, &generation);
    free(list);
    if (err == 0)
        apply(balancer, generation, max_connections);
    return err;
}

static int open_all(struct balancer *balancer, struct snapshot *snapshot)
{
    struct fault fault = { 0 };
    int err = 0;
    for (uint32_t n = 0; err == 0 && n < balancer->shared.workers; n++)
        err = open_worker(balancer, n, snapshot->settings.io);
    if (err == 0)
        err = adopt(balancer, snapshot, &fault);
    if (err == 0)
        log_info("descriptor budget", LOG_U64("descriptors", raise_descriptor_limit()),
                 LOG_U64("max_connections", balancer_max_connections(balancer)));
    return err;
}

static bool is_reviewed(struct balancer *balancer)
{
    for (uint32_t n = 0; n < balancer->shared.workers; n++)
        if (!atomic_load_explicit(&balancer->threads[n].worker.review.is_over, memory_order_acquire))
            return false;
    return true;
}

/* Whoever has very many connections gets the answer before all of them have been looked at. */
static void wait_for_reviews(struct balancer *balancer)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += REVIEW_WAIT_S;
    int result = 0;
    while (!is_reviewed(balancer) && (result == 0 || errno == EINTR))
        result = sem_clockwait(&balancer->reviewed, CLOCK_MONOTONIC, &deadline);
}

int balancer_reload(struct balancer *balancer, struct snapshot *snapshot, struct fault *fault)
{
    int err = adopt(balancer, snapshot, fault);
    if (err == 0)
        wait_for_reviews(balancer);
    return err;
}

uint32_t balancer_reviewed(const struct balancer *balancer, uint32_t worker, const struct review_row **ret_rows)
{
    const struct review *review = &balancer->threads[worker].worker.review;
    *ret_rows = review->rows;
    return atomic_load_explicit(&review->is_over, memory_order_acquire) ? review->row_count : 0;
}

bool balancer_tidy(struct balancer *balancer)
{
    bool freed = false;
    for (struct generation **at = &balancer->present->before; *at != NULL;) {
        struct generation *generation = *at;
        if (!generation_is_over(generation)) {
            at = &generation->before;
            continue;
        }
        *at = generation->before;
        generation_free(&generation);
        freed = true;
    }
    for (uint32_t n = 0; freed && n < balancer->shared.workers; n++)
        tls_contexts_sweep(&balancer->threads[n].worker.contexts);
    if (freed)
        keep_sweep(&balancer->shared.state->keep);
    return balancer->present->before == NULL;
}

static void log_listening(const struct balancer *balancer)
{
    const struct snapshot *snapshot = balancer->present->snapshot;
    const char *fallback = weir_loop_fallback_reason(balancer->threads[0].loop);
    if (fallback != NULL)
        log_warn("io_uring is not available, using epoll", LOG_STR("cause", fallback));
    for (uint32_t n = 0; n < snapshot->listener_count; n++) {
        char text[WEIR_ADDRESS_TEXT_MAX];
        log_info("listening", LOG_STR("listener", snapshot->listeners[n].name),
                 LOG_STR("address", weir_address_format(&snapshot->listeners[n].bound, text, sizeof text)),
                 LOG_STR("pool", snapshot->pools[snapshot->listeners[n].pool].name),
                 LOG_U64("workers", balancer->shared.workers), LOG_STR("io", balancer_backend_name(balancer)));
    }
}

int balancer_new(struct snapshot *snapshot, struct state *state, uint32_t workers, struct balancer **ret_balancer)
{
    struct balancer *balancer = calloc(1, sizeof *balancer + workers * sizeof(struct thread));
    if (balancer == NULL)
        return WEIR_ENOMEM;
    pthread_mutex_init(&balancer->mutex, NULL);
    sem_init(&balancer->exchanged, 0, 0);
    sem_init(&balancer->reviewed, 0, 0);
    balancer->shared.state = state;
    balancer->shared.workers = workers;
    balancer->started_ns = clock_ns(CLOCK_MONOTONIC);
    int err = open_all(balancer, snapshot);
    if (err == 0)
        *ret_balancer = balancer;
    else
        balancer_free(&balancer);
    return err;
}

int balancer_start(struct balancer *balancer)
{
    for (uint32_t n = 0; n < balancer->shared.workers; n++) {
        struct thread *thread = &balancer->threads[n];
        thread->running = thread_start(&thread->pthread, run_thread, thread) == 0;
        if (!thread->running) {
            log_error("cannot start a thread", LOG_U64("worker", n));
            return WEIR_ENOMEM;
        }
        weir_loop_post(thread->loop, &thread->start);
    }
    log_listening(balancer);
    return 0;
}

void balancer_drain(struct balancer *balancer)
{
    if (atomic_exchange(&balancer->draining, true))
        return;
    for (uint32_t n = 0; n < balancer->shared.workers; n++)
        if (balancer->threads[n].running)
            weir_loop_post(balancer->threads[n].loop, &balancer->threads[n].drain);
}

static const struct upstream *find_upstream(const struct snapshot *snapshot, const char *name)
{
    for (uint32_t n = 0; n < snapshot->upstream_count; n++)
        if (strcmp(snapshot->upstreams[n].name, name) == 0)
            return &snapshot->upstreams[n];
    return NULL;
}

int balancer_set_upstream_state(struct balancer *balancer, const char *name, enum weir_upstream_state state)
{
    const struct snapshot *snapshot = balancer_snapshot_ref(balancer);
    const struct upstream *upstream = find_upstream(snapshot, name);
    int err = upstream == NULL ? WEIR_EINVAL : 0;
    if (err == 0)
        health_set_state(snapshot, upstream, state, clock_ns(CLOCK_MONOTONIC));
    balancer_snapshot_unref(balancer, &snapshot);
    for (uint32_t n = 0; err == 0 && state == WEIR_UPSTREAM_DISABLED && n < balancer->shared.workers; n++)
        sweep_post(&balancer->threads[n].worker.sweep);
    return err;
}

bool balancer_drained(const struct balancer *balancer)
{
    return atomic_load(&balancer->shared.open_acceptors) == 0 && balancer_open_connections(balancer) == 0;
}

bool balancer_feel_pulse(struct balancer *balancer, uint32_t *ret_stuck)
{
    bool alive = true;
    for (uint32_t n = 0; n < balancer->shared.workers; n++) {
        struct thread *thread = &balancer->threads[n];
        if (!atomic_exchange(&thread->pulse_awaited, true)) {
            weir_loop_post(thread->loop, &thread->pulse);
            continue;
        }
        *ret_stuck = n;
        alive = false;
    }
    return alive;
}

/* A worker that never ran is run once, to close what it holds. */
static void stop_workers(struct balancer *balancer)
{
    for (uint32_t n = 0; n < balancer->shared.workers; n++) {
        struct thread *thread = &balancer->threads[n];
        if (thread->worker.loop == NULL)
            continue;
        weir_loop_post(thread->loop, &thread->stop);
        if (!thread->running)
            run_worker(thread);
    }
    for (uint32_t n = 0; n < balancer->shared.workers; n++)
        if (balancer->threads[n].running)
            pthread_join(balancer->threads[n].pthread, NULL);
}

static void free_generations(struct balancer *balancer)
{
    for (struct generation *generation = balancer->present, *before; generation != NULL; generation = before) {
        before = generation->before;
        generation_free(&generation);
    }
}

void balancer_free(struct balancer **pbalancer)
{
    struct balancer *balancer = *pbalancer;
    if (balancer == NULL)
        return;
    stop_workers(balancer);
    free_generations(balancer);
    for (uint32_t n = 0; n < balancer->shared.workers; n++) {
        worker_free(&balancer->threads[n].worker);
        weir_loop_free(&balancer->threads[n].loop);
    }
    sem_destroy(&balancer->exchanged);
    sem_destroy(&balancer->reviewed);
    pthread_mutex_destroy(&balancer->mutex);
    free(balancer);
    *pbalancer = NULL;
}

struct worker *balancer_worker(struct balancer *balancer, uint32_t worker)
{
    return &balancer->threads[worker].worker;
}

/* For readers */

const struct snapshot *balancer_snapshot(const struct balancer *balancer)
{
    return balancer->present->snapshot;
}

const struct snapshot *balancer_snapshot_ref(const struct balancer *balancer)
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)&balancer->mutex;
    pthread_mutex_lock(mutex);
    struct snapshot *snapshot = balancer->present->snapshot;
    atomic_fetch_add_explicit(&snapshot->readers, 1, memory_order_relaxed);
    pthread_mutex_unlock(mutex);
    return snapshot;
}

void balancer_snapshot_unref(const struct balancer *balancer, const struct snapshot **psnapshot)
{
    struct snapshot *snapshot = (struct snapshot *)*psnapshot;
    (void)balancer;
    if (snapshot != NULL)
        atomic_fetch_sub_explicit(&snapshot->readers, 1, memory_order_release);
    *psnapshot = NULL;
}

const struct state *balancer_state(const struct balancer *balancer)
{
    return balancer->shared.state;
}

bool balancer_draining(const struct balancer *balancer)
{
    return atomic_load(&balancer->draining);
}

uint64_t balancer_uptime_ns(const struct balancer *balancer)
{
    return clock_ns(CLOCK_MONOTONIC) - balancer->started_ns;
}

const char *balancer_backend_name(const struct balancer *balancer)
{
    return weir_loop_backend_name(balancer->threads[0].loop);
}

uint32_t balancer_workers(const struct balancer *balancer)
{
    return balancer->shared.workers;
}

uint32_t balancer_max_connections(const struct balancer *balancer)
{
    return balancer->shared.max_connections;
}

uint32_t balancer_open_connections(const struct balancer *balancer)
{
    return atomic_load_explicit(&balancer->shared.open_connections, memory_order_relaxed);
}

uint64_t balancer_worker_busy_ns(const struct balancer *balancer, uint32_t worker)
{
    return weir_loop_busy_ns(balancer->threads[worker].loop);
}

uint32_t balancer_refusals(const struct balancer *balancer, uint32_t worker, struct refusal *ret_kept)
{
    return refusals_read(balancer->threads[worker].worker.refusals, ret_kept);
}

uint64_t balancer_listener_active(const struct balancer *balancer, const struct listener *listener)
{
    uint64_t accepted = 0, closed = 0;
    for (uint32_t worker = 0; worker < balancer->shared.workers; worker++) {
        for (unsigned reason = 0; reason < CLOSE_REASONS; reason++)
            closed += counter_read(&listener->slots[worker].closed[reason]);
        accepted += counter_read(&listener->slots[worker].accepted);
    }
    return accepted > closed ? accepted - closed : 0;
}
