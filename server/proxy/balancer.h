/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_BALANCER_H
#define PROXY_BALANCER_H

#include "../policy/snapshot.h"

/* The running balancer: workers (a thread and a loop each), their listeners and connections. */
struct balancer;

/* Opens the listeners and makes the workers' loops, in the calling thread; nothing is accepted yet. The snapshot is
 * bound to `state` for snapshot->settings.workers workers, which must be resolved (not 0). Messages about failures are
 * logged. Returns 0 or an error of the listeners (WEIR_EADDRINUSE, ...) or loops; snapshot and state stay the caller's
 * and must outlive the balancer. */
int balancer_new(struct snapshot *snapshot, struct state *state, struct balancer **ret_balancer);

/* Starts the workers' threads and accepts. Returns 0 or WEIR_ENOMEM. */
int balancer_start(struct balancer *balancer);

/* Stops accepting; open connections go on. Any thread but a worker's. */
void balancer_drain(struct balancer *balancer);

/* Ends all open connections (reason drain_timeout). Any thread but a worker's. */
void balancer_end_connections(struct balancer *balancer);

/* Waits until a draining balancer has no connection left, at most timeout_ns. Returns true when none is left. */
bool balancer_wait(struct balancer *balancer, uint64_t timeout_ns);

/* Stops the workers and frees everything. balancer_drain() and balancer_end_connections() are implied. Accepts NULL. */
void balancer_free(struct balancer **pbalancer);

/* For the admin side; any thread. */
const struct snapshot *balancer_snapshot(const struct balancer *balancer);
bool balancer_draining(const struct balancer *balancer);
uint64_t balancer_uptime_ns(const struct balancer *balancer);
const char *balancer_backend_name(const struct balancer *balancer);
uint32_t balancer_workers(const struct balancer *balancer);
/* Nanoseconds of work of one worker since its start. */
uint64_t balancer_worker_busy_ns(const struct balancer *balancer, uint32_t worker);
/* The address that a listener is bound to (port 0 resolved). */
struct weir_address balancer_listener_address(const struct balancer *balancer, uint32_t listener);
/* Open connections of a listener: accepted minus closed. */
uint64_t balancer_listener_active(const struct balancer *balancer, uint32_t listener);

#endif
