/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/loop.h>
#include <weir/relay.h>
#include <weir/socket.h>

#include "../policy/snapshot.h"
#include "../tls/context.h"
#include "handshake.h"
#include "sweep.h"
#include "refusals.h"

/* One loop's share of the balancer: its acceptors, connections and probes. A worker knows no threads: balancer.c gives
 * each one of its own, the simulator runs several in one. All functions belong to the loop's thread, or to the only one
 * before it runs. */

struct conn;
struct prober;
struct walk;
struct worker;

/* What all workers share. */
struct shared {
    struct snapshot *snapshot; /* bound, with health_new() done */
    struct state *state;
    uint32_t workers;
    uint32_t max_connections;
    _Atomic uint32_t open_connections;
    _Atomic uint32_t open_acceptors; /* a closing one first delivers what waits in its queue */
};

/* A listener on one worker. */
struct acceptor {
    struct weir_acceptor socket;
    struct worker *worker;
    const struct listener *listener;
    uint32_t index; /* of the listener */
    struct listener_slot *slot;
    struct weir_relay_options relay;
    struct tls_context *tls; /* NULL: plain */
    bool open;               /* its descriptor is not closed yet */
    bool accepting;
    int parked_fd; /* taken when another worker had just filled the last place; -1: none */
};

struct worker {
    struct shared *shared;
    struct weir_loop *loop;
    uint32_t index;
    struct acceptor *acceptors; /* by listener */
    struct prober *prober;
    struct conn *conns; /* all open ones, the newest first */
    struct walk *walks; /* along them, that are under way */
    struct sweep sweep;
    struct conn *nobodies, **last_nobody; /* clients that have not finished their handshakes, the oldest first */
    uint32_t nobody_count;
    struct handshakes handshakes;
    struct tls_context **pool_tls; /* by pool; NULL: plain to its upstreams */
    uint64_t next_id;
    struct weir_relay_budget budget;
    struct weir_timer pause; /* while accepting rests: looks again */
    struct refusals *refusals;
    uint64_t complained_ns; /* when exhaustion was logged last */
    bool draining;
    bool stopping; /* the loop ends when nothing is left */
};

/* `listen_fds`: one for each listener of the snapshot, owned by the worker from now on, if it succeeds. Returns 0 or
 * WEIR_ENOMEM. */
int worker_init(struct worker *worker, struct shared *shared, struct weir_loop *loop, uint32_t index,
                const int *listen_fds);

/* Starts accepting and probing. */
void worker_start(struct worker *worker);

/* Closes the acceptors; connections go on. */
void worker_drain(struct worker *worker);

/* Ends all connections. */
void worker_end_connections(struct worker *worker, enum close_reason reason);

/* Drains, ends all connections and probes, and stops the loop when the last has closed. */
void worker_stop(struct worker *worker);

/* Frees what worker_init() made; the loop has stopped by worker_stop(). Accepts one that was never initialised (all
 * zero). */
void worker_free(struct worker *worker);

/* For the parts: a connection, probe or acceptor has closed. */
void worker_part_closed(struct worker *worker);

#endif
