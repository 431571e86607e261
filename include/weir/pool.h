/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_POOL_H
#define WEIR_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/api.h>

WEIR_BEGIN_C

/* Least-connections balancing.
 *
 * Upstreams: one record for each physical address, in one table that lives as long as the balancer. Its word holds the
 * count of connections and a bit "unavailable" (full, drained or disabled), so that choosing looks at one word only.
 * Pool: places, each an upstream with weight, backup and health. Immutable except for health.
 * Set: the places of one pool that somebody may reach, as a dense list.
 * Lease: one counted connection. Acquire chooses and counts in one atomic step; release gives it back. */

struct weir_upstreams;
struct weir_pool;
struct weir_set;

enum weir_upstream_state {
    WEIR_UPSTREAM_ENABLED,
    WEIR_UPSTREAM_DRAIN,    /* no new connections, open ones go on */
    WEIR_UPSTREAM_DISABLED, /* no new connections; ending the open ones is the owner's job */
};

#define WEIR_WEIGHT_MAX 256
#define WEIR_PLACES_MAX 65536
#define WEIR_TRIED_MAX 16

/* A table for at most `capacity` upstreams. Returns 0, WEIR_EINVAL or WEIR_ENOMEM. */
WEIR_API WEIR_MUST_CHECK int weir_upstreams_new(uint32_t capacity, struct weir_upstreams **ret_upstreams);

/* Nobody may use the table, its pools or leases any more. Accepts NULL. */
WEIR_API void weir_upstreams_free(struct weir_upstreams **pupstreams);

/* Adds an upstream, enabled, with no connections. max_connections 0: no limit. One controlling thread at a time.
 * Returns 0 or WEIR_EFULL; the id stays valid until weir_upstreams_remove(). */
WEIR_API WEIR_MUST_CHECK int weir_upstreams_add(struct weir_upstreams *upstreams, uint32_t max_connections,
                                                uint32_t *ret_id);

/* Takes an upstream out. No pool may hold it any more; leases may: its id is reused only when its count is 0.
 * One controlling thread at a time. */
WEIR_API void weir_upstreams_remove(struct weir_upstreams *upstreams, uint32_t id);

/* Changes the limit (0: none); a limit below the present count only keeps new ones out. One controlling thread at a
 * time. */
WEIR_API void weir_upstreams_set_max(struct weir_upstreams *upstreams, uint32_t id, uint32_t max_connections);

/* Changes the state. One controlling thread at a time. */
WEIR_API void weir_upstreams_set_state(struct weir_upstreams *upstreams, uint32_t id, enum weir_upstream_state state);
/* Any thread; also of one that was removed, while a lease holds its id. */
WEIR_API enum weir_upstream_state weir_upstreams_state(const struct weir_upstreams *upstreams, uint32_t id);

/* Connections at this moment. Any thread. */
WEIR_API uint32_t weir_upstreams_active(const struct weir_upstreams *upstreams, uint32_t id);

struct weir_place {
    uint32_t upstream; /* id in the table; may stand only once in a pool */
    uint32_t weight;   /* 1 to WEIR_WEIGHT_MAX: its share of the connections */
    bool backup;       /* chosen only when no other place is available */
};

/* Health of a place, as choosing sees it. */
enum weir_place_health {
    WEIR_PLACE_UP,
    WEIR_PLACE_EJECTED, /* real connections failed: chosen only when the set has nothing that is up, backups included */
    WEIR_PLACE_DOWN,    /* checks failed: never chosen */
};

/* A pool over `count` places (copied), all up. The table must outlive it.
 * Returns 0, WEIR_EINVAL (count 0 or over WEIR_PLACES_MAX, weight out of range, an upstream twice) or WEIR_ENOMEM. */
WEIR_API WEIR_MUST_CHECK int weir_pool_new(struct weir_upstreams *upstreams, const struct weir_place *places,
                                           uint32_t count, struct weir_pool **ret_pool);

/* Its sets must have been freed; leases need not have been released. Accepts NULL. */
WEIR_API void weir_pool_free(struct weir_pool **ppool);

/* Any thread. */
WEIR_API void weir_pool_set_health(struct weir_pool *pool, uint32_t place, enum weir_place_health health);
WEIR_API enum weir_place_health weir_pool_health(const struct weir_pool *pool, uint32_t place);
/* Lets a place that comes back start slowly: it counts as if it had as many connections for its weight as the others
 * that are up have now, and this falls to what it really has while `duration_ns` passes. Call it before the place is
 * chosen again. Takes time in proportion to the pool. One thread at a time for one place. */
WEIR_API void weir_pool_slow_start(struct weir_pool *pool, uint32_t place, uint64_t duration_ns, uint64_t now_ns);
WEIR_API uint32_t weir_pool_upstream(const struct weir_pool *pool, uint32_t place);
WEIR_API uint32_t weir_pool_count(const struct weir_pool *pool);

/* A set of places (copied; any order; duplicates are an error). `count` may be 0. Returns 0, WEIR_EINVAL or
 * WEIR_ENOMEM. */
WEIR_API WEIR_MUST_CHECK int weir_set_new(struct weir_pool *pool, const uint32_t *places, uint32_t count,
                                          struct weir_set **ret_set);
WEIR_API void weir_set_free(struct weir_set **pset);
WEIR_API bool weir_set_contains(const struct weir_set *set, uint32_t place);
WEIR_API uint32_t weir_set_count(const struct weir_set *set);
/* The n-th place, 0 <= n < weir_set_count(), ascending. */
WEIR_API uint32_t weir_set_place(const struct weir_set *set, uint32_t n);
WEIR_API struct weir_pool *weir_set_pool(const struct weir_set *set);

/* Upstreams already tried for one connection. Zero it at birth. Entries beyond WEIR_TRIED_MAX are refused by assertion.
 */
struct weir_tried {
    uint32_t count;
    uint32_t upstream[WEIR_TRIED_MAX];
};
WEIR_API void weir_tried_add(struct weir_tried *tried, uint32_t upstream);

/* One counted connection. */
struct weir_lease {
    struct weir_upstreams *upstreams; /* NULL: holds nothing */
    uint32_t upstream;
    uint32_t place;
};

/* Picks, among the places of the set that are available and not tried, the one with the fewest connections for its
 * weight, and counts the connection, in one atomic step; ties go round. Any thread; takes no lock. `tried` may be NULL.
 * `now_ns`: for places that start slowly. The holder must weir_lease_release() it exactly once. Returns 0 or
 * WEIR_ENOUPSTREAM; *ret_lease is untouched on failure. */
WEIR_API WEIR_MUST_CHECK int weir_set_acquire(struct weir_set *set, const struct weir_tried *tried, uint64_t now_ns,
                                              struct weir_lease *ret_lease);

/* Gives a lease back and clears it; a lease that holds nothing is left alone. Any thread. */
WEIR_API void weir_lease_release(struct weir_lease *lease);

WEIR_END_C

#endif
