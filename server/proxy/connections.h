/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_CONNECTIONS_H
#define PROXY_CONNECTIONS_H

#include "../base/log.h"
#include "balancer.h"

/* The open connections of all workers, for people who look at them. Asking is a message to each worker, which answers
 * in between its other work; nothing is locked. Any thread but those of the workers; each call waits for the answers,
 * at most CONNECTIONS_WAIT_NS. */

#define CONNECTIONS_LIMIT_MAX 1000
#define CONNECTIONS_WAIT_NS UINT64_C(2000000000)

/* Any bytes, cut. */
struct connection_text {
    uint32_t size;
    char bytes[LOG_VALUE_MAX];
};

/* A connection at one moment; what the line of its end will say. */
struct connection {
    uint64_t id;
    char listener[NAME_MAX_BYTES + 1];
    struct connection_text client, identity;
    char peer[WEIR_ADDRESS_TEXT_MAX];
    char upstream[NAME_MAX_BYTES + 1]; /* "": none yet */
    char upstream_address[WEIR_ADDRESS_TEXT_MAX];
    uint64_t to_upstream_bytes, to_client_bytes;
    uint64_t duration_ns, handshake_ns, connect_ns;
    uint32_t tries;
    const char *tls_version, *tls_cipher; /* static; "": plain */
};

struct connections_query {
    const char *client;   /* its name as in the log; NULL: of all clients */
    const char *upstream; /* NULL: of all upstreams */
    uint32_t limit;       /* 1 to CONNECTIONS_LIMIT_MAX */
    uint64_t after;       /* goes on behind this id; 0: from the newest connection on */
};

struct connections {
    uint64_t next; /* what `after` has to be to go on; 0: there are no more */
    uint32_t count;
    struct connection list[]; /* of falling ids */
};

/* Returns 0 and a page, the caller's; WEIR_ETIMEDOUT (a worker does not answer) or WEIR_ENOMEM. */
int connections_find(struct balancer *balancer, const struct connections_query *query,
                     struct connections **ret_connections);
void connections_free(struct connections **pconnections);

/* Ends a connection with admin_closed. Returns 0, WEIR_EINVAL (there is none with this id), WEIR_ETIMEDOUT (the worker
 * has not answered yet) or WEIR_ENOMEM. */
int connections_end(struct balancer *balancer, uint64_t id);

#endif
