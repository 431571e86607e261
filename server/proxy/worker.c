/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <stdlib.h>

#include <weir/errors.h>

#include "../base/log.h"
#include "conn.h"
#include "prober.h"

#define SECOND_NS UINT64_C(1000000000)
#define PAUSE_NS (SECOND_NS / 20)
/* What slow readers of one worker may make it hold. */
#define OVERFLOW_BUDGET_BYTES ((size_t)256 << 20)

/* With less room than a listener's queue is long, connections are taken one by one, so that max_connections holds. */
#define PLENTY_OF_ROOM 4096

static uint32_t room(const struct worker *worker)
{
    uint32_t open = atomic_load_explicit(&worker->shared->open_connections, memory_order_relaxed);
    return open < worker->shared->max_connections ? worker->shared->max_connections - open : 0;
}

static void stop_accepting(struct worker *worker)
{
    for (uint32_t n = 0; n < worker->shared->snapshot->listener_count; n++)
        if (worker->acceptors[n].accepting)
            weir_accept_stop(&worker->acceptors[n].socket);
}

/* Other workers' connections may be what makes room again, so that a timer looks. */
static void look_again(struct worker *worker)
{
    if (!worker->draining && !worker->pause.armed)
        weir_timer_set(worker->loop, &worker->pause, weir_loop_now(worker->loop) + PAUSE_NS);
}

static void take_parked(struct acceptor *acceptor)
{
    int fd = acceptor->parked_fd;
    acceptor->parked_fd = -1;
    if (fd >= 0)
        conn_accept(acceptor, fd);
}

static void accept_all(struct worker *worker)
{
    for (uint32_t n = 0; n < worker->shared->snapshot->listener_count; n++) {
        struct acceptor *acceptor = &worker->acceptors[n];
        if (room(worker) > 0)
            take_parked(acceptor);
        if (worker->draining || acceptor->accepting)
            continue;
        if (room(worker) == 0) {
            look_again(worker);
            return;
        }
        acceptor->accepting = true;
        acceptor->socket.one_by_one = room(worker) < PLENTY_OF_ROOM;
        weir_accept(&acceptor->socket);
    }
}

static void pause_over(struct weir_timer *timer)
{
    accept_all((struct worker *)((char *)timer - offsetof(struct worker, pause)));
}

/* At most a line a second. */
static void complain(struct worker *worker, const char *cause)
{
    uint64_t now_ns = weir_loop_now(worker->loop);
    if (worker->complained_ns != 0 && now_ns - worker->complained_ns < SECOND_NS)
        return;
    worker->complained_ns = now_ns;
    log_warn("accepting paused", LOG_STR("cause", cause), LOG_U64("worker", worker->index),
             LOG_U64("open", atomic_load(&worker->shared->open_connections)),
             LOG_U64("max_connections", worker->shared->max_connections));
}

static void accepting_failed(struct worker *worker, int status)
{
    complain(worker, weir_strerror(status));
    look_again(worker);
}

/* Changing it costs a turn, so that there is some play. */
static bool pace_is_wrong(const struct acceptor *acceptor)
{
    uint32_t left = room(acceptor->worker);
    return acceptor->socket.one_by_one ? left > 2 * PLENTY_OF_ROOM : left < PLENTY_OF_ROOM;
}

/* Connections that were taken before the acceptor closed may still come while the worker drains and stops. */
static void took(struct acceptor *acceptor, int fd)
{
    struct worker *worker = acceptor->worker;
    if (worker->stopping)
        weir_fd_discard(worker->loop, fd);
    else if (room(worker) == 0 && !worker->draining && acceptor->parked_fd < 0)
        acceptor->parked_fd = fd;
    else
        conn_accept(acceptor, fd);
}

static void accepted(struct weir_acceptor *socket, int status, int fd)
{
    struct acceptor *acceptor = (struct acceptor *)((char *)socket - offsetof(struct acceptor, socket));
    struct worker *worker = acceptor->worker;
    acceptor->accepting = status == 0;
    if (status == 0)
        took(acceptor, fd);
    else if (status == WEIR_ECANCELED)
        accept_all(worker);
    else
        accepting_failed(worker, status);
    if (room(worker) == 0)
        complain(worker, "max_connections reached");
    if (room(worker) == 0 || pace_is_wrong(acceptor))
        stop_accepting(worker);
}

static void acceptor_closed(struct weir_acceptor *socket)
{
    struct acceptor *acceptor = (struct acceptor *)((char *)socket - offsetof(struct acceptor, socket));
    acceptor->open = false;
    atomic_fetch_sub(&acceptor->worker->shared->open_acceptors, 1);
    worker_part_closed(acceptor->worker);
}

static void init_acceptor(struct worker *worker, uint32_t index, int fd)
{
    struct acceptor *acceptor = &worker->acceptors[index];
    const struct listener *listener = &worker->shared->snapshot->listeners[index];
    acceptor->worker = worker;
    acceptor->listener = listener;
    acceptor->index = index;
    acceptor->slot = &listener->slots[worker->index];
    acceptor->relay.idle_timeout_ns = listener->idle_timeout_ns;
    acceptor->relay.half_close_timeout_ns = listener->half_close_timeout_ns;
    acceptor->relay.budget = &worker->budget;
    acceptor->relay.totals = acceptor->slot->bytes;
    acceptor->socket.accepted = accepted;
    acceptor->socket.closed = acceptor_closed;
    acceptor->open = true;
    atomic_fetch_add(&worker->shared->open_acceptors, 1);
    acceptor->parked_fd = -1;
    weir_acceptor_init(&acceptor->socket, worker->loop, fd);
}

/* A context for each TLS block. */
static int open_tls(struct worker *worker)
{
    const struct snapshot *snapshot = worker->shared->snapshot;
    int err = 0;
    for (uint32_t n = 0; err == 0 && n < snapshot->listener_count; n++)
        if (snapshot->listeners[n].material != NULL)
            err = tls_context_new(snapshot->listeners[n].material, TLS_SERVER, worker->loop, &worker->acceptors[n].tls);
    for (uint32_t n = 0; err == 0 && n < snapshot->pool_count; n++)
        if (snapshot->pools[n].material != NULL)
            err = tls_context_new(snapshot->pools[n].material, TLS_CLIENT, worker->loop, &worker->pool_tls[n]);
    return err;
}

static int open_worker(struct worker *worker)
{
    const struct snapshot *snapshot = worker->shared->snapshot;
    worker->acceptors = calloc(snapshot->listener_count, sizeof *worker->acceptors);
    worker->pool_tls = calloc(snapshot->pool_count, sizeof *worker->pool_tls);
    worker->refusals = refusals_new();
    if (worker->acceptors == NULL || worker->pool_tls == NULL || worker->refusals == NULL)
        return WEIR_ENOMEM;
    int err = prober_new(worker, &worker->prober);
    return err != 0 ? err : open_tls(worker);
}

int worker_init(struct worker *worker, struct shared *shared, struct weir_loop *loop, uint32_t index,
                const int *listen_fds)
{
    worker->shared = shared;
    worker->loop = loop;
    worker->index = index;
    worker->last_nobody = &worker->nobodies;
    worker->budget.limit = OVERFLOW_BUDGET_BYTES;
    worker->pause.fire = pause_over;
    handshakes_init(&worker->handshakes, loop);
    sweep_init(&worker->sweep, worker);
    int err = open_worker(worker);
    if (err != 0) {
        worker_free(worker);
        return err;
    }
    for (uint32_t n = 0; n < shared->snapshot->listener_count; n++)
        init_acceptor(worker, n, listen_fds[n]);
    return 0;
}

void worker_start(struct worker *worker)
{
    prober_start(worker->prober);
    accept_all(worker);
}

void worker_drain(struct worker *worker)
{
    if (worker->draining)
        return;
    worker->draining = true;
    weir_timer_stop(worker->loop, &worker->pause);
    for (uint32_t n = 0; n < worker->shared->snapshot->listener_count; n++) {
        take_parked(&worker->acceptors[n]);
        weir_acceptor_close(&worker->acceptors[n].socket);
    }
}

void worker_end_connections(struct worker *worker, enum close_reason reason)
{
    for (struct conn *conn = worker->conns; conn != NULL; conn = conn->next)
        conn_end(conn, reason);
}

static bool is_empty(const struct worker *worker)
{
    for (uint32_t n = 0; n < worker->shared->snapshot->listener_count; n++)
        if (worker->acceptors[n].open)
            return false;
    return worker->conns == NULL && worker->walks == NULL && prober_idle(worker->prober);
}

void worker_part_closed(struct worker *worker)
{
    if (worker->stopping && is_empty(worker))
        weir_loop_stop(worker->loop);
    else if (worker->pause.armed && room(worker) > 0)
        weir_timer_set(worker->loop, &worker->pause, weir_loop_now(worker->loop));
}

void worker_stop(struct worker *worker)
{
    worker->stopping = true;
    worker_drain(worker);
    worker_end_connections(worker, CLOSE_DRAIN_TIMEOUT);
    prober_stop(worker->prober);
    worker_part_closed(worker);
}

void worker_free(struct worker *worker)
{
    if (worker->loop == NULL)
        return;
    const struct snapshot *snapshot = worker->shared->snapshot;
    for (uint32_t n = 0; worker->acceptors != NULL && n < snapshot->listener_count; n++)
        tls_context_free(&worker->acceptors[n].tls);
    for (uint32_t n = 0; worker->pool_tls != NULL && n < snapshot->pool_count; n++)
        tls_context_free(&worker->pool_tls[n]);
    prober_free(&worker->prober);
    refusals_free(&worker->refusals);
    free(worker->acceptors);
    free(worker->pool_tls);
    *worker = (struct worker){ 0 };
}
