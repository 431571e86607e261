/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_io.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include <weir/errors.h>

#include "../../lib/io/backend.h"

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

enum kind { CONNECTED, LENT, RECV_ENDED, SENT, NOTICED, WATCH_ENDED, CLOSED, ACCEPTED, ACCEPT_ENDED, ACCEPTOR_CLOSED };

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

static struct sim_loop *sim_of(struct weir_loop *loop)
{
    return (struct sim_loop *)loop;
}

static struct random *chance(const struct sim_loop *loop)
{
    return &loop->net->sim->random;
}

static bool puts_off(const struct sim_loop *loop)
{
    /* After a stall everything that is ready is done: else a timer might fire that would not on a real kernel. */
    bool stalled = loop->base.now_ns - loop->last_turn_ns > 100 * SIM_MS;
    return !stalled && random_chance(chance(loop), loop->options.lazy);
}

/* Turns */

static void plan_turn(struct sim_loop *loop, uint64_t at_ns)
{
    if (loop->options.driven && !loop->stopped)
        sim_by(loop->net->sim, &loop->turn, at_ns + random_below(chance(loop), loop->options.turn_delay_ns + 1));
}

static void kick(struct sim_loop *loop)
{
    plan_turn(loop, loop->net->sim->now_ns);
}

static void add(struct sockets *sockets, struct weir_socket *socket)
{
    if (sockets->count == sockets->capacity) {
        sockets->capacity = 2 * sockets->capacity + 64;
        struct weir_socket **all = sim_bytes(sockets->capacity * sizeof all[0]);
        for (uint32_t n = 0; n < sockets->count; n++)
            all[n] = sockets->all[n];
        sockets->all = all;
    }
    sockets->all[sockets->count++] = socket;
}

static void make_ready(struct weir_socket *socket)
{
    struct sim_loop *loop = sim_of(socket->loop);
    kick(loop);
    if ((socket->state & READY) == 0)
        add(&loop->ready, socket);
    socket->state |= READY;
}

static void wait_for_loan(struct weir_socket *socket)
{
    struct sim_loop *loop = sim_of(socket->loop);
    socket->next = loop->waiting;
    socket->pprev = &loop->waiting;
    if (socket->next != NULL)
        socket->next->pprev = &socket->next;
    loop->waiting = socket;
}

static void wait_no_more(struct weir_socket *socket)
{
    if (socket->pprev == NULL)
        return;
    *socket->pprev = socket->next;
    if (socket->next != NULL)
        socket->next->pprev = socket->pprev;
    socket->pprev = NULL;
}

static void make_acceptors_ready(struct sim_loop *loop)
{
    loop->acceptors_ready = true;
    kick(loop);
}

/* Completions */

static void complete(struct sim_loop *loop, const struct completion *completion)
{
    struct completions *done = &loop->done;
    if (done->count == done->capacity) {
        uint32_t capacity = 2 * done->capacity + 64;
        struct completion *all = sim_bytes(capacity * sizeof all[0]);
        for (uint32_t n = 0; n < done->count; n++)
            all[n] = done->all[(done->head + n) % done->capacity];
        *done = (struct completions){ .all = all, .count = done->count, .capacity = capacity };
    }
    done->all[(done->head + done->count++) % done->capacity] = *completion;
    kick(loop);
}

static void complete_socket(struct weir_socket *socket, enum kind kind, int status)
{
    complete(sim_of(socket->loop), &(struct completion){ .kind = kind, .status = status, .socket = socket });
}

static void complete_acceptor(struct weir_acceptor *acceptor, enum kind kind, int status)
{
    complete(sim_of(acceptor->loop), &(struct completion){ .kind = kind, .status = status, .acceptor = acceptor });
}

static void orphan_loans(struct sim_loop *loop, const struct weir_socket *socket)
{
    for (uint32_t n = 0; n < loop->options.buffers; n++)
        if (loop->loans[n].owner == socket)
            loop->loans[n].owner = NULL;
}

static void deliver(struct sim_loop *loop, const struct completion *completion)
{
    switch (completion->kind) {
    case CONNECTED:
        io_connected(completion->socket, completion->status);
        break;
    case LENT:
        completion->socket->result--;
        io_lent(completion->socket, completion->loan);
        break;
    case RECV_ENDED:
        io_recv_ended(completion->socket, completion->status);
        break;
    case SENT:
        io_sent(completion->socket, completion->status);
        break;
    case NOTICED:
        io_noticed(completion->socket, (enum weir_watch_event)completion->status);
        break;
    case WATCH_ENDED:
        io_watch_ended(completion->socket, completion->status);
        break;
    case CLOSED:
        orphan_loans(loop, completion->socket);
        io_socket_closed(completion->socket);
        break;
    case ACCEPTED:
        completion->acceptor->state &= ~(uint32_t)UNTOLD;
        make_acceptors_ready(loop);
        io_accepted(completion->acceptor, completion->status);
        break;
    case ACCEPT_ENDED:
        io_accept_ended(completion->acceptor, completion->status);
        break;
    case ACCEPTOR_CLOSED:
        io_acceptor_closed(completion->acceptor);
        break;
    }
}

/* All that there are, or some; never those that the deliveries bring about. */
static void deliver_some(struct sim_loop *loop)
{
    uint32_t count = loop->done.count;
    if (count > 1 && puts_off(loop))
        count = (uint32_t)random_between(chance(loop), 1, count);
    while (count-- > 0) {
        struct completion completion = loop->done.all[loop->done.head];
        loop->done.head = (loop->done.head + 1) % loop->done.capacity;
        loop->done.count--;
        deliver(loop, &completion);
    }
}

/* Loans */

static struct weir_loan *take_loan(struct sim_loop *loop)
{
    struct weir_loan *loan = loop->idle;
    loop->idle = loan->next;
    loop->lent++;
    return loan;
}

static void give_loan(struct sim_loop *loop, struct weir_loan *loan)
{
    /* Whoever still reads it will be found out. */
    memset(loan->data, 0xDB, loop->loan_bytes[loan->index]);
    loan->owner = NULL;
    loan->next = loop->idle;
    loop->idle = loan;
    loop->lent--;
}

static void loan_return(struct weir_loop *base, struct weir_loan *loan)
{
    struct sim_loop *loop = sim_of(base);
    struct weir_socket *owner = loan->owner;
    give_loan(loop, loan);
    if (owner != NULL && (owner->state & IO_RECV) != 0)
        make_ready(owner);
    while (loop->waiting != NULL) {
        make_ready(loop->waiting);
        wait_no_more(loop->waiting);
    }
}

static void new_loans(struct sim_loop *loop)
{
    uint32_t count = loop->options.buffers;
    loop->loans = sim_alloc(count * sizeof loop->loans[0]);
    loop->loan_bytes = sim_alloc(count * sizeof loop->loan_bytes[0]);
    for (uint32_t n = 0; n < count; n++) {
        loop->loans[n].data = sim_bytes(loop->options.buffer_bytes);
        loop->loans[n].index = n;
        loop->loans[n].next = loop->idle;
        loop->idle = &loop->loans[n];
    }
}

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
    complete_socket(socket, CONNECTED, status);
}

static void do_send(struct weir_socket *socket, struct net_end *end)
{
    bool at_once = (socket->state & SEND_AT_ONCE) != 0;
    int status = net_write(end, socket->send_data, socket->send_size);
    if (status == WEIR_EAGAIN && !at_once)
        return;
    socket->state &= ~(uint32_t)(IO_SEND | SEND_AT_ONCE);
    complete_socket(socket, SENT, status);
}

static void end_recv(struct weir_socket *socket, int status)
{
    socket->state &= ~(uint32_t)(IO_RECV | STOP_RECV);
    wait_no_more(socket);
    complete_socket(socket, RECV_ENDED, status);
}

/* Lends one buffer. Returns false when there is nothing more to do now. */
static bool lend(struct sim_loop *loop, struct weir_socket *socket, struct net_end *end)
{
    struct weir_loan *loan = take_loan(loop);
    int status = net_read(end, loan->data, loop->options.buffer_bytes);
    if (status <= 0) {
        loop->loan_bytes[loan->index] = 0;
        give_loan(loop, loan);
        if (status != WEIR_EAGAIN)
            end_recv(socket, status);
        return false;
    }
    loan->size = loop->loan_bytes[loan->index] = (uint32_t)status;
    socket->result++;
    complete(loop, &(struct completion){ .kind = LENT, .socket = socket, .loan = loan });
    return true;
}

/* How many buffers a socket may get at once: `result` counts those that are not yet delivered. */
static uint32_t draw_burst(const struct sim_loop *loop, const struct weir_socket *socket)
{
    uint32_t held = socket->loans + (uint32_t)socket->result;
    if (held >= IO_SOCKET_LOANS)
        return 0;
    if ((socket->state & STOP_RECV) != 0)
        return (uint32_t)random_below(chance(loop), 2);
    return (uint32_t)random_between(chance(loop), 1, IO_SOCKET_LOANS - held);
}

static void do_recv(struct weir_socket *socket, struct net_end *end)
{
    struct sim_loop *loop = sim_of(socket->loop);
    uint32_t burst = draw_burst(loop, socket);
    bool more = burst > 0;
    wait_no_more(socket);
    for (; more && burst > 0 && loop->idle != NULL; burst--)
        more = lend(loop, socket, end);
    if ((socket->state & IO_RECV) == 0)
        return;
    if ((socket->state & STOP_RECV) != 0)
        end_recv(socket, WEIR_ECANCELED);
    else if (more && loop->idle == NULL)
        wait_for_loan(socket);
    else if (more)
        make_ready(socket);
}

static void end_watch(struct weir_socket *socket, int status)
{
    socket->state &= ~(uint32_t)(IO_WATCH | STOP_WATCH);
    complete_socket(socket, WATCH_ENDED, status);
}

static void do_watch(struct weir_socket *socket, struct net_end *end)
{
    if (end->fin_ns != 0 && (socket->state & TOLD_HALF_CLOSE) == 0) {
        socket->state |= TOLD_HALF_CLOSE;
        complete_socket(socket, NOTICED, WEIR_WATCH_HALF_CLOSED);
    }
    if (end->error != 0) {
        complete_socket(socket, NOTICED, WEIR_WATCH_RESET);
        end_watch(socket, end->error);
    } else if ((socket->state & STOP_WATCH) != 0) {
        end_watch(socket, WEIR_ECANCELED);
    }
}

static void do_close(struct weir_socket *socket, struct net_end *end)
{
    static const enum kind kinds[] = { CONNECTED, RECV_ENDED, SENT, WATCH_ENDED };
    uint32_t first = (uint32_t)random_below(chance(sim_of(socket->loop)), 4);
    for (uint32_t n = 0; n < 4; n++) {
        uint32_t operation = (first + n) % 4;
        if ((socket->state & 1u << operation) != 0)
            complete_socket(socket, kinds[operation], WEIR_ECANCELED);
    }
    if (end != NULL)
        net_close(end, (socket->state & CLOSE_BY_RESET) != 0);
    wait_no_more(socket);
    socket->state = 0;
    socket->fd = -1;
    complete_socket(socket, CLOSED, 0);
}

typedef void operation(struct weir_socket *socket, struct net_end *end);
static operation *const operations[] = { do_connect, do_recv, do_send, do_watch };

static void serve(struct sim_loop *loop, struct weir_socket *socket)
{
    struct net_end *end = sim_end_of(socket);
    bool put_off = false, closing = (socket->state & CLOSE) != 0;
    uint32_t first = (uint32_t)random_below(chance(loop), 4);
    socket->state &= ~(uint32_t)READY;
    for (uint32_t n = 0; n < 4; n++) {
        uint32_t nth = (first + n) % 4;
        if ((socket->state & 1u << nth) == 0 || (closing && operations[nth] == do_recv))
            continue;
        if (puts_off(loop))
            put_off = true;
        else
            operations[nth](socket, end);
    }
    if (put_off)
        make_ready(socket);
    else if (closing)
        do_close(socket, end);
}

/* What became ready is served in a drawn order. */
static void serve_ready(struct sim_loop *loop)
{
    struct sockets serving = loop->ready;
    loop->ready = loop->serving;
    loop->ready.count = 0;
    loop->serving = serving;
    for (uint32_t n = serving.count; n > 0; n--) {
        uint32_t chosen = (uint32_t)random_below(chance(loop), n);
        struct weir_socket *socket = serving.all[chosen];
        serving.all[chosen] = serving.all[n - 1];
        serve(loop, socket);
    }
}

/* Doing an acceptor's operations */

static struct net_listener *listener_of(const struct weir_acceptor *acceptor)
{
    return net_of_descriptor(sim_of(acceptor->loop)->net, acceptor->fd);
}

static void end_accept(struct weir_acceptor *acceptor, int status)
{
    acceptor->state &= ~(uint32_t)(ACCEPT | STOP_ACCEPT);
    complete_acceptor(acceptor, ACCEPT_ENDED, status);
}

static void accept_some(struct sim_loop *loop, struct weir_acceptor *acceptor, struct net_listener *listener)
{
    uint64_t burst = acceptor->one_by_one ? (acceptor->state & UNTOLD) == 0 : random_between(chance(loop), 1, 8);
    for (; burst > 0 && listener->waiting > 0; burst--) {
        int fd = net_descriptor(loop->net, listener->queue);
        if (fd < 0) {
            end_accept(acceptor, fd);
            return;
        }
        struct net_end *end = net_accept(listener);
        end->fd = fd;
        acceptor->state |= UNTOLD;
        complete_acceptor(acceptor, ACCEPTED, fd);
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
    complete_acceptor(acceptor, ACCEPTOR_CLOSED, 0);
}

static void serve_acceptors(struct sim_loop *loop)
{
    struct weir_acceptor *next;
    if (!loop->acceptors_ready)
        return;
    loop->acceptors_ready = false;
    for (struct weir_acceptor *acceptor = loop->acceptors; acceptor != NULL; acceptor = next) {
        struct net_listener *listener = listener_of(acceptor);
        next = acceptor->next;
        if (puts_off(loop)) {
            make_acceptors_ready(loop);
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

/* The table: what is submitted */

static void end_changed(struct net_end *end)
{
    make_ready(end->owner);
}

static void attach(struct weir_socket *socket, struct net_end *end)
{
    end->owner = socket;
    end->changed = end_changed;
}

static void submit(struct weir_socket *socket, uint32_t bits)
{
    socket->state |= bits;
    make_ready(socket);
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

static void connect_to(struct weir_socket *socket, const struct weir_address *address, uint32_t keepalive_s)
{
    (void)keepalive_s;
    struct sim_loop *loop = sim_of(socket->loop);
    submit(socket, IO_CONNECT);
    int fd = net_descriptor(loop->net, NULL);
    if (fd < 0) {
        socket->result = fd;
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
    make_acceptors_ready(sim_of(acceptor->loop));
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
    listener_of(acceptor)->owner = acceptor;
    listener_of(acceptor)->changed = listener_changed;
}

static void submit_accept(struct weir_acceptor *acceptor, uint32_t bit)
{
    struct sim_loop *loop = sim_of(acceptor->loop);
    link_acceptor(loop, acceptor);
    acceptor->state |= bit;
    make_acceptors_ready(loop);
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
    serve_acceptors(loop);
    serve_ready(loop);
    deliver_some(loop);
    loop->last_turn_ns = base->now_ns;
    loop->turns++;
    return err;
}

static void turn_due(struct sim_event *event)
{
    struct sim_loop *loop = (struct sim_loop *)((char *)event - offsetof(struct sim_loop, turn));
    if (random_chance(chance(loop), loop->options.stall)) {
        sim_after(loop->net->sim, event, random_below(chance(loop), loop->options.stall_ns));
        return;
    }
    loop->stopped = io_loop_turn(&loop->base) != 0 || loop->base.stopping;
    if (has_work(loop))
        kick(loop);
    uint64_t deadline_ns = timers_next(&loop->base.timers);
    if (deadline_ns != UINT64_MAX)
        plan_turn(loop, deadline_ns);
    if (loop->options.turned != NULL)
        loop->options.turned(&loop->base, loop->options.context);
}

static void wake(struct weir_loop *base)
{
    kick(sim_of(base));
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
    .connect = connect_to,
    .recv = start_recv,
    .recv_stop = stop_recv,
    .send = start_send,
    .shutdown = shut_down,
    .watch = start_watch,
    .watch_stop = stop_watch,
    .close = start_close,
    .loan_return = loan_return,
};

struct weir_loop *sim_loop_new(struct net *net, const struct sim_loop_options *options)
{
    struct sim_loop *loop = sim_alloc(sizeof *loop);
    io_loop_init(&loop->base, &sim_backend);
    loop->net = net;
    loop->options = *options;
    loop->base.now_ns = loop->last_turn_ns = net->sim->now_ns;
    loop->turn.run = turn_due;
    new_loans(loop);
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
