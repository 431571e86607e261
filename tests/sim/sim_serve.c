/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_loop.h"

#include <weir/errors.h>

/* Doing a socket's operations */

struct net_end *sim_end_of(const struct weir_socket *socket)
{
    return socket->fd < 0 ? NULL : net_of_descriptor(sim_of(socket->loop)->net, socket->fd);
}

static void do_connect(struct weir_socket *socket, struct net_end *end)
{
    int status = end == NULL ? socket->result : end->connect_status;
    if (status == WEIR_EAGAIN)
        return;
    if (end != NULL && status < 0)
        end->error = 0;
    socket->result = 0;
    socket->state &= ~(uint32_t)IO_CONNECT;
    sim_complete_socket(socket, CONNECTED, status);
}

static void do_send(struct weir_socket *socket, struct net_end *end)
{
    bool at_once = (socket->state & SEND_AT_ONCE) != 0;
    int status = socket->pipe_out != NULL ? sim_pipe_drain(socket->pipe_out, end)
                                          : net_write(end, socket->send_data, socket->send_size);
    if (status == WEIR_EAGAIN && !at_once)
        return;
    socket->state &= ~(uint32_t)(IO_SEND | SEND_AT_ONCE);
    sim_complete_socket(socket, SENT, status);
}

static void end_recv(struct weir_socket *socket, int status)
{
    socket->state &= ~(uint32_t)(IO_RECV | STOP_RECV);
    sim_wait_no_more(socket);
    sim_complete_socket(socket, RECV_ENDED, status);
}

/* Lends one buffer. Returns false when there is nothing more to do now. */
static bool lend(struct sim_loop *loop, struct weir_socket *socket, struct net_end *end)
{
    struct weir_loan *loan = sim_take_loan(loop);
    int status = net_read(end, loan->data, loop->options.buffer_bytes);
    if (status <= 0) {
        loop->loan_bytes[loan->index] = 0;
        sim_give_loan(loop, loan);
        if (status != WEIR_EAGAIN)
            end_recv(socket, status);
        return false;
    }
    loan->size = loop->loan_bytes[loan->index] = (uint32_t)status;
    socket->result++;
    sim_complete(loop, &(struct completion){ .kind = LENT, .socket = socket, .loan = loan });
    return true;
}

/* How many buffers a socket may get at once: `result` counts those that are not yet delivered. */
static uint32_t draw_burst(const struct sim_loop *loop, const struct weir_socket *socket)
{
    uint32_t held = socket->loans + (uint32_t)socket->result;
    if (held >= IO_SOCKET_LOANS)
        return 0;
    if ((socket->state & STOP_RECV) != 0)
        return (uint32_t)random_below(sim_chance(loop), 2);
    return (uint32_t)random_between(sim_chance(loop), 1, IO_SOCKET_LOANS - held);
}

static void do_splice(struct weir_socket *socket, struct net_end *end)
{
    int status = (socket->state & STOP_RECV) != 0 ? WEIR_ECANCELED : sim_pipe_fill(socket->pipe_in, end);
    if (status == WEIR_EAGAIN)
        return;
    if (status <= 0) {
        end_recv(socket, status);
        return;
    }
    socket->state &= ~(uint32_t)IO_RECV;
    sim_complete_socket(socket, SPLICED, status);
}

static void do_recv(struct weir_socket *socket, struct net_end *end)
{
    if (socket->pipe_in != NULL) {
        do_splice(socket, end);
        return;
    }
    struct sim_loop *loop = sim_of(socket->loop);
    uint32_t burst = draw_burst(loop, socket);
    bool more = burst > 0;
    sim_wait_no_more(socket);
    for (; more && burst > 0 && loop->idle != NULL; burst--)
        more = lend(loop, socket, end);
    if ((socket->state & IO_RECV) == 0)
        return;
    if ((socket->state & STOP_RECV) != 0)
        end_recv(socket, WEIR_ECANCELED);
    else if (more && loop->idle == NULL)
        sim_wait_for_loan(socket);
    else if (more)
        sim_make_ready(socket);
}

static void end_watch(struct weir_socket *socket, int status)
{
    socket->state &= ~(uint32_t)(IO_WATCH | STOP_WATCH);
    sim_complete_socket(socket, WATCH_ENDED, status);
}

static void do_watch(struct weir_socket *socket, struct net_end *end)
{
    if (end->fin_ns != 0 && (socket->state & TOLD_HALF_CLOSE) == 0) {
        socket->state |= TOLD_HALF_CLOSE;
        sim_complete_socket(socket, NOTICED, WEIR_WATCH_HALF_CLOSED);
    }
    if (end->error != 0) {
        sim_complete_socket(socket, NOTICED, WEIR_WATCH_RESET);
        end_watch(socket, end->error);
    } else if ((socket->state & STOP_WATCH) != 0) {
        end_watch(socket, WEIR_ECANCELED);
    }
}

static void do_close(struct weir_socket *socket, struct net_end *end)
{
    static const enum kind kinds[] = { CONNECTED, RECV_ENDED, SENT, WATCH_ENDED };
    uint32_t first = (uint32_t)random_below(sim_chance(sim_of(socket->loop)), 4);
    for (uint32_t n = 0; n < 4; n++) {
        uint32_t operation = (first + n) % 4;
        if ((socket->state & 1u << operation) != 0)
            sim_complete_socket(socket, kinds[operation], WEIR_ECANCELED);
    }
    if (end != NULL)
        net_close(end, (socket->state & CLOSE_BY_RESET) != 0);
    sim_wait_no_more(socket);
    socket->state = 0;
    socket->fd = -1;
    sim_complete_socket(socket, CLOSED, 0);
}

typedef void operation(struct weir_socket *socket, struct net_end *end);
static operation *const operations[] = { do_connect, do_recv, do_send, do_watch };

static void serve(struct sim_loop *loop, struct weir_socket *socket)
{
    struct net_end *end = sim_end_of(socket);
    bool put_off = false, closing = (socket->state & CLOSE) != 0;
    uint32_t first = (uint32_t)random_below(sim_chance(loop), 4);
    socket->state &= ~(uint32_t)READY;
    for (uint32_t n = 0; n < 4; n++) {
        uint32_t nth = (first + n) % 4;
        if ((socket->state & 1u << nth) == 0 || (closing && operations[nth] == do_recv))
            continue;
        if (sim_puts_off(loop))
            put_off = true;
        else
            operations[nth](socket, end);
    }
    if (put_off)
        sim_make_ready(socket);
    else if (closing)
        do_close(socket, end);
}

/* What became ready is served in a drawn order. */
void sim_serve_ready(struct sim_loop *loop)
{
    struct sockets serving = loop->ready;
    loop->ready = loop->serving;
    loop->ready.count = 0;
    loop->serving = serving;
    for (uint32_t n = serving.count; n > 0; n--) {
        uint32_t chosen = (uint32_t)random_below(sim_chance(loop), n);
        struct weir_socket *socket = serving.all[chosen];
        serving.all[chosen] = serving.all[n - 1];
        serve(loop, socket);
    }
}

/* Doing an acceptor's operations */

struct net_listener *sim_listener_of(const struct weir_acceptor *acceptor)
{
    return net_of_descriptor(sim_of(acceptor->loop)->net, acceptor->fd);
}

static void end_accept(struct weir_acceptor *acceptor, int status)
{
    acceptor->state &= ~(uint32_t)(ACCEPT | STOP_ACCEPT);
    sim_complete_acceptor(acceptor, ACCEPT_ENDED, status);
}

/* One that closes takes all that wait. */
static uint64_t draw_accepts(const struct sim_loop *loop, const struct weir_acceptor *acceptor)
{
    if ((acceptor->state & CLOSE_ACCEPTOR) != 0)
        return UINT64_MAX;
    if (acceptor->one_by_one)
        return (acceptor->state & UNTOLD) == 0;
    return random_between(sim_chance(loop), 1, 8);
}

static void accept_some(struct sim_loop *loop, struct weir_acceptor *acceptor, struct net_listener *listener)
{
    uint64_t burst = draw_accepts(loop, acceptor);
    for (; burst > 0 && listener->waiting > 0; burst--) {
        int fd = net_descriptor(loop->net, listener->queue);
        if (fd < 0) {
            end_accept(acceptor, fd);
            return;
        }
        struct net_end *end = net_accept(listener);
        end->fd = fd;
        acceptor->state |= UNTOLD;
        sim_complete_acceptor(acceptor, ACCEPTED, fd);
    }
}

static void close_acceptor(struct weir_acceptor *acceptor, struct net_listener *listener)
{
    if ((acceptor->state & ACCEPT) != 0)
        end_accept(acceptor, WEIR_ECANCELED);
    net_listener_close(listener);
    net_descriptor_close(listener->net, acceptor->fd);
    if (acceptor->next != NULL)
        acceptor->next->pprev = acceptor->pprev;
    *acceptor->pprev = acceptor->next;
    sim_complete_acceptor(acceptor, ACCEPTOR_CLOSED, 0);
}

void sim_serve_acceptors(struct sim_loop *loop)
{
    struct weir_acceptor *next;
    if (!loop->acceptors_ready)
        return;
    loop->acceptors_ready = false;
    for (struct weir_acceptor *acceptor = loop->acceptors; acceptor != NULL; acceptor = next) {
        struct net_listener *listener = sim_listener_of(acceptor);
        next = acceptor->next;
        if (sim_puts_off(loop)) {
            sim_make_acceptors_ready(loop);
            continue;
        }
        if ((acceptor->state & (ACCEPT | STOP_ACCEPT)) == ACCEPT)
            accept_some(loop, acceptor, listener);
        if ((acceptor->state & CLOSE_ACCEPTOR) != 0)
            close_acceptor(acceptor, listener);
        else if ((acceptor->state & STOP_ACCEPT) != 0)
            end_accept(acceptor, WEIR_ECANCELED);
    }
}
