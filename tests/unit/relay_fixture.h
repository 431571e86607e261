/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_RELAY_FIXTURE_H
#define TESTS_UNIT_RELAY_FIXTURE_H

#include "test.h"

#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>
#include <weir/relay.h>

#include "../../lib/io/backend.h"

/* The relay on a backend that does nothing by itself: each test plays the kernel, one completion at a time. */

#define SECOND UINT64_C(1000000000)
#define LOAN_BYTES 16384
#define CLIENT WEIR_RELAY_CLIENT
#define UPSTREAM WEIR_RELAY_UPSTREAM

struct fixture {
    struct weir_loop loop; /* first: the backend's loop */
    struct weir_socket sockets[2];
    struct weir_relay relay;
    struct weir_relay_options options;
    struct weir_relay_budget budget;
    uint64_t totals[2];
    bool shut[2], stopping_recv[2];
    uint32_t unsent[2];
    int lent, pipes;
    bool splicing[2];
    int ended; /* times */
    int answered;
    enum weir_relay_end end;
};

static inline struct fixture *fixture_of(struct weir_socket *socket)
{
    return (struct fixture *)socket->loop;
}

static inline int side_of(struct weir_socket *socket)
{
    return socket == &fixture_of(socket)->sockets[UPSTREAM];
}

static inline void fake_nothing(struct weir_socket *socket)
{
    (void)socket;
}

static inline void fake_recv_stop(struct weir_socket *socket)
{
    fixture_of(socket)->stopping_recv[side_of(socket)] = true;
}

static inline void fake_send(struct weir_socket *socket, enum weir_send_mode mode)
{
    socket->state = mode;
}

static inline void fake_shutdown(struct weir_socket *socket)
{
    fixture_of(socket)->shut[side_of(socket)] = true;
}

static inline uint32_t fake_unsent(const struct weir_socket *socket)
{
    const struct fixture *f = (const struct fixture *)socket->loop;
    return f->unsent[socket == &f->sockets[UPSTREAM]];
}

static inline void fake_loan_return(struct weir_loop *loop, struct weir_loan *loan)
{
    ((struct fixture *)loop)->lent--;
    free(loan->data);
    free(loan);
}

static inline int fake_pipe_open(struct weir_loop *loop, struct weir_pipe *pipe)
{
    (void)pipe;
    ((struct fixture *)loop)->pipes++;
    return 0;
}

static inline void fake_pipe_close(struct weir_loop *loop, struct weir_pipe *pipe)
{
    (void)pipe;
    ((struct fixture *)loop)->pipes--;
}

static inline void fake_splicing(struct weir_socket *socket, bool splicing)
{
    fixture_of(socket)->splicing[side_of(socket)] = splicing;
}

static const struct io_backend fake_backend = {
    .name = "fake",
    .recv = fake_nothing,
    .recv_stop = fake_recv_stop,
    .send = fake_send,
    .shutdown = fake_shutdown,
    .unsent = fake_unsent,
    .watch = fake_nothing,
    .watch_stop = fake_nothing,
    .adopted = fake_nothing,
    .pipe_open = fake_pipe_open,
    .pipe_close = fake_pipe_close,
    .splicing = fake_splicing,
    .splice_in = fake_nothing,
    .splice_out = fake_nothing,
    .loan_return = fake_loan_return,
};

static inline void note_end(struct weir_relay *relay, enum weir_relay_end end)
{
    struct fixture *f = (struct fixture *)((char *)relay - offsetof(struct fixture, relay));
    f->ended++;
    f->end = end;
}

static inline void note_answer(struct weir_relay *relay)
{
    ((struct fixture *)((char *)relay - offsetof(struct fixture, relay)))->answered++;
}

static const struct weir_socket_events no_events = { .closed = fake_nothing };

static inline struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    io_loop_init(&f->loop, &fake_backend);
    f->loop.now_ns = 100 * SECOND;
    f->budget.limit = 1 << 20;
    f->options = (struct weir_relay_options){
        .idle_timeout_ns = 60 * SECOND, .half_close_timeout_ns = 10 * SECOND, .budget = &f->budget, .totals = f->totals
    };
    for (int side = 0; side < 2; side++) {
        weir_socket_init(&f->sockets[side], &f->loop, &no_events);
        weir_socket_adopt(&f->sockets[side], 100 + side);
    }
    return f;
}

static inline void fixture_start(struct fixture *f)
{
    f->relay.answered = note_answer;
    weir_relay_start(&f->relay, &f->loop, &f->sockets[CLIENT], &f->sockets[UPSTREAM], &f->options, note_end);
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    weir_relay_release(&f->relay);
    int left = f->lent != 0 || f->pipes != 0 || f->budget.used != 0 || f->loop.timers.first != NULL;
    free(f);
    return left;
}

/* What the kernel does. */

static inline void arrives(struct fixture *f, int side, uint32_t size)
{
    struct weir_loan *loan = calloc(1, sizeof *loan);
    loan->data = malloc(size);
    memset(loan->data, 'a' + f->lent, size);
    loan->size = size;
    f->lent++;
    io_lent(&f->sockets[side], loan);
}

static inline void takes(struct fixture *f, int side, int status)
{
    io_sent(&f->sockets[side], status);
}

static inline uint32_t offered(const struct fixture *f, int side)
{
    return (f->sockets[side].in_flight & IO_SEND) != 0 ? f->sockets[side].send_size : 0;
}

static inline bool waits(const struct fixture *f, int side)
{
    return f->sockets[side].state == WEIR_SEND_WAIT;
}

static inline void cancel_completes(struct fixture *f, int side)
{
    f->stopping_recv[side] = false;
    io_recv_ended(&f->sockets[side], WEIR_ECANCELED);
}

static inline bool receives(const struct fixture *f, int side)
{
    return (f->sockets[side].in_flight & IO_RECV) != 0;
}

static inline void passes(struct fixture *f, uint64_t ns)
{
    f->loop.now_ns += ns;
    struct weir_timer *timer;
    while ((timer = timers_due(&f->loop.timers, f->loop.now_ns, UINT64_MAX)) != NULL)
        timer->fire(timer);
}

#endif
