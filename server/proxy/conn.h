/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_CONN_H
#define PROXY_CONN_H

#include "entrance.h"
#include "handshake.h"
#include "health.h"
#include "worker.h"

struct conn;

/* TLS on one side of a connection; all NULL: plain. */
struct secure {
    struct tls_session *session;
    struct handshake *handshake; /* until the relay starts */
};

/* Starts a handshake. `address`: of an upstream; NULL: the peer is a client. Returns 0 or WEIR_ENOMEM. */
int secure_start(struct secure *secure, struct conn *conn, struct weir_socket *socket, struct tls_context *context,
                 const struct weir_address *address, void (*done)(struct handshake *handshake, int status));
struct weir_filter *secure_filter(const struct secure *secure);
/* Hands over to a relay that has just started; the handshake is gone then. */
void secure_feed(struct secure *secure, struct weir_relay *relay, enum weir_relay_side side);
/* The socket is about to be closed. */
void secure_stop(struct secure *secure);
/* The socket is closed. */
void secure_free(struct secure *secure);

/* A client that has not proved who it is counts as nobody: at most max_handshakes of a worker, the oldest goes for a
 * new one; and at most max_handshakes_per_source of one address. Returns false when this one is over that. Leaving
 * twice does nothing. */
bool unauthenticated_enter(struct conn *conn);
void unauthenticated_leave(struct conn *conn);

struct conn_name {
    const char *bytes; /* perhaps NULL */
    uint32_t size;
};

/* One connection, from accept to close: see conn.c. All of it belongs to the loop's thread. */
struct conn {
    struct gate *gate;
    struct view *view;          /* that it is decided by; NULL: it has reached its relay, and asks nothing more */
    uint32_t pool;              /* in the view's snapshot */
    struct conn *next, **pprev; /* in the worker's list */
    uint64_t id;
    enum close_reason reason;  /* CLOSE_NONE while it is open */
    enum close_reason failure; /* what the last failed attempt to connect would end it with */
    struct weir_socket client, upstream;
    bool client_watched;
    bool upstream_open;    /* `upstream` has been dialled and has not completed its close */
    bool upstream_closing; /* ... but its close is under way */
    uint8_t sockets_closing;
    struct secure client_tls, upstream_tls;
    struct conn *next_nobody, **pprev_nobody; /* in the worker's line of unauthenticated ones; pprev NULL: not in it */

    /* who */
    struct weir_address peer;
    const struct client *configured;     /* of the view, while it has one; NULL: an unknown client */
    struct client_record *client_record; /* likewise; to the end */
    char *own_name;                      /* of an unknown client; any bytes */
    uint32_t own_name_size, identity_size;
    char *identity; /* of a certificate: "dns:alice.example.com"; any bytes */
    char *trouble;  /* what the last failed attempt to connect met */
    struct client_counters *counters;
    const struct weir_limits *limits;

    /* what it holds */
    struct weir_client *slot;
    struct weir_set *set;
    struct weir_tried tried;
    struct weir_lease lease;
    struct place_health *target; /* of the lease, or of the last attempt; NULL: none yet */
    struct weir_timer timer;     /* connect_timeout */
    struct weir_relay relay;

    uint64_t accepted_ns, shaken_ns, connecting_ns, connected_ns; /* 0: not yet */
};

/* Takes over an accepted descriptor; everything else happens by itself. */
void conn_accept(struct entrance *entrance, int fd);

/* Ends a connection for a reason from outside; its memory goes back when its sockets have closed. Does nothing if it is
 * closing already. */
void conn_end(struct conn *conn, enum close_reason reason);

/* Whether it is to end with its client's certificate; of one that has reached its relay. */
void conn_watch_expiry(struct conn *conn, bool ends);

/* The name that its limits are counted under; "" before it is identified. */
struct conn_name conn_client_name(const struct conn *conn);

/* Keeps why a connection was refused, for people who ask (conn_log.c). */
void conn_keep_refusal(const struct conn *conn);

/* Writes the line of a connection that has just ended (conn_log.c). */
void conn_log(const struct conn *conn, uint64_t now_ns);

#endif
