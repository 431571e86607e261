/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/socket.h>

/* The two backends of the real network, on 127.0.0.1. */

#define SKIPPED 77

static enum weir_backend chosen;

static struct weir_loop *loop_new(const struct weir_loop_options *options)
{
    struct weir_loop_options full = { 0 };
    struct weir_loop *loop = NULL;
    if (options != NULL)
        full = *options;
    full.backend = chosen;
    assert_int_equal(weir_loop_new(&full, &loop), 0);
    return loop;
}

static int listen_on(int backlog, struct weir_address *ret_address)
{
    struct weir_address address;
    assert_int_equal(weir_address_parse("127.0.0.1:0", &address), 0);
    int fd = weir_listen(&address, &(struct weir_listen_options){ .backlog = backlog });
    assert_true(fd >= 0);
    assert_int_equal(weir_listen_address(fd, ret_address), 0);
    return fd;
}

static int network_listen(struct weir_loop *loop, struct weir_address *ret_address)
{
    (void)loop;
    return listen_on(0, ret_address);
}

static int held[8];
static unsigned held_count;

static void hold(int fd)
{
    assert_true(fd >= 0 && held_count < ARRAY_SIZE(held));
    held[held_count++] = fd;
}

static void network_end(void)
{
    while (held_count > 0)
        close(held[--held_count]);
}

/* A bound port that does not listen: nobody else can get it meanwhile. */
static void refusing(struct weir_loop *loop, struct weir_address *ret_address)
{
    (void)loop;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    hold(fd);
    assert_int_equal(weir_address_parse("127.0.0.1:0", ret_address), 0);
    assert_int_equal(bind(fd, &ret_address->u.any, weir_address_length(ret_address)), 0);
    assert_int_equal(weir_listen_address(fd, ret_address), 0);
}

/* A listener whose queue is full answers nobody. */
static void silent(struct weir_loop *loop, struct weir_address *ret_address)
{
    (void)loop;
    hold(listen_on(1, ret_address));
    for (unsigned i = 0; i < 4; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        hold(fd);
        int err = connect(fd, &ret_address->u.any, weir_address_length(ret_address));
        assert_true(err == 0 || errno == EINPROGRESS);
    }
}

static struct conformance_backend backend = {
    .real = true,
    .loop_new = loop_new,
    .listen = network_listen,
    .refusing = refusing,
    .silent = silent,
    .network_end = network_end,
};

int main(int count, char **arguments)
{
    if (count < 2 || count > 3 || (strcmp(arguments[1], "epoll") != 0 && strcmp(arguments[1], "io_uring") != 0)) {
        fprintf(stderr, "usage: conformance epoll|io_uring [pattern]\n");
        return 2;
    }
    struct weir_loop *loop = NULL;
    chosen = strcmp(arguments[1], "epoll") == 0 ? WEIR_BACKEND_EPOLL : WEIR_BACKEND_IO_URING;
    if (weir_loop_new(&(struct weir_loop_options){ .backend = chosen }, &loop) != 0)
        return SKIPPED;
    weir_loop_free(&loop);
    backend.name = arguments[1];
    return conformance_run(&backend, count == 3 ? arguments[2] : NULL) == 0 ? 0 : 1;
}
