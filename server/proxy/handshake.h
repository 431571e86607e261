/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_HANDSHAKE_H
#define PROXY_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/loop.h>
#include <weir/relay.h>
#include <weir/socket.h>

#include "../tls/session.h"

/* TLS handshakes over sockets. A step of one runs for half a millisecond and cannot be interrupted: all handshakes of a
 * worker stand in one line, and one step is taken in a turn of the loop, after everything that established connections
 * had to do. What has arrived for a handshake that waits is copied, so that it holds no buffer of the loop. The loop's
 * thread. */

struct handshake;

/* The line of one worker. Zero it, then handshakes_init(). */
struct handshakes {
    struct weir_loop *loop;
    struct weir_timer turn;
    struct handshake *first, **last; /* those that have something to do */
};

void handshakes_init(struct handshakes *handshakes, struct weir_loop *loop);

/* Bytes that wait, in one piece. */
struct bytes {
    uint8_t *data;
    uint32_t size, room; /* size <= room */
};

enum handshake_state {
    HANDSHAKE_RUNNING,
    HANDSHAKE_ESTABLISHED, /* what arrives is kept for the relay */
    HANDSHAKE_FAREWELL,    /* what arrives is of no use any more */
    HANDSHAKE_OVER,        /* nothing more is told */
};

/* Embedded in a connection; zero it at birth. */
struct handshake {
    struct handshakes *line;
    struct weir_socket *socket;
    struct tls_session *session; /* the owner's */
    void *owner;                 /* for the caller's use */
    void (*done)(struct handshake *handshake, int status);
    enum handshake_state state;
    bool sending, receiving, watching, queued, peer_ended, shut;
    struct bytes in, out, in_flight;
    struct weir_sink sink;
    struct handshake *next, **pprev; /* in the line */
};

/* Starts on a connected socket, whose events and owner are the handshake's until a relay starts or the socket is
 * closed (put your own events on it first). `done` is called from the loop's turn:
 *   0: established; receiving goes on, and what arrives is kept for handshake_feed();
 *   WEIR_EIO: it failed, tls_session_failure() says why; an alert may wait to be sent: handshake_farewell();
 *   WEIR_ECONNRESET: the peer left or broke (perhaps after a 0);   WEIR_ENOMEM;
 *   WEIR_ECANCELED: a farewell is over. */
void handshake_start(struct handshake *handshake, struct handshakes *line, struct weir_socket *socket,
                     struct tls_session *session, void (*done)(struct handshake *handshake, int status));

/* Everything that was to be sent has been taken by the kernel: a relay may start. Until then `done` of an established
 * handshake is held back, so that this is true in it. */
bool handshake_sent_all(const struct handshake *handshake);

/* Feeds a relay that has just started with what is inside the session and what arrived behind it. */
void handshake_feed(struct handshake *handshake, struct weir_relay *relay, enum weir_relay_side side);

/* Ends an established one in favour of somebody who reads for himself: hands over what arrived behind it, to be freed
 * by free(), and forgets it. Whether receiving goes on or the peer has ended, `receiving` and `peer_ended` say before;
 * a watch may be in flight. The caller puts events of its own on the socket at once. */
void handshake_hand_over(struct handshake *handshake, struct bytes *ret_bytes);

/* A clean end: sends what waits (an alert) or else close_notify, ends the sending side, and drops what comes until the
 * peer ends; then `done`. The caller bounds the time. */
void handshake_farewell(struct handshake *handshake);

/* Frees its bytes and forgets it; `done` is not called any more. The socket is closed, or a relay has taken it. Does
 * nothing for one that was never started. */
void handshake_release(struct handshake *handshake);

/* Says nothing more: the socket is about to be closed. */
void handshake_stop(struct handshake *handshake);

#endif
