/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_BACKEND_H
#define IO_BACKEND_H

/* What stands between the loop (loop.c, socket.c: contract, timers, messages) and a backend (uring.c, epoll.c, and the
 * tests' sim): one table of functions down, one group of io_ functions up. The upper half checks the contract and
 * knows what is in flight; a backend never calls a user's completion itself. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <weir/loop.h>
#include <weir/socket.h>

#include "timers.h"

enum io_operation {
    IO_CONNECT = 1 << 0,
    IO_RECV = 1 << 1,
    IO_SEND = 1 << 2,
    IO_WATCH = 1 << 3,
};

/* Loans that one socket holds at most before its receiving waits. */
#define IO_SOCKET_LOANS 8

struct weir_pipe {
    uint32_t size; /* bytes in it */
    int ends[2];   /* of the kernel's: to read from, to write to */
    void *own;     /* of the backend's */
};

struct io_backend {
    const char *name;
    void (*free)(struct weir_loop *loop);
    /* Submits what is queued, waits until something happens, deadline_ns (monotonic; UINT64_MAX: none) or a wake, sets
     * loop->now_ns, reports completions by io_*(). Returns 0 or an error. */
    int (*turn)(struct weir_loop *loop, uint64_t deadline_ns);
    void (*wake)(struct weir_loop *loop); /* any thread */
    uint64_t (*wall)(const struct weir_loop *loop);

    void (*accept)(struct weir_acceptor *acceptor);
    void (*accept_stop)(struct weir_acceptor *acceptor);
    void (*acceptor_close)(struct weir_acceptor *acceptor);
    void (*discard)(struct weir_loop *loop, int fd);

    void (*adopted)(struct weir_socket *socket); /* socket->fd has just been set */
    int (*name_of)(const struct weir_socket *socket, bool peer, struct weir_address *ret_address);
    uint32_t (*unsent)(const struct weir_socket *socket);
    void (*connect)(struct weir_socket *socket, const struct weir_address *address, uint32_t keepalive_s);
    void (*recv)(struct weir_socket *socket);
    void (*recv_stop)(struct weir_socket *socket);
    void (*send)(struct weir_socket *socket, enum weir_send_mode mode); /* socket->send_data, ->send_size */
    void (*shutdown)(struct weir_socket *socket);
    void (*watch)(struct weir_socket *socket);
    void (*watch_stop)(struct weir_socket *socket);
    void (*close)(struct weir_socket *socket, enum weir_close_mode mode);
    /* NULL: the backend knows no splicing. */
    int (*pipe_open)(struct weir_loop *loop, struct weir_pipe *pipe);
    void (*pipe_close)(struct weir_loop *loop, struct weir_pipe *pipe);
    void (*splicing)(struct weir_socket *socket, bool splicing);
    void (*splice_in)(struct weir_socket *socket);  /* socket->pipe_in */
    void (*splice_out)(struct weir_socket *socket); /* socket->pipe_out */
    /* socket->loans is already counted down; loan->owner is that socket, or NULL when it was closed meanwhile. */
    void (*loan_return)(struct weir_loop *loop, struct weir_loan *loan);
};

/* The common head of every backend's loop; a backend embeds it as its first member. */
struct weir_loop {
    const struct io_backend *backend;
    const char *fallback_reason;
    uint64_t now_ns;
    struct timers timers;
    _Atomic(struct weir_message *) messages; /* newest first */
    _Atomic uint64_t busy_ns;                /* of the runs that have ended */
    _Atomic clockid_t cpu_clock;             /* of the thread that runs it; 0: none does */
    uint32_t pipes, pipes_max;               /* open */
    uint64_t catch_up_until_ns;              /* timers that are far overdue wait until then; 0: none is */
    bool stopping;
};

/* Reports of a backend, from its turn() only. Each calls the user's completion, which may submit, stop and close at
 * will: look at the socket anew afterwards. io_lent() sets the loan's owner and counts it on the socket; for a closing
 * one it gives the loan back at once. io_socket_closed() asserts that nothing is in flight; the backend has set `owner`
 * to NULL in what the socket still has lent, since its memory may be gone after this call. */
void io_connected(struct weir_socket *socket, int status);
void io_lent(struct weir_socket *socket, struct weir_loan *loan); /* bytes; receiving goes on */
void io_recv_ended(struct weir_socket *socket, int status);       /* <= 0; a splice too */
void io_spliced(struct weir_socket *socket, int size);            /* > 0 */
void io_sent(struct weir_socket *socket, int status);
void io_noticed(struct weir_socket *socket, enum weir_watch_event event); /* watching goes on */
void io_watch_ended(struct weir_socket *socket, int status);              /* < 0 */
void io_socket_closed(struct weir_socket *socket);
void io_accepted(struct weir_acceptor *acceptor, int fd);
void io_accept_ended(struct weir_acceptor *acceptor, int status);
void io_acceptor_closed(struct weir_acceptor *acceptor);

/* Pipes of the kernel, for both backends on it. Return bytes, WEIR_EAGAIN or another error; pipe_fill() 0 at the end.
 */
int pipe_open(struct weir_loop *loop, struct weir_pipe *pipe);
void pipe_close(struct weir_loop *loop, struct weir_pipe *pipe);
int pipe_fill(const struct weir_pipe *pipe, int fd);
int pipe_drain(const struct weir_pipe *pipe, int fd);

/* Constructors of the two real backends. A failing io_uring says why, in a static sentence. */
int io_uring_loop_new(const struct weir_loop_options *options, struct weir_loop **ret_loop, const char **ret_reason);
int io_epoll_loop_new(const struct weir_loop_options *options, struct weir_loop **ret_loop);

/* For constructors: zeroes the common part. */
void io_loop_init(struct weir_loop *loop, const struct io_backend *backend);

/* One turn: what weir_loop_run() repeats, and what a simulator runs one by one. */
int io_loop_turn(struct weir_loop *loop);

#endif
