/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_loop.h"

#include <string.h>

/* Turns */

void sim_plan_turn(struct sim_loop *loop, uint64_t at_ns)
{
    if (loop->options.driven && !loop->stopped)
        sim_by(loop->net->sim, &loop->turn, at_ns + random_below(sim_chance(loop), loop->options.turn_delay_ns + 1));
}

void sim_kick(struct sim_loop *loop)
{
    sim_plan_turn(loop, loop->net->sim->now_ns);
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

void sim_make_ready(struct weir_socket *socket)
{
    struct sim_loop *loop = sim_of(socket->loop);
    sim_kick(loop);
    if ((socket->state & READY) == 0)
        add(&loop->ready, socket);
    socket->state |= READY;
}

void sim_wait_for_loan(struct weir_socket *socket)
{
    struct sim_loop *loop = sim_of(socket->loop);
    socket->next = loop->waiting;
    socket->pprev = &loop->waiting;
    if (socket->next != NULL)
        socket->next->pprev = &socket->next;
    loop->waiting = socket;
}

void sim_wait_no_more(struct weir_socket *socket)
{
    if (socket->pprev == NULL)
        return;
    *socket->pprev = socket->next;
    if (socket->next != NULL)
        socket->next->pprev = socket->pprev;
    socket->pprev = NULL;
}

void sim_make_acceptors_ready(struct sim_loop *loop)
{
    loop->acceptors_ready = true;
    sim_kick(loop);
}

/* Completions */

void sim_complete(struct sim_loop *loop, const struct completion *completion)
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
    sim_kick(loop);
}

void sim_complete_socket(struct weir_socket *socket, enum kind kind, int status)
{
    sim_complete(sim_of(socket->loop), &(struct completion){ .kind = kind, .status = status, .socket = socket });
}

void sim_complete_acceptor(struct weir_acceptor *acceptor, enum kind kind, int status)
{
    sim_complete(sim_of(acceptor->loop), &(struct completion){ .kind = kind, .status = status, .acceptor = acceptor });
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
        if (completion->socket->closing)
            sim_give_loan(loop, completion->loan);
        else
            io_lent(completion->socket, completion->loan);
        break;
    case SPLICED:
        io_spliced(completion->socket, completion->status);
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
        sim_make_acceptors_ready(loop);
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
void sim_deliver_some(struct sim_loop *loop)
{
    uint32_t count = loop->done.count;
    if (count > 1 && sim_puts_off(loop))
        count = (uint32_t)random_between(sim_chance(loop), 1, count);
    while (count-- > 0) {
        struct completion completion = loop->done.all[loop->done.head];
        loop->done.head = (loop->done.head + 1) % loop->done.capacity;
        loop->done.count--;
        deliver(loop, &completion);
    }
}

/* Loans */

struct weir_loan *sim_take_loan(struct sim_loop *loop)
{
    struct weir_loan *loan = loop->idle;
    loop->idle = loan->next;
    loop->lent++;
    return loan;
}

void sim_give_loan(struct sim_loop *loop, struct weir_loan *loan)
{
    /* Whoever still reads it will be found out. */
    memset(loan->data, 0xDB, loop->loan_bytes[loan->index]);
    loan->owner = NULL;
    loan->next = loop->idle;
    loop->idle = loan;
    loop->lent--;
    while (loop->waiting != NULL) {
        sim_make_ready(loop->waiting);
        sim_wait_no_more(loop->waiting);
    }
}

void sim_loan_return(struct weir_loop *base, struct weir_loan *loan)
{
    struct sim_loop *loop = sim_of(base);
    struct weir_socket *owner = loan->owner;
    sim_give_loan(loop, loan);
    if (owner != NULL && (owner->state & IO_RECV) != 0)
        sim_make_ready(owner);
}

void sim_new_loans(struct sim_loop *loop)
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
