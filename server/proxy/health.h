/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_HEALTH_H
#define PROXY_HEALTH_H

#include <stdatomic.h>
#include <pthread.h>

#include <weir/health.h>

#include "../policy/snapshot.h"

#define HEALTH_CAUSE_BYTES 96

/* The health of every place of every pool, from one snapshot to the next: libweir's state machine, fed by real
 * connections of all workers and by the checks of one, and what follows from its changes: the pool's view, and one log
 * line each. */
struct place_health {
    struct kept kept;
    struct upstream_record *upstream; /* held */
    struct weir_address address;      /* of the upstream */
    char *key;                        /* pool, upstream and address */
    pthread_mutex_t
        mutex; /* held for a few instructions; taken only on failures, checks, and successes after a failure */
    struct weir_health machine;
    const struct pool *pool;
    uint32_t place;
    char cause[HEALTH_CAUSE_BYTES];        /* of its going down */
    uint64_t slow_until_ns;                /* it starts slowly until then */
    _Atomic uint64_t troubled_ns;          /* time of the last failure; 0: none since the last success */
    _Atomic uint64_t checked_ns;           /* when the last check began; 0: there was none */
    _Atomic int64_t certificate_expires_s; /* of the last check's handshake, in seconds since 1970; 0: not known */
    void (*ejected)(void *context);        /* tells the prober, with the mutex held; any thread */
    void *ejected_context;
};

/* Finds or makes the state of all places of a bound snapshot. What runs is not touched. Returns 0 or WEIR_ENOMEM.
 * Control thread, like the next two. */
int health_new(struct snapshot *snapshot, struct state *state);
/* The snapshot is the one that counts from now on: its places show their health and are judged by its settings, and who
 * has joined a pool starts slowly. Places of `before` (NULL: there was none) that it does not name show theirs no more.
 */
void health_apply(struct snapshot *snapshot, const struct snapshot *before, uint64_t now_ns);
/* Accepts a snapshot without. */
void health_free(struct snapshot *snapshot);

struct place_health *health_of(const struct pool *pool, uint32_t place);

/* Where a snapshot that counts has the place; returns false when it does not have it, or counts no more. Any thread. */
bool health_find(struct place_health *health, const struct snapshot *snapshot, uint32_t *ret_pool, uint32_t *ret_place);

/* What a person decides: the state of an upstream of the snapshot, and one log line if it changes. Control thread. */
void health_set_state(const struct snapshot *snapshot, const struct upstream *upstream, enum weir_upstream_state state,
                      uint64_t now_ns);

/* How a real connection went. `since_ns`: when it was opened: a success older than the last failure proves nothing.
 * `cause`: static, for the log. Any thread. */
void health_traffic(struct place_health *health, bool good, uint64_t since_ns, uint64_t now_ns, const char *cause);

/* Who is told of ejections from now on, with the mutex held; and no more, if it is still the same: after the return it
 * is not being told. Any thread. */
void health_on_ejection(struct place_health *health, void (*ejected)(void *context), void *context);
void health_off_ejection(struct place_health *health, const void *context);

/* The result of a check. Any thread. */
void health_check(struct place_health *health, bool good, uint64_t now_ns, const char *cause);

/* Ends an ejection whose time has come. Any thread. */
void health_tick(struct place_health *health, uint64_t now_ns);

/* When the upstream's certificate ends, as RFC 3339 writes it; NULL: no check has seen one. Any thread. */
#define HEALTH_EXPIRY_BYTES 32
const char *health_certificate_expires(const struct place_health *health, char text[HEALTH_EXPIRY_BYTES]);

/* Whether checks hold it down; then also why. Any thread. */
bool health_down_cause(struct place_health *health, char text[HEALTH_CAUSE_BYTES]);

/* When an ejection ends; 0: the place is not ejected. Any thread. */
uint64_t health_ejected_until(struct place_health *health);

#endif
