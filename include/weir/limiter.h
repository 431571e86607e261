/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LIMITER_H
#define WEIR_LIMITER_H

#include <stddef.h>
#include <stdint.h>

#include <weir/api.h>

WEIR_BEGIN_C

/* Limits for each client: connections at once, and new connections by rate (GCRA). Time is an argument. */

struct weir_limits {
    uint32_t connections;    /* at once; 0: no limit */
    uint64_t rate_period_ns; /* one connection in this time on average; 0: no limit */
    uint32_t burst;          /* connections that may come at once after a rest; at least 1 where a rate is set */
};

/* A client's record: its connections at this moment and its rate state. Lives in a limiter. */
struct weir_client;

/* A table with two kinds of records: named ones, that exist until removed (the configured clients), and at most
 * `capacity` others, made when first seen and reused when idle (no connection, rate recovered). */
struct weir_limiter;

#define WEIR_CLIENT_NAME_MAX 255

/* `seed`: a random number that an outsider can't know (hash tables). Returns 0, WEIR_EINVAL or WEIR_ENOMEM. */
WEIR_API WEIR_MUST_CHECK int weir_limiter_new(uint32_t capacity, uint64_t seed, struct weir_limiter **ret_limiter);

/* No record may be held any more. Accepts NULL. */
WEIR_API void weir_limiter_free(struct weir_limiter **plimiter);

/* A record with a life of its own, for a configured client; keeps its state over reloads. Any thread. The caller owns
 * one reference. Returns 0 or WEIR_ENOMEM. */
WEIR_API WEIR_MUST_CHECK int weir_client_new(struct weir_client **ret_client);
WEIR_API struct weir_client *weir_client_ref(struct weir_client *client);
/* Drops a reference and clears the pointer; frees with the last one. A connection that entered holds one too. Accepts
 * NULL. */
WEIR_API void weir_client_unref(struct weir_client **pclient);

/* Connections at this moment. Any thread. */
WEIR_API uint32_t weir_client_active(const struct weir_client *client);

/* Enters a connection of a configured client: counts it and takes a token of its rate, or refuses and takes neither.
 * Any thread; no lock. The same `now_ns` clock for all calls. On success *ret_client holds the record until
 * weir_client_leave(). Returns 0, WEIR_ELIMIT or WEIR_ERATE; *ret_client is untouched on failure. */
WEIR_API WEIR_MUST_CHECK int weir_client_enter(struct weir_client *client, const struct weir_limits *limits,
                                               uint64_t now_ns, struct weir_client **ret_client);

/* The same for a client known only by name (1 to WEIR_CLIENT_NAME_MAX bytes, any values), whose record is found or made
 * in the table. Any thread; holds a lock of one part of the table for the look-up only. Returns also WEIR_EFULL (no
 * record is idle), WEIR_EINVAL (the name's length) and WEIR_ENOMEM. */
WEIR_API WEIR_MUST_CHECK int weir_limiter_enter(struct weir_limiter *limiter, const void *name, size_t name_size,
                                                const struct weir_limits *limits, uint64_t now_ns,
                                                struct weir_client **ret_client);

/* Ends one connection: uncounts it and clears the pointer. NULL is left alone. Any thread; for a client of a table it
 * holds the same lock for a moment. */
WEIR_API void weir_client_leave(struct weir_client **pclient);

/* Connections of all clients in the table, at this moment. Any thread. */
WEIR_API uint32_t weir_limiter_active(const struct weir_limiter *limiter);
/* Records in use or kept, at most the capacity. Any thread. */
WEIR_API uint32_t weir_limiter_records(const struct weir_limiter *limiter);

WEIR_END_C

#endif
