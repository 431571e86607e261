/* SPDX-License-Identifier: Apache-2.0 */
#include "balancer.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <weir/errors.h>
#include <weir/socket.h>

#include "../base/log.h"
#include "health.h"
#include "worker.h"

/* Descriptors beside those of connections: standard streams, log, admin with its clients, and what a worker's loop
 * needs. */
#define RESERVE_PROCESS 160
#define RESERVE_WORKER 8
#define RESERVE_PROBES_MAX 256
#define CONNECTION_DESCRIPTORS 2

struct thread {
    struct worker worker;
    struct weir_loop *loop;
    pthread_t pthread;
    bool running;
    struct weir_message start, drain, stop, pulse;
    _Atomic bool pulse_awaited;
};

struct balancer {
    struct shared shared;
    pthread_mutex_t mutex; /* of shared.snapshot, for readers */
    uint64_t started_ns;
    _Atomic bool draining;
    struct weir_address *addresses; /* by listener */
    int *listen_fds;                /* by listener, then worker; -1: given away */
    struct thread threads[];
};

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

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

static uint64_t reserved_descriptors(const struct shared *shared)
{
    uint64_t places = 0;
    for (uint32_t n = 0; n < shared->snapshot->pool_count; n++)
        places += shared->snapshot->pools[n].place_count;
    uint64_t probes = places < RESERVE_PROBES_MAX ? places : RESERVE_PROBES_MAX;
    return RESERVE_PROCESS + probes + (uint64_t)shared->workers * (RESERVE_WORKER + shared->snapshot->listener_count);
}

static int plan_descriptors(struct shared *shared)
{
    const struct settings *settings = &shared->snapshot->settings;
    uint64_t limit = raise_descriptor_limit(), reserve = reserved_descriptors(shared);
    /* Where little is allowed, a part of it still serves connections. */
    uint64_t possible = (limit > 2 * reserve ? limit - reserve : limit / 2) / CONNECTION_DESCRIPTORS;
    possible = possible < UINT32_MAX ? possible : UINT32_MAX;
    if (settings->max_connections > possible) {
        log_error("max_connections is more than the descriptor limit allows", LOG_STR("file", shared->snapshot->path),
                  LOG_U64("line", settings->max_connections_at.line), LOG_U64("descriptors", limit),
                  LOG_U64("possible", possible),
                  LOG_STR("hint", "raise the limit (ulimit -n, LimitNOFILE) or lower it"));
        return WEIR_EINVAL;
    }
    shared->max_connections = settings->max_connections != 0 ? settings->max_connections : (uint32_t)possible;
    log_info("descriptor budget", LOG_U64("descriptors", limit), LOG_U64("max_connections", shared->max_connections));
    return 0;
}

/* Listeners: all of them are open before the first thread starts. */

static int *fd_of(struct balancer *balancer, uint32_t listener, uint32_t worker)
{
    return &balancer->listen_fds[worker * balancer->shared.snapshot->listener_count + listener];
}

static int open_listener(struct balancer *balancer, uint32_t index)
{
    const struct listener *listener = &balancer->shared.snapshot->listeners[index];
    struct weir_address *address = &balancer->addresses[index];
    const struct weir_listen_options options = { .reuse_port = balancer->shared.workers > 1,
                                                 .keepalive_s = listener->keepalive_s };
    *address = listener->address;
    int err = weir_listen_probe(address);
    for (uint32_t worker = 0; err == 0 && worker < balancer->shared.workers; worker++) {
        int fd = weir_listen(address, &options);
        if (fd < 0)
            err = fd;
        else
            *fd_of(balancer, index, worker) = fd;
        if (fd >= 0 && worker == 0)
            err = weir_listen_address(fd, address);
    }
    char text[WEIR_ADDRESS_TEXT_MAX];
    if (err != 0)
        log_error("cannot listen", LOG_STR("listener", listener->name), LOG_STR("error", weir_strerror(err)),
                  LOG_STR("address", weir_address_format(&listener->address, text, sizeof text)));
    return err;
}

static void close_listeners(struct balancer *balancer)
{
    uint32_t count = balancer->shared.snapshot->listener_count * balancer->shared.workers;
    for (uint32_t n = 0; n < count; n++)
        if (balancer->listen_fds[n] >= 0)
            close(balancer->listen_fds[n]);
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

static int open_worker(struct balancer *balancer, uint32_t index)
{
    struct thread *thread = &balancer->threads[index];
    const struct weir_loop_options options = { .backend = balancer->shared.snapshot->settings.io };
    thread->start.deliver = deliver_start;
    thread->drain.deliver = deliver_drain;
    thread->stop.deliver = deliver_stop;
    thread->pulse.deliver = deliver_pulse;
    int err = weir_loop_new(&options, &thread->loop);
    if (err == 0)
        err = worker_init(&thread->worker, &balancer->shared, thread->loop, index, fd_of(balancer, 0, index));
    if (err != 0) {
        log_error("cannot start a worker", LOG_U64("worker", index), LOG_STR("error", weir_strerror(err)));
        return err;
    }
    for (uint32_t n = 0; n < balancer->shared.snapshot->listener_count; n++)
        *fd_of(balancer, n, index) = -1;
    return 0;
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

/* Signals belong to the controlling thread. */
static int start_thread(struct thread *thread)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread->running = pthread_create(&thread->pthread, NULL, run_thread, thread) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return thread->running ? 0 : WEIR_ENOMEM;
}

/* The balancer */

static int open_all(struct balancer *balancer)
{
    struct shared *shared = &balancer->shared;
    uint32_t fds = shared->snapshot->listener_count * shared->workers;
    balancer->listen_fds = malloc(fds * sizeof(int));
    balancer->addresses = calloc(shared->snapshot->listener_count, sizeof *balancer->addresses);
    if (balancer->listen_fds == NULL || balancer->addresses == NULL)
        return WEIR_ENOMEM;
    for (uint32_t n = 0; n < fds; n++)
        balancer->listen_fds[n] = -1;
    int err = plan_descriptors(shared);
    if (err == 0)
        err = health_new(shared->snapshot);
    for (uint32_t n = 0; err == 0 && n < shared->snapshot->listener_count; n++)
        err = open_listener(balancer, n);
    for (uint32_t n = 0; err == 0 && n < shared->workers; n++)
        err = open_worker(balancer, n);
    return err;
}

static void log_listening(const struct balancer *balancer)
{
    const struct snapshot *snapshot = balancer->shared.snapshot;
    const char *fallback = weir_loop_fallback_reason(balancer->threads[0].loop);
    if (fallback != NULL)
        log_warn("io_uring is not available, using epoll", LOG_STR("cause", fallback));
    for (uint32_t n = 0; n < snapshot->listener_count; n++) {
        char text[WEIR_ADDRESS_TEXT_MAX];
        log_info("listening", LOG_STR("listener", snapshot->listeners[n].name),
                 LOG_STR("address", weir_address_format(&balancer->addresses[n], text, sizeof text)),
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
    balancer->shared.snapshot = snapshot;
    balancer->shared.state = state;
    balancer->shared.workers = workers;
    balancer->started_ns = monotonic_ns();
    int err = open_all(balancer);
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
        if (start_thread(thread) != 0) {
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
        health_set_state(snapshot, upstream, state, monotonic_ns());
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

void balancer_free(struct balancer **pbalancer)
{
    struct balancer *balancer = *pbalancer;
    if (balancer == NULL)
        return;
    stop_workers(balancer);
    for (uint32_t n = 0; n < balancer->shared.workers; n++) {
        worker_free(&balancer->threads[n].worker);
        weir_loop_free(&balancer->threads[n].loop);
    }
    if (balancer->listen_fds != NULL)
        close_listeners(balancer);
    health_free(balancer->shared.snapshot);
    pthread_mutex_destroy(&balancer->mutex);
    free(balancer->listen_fds);
    free(balancer->addresses);
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
    return balancer->shared.snapshot;
}

const struct snapshot *balancer_snapshot_ref(const struct balancer *balancer)
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)&balancer->mutex;
    pthread_mutex_lock(mutex);
    struct snapshot *snapshot = balancer->shared.snapshot;
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
    return monotonic_ns() - balancer->started_ns;
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

struct weir_address balancer_listener_address(const struct balancer *balancer, uint32_t listener)
{
    return balancer->addresses[listener];
}

uint64_t balancer_listener_active(const struct balancer *balancer, uint32_t listener)
{
    const struct listener *of = &balancer->shared.snapshot->listeners[listener];
    uint64_t accepted = 0, closed = 0;
    for (uint32_t worker = 0; worker < balancer->shared.workers; worker++) {
        for (unsigned reason = 0; reason < CLOSE_REASONS; reason++)
            closed += counter_read(&of->slots[worker].closed[reason]);
        accepted += counter_read(&of->slots[worker].accepted);
    }
    return accepted > closed ? accepted - closed : 0;
}
