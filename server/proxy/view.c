/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include <stdlib.h>

#include <weir/errors.h>

#include "entrance.h"
#include "prober.h"
#include "worker.h"

static void free_gate(struct gate *gate)
{
    if (gate == NULL)
        return;
    kept_unref(&gate->record->kept);
    tls_context_free(&gate->tls);
    free(gate);
}

static int gate_new(struct worker *worker, const struct snapshot *snapshot, uint32_t index, struct entrance *entrance,
                    struct gate **ret_gate)
{
    const struct listener *listener = &snapshot->listeners[index];
    struct gate *gate = calloc(1, sizeof *gate);
    if (gate == NULL)
        return WEIR_ENOMEM;
    kept_ref(&listener->record->kept);
    *gate = (struct gate){
        .worker = worker,
        .entrance = entrance,
        .index = index,
        .record = listener->record,
        .slot = &listener->slots[worker->index],
        .handshake_timeout_ns = listener->handshake_timeout_ns,
        .keepalive_s = listener->keepalive_s,
        .keep_on_policy_change = listener->keep_on_policy_change,
        .end_expired = listener->end_expired,
        .relay = { .idle_timeout_ns = listener->idle_timeout_ns,
                   .half_close_timeout_ns = listener->half_close_timeout_ns,
                   .overflow_bytes = worker->overflow_bytes,
                   .splice_bytes = worker->splice_bytes,
                   .budget = &worker->budget,
                   .totals = listener->slots[worker->index].bytes },
    };
    int err = listener->material == NULL
                  ? 0
                  : tls_contexts_get(&worker->contexts, listener->material, worker->loop, &gate->tls);
    if (err != 0)
        free_gate(gate);
    else
        *ret_gate = gate;
    return err;
}

static int open_view(struct view *view, struct entrance *const *entrances)
{
    const struct snapshot *snapshot = view->snapshot;
    struct worker *worker = view->worker;
    view->gates = calloc(snapshot->listener_count, sizeof *view->gates);
    view->pool_tls = calloc(snapshot->pool_count, sizeof *view->pool_tls);
    int err = view->gates == NULL || view->pool_tls == NULL ? WEIR_ENOMEM : 0;
    for (uint32_t n = 0; err == 0 && n < snapshot->listener_count; n++)
        err = gate_new(worker, snapshot, n, entrances[n], &view->gates[n]);
    for (uint32_t n = 0; err == 0 && n < snapshot->pool_count; n++)
        if (snapshot->pools[n].material != NULL)
            err = tls_contexts_get(&worker->contexts, snapshot->pools[n].material, worker->loop, &view->pool_tls[n]);
    return err != 0 ? err : prober_new(view, &view->prober);
}

int view_new(struct worker *worker, struct snapshot *snapshot, struct entrance *const *entrances,
             struct view **ret_view)
{
    struct view *view = calloc(1, sizeof *view);
    if (view == NULL)
        return WEIR_ENOMEM;
    view->worker = worker;
    view->snapshot = snapshot;
    int err = open_view(view, entrances);
    if (err != 0)
        view_free(&view);
    else
        *ret_view = view;
    return err;
}

void view_free(struct view **pview)
{
    struct view *view = *pview;
    if (view == NULL)
        return;
    for (uint32_t n = 0; view->gates != NULL && n < view->snapshot->listener_count; n++)
        free_gate(view->gates[n]);
    for (uint32_t n = 0; view->pool_tls != NULL && n < view->snapshot->pool_count; n++)
        tls_context_free(&view->pool_tls[n]);
    prober_free(&view->prober);
    free(view->gates);
    free(view->pool_tls);
    free(view);
    *pview = NULL;
}

void view_leave(struct view **pview)
{
    struct view *view = *pview;
    *pview = NULL;
    if (view == NULL || --view->holders > 0)
        return;
    if (view->pprev != NULL)
        *view->pprev = view->next;
    if (view->pprev != NULL && view->next != NULL)
        view->next->pprev = view->pprev;
    atomic_store_explicit(&view->is_over, true, memory_order_release);
}

void gate_leave(struct gate **pgate)
{
    struct gate *gate = *pgate;
    *pgate = NULL;
    if (gate == NULL || --gate->holders > 0)
        return;
    struct entrance *entrance = gate->entrance;
    free_gate(gate);
    entrance_leave(entrance);
}
