/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_BALANCER_H
#define PROXY_BALANCER_H

#include "../policy/snapshot.h"
#include "generation.h"
#include "refusals.h"

/* The running balancer: workers (a thread and a loop each), their listeners and connections. One controlling thread,
 * but for the readers at the end. */
struct balancer;
struct review_row;
struct worker;

/* Opens the listeners and makes the workers' loops, in the calling thread; nothing is accepted yet. The snapshot is
 * bound to `state` for `workers` workers. Why it failed is logged. Returns 0, WEIR_EINVAL (max_connections is more than
 * the descriptors allow) or an error of the listeners (WEIR_EADDRINUSE, ...) or loops; the snapshot is the balancer's
 * from now on, if it succeeds; the state stays the caller's and must outlive it. */
int balancer_new(struct snapshot *snapshot, struct state *state, uint32_t workers, struct balancer **ret_balancer);

/* Starts the workers' threads and accepts. Returns 0 or WEIR_ENOMEM (logged). */
int balancer_start(struct balancer *balancer);

/* Puts another snapshot, bound to the same state for as many workers, in the place of the present one: listeners that
 * stay keep their sockets, connections go on; what is left of the old one is freed by balancer_tidy(). Returns 0: the
 * snapshot is the balancer's; WEIR_EINVAL or an error of the listeners, with a fault, or WEIR_ENOMEM: nothing has
 * changed. */
int balancer_reload(struct balancer *balancer, struct snapshot *snapshot, struct fault *fault);
/* Which connections the last reload has ended on a worker; perhaps none yet, when there are very many to look at. */
uint32_t balancer_reviewed(const struct balancer *balancer, uint32_t worker, const struct review_row **ret_rows);
/* Frees what nothing uses any more of earlier snapshots. Returns false when some of it is still used: look again. */
bool balancer_tidy(struct balancer *balancer);

/* Stops accepting; open connections go on. */
void balancer_drain(struct balancer *balancer);

/* Changes the state of an upstream, in all pools that name it: one log line, if it changes anything. `disabled` also
 * ends its open connections with admin_closed, soon, on their workers. One thread at a time, not only the controlling
 * one. Returns 0 or WEIR_EINVAL (the configuration has no upstream of this name). */
int balancer_set_upstream_state(struct balancer *balancer, const char *name, enum weir_upstream_state state);

/* Whether a draining balancer has nothing more to do: its listeners are closed, what waited in their queues was served,
 * and no connection is open. */
bool balancer_drained(const struct balancer *balancer);

/* Whether each worker has taken the message that it was sent by the call before (a first call finds all well); sends
 * the next ones. `*ret_stuck`: one that has not. Any one thread, after balancer_start() and before balancer_free(). */
bool balancer_feel_pulse(struct balancer *balancer, uint32_t *ret_stuck);

/* Ends all open connections (reason drain_timeout), stops the workers and frees everything. Accepts NULL. */
void balancer_free(struct balancer **pbalancer);

/* A worker, to post messages to its loop: any thread, while the balancer lives. All else of it is its own thread's. */
struct worker *balancer_worker(struct balancer *balancer, uint32_t worker);

/* For any thread, while the balancer lives. */
/* What runs now, to be given back soon: it is freed by the control thread when nobody holds it any more. */
const struct snapshot *balancer_snapshot_ref(const struct balancer *balancer);
/* Clears the pointer; accepts NULL. */
void balancer_snapshot_unref(const struct balancer *balancer, const struct snapshot **psnapshot);
/* For the control thread, and for others while there are no reloads: not held. */
const struct snapshot *balancer_snapshot(const struct balancer *balancer);
const struct state *balancer_state(const struct balancer *balancer);
bool balancer_draining(const struct balancer *balancer);
uint64_t balancer_uptime_ns(const struct balancer *balancer);
const char *balancer_backend_name(const struct balancer *balancer);
uint32_t balancer_workers(const struct balancer *balancer);
uint32_t balancer_max_connections(const struct balancer *balancer);
uint32_t balancer_open_connections(const struct balancer *balancer);
/* Nanoseconds of work of one worker since its start. */
uint64_t balancer_worker_busy_ns(const struct balancer *balancer, uint32_t worker);
/* The last refusals of one worker, the oldest first: copied to room for REFUSALS_KEPT; returns how many. */
uint32_t balancer_refusals(const struct balancer *balancer, uint32_t worker, struct refusal *ret_kept);
/* Open connections of a listener of a snapshot that is held: accepted minus closed. */
uint64_t balancer_listener_active(const struct balancer *balancer, const struct listener *listener);

#endif
