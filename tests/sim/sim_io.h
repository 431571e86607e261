/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_SIM_IO_H
#define SIM_SIM_IO_H

#include <weir/loop.h>
#include <weir/socket.h>

#include "net.h"

/* The third backend: a loop on the simulated network. As with io_uring, an operation is done at one moment and its
 * completion delivered at a later one; which ones are done in a turn, in which order, and how many completions a turn
 * delivers is drawn. The order on one socket is kept. */

struct sim_loop_options {
    uint32_t buffers, buffer_bytes;
    uint32_t pipes;            /* open at most */
    uint32_t lazy;             /* per mille of operations that are ready but wait for a later turn */
    uint64_t turn_delay_ns;    /* at most, from the first reason for a turn to the turn */
    uint32_t stall;            /* per mille of turns that come much later */
    uint64_t stall_ns;         /* ... by this */
    bool driven;               /* turns come from sim_step(); else from weir_loop_run() */
    struct weir_address local; /* where its connections come from */
    void (*dialled)(struct weir_socket *socket, struct net_end *end, void *context); /* a connect was submitted */
    /* One could not begin, for want of something here. */
    void (*undialled)(struct weir_socket *socket, const struct weir_address *address, int status, void *context);
    void (*turned)(struct weir_loop *loop, void *context); /* driven: after each turn */
    void *context;
};

struct weir_loop *sim_loop_new(struct net *net, const struct sim_loop_options *options);

/* Whether weir_loop_stop() was called in a driven turn: no more turns come. */
bool sim_loop_stopped(const struct weir_loop *loop);

/* Turns so far. */
uint64_t sim_loop_turns(const struct weir_loop *loop);

/* Buffers that are lent, to any socket. */
uint32_t sim_loop_lent(const struct weir_loop *loop);

/* Opens a listening descriptor for weir_acceptor_init(); WEIR_EMFILE when none is left. */
int sim_listen(struct net *net, const struct weir_address *address);

/* The end behind a socket; NULL: none (yet, or any more). */
struct net_end *sim_end_of(const struct weir_socket *socket);

#endif
