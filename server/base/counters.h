/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_COUNTERS_H
#define BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "close_reason.h"

/* What the balancer counts. One block for each named thing (listener, pool, upstream, client), which outlives
 * snapshots. Blocks that are written for every connection have one slot for each worker, on cache lines of its own;
 * readers sum the slots. All accesses are relaxed atomics: figures are exact once the workers rest. */

typedef _Atomic uint64_t counter;

static inline void counter_add(counter *c, uint64_t n)
{
    atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

/* For a slot that only the calling thread writes: no locked instruction. */
static inline void counter_add_own(counter *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline uint64_t counter_read(const counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

#define HISTOGRAM_BUCKETS 16

/* Upper bounds of the buckets in nanoseconds, ascending: 0.5 ms to 1 h; a last one (+Inf) is implied. */
extern const uint64_t histogram_bounds_ns[HISTOGRAM_BUCKETS];

struct histogram {
    counter bucket[HISTOGRAM_BUCKETS + 1]; /* not cumulative */
    counter sum_ns;
};

void histogram_add_own(struct histogram *histogram, uint64_t value_ns);

struct listener_slot {
    _Alignas(64) counter accepted;
    counter closed[CLOSE_REASONS];
    uint64_t bytes[2]; /* by source: client (to_upstream), upstream (to_client); written by relays, read by relaxed
                          atomics */
    struct histogram connection;
    struct histogram handshake; /* of those that were established */
};

struct pool_slot {
    _Alignas(64) struct histogram connect;
};

/* Why a real connection to an upstream failed. */
enum upstream_failure {
    UPSTREAM_FAILURE_REFUSED,
    UPSTREAM_FAILURE_TIMEOUT,
    UPSTREAM_FAILURE_UNREACHABLE,
    UPSTREAM_FAILURE_RESET,
    UPSTREAM_FAILURE_TLS,
    UPSTREAM_FAILURE_OTHER,
    UPSTREAM_FAILURES,
};
extern const char *const upstream_failure_labels[UPSTREAM_FAILURES];

/* One slot for all workers: written once a connection. */
struct upstream_counters {
    counter connections;
    counter failures[UPSTREAM_FAILURES];
};

struct client_counters {
    counter denied[CLOSE_REASONS];
};

/* An array of `workers` zeroed slots, 64-byte aligned; free() it. NULL when out of memory. */
struct listener_slot *listener_slots_new(uint32_t workers);
struct pool_slot *pool_slots_new(uint32_t workers);

#endif
