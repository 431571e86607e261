/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_TCP_H
#define IO_TCP_H

/* The system calls that both real backends make on a TCP socket and for the time. */

#include <stdbool.h>
#include <stdint.h>

#include <weir/address.h>
#include <weir/loop.h>
#include <weir/socket.h>

/* Opens a socket to connect with; `flags` as of socket(2). Returns a descriptor >= 0 or an error. */
int tcp_open(const struct weir_address *address, int flags, uint32_t keepalive_s);

/* TCP_NODELAY and keepalive. Returns 0 or an error. */
int tcp_tune(int fd, uint32_t keepalive_s);

/* Closing it will reset the connection. */
void tcp_reset_on_close(int fd);

/* Whether an errno of accept(2) concerns only one connection, that is gone by now. */
bool tcp_accept_goes_on(int errno_value);

/* Delivers what has arrived in a listening socket's queue, which close(2) would reset; `flags` as of accept4(2). */
void tcp_accept_queued(struct weir_acceptor *acceptor, int flags);

/* Returns 0 or WEIR_EIO. */
int tcp_name(int fd, bool peer, struct weir_address *ret_address);

uint32_t tcp_unsent(const struct weir_socket *socket);

uint64_t tcp_clock(void);
uint64_t tcp_wall(const struct weir_loop *loop);
void tcp_discard(struct weir_loop *loop, int fd);

#endif
