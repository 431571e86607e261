/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_VIEW_H
#define PROXY_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>

#include <weir/relay.h>

#include "../policy/snapshot.h"
#include "../tls/context.h"

/* What one worker makes of one snapshot. The control thread builds a view, the worker takes it for its present one
 * (worker_exchange()) and says when nothing of it uses the view any more; then the control thread frees it. In between
 * all of it is the loop's thread's. */

struct entrance;
struct prober;
struct worker;

/* A listener as a snapshot has it: what the connections need that came in through it, as long as they live. Its
 * entrance and its connections hold it. */
struct gate {
    struct worker *worker;
    struct entrance *entrance; /* outlives it, once it serves there */
    uint32_t holders;
    uint32_t index; /* of the listener in its snapshot */
    struct listener_record *record;
    struct listener_slot *slot;
    uint64_t handshake_timeout_ns;
    uint32_t keepalive_s;
    bool keep_on_policy_change, end_expired;
    struct weir_relay_options relay;
    struct tls_context *tls; /* NULL: plain */
};

struct view {
    struct worker *worker;
    struct snapshot *snapshot;
    struct gate **gates;           /* by listener; handed to their entrances by the exchange */
    struct tls_context **pool_tls; /* by pool; NULL: plain to its upstreams */
    struct prober *prober;
    bool is_probing;     /* its prober is not idle yet */
    uint32_t holders;    /* the worker while it is the present one, connections before their relay, entrances, prober */
    struct view *next;   /* of the worker's, that are not the present one and not over */
    struct view **pprev; /* NULL: not in that list */
    _Atomic bool is_over; /* the worker has let go of it */
};

/* `entrances`: by listener. Control thread; the worker's loop may run. Returns 0 or WEIR_ENOMEM. */
int view_new(struct worker *worker, struct snapshot *snapshot, struct entrance *const *entrances,
             struct view **ret_view);
/* It is over, or the worker never had it. Accepts NULL. */
void view_free(struct view **pview);

static inline struct view *view_hold(struct view *view)
{
    view->holders++;
    return view;
}
/* Clears the pointer; accepts NULL. */
void view_leave(struct view **pview);

static inline struct gate *gate_hold(struct gate *gate)
{
    gate->holders++;
    return gate;
}
void gate_leave(struct gate **pgate);

#endif
