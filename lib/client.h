/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_CLIENT_H
#define LIB_CLIENT_H

#include <stdatomic.h>
#include <stdint.h>

#include <weir/limiter.h>

struct shard;

struct weir_client {
    _Atomic uint32_t active;
    _Atomic uint32_t references; /* of a configured client: the owner's, and one for each connection */
    _Atomic uint64_t full_at_ns; /* when the rate has recovered; GCRA's "theoretical arrival time" */
    struct shard *shard;         /* of a client in a table; NULL: a configured one */

    /* In a table; under the shard's lock. */
    struct weir_client *next;
    uint64_t hash;
    uint32_t idle_index; /* in the shard's heap while no connection is open */
    uint8_t name_size;
    char name[];
};

/* Counts a connection and takes a token, or neither. Returns 0, WEIR_ELIMIT or WEIR_ERATE. Any thread. */
int client_admit(struct weir_client *client, const struct weir_limits *limits, uint64_t now_ns);

/* Ends a connection of a client in a table. */
void shard_leave(struct weir_client *client);

#endif
