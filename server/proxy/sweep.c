/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep.h"

#include "conn.h"

static struct sweep *sweep_of(struct walk *walk)
{
    return (struct sweep *)((char *)walk - offsetof(struct sweep, walk));
}

/* Whoever was chosen before the upstream was disabled holds its lease by now; whoever comes later does not get it. */
static bool visit(struct walk *walk, struct conn *conn)
{
    const struct weir_lease *lease = &conn->lease;
    (void)walk;
    if (lease->upstreams != NULL && weir_upstreams_state(lease->upstreams, lease->upstream) == WEIR_UPSTREAM_DISABLED)
        conn_end(conn, CLOSE_ADMIN_CLOSED);
    return true;
}

static void begin(struct sweep *sweep)
{
    sweep->walking = true;
    walk_start(&sweep->walk, sweep->worker);
}

static void done(struct walk *walk)
{
    struct sweep *sweep = sweep_of(walk);
    bool again = sweep->again;
    sweep->walking = sweep->again = false;
    if (again)
        begin(sweep);
}

static void deliver(struct weir_loop *loop, struct weir_message *message)
{
    struct sweep *sweep = (struct sweep *)((char *)message - offsetof(struct sweep, message));
    (void)loop;
    atomic_store(&sweep->posted, false);
    if (sweep->walking)
        sweep->again = true;
    else
        begin(sweep);
}

void sweep_init(struct sweep *sweep, struct worker *worker)
{
    sweep->worker = worker;
    sweep->message.deliver = deliver;
    sweep->walk.visit = visit;
    sweep->walk.done = done;
}

void sweep_post(struct sweep *sweep)
{
    if (!atomic_exchange(&sweep->posted, true))
        weir_loop_post(sweep->worker->loop, &sweep->message);
}
