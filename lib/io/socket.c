/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stddef.h>

#include <weir/errors.h>

#include "backend.h"

/* Downwards: the contract is checked here, once for all backends. */

static void begin(struct weir_socket *socket, enum io_operation operation)
{
    assert(!socket->closing && (socket->in_flight & operation) == 0);
    socket->in_flight = (uint8_t)(socket->in_flight | operation);
}

static void finish(struct weir_socket *socket, enum io_operation operation)
{
    assert((socket->in_flight & operation) != 0);
    socket->in_flight = (uint8_t)(socket->in_flight & ~operation);
}

static bool connected(const struct weir_socket *socket)
{
    return socket->fd >= 0 && (socket->in_flight & IO_CONNECT) == 0;
}

void weir_socket_init(struct weir_socket *socket, struct weir_loop *loop, const struct weir_socket_events *events)
{
    assert(socket->loop == NULL && events->closed != NULL);
    socket->events = events;
    socket->loop = loop;
    socket->fd = -1;
}

void weir_socket_adopt(struct weir_socket *socket, int fd)
{
    assert(socket->fd < 0 && fd >= 0 && socket->in_flight == 0 && !socket->closing);
    socket->fd = fd;
    socket->loop->backend->adopted(socket);
}

int weir_socket_peer(const struct weir_socket *socket, struct weir_address *ret_address)
{
    return socket->fd < 0 ? WEIR_EIO : socket->loop->backend->name_of(socket, true, ret_address);
}

int weir_socket_local(const struct weir_socket *socket, struct weir_address *ret_address)
{
    return socket->fd < 0 ? WEIR_EIO : socket->loop->backend->name_of(socket, false, ret_address);
}

uint32_t weir_socket_unsent(const struct weir_socket *socket)
{
    return socket->fd < 0 ? 0 : socket->loop->backend->unsent(socket);
}

void weir_connect(struct weir_socket *socket, const struct weir_address *address, uint32_t keepalive_s)
{
    assert(socket->fd < 0);
    begin(socket, IO_CONNECT);
    socket->loop->backend->connect(socket, address, keepalive_s);
}

void weir_recv(struct weir_socket *socket)
{
    assert(connected(socket));
    begin(socket, IO_RECV);
    socket->loop->backend->recv(socket);
}

void weir_recv_stop(struct weir_socket *socket)
{
    if ((socket->in_flight & IO_RECV) != 0 && !socket->closing)
        socket->loop->backend->recv_stop(socket);
}

void weir_recv_sparing(struct weir_socket *socket, bool sparing)
{
    socket->sparing = sparing;
}

void weir_send(struct weir_socket *socket, const void *data, uint32_t size, enum weir_send_mode mode)
{
    assert(connected(socket) && size > 0);
    begin(socket, IO_SEND);
    socket->send_data = data;
    socket->send_size = size;
    socket->loop->backend->send(socket, mode);
}

void weir_splicing(struct weir_socket *socket, bool splicing)
{
    assert(connected(socket) && (socket->in_flight & (IO_RECV | IO_SEND)) == 0);
    socket->loop->backend->splicing(socket, splicing);
}

void weir_splice_in(struct weir_socket *socket, struct weir_pipe *pipe)
{
    assert(connected(socket) && pipe->size == 0);
    begin(socket, IO_RECV);
    socket->pipe_in = pipe;
    socket->loop->backend->splice_in(socket);
}

void weir_splice_out(struct weir_socket *socket, struct weir_pipe *pipe)
{
    assert(connected(socket) && pipe->size > 0);
    begin(socket, IO_SEND);
    socket->pipe_out = pipe;
    socket->send_size = pipe->size;
    socket->loop->backend->splice_out(socket);
}

void weir_shutdown(struct weir_socket *socket)
{
    assert(connected(socket) && !socket->closing && (socket->in_flight & IO_SEND) == 0);
    socket->loop->backend->shutdown(socket);
}

void weir_watch(struct weir_socket *socket)
{
    assert(connected(socket));
    begin(socket, IO_WATCH);
    socket->loop->backend->watch(socket);
}

void weir_watch_stop(struct weir_socket *socket)
{
    if ((socket->in_flight & IO_WATCH) != 0 && !socket->closing)
        socket->loop->backend->watch_stop(socket);
}

void weir_close(struct weir_socket *socket, enum weir_close_mode mode)
{
    assert(!socket->closing);
    socket->closing = true;
    socket->loop->backend->close(socket, mode);
}

void weir_loan_return(struct weir_loop *loop, struct weir_loan *loan)
{
    assert(loan->size > 0);
    loan->size = 0; /* a second return fails the assertion */
    struct weir_socket *owner = loan->owner;
    if (owner != NULL) {
        assert(owner->loans > 0);
        owner->loans--;
    }
    loop->backend->loan_return(loop, loan);
}

void weir_acceptor_init(struct weir_acceptor *acceptor, struct weir_loop *loop, int fd)
{
    assert(acceptor->loop == NULL && fd >= 0 && acceptor->accepted != NULL);
    acceptor->loop = loop;
    acceptor->fd = fd;
}

void weir_accept(struct weir_acceptor *acceptor)
{
    assert(!acceptor->in_flight && !acceptor->closing);
    acceptor->in_flight = true;
    acceptor->loop->backend->accept(acceptor);
}

void weir_accept_stop(struct weir_acceptor *acceptor)
{
    if (acceptor->in_flight && !acceptor->closing)
        acceptor->loop->backend->accept_stop(acceptor);
}

void weir_acceptor_close(struct weir_acceptor *acceptor)
{
    assert(!acceptor->closing && acceptor->closed != NULL);
    acceptor->closing = true;
    acceptor->loop->backend->acceptor_close(acceptor);
}

void weir_fd_discard(struct weir_loop *loop, int fd)
{
    loop->backend->discard(loop, fd);
}

/* Upwards: a bit is cleared before the user hears of it, so that it may submit anew from there. */

static void tell(struct weir_socket *socket, void (*completion)(struct weir_socket *socket, int status), int status)
{
    assert(completion != NULL || socket->closing);
    if (completion != NULL)
        completion(socket, status);
}

void io_connected(struct weir_socket *socket, int status)
{
    assert(status <= 0);
    finish(socket, IO_CONNECT);
    tell(socket, socket->events->connected, status);
}

void io_lent(struct weir_socket *socket, struct weir_loan *loan)
{
    assert((socket->in_flight & IO_RECV) != 0 && loan->size > 0);
    loan->owner = socket;
    socket->loans++;
    if (socket->closing)
        weir_loan_return(socket->loop, loan);
    else
        socket->events->received(socket, (int)loan->size, loan);
}

static void splice_in_ended(struct weir_socket *socket, int status)
{
    if (status > 0)
        socket->pipe_in->size = (uint32_t)status;
    socket->pipe_in = NULL;
    tell(socket, socket->events->spliced, status);
}

void io_spliced(struct weir_socket *socket, int size)
{
    assert(size > 0 && socket->pipe_in != NULL);
    finish(socket, IO_RECV);
    splice_in_ended(socket, size);
}

void io_recv_ended(struct weir_socket *socket, int status)
{
    assert(status <= 0);
    finish(socket, IO_RECV);
    if (socket->pipe_in != NULL) {
        splice_in_ended(socket, status);
        return;
    }
    assert(socket->events->received != NULL || socket->closing);
    if (socket->events->received != NULL)
        socket->events->received(socket, status, NULL);
}

void io_sent(struct weir_socket *socket, int status)
{
    assert(status != 0 && status <= (int64_t)socket->send_size);
    finish(socket, IO_SEND);
    if (socket->pipe_out != NULL && status > 0)
        socket->pipe_out->size -= (uint32_t)status;
    socket->pipe_out = NULL;
    tell(socket, socket->events->sent, status);
}

void io_noticed(struct weir_socket *socket, enum weir_watch_event event)
{
    assert((socket->in_flight & IO_WATCH) != 0);
    tell(socket, socket->events->noticed, (int)event);
}

void io_watch_ended(struct weir_socket *socket, int status)
{
    assert(status < 0);
    finish(socket, IO_WATCH);
    tell(socket, socket->events->noticed, status);
}

void io_socket_closed(struct weir_socket *socket)
{
    assert(socket->closing && socket->in_flight == 0);
    socket->fd = -1;
    socket->events->closed(socket);
}

void io_accepted(struct weir_acceptor *acceptor, int fd)
{
    assert(acceptor->in_flight && fd >= 0);
    acceptor->accepted(acceptor, 0, fd);
}

void io_accept_ended(struct weir_acceptor *acceptor, int status)
{
    assert(acceptor->in_flight && status < 0);
    acceptor->in_flight = false;
    acceptor->accepted(acceptor, status, -1);
}

void io_acceptor_closed(struct weir_acceptor *acceptor)
{
    assert(acceptor->closing && !acceptor->in_flight);
    acceptor->fd = -1;
    acceptor->closed(acceptor);
}
