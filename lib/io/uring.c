/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <weir/errors.h>

#include "backend.h"
#include "loans.h"
#include "ring.h"
#include "tcp.h"

/* Completions come from the ring; one call a turn submits all that was queued and waits. What ends without the kernel
 * (a stopped receive that was not armed, a connect without descriptor) stands in the ready list. */

/* A completion carries the address of its socket or acceptor, and in the low bits what completed. Cancellations have
 * neither. */
enum tag { TAG_NONE, TAG_CONNECT, TAG_RECV, TAG_SEND, TAG_WATCH, TAG_CLOSE, TAG_ACCEPT, TAG_ACCEPTOR_CLOSE };
#define TAG_READINESS TAG_CONNECT /* once connected */
#define TAG_MASK ((uintptr_t)7)
#define WAKE_DATA ((uintptr_t)8)

enum {
    LISTED = 1 << 0,
    RECV_ARMED = 1 << 1,
    RECV_CANCELLED = 1 << 2, /* ... and told to end */
    RECV_STOPPED = 1 << 3,
    RECV_FIRST = 1 << 4, /* has waited for a buffer: next time it is the first in the line */
    RECV_BULK = 1 << 5,  /* sends faster than its buffers come back: one buffer at a time */
    WATCH_STOPPED = 1 << 6,
    WATCH_BROKEN = 1 << 7,
    END_TOLD = 1 << 8, /* to the watch in flight */
    CLOSE_QUEUED = 1 << 9,
    /* of an acceptor: */
    ACCEPT_STOPPED = 1 << 10,
    PREPARED = 1 << 11,
    /* of a socket that is spliced: */
    SPLICING = 1 << 10,
    POLLED = 1 << 11, /* until the poll's last completion */
    POLL_CANCELLED = 1 << 12,
    READABLE = 1 << 13, /* as far as is known */
    WRITABLE = 1 << 14,
};

/* Above the bits of a socket's state: how many full buffers it was lent, and in which turn. */
#define TURN_SHIFT 16
#define LENT_SHIFT 24

/* What a splice into a pipe brings about is spliced out of it within the turn. */
#define ROUNDS_A_TURN 2

struct uring_loop {
    struct weir_loop common;
    struct ring ring;
    struct loans loans; /* all that are not lent are in the ring */
    uint32_t lent;
    uint32_t turn; /* counts */
    int wake_fd;
    struct weir_socket *ready, **last_ready;
    struct weir_address addresses[RING_SUBMISSIONS]; /* of connects that are queued, by their place there */
};

static struct uring_loop *loop_of(struct weir_loop *loop)
{
    return (struct uring_loop *)loop;
}

static struct io_uring_sqe *submission(struct weir_loop *loop)
{
    return ring_submission(&loop_of(loop)->ring);
}

static void mark(struct io_uring_sqe *sqe, const void *target, enum tag tag)
{
    assert(((uintptr_t)target & TAG_MASK) == 0);
    sqe->user_data = (uintptr_t)target | tag;
}

/* In the kernel cancelling by address is a look-up, by descriptor it is a search. */
static void cancel(struct weir_loop *loop, const void *target, enum tag tag)
{
    struct io_uring_sqe *sqe = submission(loop);
    io_uring_prep_cancel64(sqe, (uintptr_t)target | tag, 0);
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    mark(sqe, NULL, TAG_NONE);
}

static void make_ready(struct weir_socket *socket)
{
    struct uring_loop *self = loop_of(socket->loop);
    if ((socket->state & LISTED) != 0)
        return;
    socket->state |= LISTED;
    socket->ready = NULL;
    *self->last_ready = socket;
    self->last_ready = &socket->ready;
}

static int status_of(int result)
{
    return result < 0 ? weir_error_from_errno(-result) : result;
}

/* Connecting */

static void uring_connect(struct weir_socket *socket, const struct weir_address *address, uint32_t keepalive_s)
{
    struct uring_loop *self = loop_of(socket->loop);
    int fd = tcp_open(address, 0, keepalive_s);
    if (fd < 0) {
        socket->result = fd;
        make_ready(socket);
        return;
    }
    socket->fd = fd;
    struct io_uring_sqe *sqe = submission(socket->loop);
    struct weir_address *kept = &self->addresses[sqe - self->ring.uring.sq.sqes];
    *kept = *address;
    io_uring_prep_connect(sqe, fd, &kept->u.any, weir_address_length(kept));
    mark(sqe, socket, TAG_CONNECT);
}

/* Sending */

static void uring_send(struct weir_socket *socket, enum weir_send_mode mode)
{
    struct io_uring_sqe *sqe = submission(socket->loop);
    int flags = MSG_NOSIGNAL | (mode == WEIR_SEND_NOW ? MSG_DONTWAIT : 0);
    io_uring_prep_send(sqe, socket->fd, socket->send_data, socket->send_size, flags);
    mark(sqe, socket, TAG_SEND);
}

/* There is no opcode for it that does not hop through a kernel thread. */
static void uring_shutdown(struct weir_socket *socket)
{
    shutdown(socket->fd, SHUT_WR);
}

/* Receiving */

static void arm_recv(struct weir_socket *socket)
{
    struct io_uring_sqe *sqe = submission(socket->loop);
    io_uring_prep_recv(sqe, socket->fd, NULL, 0, 0);
    sqe->flags = IOSQE_BUFFER_SELECT;
    sqe->ioprio = socket->sparing || (socket->state & RECV_BULK) != 0 ? 0 : IORING_RECV_MULTISHOT;
    mark(sqe, socket, TAG_RECV);
    socket->state |= RECV_ARMED;
}

static bool may_arm(const struct weir_socket *socket)
{
    return (socket->in_flight & IO_RECV) != 0 && !socket->closing && socket->loans < IO_SOCKET_LOANS &&
           (socket->state & (RECV_ARMED | RECV_STOPPED)) == 0;
}

/* Nobody overtakes those who wait for a buffer already. */
static void resume_recv(struct weir_socket *socket)
{
    struct loans *loans = &loop_of(socket->loop)->loans;
    if (!may_arm(socket) || loans_is_waiting(socket))
        return;
    if (loans->waiting != NULL)
        loans_wait(loans, socket);
    else
        arm_recv(socket);
}

static void cancel_recv(struct weir_socket *socket)
{
    if ((socket->state & (RECV_ARMED | RECV_CANCELLED)) != RECV_ARMED)
        return;
    socket->state |= RECV_CANCELLED;
    cancel(socket->loop, socket, TAG_RECV);
}

static void uring_recv_stop(struct weir_socket *socket)
{
    socket->state |= RECV_STOPPED;
    loans_wait_no_more(&loop_of(socket->loop)->loans, socket);
    if ((socket->state & RECV_ARMED) != 0)
        cancel_recv(socket);
    else
        make_ready(socket);
}

static void give_buffer(struct uring_loop *self, struct weir_loan *loan)
{
    loan->owner = NULL;
    self->lent--;
    ring_give(&self->ring, loan->data, self->loans.buffer_bytes, loan->index);
}

static struct weir_loan *take_buffer(struct uring_loop *self, uint32_t flags)
{
    if ((flags & IORING_CQE_F_BUFFER) == 0)
        return NULL;
    self->lent++;
    return &self->loans.all[flags >> IORING_CQE_BUFFER_SHIFT];
}

static void count_full(struct weir_socket *socket)
{
    uint32_t turn = loop_of(socket->loop)->turn & 0xff;
    if ((socket->state >> TURN_SHIFT & 0xff) != turn)
        socket->state = (socket->state & ((1u << TURN_SHIFT) - 1)) | turn << TURN_SHIFT;
    if (socket->state >> LENT_SHIFT < IO_SOCKET_LOANS)
        socket->state += 1u << LENT_SHIFT;
}

/* Whoever has sent so much in one turn that its bound is reached goes on with one buffer at a time until it slows down:
 * many fat senders at once would otherwise empty the pool in every turn; and where loans come back at once, what is
 * made of them would grow without bound. */
static void lend(struct weir_socket *socket, struct weir_loan *loan, int size)
{
    bool full = (uint32_t)size == loop_of(socket->loop)->loans.buffer_bytes;
    loan->size = (uint32_t)size;
    socket->state &= ~(uint32_t)(full ? RECV_FIRST : RECV_FIRST | RECV_BULK);
    if (full)
        count_full(socket);
    io_lent(socket, loan);
    bool fat = full && socket->state >> LENT_SHIFT == IO_SOCKET_LOANS;
    if ((socket->loans < IO_SOCKET_LOANS && !fat) || socket->closing)
        return;
    if (full)
        socket->state |= RECV_BULK;
    cancel_recv(socket);
}

static void out_of_buffers(struct weir_socket *socket)
{
    struct uring_loop *self = loop_of(socket->loop);
    bool first = (socket->state & RECV_FIRST) != 0;
    socket->state |= RECV_FIRST;
    if (first)
        loans_wait_first(&self->loans, socket);
    else
        loans_wait(&self->loans, socket);
}

static void end_recv(struct weir_socket *socket, int status)
{
    socket->state &= ~(uint32_t)(RECV_STOPPED | RECV_FIRST);
    io_recv_ended(socket, status);
}

/* The kernel's operation has ended. The user's goes on unless it was stopped or there is no more to come. */
static void recv_disarmed(struct weir_socket *socket, int result)
{
    bool resumable = result > 0 || result == -ECANCELED || result == -ENOBUFS;
    socket->state &= ~(uint32_t)(RECV_ARMED | RECV_CANCELLED);
    if (!resumable)
        end_recv(socket, status_of(result));
    else if ((socket->state & RECV_STOPPED) != 0 || socket->closing)
        end_recv(socket, WEIR_ECANCELED);
    else if (result == -ENOBUFS)
        out_of_buffers(socket);
    else
        resume_recv(socket);
}

/* Splicing: the kernel's own operation for it runs on helper threads. Calls that do not block are made instead, and an
 * edge-triggered poll tells when to try again. (A poll once for room would complete at once, again and again, when the
 * peer has half-closed: io_uring adds that to what is asked for.) */

static void arm_readiness(struct weir_socket *socket)
{
    struct io_uring_sqe *sqe = submission(socket->loop);
    io_uring_prep_poll_multishot(sqe, socket->fd, POLLIN | POLLOUT | EPOLLET);
    mark(sqe, socket, TAG_READINESS);
    socket->state |= POLLED;
}

static void cancel_readiness(struct weir_socket *socket)
{
    if ((socket->state & (POLLED | POLL_CANCELLED)) != POLLED)
        return;
    socket->state |= POLL_CANCELLED;
    cancel(socket->loop, socket, TAG_READINESS);
}

/* A descriptor that blocks would make the calls block, one that does not would make the ring's operations fail. */
static void uring_splicing(struct weir_socket *socket, bool splicing)
{
    int flags = fcntl(socket->fd, F_GETFL);
    fcntl(socket->fd, F_SETFL, splicing ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
    if (splicing) {
        socket->state |= SPLICING | READABLE | WRITABLE;
        if ((socket->state & POLLED) == 0)
            arm_readiness(socket);
    } else {
        socket->state &= ~(uint32_t)SPLICING;
        cancel_readiness(socket);
    }
}

static void try_splice_in(struct weir_socket *socket)
{
    int status = (socket->state & READABLE) != 0 ? pipe_fill(socket->pipe_in, socket->fd) : WEIR_EAGAIN;
    if (status == WEIR_EAGAIN)
        socket->state &= ~(uint32_t)READABLE;
    else if (status > 0)
        io_spliced(socket, status);
    else
        end_recv(socket, status);
}

static void try_splice_out(struct weir_socket *socket)
{
    int status = (socket->state & WRITABLE) != 0 ? pipe_drain(socket->pipe_out, socket->fd) : WEIR_EAGAIN;
    if (status == WEIR_EAGAIN)
        socket->state &= ~(uint32_t)WRITABLE;
    else
        io_sent(socket, status);
}

static void readiness_told(struct weir_socket *socket, int result, uint32_t flags)
{
    int events = result >= 0 ? result : result == -ECANCELED ? 0 : POLLERR; /* then the calls tell why */
    if ((events & (POLLIN | POLLRDHUP | POLLHUP | POLLERR)) != 0)
        socket->state |= READABLE;
    if ((events & (POLLOUT | POLLHUP | POLLERR)) != 0)
        socket->state |= WRITABLE;
    if ((flags & IORING_CQE_F_MORE) == 0) {
        socket->state &= ~(uint32_t)(POLLED | POLL_CANCELLED);
        if ((socket->state & SPLICING) != 0 && !socket->closing)
            arm_readiness(socket);
    }
    if (socket->pipe_in != NULL || socket->pipe_out != NULL)
        make_ready(socket);
}

static void recv_completed(struct weir_socket *socket, int result, uint32_t flags)
{
    struct uring_loop *self = loop_of(socket->loop);
    struct weir_loan *loan = take_buffer(self, flags);
    if (result > 0)
        lend(socket, loan, result);
    else if (loan != NULL)
        give_buffer(self, loan);
    if ((flags & IORING_CQE_F_MORE) == 0)
        recv_disarmed(socket, result);
}

/* One buffer each: the first of them would otherwise empty the pool again. */
static void serve_waiting(struct uring_loop *self)
{
    for (uint32_t free = self->loans.count - self->lent; free > 0 && self->loans.waiting != NULL; free--) {
        struct weir_socket *socket = self->loans.waiting;
        loans_wait_no_more(&self->loans, socket);
        if (!may_arm(socket))
            continue;
        socket->state |= RECV_BULK;
        arm_recv(socket);
    }
}

static void uring_loan_return(struct weir_loop *loop, struct weir_loan *loan)
{
    struct weir_socket *owner = loan->owner;
    give_buffer(loop_of(loop), loan);
    if (owner != NULL && owner->loans + 1 == IO_SOCKET_LOANS)
        resume_recv(owner);
}

/* Watching */

/* A poll for nothing tells of ends and errors alone. */
static void uring_watch(struct weir_socket *socket)
{
    struct io_uring_sqe *sqe = submission(socket->loop);
    io_uring_prep_poll_multishot(sqe, socket->fd, EPOLLET);
    mark(sqe, socket, TAG_WATCH);
    socket->state &= ~(uint32_t)(WATCH_STOPPED | WATCH_BROKEN | END_TOLD);
}

static void uring_watch_stop(struct weir_socket *socket)
{
    if ((socket->state & (WATCH_STOPPED | WATCH_BROKEN)) == 0)
        cancel(socket->loop, socket, TAG_WATCH);
    socket->state |= WATCH_STOPPED;
}

static void notice(struct weir_socket *socket, int events)
{
    if (socket->closing || (socket->state & (WATCH_STOPPED | WATCH_BROKEN)) != 0)
        return;
    if ((events & POLLERR) != 0) {
        socket->state |= WATCH_BROKEN;
        cancel(socket->loop, socket, TAG_WATCH);
        io_noticed(socket, WEIR_WATCH_RESET);
    } else if ((events & POLLRDHUP) != 0 && (socket->state & END_TOLD) == 0) {
        socket->state |= END_TOLD;
        io_noticed(socket, WEIR_WATCH_HALF_CLOSED);
    }
}

static void watch_completed(struct weir_socket *socket, int result, uint32_t flags)
{
    if (result > 0)
        notice(socket, result);
    if ((flags & IORING_CQE_F_MORE) != 0)
        return;
    if ((socket->state & WATCH_BROKEN) != 0)
        io_watch_ended(socket, WEIR_ECONNRESET);
    else if ((socket->state & WATCH_STOPPED) != 0 || socket->closing || result < 0)
        io_watch_ended(socket, result < 0 ? status_of(result) : WEIR_ECANCELED);
    else
        uring_watch(socket);
}

/* Life of a socket */

static void uring_adopted(struct weir_socket *socket)
{
    (void)socket;
}

static int uring_name_of(const struct weir_socket *socket, bool peer, struct weir_address *ret_address)
{
    return tcp_name(socket->fd, peer, ret_address);
}

static void close_fd(struct weir_loop *loop, int fd, const void *target, enum tag tag)
{
    struct io_uring_sqe *sqe = submission(loop);
    io_uring_prep_close(sqe, fd);
    mark(sqe, target, tag);
}

static void closed(struct weir_socket *socket)
{
    loans_orphan(&loop_of(socket->loop)->loans, socket);
    io_socket_closed(socket);
}

/* The descriptor is closed when nothing is in flight: an armed receive would hold the socket open, and the peer would
 * see no end. What stands in the ready list comes back here from there. */
static void go_on_closing(struct weir_socket *socket)
{
    if (!socket->closing || socket->in_flight != 0 || (socket->state & (LISTED | CLOSE_QUEUED | POLLED)) != 0)
        return;
    if (socket->fd < 0) {
        closed(socket);
        return;
    }
    socket->state |= CLOSE_QUEUED;
    close_fd(socket->loop, socket->fd, socket, TAG_CLOSE);
}

static void uring_close(struct weir_socket *socket, enum weir_close_mode mode)
{
    if (socket->fd >= 0 && mode == WEIR_CLOSE_RESET)
        tcp_reset_on_close(socket->fd);
    loans_wait_no_more(&loop_of(socket->loop)->loans, socket);
    cancel_recv(socket);
    if ((socket->in_flight & IO_CONNECT) != 0 && socket->fd >= 0)
        cancel(socket->loop, socket, TAG_CONNECT);
    if ((socket->in_flight & IO_SEND) != 0 && socket->pipe_out == NULL)
        cancel(socket->loop, socket, TAG_SEND);
    if ((socket->in_flight & IO_WATCH) != 0 && (socket->state & (WATCH_STOPPED | WATCH_BROKEN)) == 0)
        cancel(socket->loop, socket, TAG_WATCH);
    cancel_readiness(socket);
    if (socket->fd < 0 || socket->pipe_out != NULL ||
        ((socket->in_flight & IO_RECV) != 0 && (socket->state & RECV_ARMED) == 0))
        make_ready(socket);
    go_on_closing(socket);
}

static void socket_completed(struct weir_socket *socket, enum tag tag, int result, uint32_t flags)
{
    if (tag == TAG_READINESS && (socket->in_flight & IO_CONNECT) == 0)
        readiness_told(socket, result, flags);
    else if (tag == TAG_CONNECT)
        io_connected(socket, status_of(result));
    else if (tag == TAG_RECV)
        recv_completed(socket, result, flags);
    else if (tag == TAG_SEND)
        io_sent(socket, result != 0 ? status_of(result) : WEIR_EIO);
    else
        watch_completed(socket, result, flags);
    go_on_closing(socket);
}

static void receive_ready(struct weir_socket *socket)
{
    if ((socket->state & RECV_ARMED) != 0)
        return;
    if ((socket->state & RECV_STOPPED) != 0 || socket->closing)
        end_recv(socket, WEIR_ECANCELED);
    else if (socket->pipe_in != NULL)
        try_splice_in(socket);
}

static void send_ready(struct weir_socket *socket)
{
    if (socket->pipe_out != NULL && socket->closing)
        io_sent(socket, WEIR_ECANCELED);
    else if (socket->pipe_out != NULL)
        try_splice_out(socket);
}

static void run_ready(struct uring_loop *self)
{
    struct weir_socket *socket = self->ready;
    self->ready = NULL;
    self->last_ready = &self->ready;
    while (socket != NULL) {
        struct weir_socket *next = socket->ready;
        socket->state &= ~(uint32_t)LISTED;
        if ((socket->in_flight & IO_CONNECT) != 0)
            io_connected(socket, socket->result);
        if ((socket->in_flight & IO_RECV) != 0)
            receive_ready(socket);
        if ((socket->in_flight & IO_SEND) != 0)
            send_ready(socket);
        go_on_closing(socket);
        socket = next;
    }
}

/* Accepting */

static void arm_accept(struct weir_acceptor *acceptor)
{
    struct io_uring_sqe *sqe = submission(acceptor->loop);
    io_uring_prep_accept(sqe, acceptor->fd, NULL, NULL, SOCK_CLOEXEC);
    if (!acceptor->one_by_one)
        sqe->ioprio |= IORING_ACCEPT_MULTISHOT;
    mark(sqe, acceptor, TAG_ACCEPT);
}

/* On a non-blocking descriptor the kernel would not wait. */
static void prepare(struct weir_acceptor *acceptor)
{
    int flags = fcntl(acceptor->fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK) != 0)
        fcntl(acceptor->fd, F_SETFL, flags & ~O_NONBLOCK);
    acceptor->state |= PREPARED;
}

static void uring_accept(struct weir_acceptor *acceptor)
{
    if ((acceptor->state & PREPARED) == 0)
        prepare(acceptor);
    acceptor->state &= ~(uint32_t)ACCEPT_STOPPED;
    arm_accept(acceptor);
}

static void uring_accept_stop(struct weir_acceptor *acceptor)
{
    if ((acceptor->state & ACCEPT_STOPPED) == 0)
        cancel(acceptor->loop, acceptor, TAG_ACCEPT);
    acceptor->state |= ACCEPT_STOPPED;
}

static void uring_acceptor_close(struct weir_acceptor *acceptor)
{
    if (acceptor->in_flight)
        uring_accept_stop(acceptor);
    else
        close_fd(acceptor->loop, acceptor->fd, acceptor, TAG_ACCEPTOR_CLOSE);
}

static void accept_disarmed(struct weir_acceptor *acceptor, int result)
{
    bool resumable = result >= 0 || tcp_accept_goes_on(-result);
    bool was_closing = acceptor->closing;
    if (was_closing)
        tcp_accept_queued(acceptor, 0);
    if (resumable && (acceptor->state & ACCEPT_STOPPED) == 0)
        arm_accept(acceptor);
    else
        io_accept_ended(acceptor, resumable ? WEIR_ECANCELED : status_of(result));
    if (was_closing)
        close_fd(acceptor->loop, acceptor->fd, acceptor, TAG_ACCEPTOR_CLOSE);
}

static void accept_completed(struct weir_acceptor *acceptor, int result, uint32_t flags)
{
    if (result >= 0)
        io_accepted(acceptor, result);
    if ((flags & IORING_CQE_F_MORE) == 0)
        accept_disarmed(acceptor, result);
}

/* Turns */

/* Edge-triggered: every write wakes, and nobody needs to read. */
static void arm_wake(struct uring_loop *self)
{
    struct io_uring_sqe *sqe = submission(&self->common);
    io_uring_prep_poll_multishot(sqe, self->wake_fd, POLLIN | EPOLLET);
    sqe->user_data = WAKE_DATA;
}

static void uring_wake(struct weir_loop *loop)
{
    eventfd_write(loop_of(loop)->wake_fd, 1);
}

static void complete(struct uring_loop *self, const struct io_uring_cqe *cqe)
{
    uintptr_t data = (uintptr_t)cqe->user_data;
    void *target = (void *)(data & ~TAG_MASK);
    enum tag tag = (enum tag)(data & TAG_MASK);
    if (tag == TAG_CLOSE)
        closed(target);
    else if (tag == TAG_ACCEPT)
        accept_completed(target, cqe->res, cqe->flags);
    else if (tag == TAG_ACCEPTOR_CLOSE)
        io_acceptor_closed(target);
    else if (tag != TAG_NONE)
        socket_completed(target, tag, cqe->res, cqe->flags);
    else if (data == WAKE_DATA && (cqe->flags & IORING_CQE_F_MORE) == 0)
        arm_wake(self);
}

/* As many as there are now: what their completions bring about waits for the next turn. */
static void complete_all(struct uring_loop *self)
{
    struct io_uring *uring = &self->ring.uring;
    unsigned count = io_uring_cq_ready(uring), head = *uring->cq.khead;
    for (unsigned i = 0; i < count; i++)
        complete(self, &uring->cq.cqes[(head + i) & uring->cq.ring_mask]);
    io_uring_cq_advance(uring, count);
}

static int submit_and_wait(struct uring_loop *self, uint64_t deadline_ns)
{
    uint64_t now = self->common.now_ns, left = deadline_ns > now && self->ready == NULL ? deadline_ns - now : 0;
    struct __kernel_timespec timeout = { .tv_sec = (long long)(left / 1000000000),
                                         .tv_nsec = (long long)(left % 1000000000) };
    struct io_uring_cqe *cqe;
    bool bounded = deadline_ns != UINT64_MAX || left == 0;
    int err = io_uring_submit_and_wait_timeout(&self->ring.uring, &cqe, 1, bounded ? &timeout : NULL, NULL);
    return err >= 0 || err == -ETIME || err == -EINTR || err == -EBUSY || err == -EAGAIN ? 0
                                                                                         : weir_error_from_errno(-err);
}

static int uring_turn(struct weir_loop *loop, uint64_t deadline_ns)
{
    struct uring_loop *self = loop_of(loop);
    int err = ring_enable(&self->ring);
    serve_waiting(self);
    if (err == 0)
        err = submit_and_wait(self, deadline_ns);
    if (err != 0)
        return err;
    loop->now_ns = tcp_clock();
    self->turn++;
    complete_all(self);
    for (unsigned round = 0; round < ROUNDS_A_TURN && self->ready != NULL; round++)
        run_ready(self);
    return 0;
}

/* Life of the loop */

static void uring_free(struct weir_loop *loop)
{
    struct uring_loop *self = loop_of(loop);
    ring_close(&self->ring);
    if (self->wake_fd >= 0)
        close(self->wake_fd);
    loans_free(&self->loans);
    free(self);
}

static const struct io_backend uring_backend = {
    .name = "io_uring",
    .free = uring_free,
    .turn = uring_turn,
    .wake = uring_wake,
    .wall = tcp_wall,
    .accept = uring_accept,
    .accept_stop = uring_accept_stop,
    .acceptor_close = uring_acceptor_close,
    .discard = tcp_discard,
    .adopted = uring_adopted,
    .name_of = uring_name_of,
    .unsent = tcp_unsent,
    .connect = uring_connect,
    .recv = resume_recv,
    .recv_stop = uring_recv_stop,
    .send = uring_send,
    .shutdown = uring_shutdown,
    .watch = uring_watch,
    .watch_stop = uring_watch_stop,
    .close = uring_close,
    .pipe_open = pipe_open,
    .pipe_close = pipe_close,
    .splicing = uring_splicing,
    .splice_in = make_ready,
    .splice_out = make_ready,
    .loan_return = uring_loan_return,
};

static void give_all_buffers(struct uring_loop *self)
{
    struct weir_loan *loan;
    self->lent = self->loans.count;
    while ((loan = loans_take(&self->loans)) != NULL)
        give_buffer(self, loan);
}

static int open_loop(struct uring_loop *self, const struct weir_loop_options *options, const char **ret_reason)
{
    self->common.now_ns = tcp_clock();
    self->last_ready = &self->ready;
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *ret_reason = "no file descriptor is left for io_uring";
    if (self->wake_fd < 0)
        return WEIR_EMFILE;
    int err = ring_open(&self->ring, options->buffers, ret_reason);
    if (err == 0)
        err = loans_init(&self->loans, options);
    if (err != 0)
        return err;
    give_all_buffers(self);
    arm_wake(self);
    return 0;
}

int io_uring_loop_new(const struct weir_loop_options *options, struct weir_loop **ret_loop, const char **ret_reason)
{
    struct uring_loop *self = calloc(1, sizeof *self);
    *ret_reason = "out of memory";
    if (self == NULL)
        return WEIR_ENOMEM;
    io_loop_init(&self->common, &uring_backend);
    int err = open_loop(self, options, ret_reason);
    if (err == 0)
        *ret_loop = &self->common;
    else
        uring_free(&self->common);
    return err;
}
