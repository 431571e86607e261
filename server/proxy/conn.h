/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_CONN_H
#define PROXY_CONN_H

#include "worker.h"

/* One connection, from accept to close: see conn.c. All of it belongs to the loop's thread. */
struct conn {
    struct acceptor *acceptor;
    struct conn *next, **pprev; /* in the worker's list */
    uint64_t id;
    enum close_reason reason;  /* CLOSE_NONE while it is open */
    enum close_reason failure; /* what the last failed attempt to connect would end it with */
    struct weir_socket client, upstream;
    bool client_watched;
    bool upstream_open;    /* `upstream` has been dialled and has not completed its close */
    bool upstream_closing; /* ... but its close is under way */
    uint8_t sockets_closing;

    /* who */
    struct weir_address peer;
    const struct client *configured; /* NULL: an unknown client */
    char *own_name;                  /* of an unknown client */
    struct client_counters *counters;
    const struct weir_limits *limits;
    const struct rule *rule;

    /* what it holds */
    struct weir_client *slot;
    struct weir_set *set;
    struct weir_tried tried;
    struct weir_lease lease;
    struct upstream *target; /* of the lease, or of the last attempt */
    struct weir_timer timer; /* connect_timeout */
    struct weir_relay relay;

    uint64_t accepted_ns, connecting_ns, connected_ns; /* 0: not yet */
};

/* Takes over an accepted descriptor; everything else happens by itself. */
void conn_accept(struct acceptor *acceptor, int fd);

/* Ends a connection for a reason from outside; its memory goes back when its sockets have closed. Does nothing if it is
 * closing already. */
void conn_end(struct conn *conn, enum close_reason reason);

/* The name that its limits are counted under; "" before it is identified. */
const char *conn_client_name(const struct conn *conn);

/* Writes the line of a connection that has just ended (conn_log.c). */
void conn_log(const struct conn *conn, uint64_t now_ns);

#endif
