/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <stdlib.h>

#include <weir/errors.h>

#include "../base/log.h"
#include "conn.h"
#include "entrance.h"
#include "prober.h"

/* What slow readers of one worker may make it hold. */
#define OVERFLOW_BUDGET_BYTES ((size_t)256 << 20)

int worker_init(struct worker *worker, struct shared *shared, struct weir_loop *loop, uint32_t index)
{
    worker->shared = shared;
    worker->loop = loop;
    worker->index = index;
    worker->last_nobody = &worker->nobodies;
    worker->budget.limit = OVERFLOW_BUDGET_BYTES;
    worker->pause.fire = entrances_pause_over;
    handshakes_init(&worker->handshakes, loop);
    sweep_init(&worker->sweep, worker);
    review_init(&worker->review, worker);
    worker->refusals = refusals_new();
    return worker->refusals == NULL ? WEIR_ENOMEM : 0;
}

/* Views */

static void start_probing(struct view *view)
{
    view->is_probing = true;
    view_hold(view);
    prober_start(view->prober);
}

static void let_go_of_prober(struct view *view)
{
    if (!view->is_probing || !prober_idle(view->prober))
        return;
    view->is_probing = false;
    view_leave(&view);
}

/* It stays in the list until nothing uses it. */
static void put_aside(struct worker *worker, struct view *view)
{
    view->next = worker->views;
    view->pprev = &worker->views;
    if (view->next != NULL)
        view->next->pprev = &view->next;
    worker->views = view;
    if (view->is_probing)
        prober_stop(view->prober);
    let_go_of_prober(view);
}

static void close_others(struct worker *worker)
{
    for (struct entrance *entrance = worker->entrances; entrance != NULL; entrance = entrance->next)
        if (entrance->view != worker->view)
            entrance_close(entrance);
}

void worker_exchange(struct worker *worker, struct view *view)
{
    struct view *before = worker->view;
    worker->view = view_hold(view);
    for (uint32_t n = 0; n < view->snapshot->listener_count; n++) {
        entrance_serve(view->gates[n]->entrance, view->gates[n], view);
        view->gates[n] = NULL;
    }
    close_others(worker);
    if (before != NULL) {
        put_aside(worker, before);
        view_leave(&before);
    }
    if (!worker->started)
        return;
    worker_start(worker);
    review_start(&worker->review);
}

void worker_start(struct worker *worker)
{
    worker->started = true;
    start_probing(worker->view);
    entrances_accept(worker);
}

void worker_drain(struct worker *worker)
{
    if (worker->draining)
        return;
    worker->draining = true;
    weir_timer_stop(worker->loop, &worker->pause);
    for (struct entrance *entrance = worker->entrances; entrance != NULL; entrance = entrance->next)
        entrance_close(entrance);
}

void worker_end_connections(struct worker *worker, enum close_reason reason)
{
    for (struct conn *conn = worker->conns; conn != NULL; conn = conn->next)
        conn_end(conn, reason);
}

static bool is_empty(const struct worker *worker)
{
    return worker->entrances == NULL && worker->conns == NULL && worker->walks == NULL && worker->views == NULL &&
           (worker->view == NULL || prober_idle(worker->view->prober));
}

void worker_part_closed(struct worker *worker)
{
    for (struct view *view = worker->views, *next; view != NULL; view = next) {
        next = view->next;
        let_go_of_prober(view);
    }
    if (worker->stopping && is_empty(worker))
        weir_loop_stop(worker->loop);
    else if (entrances_may_resume(worker))
        weir_timer_set(worker->loop, &worker->pause, weir_loop_now(worker->loop));
}

void worker_stop(struct worker *worker)
{
    worker->stopping = true;
    worker_drain(worker);
    worker_end_connections(worker, CLOSE_DRAIN_TIMEOUT);
    if (worker->view != NULL)
        prober_stop(worker->view->prober);
    worker_part_closed(worker);
}

void worker_free(struct worker *worker)
{
    if (worker->loop == NULL)
        return;
    review_free(&worker->review);
    tls_contexts_sweep(&worker->contexts);
    refusals_free(&worker->refusals);
    *worker = (struct worker){ 0 };
}
