/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_io.h"

#include <assert.h>
#include <stddef.h>

#include <weir/errors.h>

#include "sim_loop.h"

/* The table: what is submitted */

static void end_changed(struct net_end *end)
{
    sim_make_ready(end->owner);
}

static void attach(struct weir_socket *socket, struct net_end *end)
{
    end->owner = socket;
    end->changed = end_changed;
}

static void submit(struct weir_socket *socket, uint32_t bits)
{
    socket->state |= bits;
    sim_make_ready(socket);
}

static void adopted(struct weir_socket *socket)
{
    attach(socket, sim_end_of(socket));
}

static int name_of(const struct weir_socket *socket, bool peer, struct weir_address *ret_address)
{
    const struct net_end *end = sim_end_of(socket);
    if (peer && end->dead)
        return WEIR_EIO;
    *ret_address = peer ? end->remote : end->local;
    return 0;
}

static uint32_t unsent(const struct weir_socket *socket)
{
    return sim_end_of(socket)->tx.size;
}

/* No port is left towards an address, or no memory in the kernel. */
static int local_fault(struct sim_loop *loop)
{
    static const int faults[] = { WEIR_EADDRNOTAVAIL, WEIR_EADDRNOTAVAIL, WEIR_ENOBUFS, WEIR_ENOMEM };
    struct random *random = &loop->net->sim->random;
    if (!random_chance(random, loop->net->weather.local_faults))
        return 0;
    return faults[random_below(random, sizeof faults / sizeof *faults)];
}

static void connect_to(struct weir_socket *socket, const struct weir_address *address, uint32_t keepalive_s)
{
    (void)keepalive_s;
    struct sim_loop *loop = sim_of(socket->loop);
    submit(socket, IO_CONNECT);
    int fd = local_fault(loop);
    if (fd == 0)
        fd = net_descriptor(loop->net, NULL);
    if (fd < 0) {
        socket->result = fd;
        if (loop->options.undialled != NULL)
            loop->options.undialled(socket, address, fd, loop->options.context);
        return;
    }
    struct net_end *end = net_connect(loop->net, &loop->options.local, address);
    net_descriptor_set(loop->net, fd, end);
    end->fd = socket->fd = fd;
    attach(socket, end);
    if (loop->options.dialled != NULL)
        loop->options.dialled(socket, end, loop->options.context);
}

static void start_recv(struct weir_socket *socket)
{
    submit(socket, IO_RECV);
}

static void stop_recv(struct weir_socket *socket)
{
    if ((socket->state & IO_RECV) != 0)
        submit(socket, STOP_RECV);
}

static void start_send(struct weir_socket *socket, enum weir_send_mode mode)
{
    submit(socket, mode == WEIR_SEND_NOW ? (uint32_t)IO_SEND | SEND_AT_ONCE : (uint32_t)IO_SEND);
}

static void shut_down(struct weir_socket *socket)
{
    net_shutdown(sim_end_of(socket));
}

static void start_watch(struct weir_socket *socket)
{
    submit(socket, IO_WATCH);
}

static void stop_watch(struct weir_socket *socket)
{
    if ((socket->state & IO_WATCH) != 0)
        submit(socket, STOP_WATCH);
}

static void start_close(struct weir_socket *socket, enum weir_close_mode mode)
{
    submit(socket, mode == WEIR_CLOSE_RESET ? CLOSE | CLOSE_BY_RESET : CLOSE);
}

static void listener_changed(struct net_listener *listener)
{
    const struct weir_acceptor *acceptor = listener->owner;
    sim_make_acceptors_ready(sim_of(acceptor->loop));
}

static void link_acceptor(struct sim_loop *loop, struct weir_acceptor *acceptor)
{
    if (acceptor->pprev != NULL)
        return;
    acceptor->next = loop->acceptors;
    acceptor->pprev = &loop->acceptors;
    if (acceptor->next != NULL)
        acceptor->next->pprev = &acceptor->next;
    loop->acceptors = acceptor;
    sim_listener_of(acceptor)->owner = acceptor;
    sim_listener_of(acceptor)->changed = listener_changed;
}

static void submit_accept(struct weir_acceptor *acceptor, uint32_t bit)
{
    struct sim_loop *loop = sim_of(acceptor->loop);
    link_acceptor(loop, acceptor);
    acceptor->state |= bit;
    sim_make_acceptors_ready(loop);
}

static void start_accept(struct weir_acceptor *acceptor)
{
    submit_accept(acceptor, ACCEPT);
}

static void stop_accept(struct weir_acceptor *acceptor)
{
    if ((acceptor->state & ACCEPT) != 0)
        submit_accept(acceptor, STOP_ACCEPT);
}

static void start_acceptor_close(struct weir_acceptor *acceptor)
{
    submit_accept(acceptor, CLOSE_ACCEPTOR);
}

static void discard(struct weir_loop *loop, int fd)
{
    net_close(net_of_descriptor(sim_of(loop)->net, fd), true);
}

/* The loop */

static bool has_work(const struct sim_loop *loop)
{
    return loop->ready.count > 0 || loop->done.count > 0 || (loop->acceptors_ready && loop->acceptors != NULL);
}

/* For weir_loop_run(): the world goes on until this loop has something to do. */
static int wait_for_work(struct sim_loop *loop, uint64_t deadline_ns)
{
    struct sim *sim = loop->net->sim;
    while (!has_work(loop) && sim_next(sim) < deadline_ns)
        sim_step(sim);
    if (has_work(loop) || loop->base.messages != NULL)
        return 0;
    if (deadline_ns == UINT64_MAX)
        return WEIR_EIO; /* it would wait for ever */
    sim_jump(sim, deadline_ns);
    return 0;
}

static int turn(struct weir_loop *base, uint64_t deadline_ns)
{
    struct sim_loop *loop = sim_of(base);
    int err = loop->options.driven ? 0 : wait_for_work(loop, deadline_ns);
    base->now_ns = loop->net->sim->now_ns;
    sim_serve_acceptors(loop);
    sim_serve_ready(loop);
    sim_deliver_some(loop);
    loop->last_turn_ns = base->now_ns;
    loop->turns++;
    return err;
}

static void turn_due(struct sim_event *event)
{
    struct sim_loop *loop = (struct sim_loop *)((char *)event - offsetof(struct sim_loop, turn));
    if (random_chance(sim_chance(loop), loop->options.stall)) {
        sim_after(loop->net->sim, event, random_below(sim_chance(loop), loop->options.stall_ns));
        return;
    }
    loop->stopped = io_loop_turn(&loop->base) != 0 || loop->base.stopping;
    if (has_work(loop))
        sim_kick(loop);
    uint64_t deadline_ns = timers_next(&loop->base.timers);
    if (deadline_ns != UINT64_MAX)
        sim_plan_turn(loop, deadline_ns);
    if (loop->options.turned != NULL)
        loop->options.turned(&loop->base, loop->options.context);
}

static void wake(struct weir_loop *base)
{
    sim_kick(sim_of(base));
}

static uint64_t wall(const struct weir_loop *base)
{
    return ((const struct sim_loop *)base)->net->sim->wall_ns;
}

static void free_loop(struct weir_loop *base)
{
    struct sim_loop *loop = sim_of(base);
    assert(loop->lent == 0 && !has_work(loop) && loop->waiting == NULL && loop->acceptors == NULL);
    sim_cancel(loop->net->sim, &loop->turn);
}

static void splicing(struct weir_socket *socket, bool on)
{
    (void)socket;
    (void)on;
}

static void splice_out(struct weir_socket *socket)
{
    submit(socket, IO_SEND);
}

static const struct io_backend sim_backend = {
    .name = "sim",
    .free = free_loop,
    .turn = turn,
    .wake = wake,
    .wall = wall,
    .accept = start_accept,
    .accept_stop = stop_accept,
    .acceptor_close = start_acceptor_close,
    .discard = discard,
    .adopted = adopted,
    .name_of = name_of,
    .unsent = unsent,
    .connect = connect_to,
    .recv = start_recv,
    .recv_stop = stop_recv,
    .send = start_send,
    .shutdown = shut_down,
    .watch = start_watch,
    .watch_stop = stop_watch,
    .close = start_close,
    .pipe_open = sim_pipe_open,
    .pipe_close = sim_pipe_close,
    .splicing = splicing,
    .splice_in = start_recv,
    .splice_out = splice_out,
    .loan_return = sim_loan_return,
};

struct weir_loop *sim_loop_new(struct net *net, const struct sim_loop_options *options)
{
    struct sim_loop *loop = sim_alloc(sizeof *loop);
    io_loop_init(&loop->base, &sim_backend);
    loop->net = net;
    loop->options = *options;
    loop->base.pipes_max = options->pipes;
    loop->base.now_ns = loop->last_turn_ns = net->sim->now_ns;
    loop->turn.run = turn_due;
    sim_new_loans(loop);
    return &loop->base;
}

int sim_listen(struct net *net, const struct weir_address *address)
{
    int fd = net_descriptor(net, NULL);
    if (fd >= 0) {
        struct net_listener *listener = net_listen(net, address);
        listener->fd = fd;
        net_descriptor_set(net, fd, listener);
    }
    return fd;
}

bool sim_loop_stopped(const struct weir_loop *loop)
{
    return ((const struct sim_loop *)loop)->stopped;
}

uint64_t sim_loop_turns(const struct weir_loop *loop)
{
    return ((const struct sim_loop *)loop)->turns;
}

uint32_t sim_loop_lent(const struct weir_loop *loop)
{
    return ((const struct sim_loop *)loop)->lent;
}
