/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SOCKET_H
#define WEIR_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/address.h>
#include <weir/api.h>
#include <weir/loop.h>

WEIR_BEGIN_C

/* TCP sockets by completion. A socket is embedded in what it belongs to (a connection), which must stay alive until
 * `closed`. At most one operation of each kind (connect, receive, send, watch) is in flight on a socket; submitting a
 * second one is a mistake of the caller and asserted. Every operation ends with exactly one completion; a repeating one
 * (receive, watch, accept) has completions before that, and the last one has a status <= 0 (receive) or < 0 (watch,
 * accept). */

/* Bytes received, in a buffer of the loop's pool. The receiver holds it and gives it back by weir_loan_return(), at the
 * latest soon after: the pool is small and shared by all connections of the loop. Contents may be changed in place. */
struct weir_loan {
    uint8_t *data;
    uint32_t size;
    uint32_t index;         /* private */
    struct weir_loan *next; /* for the holder's use */
    void *owner;            /* private */
};

enum weir_watch_event {
    WEIR_WATCH_HALF_CLOSED = 1, /* the peer has ended its sending side; told once */
    WEIR_WATCH_RESET = 2, /* the connection broke: an error is pending on it (that both sides ended cleanly is none).
                             Told once; then the watch ends by itself with a last completion */
};

struct weir_socket;

/* The completions of a socket. A table, shared by all sockets of a kind; it may be exchanged at any time
 * (`socket->events`), except while closing. An entry may be NULL if the operation is never used on these sockets, or
 * if nobody wants to hear of it after weir_close(): a loan that still comes then goes back by itself. `closed` may not.
 */
struct weir_socket_events {
    /* status: 0, or why not (WEIR_ECONNREFUSED, _ETIMEDOUT, _EUNREACHABLE, _EMFILE, _EADDRNOTAVAIL, _ECANCELED, ...).
     */
    void (*connected)(struct weir_socket *socket, int status);
    /* status > 0: that many bytes are lent in `loan`, more will follow. Otherwise the last completion, loan is NULL:
     * 0: the peer has ended its sending side; WEIR_ECANCELED: after weir_recv_stop() or weir_close(); else an error. */
    void (*received)(struct weir_socket *socket, int status, struct weir_loan *loan);
    /* status > 0: bytes taken, perhaps fewer than given; else WEIR_EAGAIN (nothing taken, only with WEIR_SEND_NOW),
     * WEIR_EPIPE, WEIR_ECONNRESET, WEIR_ECANCELED, ... The caller's bytes are its own again. */
    void (*sent)(struct weir_socket *socket, int status);
    /* status > 0: bytes that weir_splice_in() has moved into its pipe; 0, WEIR_ECANCELED, else: as `received`. */
    void (*spliced)(struct weir_socket *socket, int status);
    /* status: an enum weir_watch_event (one at a time), or < 0 as the last completion. */
    void (*noticed)(struct weir_socket *socket, int status);
    /* The very last completion. The descriptor is closed, and the memory of the socket is the caller's again. */
    void (*closed)(struct weir_socket *socket);
};

/* Zero it, then weir_socket_init(). Only `events` and `owner` may be changed by the caller; all else is private. */
struct weir_socket {
    const struct weir_socket_events *events;
    void *owner; /* for the caller's use; a relay's while it runs */
    struct weir_loop *loop;
    int fd;
    uint8_t in_flight; /* one bit for each kind of operation */
    uint8_t closing : 1;
    uint8_t sparing : 1; /* receives one buffer at a time */
    uint16_t loans;      /* lent and not yet given back */
    uint32_t state;      /* the backend's own */
    uint32_t send_size;
    int32_t result;
    const uint8_t *send_data;
    struct weir_pipe *pipe_in, *pipe_out; /* of splices in flight */
    struct weir_socket *next, **pprev;    /* the backend's lists */
    struct weir_socket *ready;
};

/* Binds a socket to its loop; it has no descriptor yet. */
WEIR_API void weir_socket_init(struct weir_socket *socket, struct weir_loop *loop,
                               const struct weir_socket_events *events);

/* Gives the socket a descriptor that an acceptor delivered on the same loop; the socket owns it from now on. */
WEIR_API void weir_socket_adopt(struct weir_socket *socket, int fd);

/* Address of the peer. Returns 0 or WEIR_EIO (already gone); *ret_address is then untouched. */
WEIR_API WEIR_MUST_CHECK int weir_socket_peer(const struct weir_socket *socket, struct weir_address *ret_address);

/* The local address; as above. */
WEIR_API WEIR_MUST_CHECK int weir_socket_local(const struct weir_socket *socket, struct weir_address *ret_address);

/* Bytes that completed sends have handed over and that the peer has not acknowledged: a reset would destroy them. */
WEIR_API uint32_t weir_socket_unsent(const struct weir_socket *socket);

/* Opens a TCP socket and connects it -> `connected`. Every failure, of socket(2) too, comes as that completion; then
 * the socket has no descriptor, or a useless one: weir_close() it all the same. `keepalive_s`: TCP keepalive in
 * seconds, 0: off. There is no timeout but the kernel's: set a timer and close. TCP_NODELAY is on. */
WEIR_API void weir_connect(struct weir_socket *socket, const struct weir_address *address, uint32_t keepalive_s);

/* Starts receiving, repeating -> `received`. While the pool is empty, sockets wait their turn; a socket that holds many
 * loans gets no more until it gave some back (a bound of the loop; a turn's burst can exceed it a little). */
WEIR_API void weir_recv(struct weir_socket *socket);

/* Ends receiving: what was lent before may still arrive, then WEIR_ECANCELED (or the end or error that came first). No
 * byte is lost: a later weir_recv() goes on where it stopped (only after that last completion). Does nothing if none is
 * in flight. */
WEIR_API void weir_recv_stop(struct weir_socket *socket);

/* Receives one buffer at a time from now on, or as many as there are again: for whoever has to keep what comes, and
 * could not stop a burst. */
WEIR_API void weir_recv_sparing(struct weir_socket *socket, bool sparing);

enum weir_send_mode {
    WEIR_SEND_WAIT, /* completes when at least one byte was taken, or on error */
    WEIR_SEND_NOW,  /* completes with what the kernel takes at once; WEIR_EAGAIN if that is nothing */
};

/* Sends -> `sent`. `data` (size > 0) must stay as it is until then. SIGPIPE is never raised. */
WEIR_API void weir_send(struct weir_socket *socket, const void *data, uint32_t size, enum weir_send_mode mode);

/* Bulk bytes go from one socket to another by a pipe: the kernel moves them, and nobody copies. A pipe takes two
 * descriptors and what it holds of the kernel's memory. */
struct weir_pipe;

/* An empty pipe. NULL when the loop has too many, or no descriptor or memory is left, or its backend knows no
 * pipes: go on with weir_recv() and weir_send(). */
WEIR_API struct weir_pipe *weir_pipe_open(struct weir_loop *loop);

/* What is left in it is lost. No splice of it is in flight. Accepts NULL. */
WEIR_API void weir_pipe_close(struct weir_loop *loop, struct weir_pipe **ppipe);

/* Between true and false a socket is only spliced: no receive or send may be in flight then. */
WEIR_API void weir_splicing(struct weir_socket *socket, bool splicing);

/* Moves what has arrived into an empty pipe, as soon as there is something -> `spliced`, once. In flight it is a
 * receive: weir_recv_stop() ends it. */
WEIR_API void weir_splice_in(struct weir_socket *socket, struct weir_pipe *pipe);

/* Sends what a pipe holds -> `sent`: bytes taken, perhaps fewer; the rest stays in the pipe. */
WEIR_API void weir_splice_out(struct weir_socket *socket, struct weir_pipe *pipe);

/* Ends the sending side (FIN). No completion: an error here shows in the receiving direction. No send may be in flight.
 */
WEIR_API void weir_shutdown(struct weir_socket *socket);

/* Watches, repeating -> `noticed`: half-close and reset are told even while nothing is received. Takes no data. */
WEIR_API void weir_watch(struct weir_socket *socket);

/* Ends the watch -> last completion WEIR_ECANCELED (or an error that came first). Does nothing if none is in flight. */
WEIR_API void weir_watch_stop(struct weir_socket *socket);

enum weir_close_mode {
    WEIR_CLOSE_NORMAL, /* FIN (or RST if unread input is left, as TCP does) */
    WEIR_CLOSE_RESET,  /* RST: the peer must not take this for a clean end */
};

/* Cancels what is in flight (each with its completion), closes the descriptor -> `closed`, the last one. Once only.
 * Works on a socket without descriptor too. Nothing more is lent; what was lent before stays valid until given back. */
WEIR_API void weir_close(struct weir_socket *socket, enum weir_close_mode mode);

/* Gives a lent buffer back. Once for each loan; after the socket was closed too. The loop's thread. */
WEIR_API void weir_loan_return(struct weir_loop *loop, struct weir_loan *loan);

/* Accepting. Embedded like a socket. */
struct weir_acceptor {
    /* status 0: `fd` is a new connection, owned by the callee: adopt it or weir_fd_discard() it. status < 0: accepting
     * is over (WEIR_ECANCELED after stop or close; WEIR_EMFILE, WEIR_ENOBUFS, ... : call weir_accept() again later, for
     * instance by a timer). */
    void (*accepted)(struct weir_acceptor *acceptor, int status, int fd);
    void (*closed)(struct weir_acceptor *acceptor); /* the very last completion */
    /* Takes effect with weir_accept(): connections are taken one by one, and weir_accept_stop() from `accepted` holds
     * at once. Slower; otherwise many may have been taken already when it is called. */
    bool one_by_one;
    struct weir_loop *loop; /* private from here */
    int fd;
    uint8_t in_flight, closing;
    uint32_t state;
    struct weir_acceptor *next, **pprev;
};

/* Takes over a listening descriptor (see weir_listen()). Set accepted before, and closed unless it is never closed. */
WEIR_API void weir_acceptor_init(struct weir_acceptor *acceptor, struct weir_loop *loop, int fd);

/* Starts accepting, repeating -> `accepted`. */
WEIR_API void weir_accept(struct weir_acceptor *acceptor);

/* Ends accepting -> last completion WEIR_ECANCELED; connections already taken may still be delivered before. The
 * listening socket stays open: what arrives waits in its queue. Does nothing if not accepting. */
WEIR_API void weir_accept_stop(struct weir_acceptor *acceptor);

/* Stops accepting and closes the listening descriptor -> `closed`. While accepting, what has arrived in its queue is
 * delivered first: it would be reset otherwise. */
WEIR_API void weir_acceptor_close(struct weir_acceptor *acceptor);

/* Closes an accepted descriptor that nobody adopted, with a reset. */
WEIR_API void weir_fd_discard(struct weir_loop *loop, int fd);

struct weir_listen_options {
    bool reuse_port;      /* several sockets on one address (one for each loop); see weir_listen() */
    uint32_t keepalive_s; /* TCP keepalive of accepted connections in seconds, 0: off */
    int backlog;          /* 0: 4096 */
};

/* Opens a listening TCP socket (TCP_NODELAY and keepalive are inherited by what it accepts). No loop is involved;
 * blocking system calls, for start-up and reload. With reuse_port, call weir_listen_probe() first: the kernel would
 * silently let another process share the port. Returns a descriptor >= 0 that the caller owns, or WEIR_EADDRINUSE,
 * WEIR_EADDRNOTAVAIL, WEIR_EACCES, ... Any thread. */
WEIR_API WEIR_MUST_CHECK int weir_listen(const struct weir_address *address, const struct weir_listen_options *options);

/* Whether a plain bind to the address works: shows that nobody else has the port. Returns 0 or the error of bind(2).
 * With port 0 it does nothing and returns 0. Any thread. */
WEIR_API WEIR_MUST_CHECK int weir_listen_probe(const struct weir_address *address);

/* The address that a descriptor is bound to (which port a listener on port 0 got). Returns 0 or WEIR_EIO. Any thread.
 */
WEIR_API WEIR_MUST_CHECK int weir_listen_address(int fd, struct weir_address *ret_address);

WEIR_END_C

#endif
