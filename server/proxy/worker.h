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
#include "review.h"
#include "sweep.h"
#include "view.h"
#include "refusals.h"

/* One loop's share of the balancer: its listening sockets, connections and probes. A worker knows no threads:
 * balancer.c gives each one of its own, the simulator runs several in one. All functions belong to the loop's thread,
 * or to the only one before it runs. */

struct conn;
struct prober;
struct walk;
struct worker;

/* What all workers share. */
struct shared {
    struct state *state;
    uint32_t workers;
    _Atomic uint32_t max_connections;
    _Atomic uint32_t open_connections;
    _Atomic uint32_t open_acceptors; /* a closing one first delivers what waits in its queue */
};

struct worker {
    struct shared *shared;
    struct weir_loop *loop;
    uint32_t index;
    struct view *view;            /* the present one */
    struct view *views;           /* those that something still uses */
    struct entrance *entrances;   /* that are open */
    struct tls_contexts contexts; /* the control thread's */
    struct conn *conns;           /* all open ones, the newest first */
    struct walk *walks;           /* along them, that are under way */
    struct sweep sweep;
    struct review review;
    struct conn *nobodies, **last_nobody; /* clients that have not finished their handshakes, the oldest first */
    uint32_t nobody_count;
    struct handshakes handshakes;
    uint64_t next_id;
    struct weir_relay_budget budget;
    uint32_t overflow_bytes; /* of a connection's direction; 0: the relay's default */
    uint32_t splice_bytes;   /* likewise */
    struct weir_timer pause; /* while accepting rests: looks again */
    struct refusals *refusals;
    uint64_t complained_ns; /* when exhaustion was logged last */
    bool started;
    bool draining;
    bool stopping; /* the loop ends when nothing is left */
};

/* Returns 0 or WEIR_ENOMEM. */
int worker_init(struct worker *worker, struct shared *shared, struct weir_loop *loop, uint32_t index);

/* The view is the present one from now on; it has been made for this worker. What came before goes on as long as
 * something uses it: connections on the way to their upstream go on as they began; those that wait for their handshake
 * are decided by the new one; entrances that the new one does not name serve their queue and close. */
void worker_exchange(struct worker *worker, struct view *view);

/* Starts accepting and probing. */
void worker_start(struct worker *worker);

/* Closes the listening sockets; connections go on. */
void worker_drain(struct worker *worker);

/* Ends all connections. */
void worker_end_connections(struct worker *worker, enum close_reason reason);

/* Drains, ends all connections and probes, and stops the loop when the last has closed. */
void worker_stop(struct worker *worker);

/* Frees what worker_init() made; the loop has stopped by worker_stop(). Accepts one that was never initialised (all
 * zero). */
void worker_free(struct worker *worker);

/* For the parts: a connection, probe or listening socket has closed. */
void worker_part_closed(struct worker *worker);

#endif
