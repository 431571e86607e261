/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_SIM_LOOP_H
#define SIM_SIM_LOOP_H

/* What the parts of the backend share: sim_io.c (what is submitted, turns), sim_serve.c (what is done), sim_loop.c
 * (what is ready, lent and completed). */

#include "../../lib/io/backend.h"
#include "sim_io.h"

/* What a socket's `state` holds, above the bits of enum io_operation for what is armed: not yet done, while
 * `in_flight` lasts until the completion is delivered. */
enum {
    ARMED = IO_CONNECT | IO_RECV | IO_SEND | IO_WATCH,
    SEND_AT_ONCE = 1 << 8,
    STOP_RECV = 1 << 9,
    STOP_WATCH = 1 << 10,
    TOLD_HALF_CLOSE = 1 << 11,
    CLOSE = 1 << 12,
    CLOSE_BY_RESET = 1 << 13,
    READY = 1 << 14, /* stands in the ready list */
};

/* The same of an acceptor. */
enum { ACCEPT = 1 << 0, STOP_ACCEPT = 1 << 1, CLOSE_ACCEPTOR = 1 << 2, UNTOLD = 1 << 3 /* of one by one */ };

enum kind {
    CONNECTED,
    LENT,
    SPLICED,
    RECV_ENDED,
    SENT,
    NOTICED,
    WATCH_ENDED,
    CLOSED,
    ACCEPTED,
    ACCEPT_ENDED,
    ACCEPTOR_CLOSED
};

struct completion {
    enum kind kind;
    int status; /* or descriptor */
    struct weir_socket *socket;
    struct weir_acceptor *acceptor;
    struct weir_loan *loan;
};

struct completions {
    struct completion *all;
    uint32_t head, count, capacity;
};

struct sockets {
    struct weir_socket **all;
    uint32_t count, capacity;
};

struct sim_loop {
    struct weir_loop base;
    struct net *net;
    struct sim_loop_options options;
    struct completions done;
    struct sockets ready, serving; /* what may get further; this turn's */
    struct weir_socket *waiting;   /* for a buffer */
    struct weir_acceptor *acceptors;
    bool acceptors_ready;
    struct weir_loan *loans, *idle;
    uint32_t *loan_bytes; /* what a loan held when it was lent */
    uint32_t lent;
    struct sim_event turn;
    uint64_t turns, last_turn_ns;
    bool stopped;
};

static inline struct sim_loop *sim_of(struct weir_loop *loop)
{
    return (struct sim_loop *)loop;
}

static inline struct random *sim_chance(const struct sim_loop *loop)
{
    return &loop->net->sim->random;
}

static inline bool sim_puts_off(const struct sim_loop *loop)
{
    /* After a stall everything that is ready is done: else a timer might fire that would not on a real kernel. */
    bool stalled = loop->base.now_ns - loop->last_turn_ns > 100 * SIM_MS;
    return !stalled && random_chance(sim_chance(loop), loop->options.lazy);
}

/* Sees to it that a turn comes. */
void sim_plan_turn(struct sim_loop *loop, uint64_t at_ns);
void sim_kick(struct sim_loop *loop);

/* In the next turn it is tried again. */
void sim_make_ready(struct weir_socket *socket);
void sim_make_acceptors_ready(struct sim_loop *loop);
/* ... when somebody gives a buffer back. */
void sim_wait_for_loan(struct weir_socket *socket);
void sim_wait_no_more(struct weir_socket *socket);

/* A completion, to be delivered in this turn or a later one. */
void sim_complete(struct sim_loop *loop, const struct completion *completion);
void sim_complete_socket(struct weir_socket *socket, enum kind kind, int status);
void sim_complete_acceptor(struct weir_acceptor *acceptor, enum kind kind, int status);
void sim_deliver_some(struct sim_loop *loop);

void sim_new_loans(struct sim_loop *loop);
/* One must be idle. */
struct weir_loan *sim_take_loan(struct sim_loop *loop);
void sim_give_loan(struct sim_loop *loop, struct weir_loan *loan);
void sim_loan_return(struct weir_loop *base, struct weir_loan *loan);

int sim_pipe_open(struct weir_loop *base, struct weir_pipe *pipe);
void sim_pipe_close(struct weir_loop *base, struct weir_pipe *pipe);
/* > 0: bytes; else as net_read(), net_write(). */
int sim_pipe_fill(struct weir_pipe *pipe, struct net_end *end);
int sim_pipe_drain(struct weir_pipe *pipe, struct net_end *end);

void sim_serve_ready(struct sim_loop *loop);
void sim_serve_acceptors(struct sim_loop *loop);
struct net_listener *sim_listener_of(const struct weir_acceptor *acceptor);

#endif
