/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <unistd.h>
#include <sys/socket.h>

#include <weir/errors.h>
#include <weir/socket.h>

#include "tcp.h"

#define BACKLOG_DEFAULT 4096

static int set_flag(int fd, int level, int option)
{
    return setsockopt(fd, level, option, &(int){ 1 }, sizeof(int)) == 0 ? 0 : weir_error_from_errno(errno);
}

/* An IPv6 listener serves IPv6 alone: which addresses are served must not depend on a sysctl. */
static int open_bound(const struct weir_address *address, bool reuse_port, int *ret_fd)
{
    int fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return weir_error_from_errno(errno);
    int err = set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
    if (err == 0 && reuse_port)
        err = set_flag(fd, SOL_SOCKET, SO_REUSEPORT);
    if (err == 0 && address->u.any.sa_family == AF_INET6)
        err = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (err == 0 && bind(fd, &address->u.any, weir_address_length(address)) != 0)
        err = weir_error_from_errno(errno);
    if (err == 0)
        *ret_fd = fd;
    else
        close(fd);
    return err;
}

int weir_listen(const struct weir_address *address, const struct weir_listen_options *options)
{
    int fd = -1;
    int err = open_bound(address, options->reuse_port, &fd);
    if (err != 0)
        return err;
    err = tcp_tune(fd, options->keepalive_s);
    if (err == 0 && listen(fd, options->backlog != 0 ? options->backlog : BACKLOG_DEFAULT) != 0)
        err = weir_error_from_errno(errno);
    if (err == 0)
        return fd;
    close(fd);
    return err;
}

int weir_listen_probe(const struct weir_address *address)
{
    int fd = -1;
    if (weir_address_port(address) == 0)
        return 0;
    int err = open_bound(address, false, &fd);
    if (err == 0)
        close(fd);
    return err;
}

int weir_listen_address(int fd, struct weir_address *ret_address)
{
    return tcp_name(fd, false, ret_address);
}
