/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <weir/errors.h>

#include "backend.h"
#include "loans.h"
#include "tcp.h"

/* Readiness, edge-triggered: a descriptor is added once with all it may ever tell, and `state` remembers what was told.
 * Whoever has something to do stands in the ready list and makes progress from the turn. */

#define EVENTS_A_TURN 256
#define ACCEPTS_A_TURN 64
#define LOANS_A_TURN 4

/* The second round reports what the first one's completions have submitted: a message is received, sent and its buffer
 * returned within one turn. What the second one submits waits for the next turn, so that turns end. */
#define ROUNDS_A_TURN 2

enum {
    LISTED = 1 << 0,   /* in the ready list */
    READABLE = 1 << 1, /* bytes, an end or an error may wait */
    WRITABLE = 1 << 2, /* told since a send found the socket full */
    ENDED = 1 << 3,    /* the peer has ended its sending side */
    BROKEN = 1 << 4,   /* an error is pending */
    URGENT = 1 << 5,   /* a receive may stop short at urgent data */
    LOST = 1 << 6,     /* could not be added */
    DONE = 1 << 7,     /* of a connect or send: socket->result is known */
    RECV_STOPPED = 1 << 8,
    WATCH_STOPPED = 1 << 9,
    END_TOLD = 1 << 10, /* to the watch in flight */
    /* of an acceptor, beside LISTED and READABLE: */
    ADDED = 1 << 11,
    ACCEPT_STOPPED = 1 << 12,
};

struct epoll_loop {
    struct weir_loop common;
    int epoll_fd, wake_fd;
    bool coarse; /* the kernel lacks epoll_pwait2() */
    struct weir_socket *ready, **last_ready;
    struct weir_acceptor *ready_acceptors;
    struct loans loans;
    struct epoll_event events[EVENTS_A_TURN];
};

static struct epoll_loop *loop_of(struct weir_loop *loop)
{
    return (struct epoll_loop *)loop;
}

static void make_ready(struct weir_socket *socket)
{
    struct epoll_loop *self = loop_of(socket->loop);
    if ((socket->state & LISTED) != 0)
        return;
    socket->state |= LISTED;
    socket->ready = NULL;
    *self->last_ready = socket;
    self->last_ready = &socket->ready;
}

static void make_acceptor_ready(struct weir_acceptor *acceptor)
{
    struct epoll_loop *self = loop_of(acceptor->loop);
    if ((acceptor->state & LISTED) != 0)
        return;
    acceptor->state |= LISTED;
    acceptor->next = self->ready_acceptors;
    self->ready_acceptors = acceptor;
}

static int add(const struct epoll_loop *self, int fd, uint32_t events, uintptr_t data)
{
    struct epoll_event event = { .events = events | EPOLLET, .data = { .u64 = data } };
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : weir_error_from_errno(errno);
}

static int add_socket(struct weir_socket *socket)
{
    return add(loop_of(socket->loop), socket->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI, (uintptr_t)socket);
}

/* Connecting */

static int start_connect(struct weir_socket *socket, const struct weir_address *address)
{
    bool started = connect(socket->fd, &address->u.any, weir_address_length(address)) == 0 || errno == EINPROGRESS;
    return started ? add_socket(socket) : weir_error_from_errno(errno);
}

static void epoll_connect(struct weir_socket *socket, const struct weir_address *address, uint32_t keepalive_s)
{
    int fd = tcp_open(address, SOCK_NONBLOCK, keepalive_s);
    socket->fd = fd < 0 ? -1 : fd;
    socket->result = fd < 0 ? fd : start_connect(socket, address);
    if (socket->result == 0)
        return;
    socket->state |= DONE;
    make_ready(socket);
}

static int connect_result(const struct weir_socket *socket)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    return error == 0 ? 0 : weir_error_from_errno(error);
}

static void progress_connect(struct weir_socket *socket)
{
    if ((socket->state & (DONE | WRITABLE)) == 0)
        return;
    if ((socket->state & DONE) == 0)
        socket->result = connect_result(socket);
    socket->state &= ~(uint32_t)DONE;
    io_connected(socket, socket->result);
}

/* Sending */

static int take(const struct weir_socket *socket)
{
    if ((socket->state & LOST) != 0)
        return WEIR_ENOBUFS;
    if (socket->pipe_out != NULL)
        return pipe_drain(socket->pipe_out, socket->fd);
    ssize_t size = send(socket->fd, socket->send_data, socket->send_size, MSG_NOSIGNAL);
    if (size > 0)
        return (int)size;
    return size == 0 ? WEIR_EIO : weir_error_from_errno(errno);
}

static int try_send(struct weir_socket *socket)
{
    int result = take(socket);
    if (result == WEIR_EAGAIN)
        socket->state &= ~(uint32_t)WRITABLE;
    return result;
}

static void epoll_send(struct weir_socket *socket, enum weir_send_mode mode)
{
    socket->result = try_send(socket);
    if (socket->result == WEIR_EAGAIN && mode == WEIR_SEND_WAIT)
        return;
    socket->state |= DONE;
    make_ready(socket);
}

static void progress_send(struct weir_socket *socket)
{
    if ((socket->state & DONE) == 0) {
        if ((socket->state & WRITABLE) == 0)
            return;
        socket->result = try_send(socket);
        if (socket->result == WEIR_EAGAIN)
            return;
    }
    socket->state &= ~(uint32_t)DONE;
    io_sent(socket, socket->result);
}

static void epoll_shutdown(struct weir_socket *socket)
{
    shutdown(socket->fd, SHUT_WR);
}

/* Receiving */

/* A send that failed has taken the error out of the socket: a receive would find a clean end in its place. The send's
 * result is told first. */
static bool hides_an_error(const struct weir_socket *socket)
{
    return (socket->in_flight & IO_SEND) != 0 && (socket->state & DONE) != 0 && socket->result < 0 &&
           socket->result != WEIR_EAGAIN;
}

static bool may_receive(const struct weir_socket *socket)
{
    return (socket->in_flight & IO_RECV) != 0 && socket->pipe_in == NULL && !socket->closing &&
           socket->loans < IO_SOCKET_LOANS && (socket->state & (READABLE | RECV_STOPPED)) == READABLE &&
           !hides_an_error(socket);
}

static void epoll_recv(struct weir_socket *socket)
{
    if ((socket->state & (READABLE | LOST)) != 0)
        make_ready(socket);
}

static void epoll_recv_stop(struct weir_socket *socket)
{
    socket->state |= RECV_STOPPED;
    loans_wait_no_more(&loop_of(socket->loop)->loans, socket);
    make_ready(socket);
}

static void recv_failed(struct weir_socket *socket, ssize_t size)
{
    int status = size == 0 ? 0 : weir_error_from_errno(errno);
    if (status == WEIR_EAGAIN)
        socket->state &= ~(uint32_t)(READABLE | URGENT);
    else
        io_recv_ended(socket, status);
}

/* A short read has emptied the socket, unless an end or an error stands behind it: asking again would be a call for
 * nothing. */
static void receive_into(struct weir_socket *socket, struct weir_loan *loan)
{
    struct loans *loans = &loop_of(socket->loop)->loans;
    ssize_t size = recv(socket->fd, loan->data, loans->buffer_bytes, 0);
    if (size <= 0) {
        int error = errno;
        loans_give(loans, loan);
        errno = error;
        recv_failed(socket, size);
        return;
    }
    if (size < loans->buffer_bytes && (socket->state & (ENDED | BROKEN | URGENT)) == 0)
        socket->state &= ~(uint32_t)READABLE;
    loan->size = (uint32_t)size;
    io_lent(socket, loan);
}

static void progress_splice(struct weir_socket *socket)
{
    if ((socket->state & READABLE) == 0 || hides_an_error(socket))
        return;
    int status = pipe_fill(socket->pipe_in, socket->fd);
    if (status == WEIR_EAGAIN)
        socket->state &= ~(uint32_t)(READABLE | URGENT);
    else if (status > 0)
        io_spliced(socket, status);
    else
        io_recv_ended(socket, status);
}

/* Nobody overtakes those who wait already. */
static void progress_recv(struct weir_socket *socket)
{
    struct loans *loans = &loop_of(socket->loop)->loans;
    if ((socket->state & RECV_STOPPED) != 0) {
        socket->state &= ~(uint32_t)RECV_STOPPED;
        io_recv_ended(socket, WEIR_ECANCELED);
        return;
    }
    if ((socket->state & LOST) != 0) {
        io_recv_ended(socket, WEIR_ENOBUFS);
        return;
    }
    if (socket->pipe_in != NULL) {
        progress_splice(socket);
        return;
    }
    for (unsigned lent = 0; lent < LOANS_A_TURN && may_receive(socket); lent++) {
        struct weir_loan *loan = loans->waiting == NULL ? loans_take(loans) : NULL;
        if (loan == NULL) {
            loans_wait(loans, socket);
            return;
        }
        receive_into(socket, loan);
    }
    if (may_receive(socket))
        make_ready(socket);
}

static void serve_waiting(struct epoll_loop *self)
{
    while (self->loans.waiting != NULL && self->loans.idle != NULL) {
        struct weir_socket *socket = self->loans.waiting;
        loans_wait_no_more(&self->loans, socket);
        make_ready(socket);
        if (may_receive(socket))
            receive_into(socket, loans_take(&self->loans));
    }
}

static void epoll_loan_return(struct weir_loop *loop, struct weir_loan *loan)
{
    struct weir_socket *owner = loan->owner;
    loans_give(&loop_of(loop)->loans, loan);
    if (owner != NULL && owner->loans + 1 == IO_SOCKET_LOANS && may_receive(owner))
        make_ready(owner);
}

/* Splicing: the descriptors never block, and a splice is received and sent like bytes. */

static void epoll_splicing(struct weir_socket *socket, bool splicing)
{
    (void)socket;
    (void)splicing;
}

static void epoll_splice_out(struct weir_socket *socket)
{
    epoll_send(socket, WEIR_SEND_WAIT);
}

/* Watching */

static void epoll_watch(struct weir_socket *socket)
{
    socket->state &= ~(uint32_t)END_TOLD;
    make_ready(socket);
}

static void epoll_watch_stop(struct weir_socket *socket)
{
    socket->state |= WATCH_STOPPED;
    make_ready(socket);
}

static void end_watch(struct weir_socket *socket, int status)
{
    socket->state &= ~(uint32_t)WATCH_STOPPED;
    io_watch_ended(socket, status);
}

static void progress_watch(struct weir_socket *socket)
{
    if ((socket->state & WATCH_STOPPED) != 0) {
        end_watch(socket, WEIR_ECANCELED);
    } else if ((socket->state & BROKEN) != 0) {
        io_noticed(socket, WEIR_WATCH_RESET);
        if (!socket->closing)
            end_watch(socket, WEIR_ECONNRESET);
    } else if ((socket->state & (ENDED | END_TOLD)) == ENDED) {
        socket->state |= END_TOLD;
        io_noticed(socket, WEIR_WATCH_HALF_CLOSED);
    }
}

/* Life of a socket */

/* A socket that cannot be added tells every operation so: there is no other way to report it. */
static void epoll_adopted(struct weir_socket *socket)
{
    if (add_socket(socket) != 0)
        socket->state |= LOST | BROKEN;
}

static int epoll_name_of(const struct weir_socket *socket, bool peer, struct weir_address *ret_address)
{
    return tcp_name(socket->fd, peer, ret_address);
}

static void epoll_close(struct weir_socket *socket, enum weir_close_mode mode)
{
    if (socket->fd >= 0 && mode == WEIR_CLOSE_RESET)
        tcp_reset_on_close(socket->fd);
    loans_wait_no_more(&loop_of(socket->loop)->loans, socket);
    make_ready(socket);
}

static void finish_close(struct weir_socket *socket)
{
    int result = (socket->state & DONE) != 0 ? socket->result : WEIR_ECANCELED;
    if ((socket->in_flight & IO_CONNECT) != 0)
        io_connected(socket, result);
    if ((socket->in_flight & IO_RECV) != 0)
        io_recv_ended(socket, WEIR_ECANCELED);
    if ((socket->in_flight & IO_SEND) != 0)
        io_sent(socket, result);
    if ((socket->in_flight & IO_WATCH) != 0)
        io_watch_ended(socket, WEIR_ECANCELED);
    if (socket->fd >= 0)
        close(socket->fd);
    loans_orphan(&loop_of(socket->loop)->loans, socket);
    io_socket_closed(socket);
}

/* A completion may close the socket: that is finished when its turn comes again. */
static void progress(struct weir_socket *socket)
{
    if (socket->closing) {
        finish_close(socket);
        return;
    }
    if ((socket->in_flight & IO_CONNECT) != 0)
        progress_connect(socket);
    if ((socket->in_flight & IO_SEND) != 0 && !socket->closing)
        progress_send(socket);
    if ((socket->in_flight & IO_RECV) != 0 && !socket->closing)
        progress_recv(socket);
    if ((socket->in_flight & IO_WATCH) != 0 && !socket->closing)
        progress_watch(socket);
}

/* Accepting */

static void epoll_accept(struct weir_acceptor *acceptor)
{
    make_acceptor_ready(acceptor);
}

static void epoll_accept_stop(struct weir_acceptor *acceptor)
{
    acceptor->state |= ACCEPT_STOPPED;
    make_acceptor_ready(acceptor);
}

static void end_accept(struct weir_acceptor *acceptor, int status)
{
    acceptor->state &= ~(uint32_t)ACCEPT_STOPPED;
    io_accept_ended(acceptor, status);
}

static int add_acceptor(struct weir_acceptor *acceptor)
{
    int flags = fcntl(acceptor->fd, F_GETFL);
    if (flags < 0 || fcntl(acceptor->fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return weir_error_from_errno(errno);
    int err = add(loop_of(acceptor->loop), acceptor->fd, EPOLLIN, (uintptr_t)acceptor | 1);
    if (err == 0)
        acceptor->state |= ADDED;
    return err;
}

static void accept_one(struct weir_acceptor *acceptor)
{
    int fd = accept4(acceptor->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        io_accepted(acceptor, fd);
    else if (errno == EAGAIN)
        acceptor->state &= ~(uint32_t)READABLE;
    else if (!tcp_accept_goes_on(errno))
        end_accept(acceptor, weir_error_from_errno(errno));
}

static bool may_accept(const struct weir_acceptor *acceptor)
{
    return acceptor->in_flight && !acceptor->closing && (acceptor->state & (READABLE | ACCEPT_STOPPED)) == READABLE;
}

static void close_acceptor(struct weir_acceptor *acceptor)
{
    if (acceptor->in_flight) {
        tcp_accept_queued(acceptor, SOCK_NONBLOCK);
        io_accept_ended(acceptor, WEIR_ECANCELED);
    }
    close(acceptor->fd);
    io_acceptor_closed(acceptor);
}

static void progress_acceptor(struct weir_acceptor *acceptor)
{
    if (acceptor->closing) {
        close_acceptor(acceptor);
        return;
    }
    int err = (acceptor->state & ADDED) == 0 ? add_acceptor(acceptor) : 0;
    if ((acceptor->state & ACCEPT_STOPPED) != 0)
        err = WEIR_ECANCELED;
    if (err != 0 && acceptor->in_flight)
        end_accept(acceptor, err);
    for (unsigned taken = 0; taken < ACCEPTS_A_TURN && may_accept(acceptor); taken++)
        accept_one(acceptor);
    if (may_accept(acceptor))
        make_acceptor_ready(acceptor);
}

static void epoll_acceptor_close(struct weir_acceptor *acceptor)
{
    make_acceptor_ready(acceptor);
}

/* Turns */

static void run_ready(struct epoll_loop *self)
{
    struct weir_socket *socket = self->ready;
    self->ready = NULL;
    self->last_ready = &self->ready;
    while (socket != NULL) {
        struct weir_socket *next = socket->ready; /* progress may be its end */
        socket->state &= ~(uint32_t)LISTED;
        progress(socket);
        socket = next;
    }
}

static void run_acceptors(struct epoll_loop *self)
{
    struct weir_acceptor *acceptor = self->ready_acceptors;
    self->ready_acceptors = NULL;
    while (acceptor != NULL) {
        struct weir_acceptor *next = acceptor->next;
        acceptor->state &= ~(uint32_t)LISTED;
        progress_acceptor(acceptor);
        acceptor = next;
    }
}

static void note_socket(struct weir_socket *socket, uint32_t events)
{
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        socket->state |= READABLE;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
        socket->state |= WRITABLE;
    if ((events & EPOLLRDHUP) != 0)
        socket->state |= ENDED;
    if ((events & EPOLLERR) != 0)
        socket->state |= BROKEN;
    if ((events & EPOLLPRI) != 0)
        socket->state |= URGENT;
    make_ready(socket);
}

/* No completion runs before all events are noted: none can then name a socket that is gone. */
static void note(const struct epoll_event *event)
{
    uintptr_t data = (uintptr_t)event->data.u64;
    if ((data & 1) != 0) {
        struct weir_acceptor *acceptor = (struct weir_acceptor *)(data - 1);
        acceptor->state |= READABLE;
        make_acceptor_ready(acceptor);
    } else if (data != 0) { /* 0: a wake, which has done its work */
        note_socket((struct weir_socket *)data, event->events);
    }
}

static bool has_work(const struct epoll_loop *self)
{
    return self->ready != NULL || self->ready_acceptors != NULL ||
           (self->loans.waiting != NULL && self->loans.idle != NULL);
}

static int wait_coarsely(struct epoll_loop *self, const struct timespec *timeout)
{
    int ms = -1;
    if (timeout != NULL)
        ms = timeout->tv_sec < 86400 ? (int)(timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000) : 86400000;
    return epoll_wait(self->epoll_fd, self->events, EVENTS_A_TURN, ms);
}

static int wait_events(struct epoll_loop *self, uint64_t deadline_ns)
{
    uint64_t now = self->common.now_ns, left = deadline_ns > now && !has_work(self) ? deadline_ns - now : 0;
    struct timespec timeout = { .tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000) };
    struct timespec *bound = deadline_ns == UINT64_MAX && left != 0 ? NULL : &timeout;
    int count = -1;
    if (!self->coarse)
        count = epoll_pwait2(self->epoll_fd, self->events, EVENTS_A_TURN, bound, NULL);
    if (count < 0 && !self->coarse && (errno == ENOSYS || errno == EPERM))
        self->coarse = true;
    return self->coarse ? wait_coarsely(self, bound) : count;
}

static int epoll_turn(struct weir_loop *loop, uint64_t deadline_ns)
{
    struct epoll_loop *self = loop_of(loop);
    int count = wait_events(self, deadline_ns);
    if (count < 0 && errno != EINTR)
        return weir_error_from_errno(errno);
    loop->now_ns = tcp_clock();
    for (int i = 0; i < count; i++)
        note(&self->events[i]);
    run_acceptors(self);
    serve_waiting(self);
    for (unsigned round = 0; round < ROUNDS_A_TURN && self->ready != NULL; round++)
        run_ready(self);
    return 0;
}

static void epoll_wake(struct weir_loop *loop)
{
    /* Edge-triggered: every write wakes, and nobody needs to read. It cannot fail before 2^64 wakes. */
    eventfd_write(loop_of(loop)->wake_fd, 1);
}

/* Life of the loop */

static void epoll_free(struct weir_loop *loop)
{
    struct epoll_loop *self = loop_of(loop);
    if (self->wake_fd >= 0)
        close(self->wake_fd);
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
    loans_free(&self->loans);
    free(self);
}

static const struct io_backend epoll_backend = {
    .name = "epoll",
    .free = epoll_free,
    .turn = epoll_turn,
    .wake = epoll_wake,
    .wall = tcp_wall,
    .accept = epoll_accept,
    .accept_stop = epoll_accept_stop,
    .acceptor_close = epoll_acceptor_close,
    .discard = tcp_discard,
    .adopted = epoll_adopted,
    .name_of = epoll_name_of,
    .unsent = tcp_unsent,
    .connect = epoll_connect,
    .recv = epoll_recv,
    .recv_stop = epoll_recv_stop,
    .send = epoll_send,
    .shutdown = epoll_shutdown,
    .watch = epoll_watch,
    .watch_stop = epoll_watch_stop,
    .close = epoll_close,
    .pipe_open = pipe_open,
    .pipe_close = pipe_close,
    .splicing = epoll_splicing,
    .splice_in = epoll_recv,
    .splice_out = epoll_splice_out,
    .loan_return = epoll_loan_return,
};

static int open_loop(struct epoll_loop *self, const struct weir_loop_options *options)
{
    self->common.now_ns = tcp_clock();
    self->last_ready = &self->ready;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->epoll_fd < 0 || self->wake_fd < 0)
        return WEIR_EMFILE;
    int err = add(self, self->wake_fd, EPOLLIN, 0);
    return err == 0 ? loans_init(&self->loans, options) : err;
}

int io_epoll_loop_new(const struct weir_loop_options *options, struct weir_loop **ret_loop)
{
    struct epoll_loop *self = calloc(1, sizeof *self);
    if (self == NULL)
        return WEIR_ENOMEM;
    io_loop_init(&self->common, &epoll_backend);
    int err = open_loop(self, options);
    if (err == 0)
        *ret_loop = &self->common;
    else
        epoll_free(&self->common);
    return err;
}
