/* SPDX-License-Identifier: Apache-2.0 */
#include "entrance.h"

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <weir/errors.h>

#include "../base/log.h"
#include "conn.h"
#include "worker.h"

#define SECOND_NS UINT64_C(1000000000)
#define PAUSE_NS (SECOND_NS / 20)

/* With less room than a listener's queue is long, connections are taken one by one, so that max_connections holds. */
#define PLENTY_OF_ROOM 4096

/* Room */

static uint32_t max_connections(const struct worker *worker)
{
    return atomic_load_explicit(&worker->shared->max_connections, memory_order_relaxed);
}

static uint32_t room(const struct worker *worker)
{
    uint32_t open = atomic_load_explicit(&worker->shared->open_connections, memory_order_relaxed);
    uint32_t max = max_connections(worker);
    return open < max ? max - open : 0;
}

bool entrances_may_resume(const struct worker *worker)
{
    return worker->pause.armed && room(worker) > 0;
}

static void stop_accepting(struct worker *worker)
{
    for (struct entrance *entrance = worker->entrances; entrance != NULL; entrance = entrance->next)
        if (entrance->accepting)
            weir_accept_stop(&entrance->socket);
}

/* Other workers' connections may be what makes room again, so that a timer looks. */
static void look_again(struct worker *worker)
{
    if (!worker->draining && !worker->pause.armed)
        weir_timer_set(worker->loop, &worker->pause, weir_loop_now(worker->loop) + PAUSE_NS);
}

static void take_parked(struct entrance *entrance)
{
    int fd = entrance->parked_fd;
    entrance->parked_fd = -1;
    if (fd >= 0)
        conn_accept(entrance, fd);
}

static void accept_from(struct entrance *entrance)
{
    entrance->accepting = true;
    entrance->socket.one_by_one = room(entrance->worker) < PLENTY_OF_ROOM;
    weir_accept(&entrance->socket);
}

void entrances_accept(struct worker *worker)
{
    for (struct entrance *entrance = worker->entrances; entrance != NULL; entrance = entrance->next) {
        if (room(worker) > 0)
            take_parked(entrance);
        if (worker->draining || entrance->accepting || entrance->closing)
            continue;
        if (room(worker) == 0) {
            look_again(worker);
            return;
        }
        accept_from(entrance);
    }
}

void entrances_pause_over(struct weir_timer *timer)
{
    entrances_accept((struct worker *)((char *)timer - offsetof(struct worker, pause)));
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
             LOG_U64("max_connections", max_connections(worker)));
}

static void accepting_failed(struct worker *worker, int status)
{
    complain(worker, weir_strerror(status));
    look_again(worker);
}

/* Changing it costs a turn, so that there is some play. */
static bool pace_is_wrong(const struct entrance *entrance)
{
    uint32_t left = room(entrance->worker);
    return entrance->socket.one_by_one ? left > 2 * PLENTY_OF_ROOM : left < PLENTY_OF_ROOM;
}

/* Connections that were taken before the entrance closed may still come while the worker drains and stops. */
static void took(struct entrance *entrance, int fd)
{
    struct worker *worker = entrance->worker;
    if (worker->stopping)
        weir_fd_discard(worker->loop, fd);
    else if (room(worker) == 0 && !entrance->closing && entrance->parked_fd < 0)
        entrance->parked_fd = fd;
    else
        conn_accept(entrance, fd);
}

static void accepted(struct weir_acceptor *socket, int status, int fd)
{
    struct entrance *entrance = (struct entrance *)((char *)socket - offsetof(struct entrance, socket));
    struct worker *worker = entrance->worker;
    entrance->accepting = status == 0;
    if (status == 0)
        took(entrance, fd);
    else if (status == WEIR_ECANCELED)
        entrances_accept(worker);
    else
        accepting_failed(worker, status);
    if (room(worker) == 0)
        complain(worker, "max_connections reached");
    if (room(worker) == 0 || pace_is_wrong(entrance))
        stop_accepting(worker);
}

/* Birth and death */

struct entrance *entrance_new(struct worker *worker, int fd)
{
    struct entrance *entrance = calloc(1, sizeof *entrance);
    if (entrance == NULL)
        return NULL;
    entrance->worker = worker;
    entrance->fd = fd;
    entrance->parked_fd = -1;
    return entrance;
}

void entrance_discard(struct entrance **pentrance)
{
    struct entrance *entrance = *pentrance;
    *pentrance = NULL;
    if (entrance == NULL)
        return;
    close(entrance->fd);
    free(entrance);
}

static void unlink_entrance(struct entrance *entrance)
{
    struct entrance **at = &entrance->worker->entrances;
    while (*at != entrance)
        at = &(*at)->next;
    *at = entrance->next;
}

void entrance_leave(struct entrance *entrance)
{
    if (--entrance->gates == 0 && !entrance->open)
        free(entrance);
}

static void closed(struct weir_acceptor *socket)
{
    struct entrance *entrance = (struct entrance *)((char *)socket - offsetof(struct entrance, socket));
    struct worker *worker = entrance->worker;
    entrance->open = false;
    atomic_fetch_sub(&worker->shared->open_acceptors, 1);
    unlink_entrance(entrance);
    view_leave(&entrance->view);
    gate_leave(&entrance->gate);
    worker_part_closed(worker);
}

static void open_entrance(struct entrance *entrance)
{
    struct worker *worker = entrance->worker;
    entrance->socket.accepted = accepted;
    entrance->socket.closed = closed;
    entrance->open = true;
    atomic_fetch_add(&worker->shared->open_acceptors, 1);
    weir_acceptor_init(&entrance->socket, worker->loop, entrance->fd);
    entrance->fd = -1;
    entrance->next = worker->entrances;
    worker->entrances = entrance;
}

void entrance_serve(struct entrance *entrance, struct gate *gate, struct view *view)
{
    if (!entrance->open)
        open_entrance(entrance);
    entrance->gates++;
    gate_leave(&entrance->gate);
    view_leave(&entrance->view);
    entrance->gate = gate_hold(gate);
    entrance->view = view_hold(view);
}

void entrance_close(struct entrance *entrance)
{
    if (entrance->closing)
        return;
    entrance->closing = true;
    take_parked(entrance);
    weir_acceptor_close(&entrance->socket);
}
