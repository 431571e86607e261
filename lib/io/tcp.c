/* SPDX-License-Identifier: Apache-2.0 */
#include "tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include <weir/errors.h>

#include "backend.h"

#define KEEPALIVE_PROBES 3
/* More than a listener's queue holds: whoever goes on knocking must not keep it open. */
#define QUEUE_MAX 8192

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : weir_error_from_errno(errno);
}

/* Silence for keepalive_s, then probes in the same rhythm as far as that is sensible. */
static int set_keepalive(int fd, uint32_t keepalive_s)
{
    int idle = keepalive_s < 32767 ? (int)keepalive_s : 32767; /* the kernel's bound */
    int err = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (err == 0)
        err = set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
    if (err == 0)
        err = set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, idle < 10 ? idle : 10);
    if (err == 0)
        err = set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    return err;
}

int tcp_tune(int fd, uint32_t keepalive_s)
{
    int err = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return err == 0 && keepalive_s != 0 ? set_keepalive(fd, keepalive_s) : err;
}

int tcp_open(const struct weir_address *address, int flags, uint32_t keepalive_s)
{
    int fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        return weir_error_from_errno(errno);
    int err = tcp_tune(fd, keepalive_s);
    if (err == 0)
        return fd;
    close(fd);
    return err;
}

void tcp_reset_on_close(int fd)
{
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

bool tcp_accept_goes_on(int errno_value)
{
    switch (errno_value) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case EPERM: /* a firewall's */
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

void tcp_accept_queued(struct weir_acceptor *acceptor, int flags)
{
    int status = fcntl(acceptor->fd, F_GETFL), fd = -1;
    if (status < 0 || fcntl(acceptor->fd, F_SETFL, status | O_NONBLOCK) != 0)
        return;
    for (unsigned n = 0; n < QUEUE_MAX && (fd >= 0 || n == 0 || tcp_accept_goes_on(errno)); n++) {
        fd = accept4(acceptor->fd, NULL, NULL, SOCK_CLOEXEC | flags);
        if (fd >= 0)
            io_accepted(acceptor, fd);
    }
}

int tcp_name(int fd, bool peer, struct weir_address *ret_address)
{
    struct weir_address address;
    memset(&address, 0, sizeof address);
    socklen_t size = sizeof address;
    int err = peer ? getpeername(fd, &address.u.any, &size) : getsockname(fd, &address.u.any, &size);
    if (err != 0)
        return WEIR_EIO;
    *ret_address = address;
    return 0;
}

uint32_t tcp_unsent(const struct weir_socket *socket)
{
    int size = 0;
    return ioctl(socket->fd, SIOCOUTQ, &size) == 0 && size > 0 ? (uint32_t)size : 0;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t tcp_clock(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t tcp_wall(const struct weir_loop *loop)
{
    (void)loop;
    return clock_ns(CLOCK_REALTIME);
}

void tcp_discard(struct weir_loop *loop, int fd)
{
    (void)loop;
    tcp_reset_on_close(fd);
    close(fd);
}
