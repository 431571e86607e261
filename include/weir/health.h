/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_HEALTH_H
#define WEIR_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/api.h>
#include <weir/pool.h>

WEIR_BEGIN_C

/* The health of one upstream in one pool, as a pure state machine: results go in with the time, changes come out. No
 * locks: the owner serialises calls for one machine. A plain value; zero plus weir_health_init(). */

struct weir_health_options {
    uint32_t fall;         /* failed checks in a row that take it down; >= 1 */
    uint32_t rise;         /* good checks in a row that bring it back; >= 1 */
    uint32_t eject_after;  /* real connections that failed in a row until it is ejected; 0: never */
    uint64_t eject_ns;     /* length of the first ejection; doubles with each one in a row ... */
    uint64_t eject_max_ns; /* ... up to this */
};

struct weir_health {
    struct weir_health_options options;
    bool down;
    bool ejected;
    uint32_t check_streak;   /* results in a row that speak against the present state */
    uint32_t failure_streak; /* real failures in a row */
    uint32_t ejections;      /* in a row, without a success between */
    uint64_t ejected_until_ns;
};

enum weir_health_change {
    WEIR_HEALTH_SAME,
    WEIR_HEALTH_WENT_DOWN, /* checks failed `fall` times; an ejection ends too */
    WEIR_HEALTH_CAME_UP,   /* checks succeeded `rise` times; an ejection ends too */
    WEIR_HEALTH_EJECTED,   /* real connections failed: look again at ejected_until_ns */
    WEIR_HEALTH_RETURNED,  /* an ejection ended */
};

WEIR_API void weir_health_init(struct weir_health *health, const struct weir_health_options *options);

/* The result of a check. */
WEIR_API WEIR_MUST_CHECK enum weir_health_change weir_health_check(struct weir_health *health, bool good,
                                                                   uint64_t now_ns);

/* How a real connection went. `jitter` (any random number) lets ejections end earlier by up to a quarter, so that
 * upstreams which failed together return one by one. A success ends an ejection and the streaks of failures and
 * ejections. While checks hold it down, failures don't count. */
WEIR_API WEIR_MUST_CHECK enum weir_health_change weir_health_traffic(struct weir_health *health, bool good,
                                                                     uint64_t now_ns, uint32_t jitter);

/* Time has passed: ends an ejection that is over (the next failure then ejects again at once, for longer). */
WEIR_API WEIR_MUST_CHECK enum weir_health_change weir_health_tick(struct weir_health *health, uint64_t now_ns);

/* What choosing should see now. */
WEIR_API enum weir_place_health weir_health_place(const struct weir_health *health);

WEIR_END_C

#endif
