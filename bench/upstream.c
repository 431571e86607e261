/* SPDX-License-Identifier: Apache-2.0
 *
 * The upstreams of a measurement: weir-upstream ADDRESS...
 * One thread serves all addresses: echo, source and sink, as the first byte of a connection asks (protocol.h). */
#include "protocol.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256
#define FLOWS_MAX 65536

/* A descriptor, and what has to be known of it. */
struct flow {
    int fd;
    bool listens;
    uint8_t ask;     /* 0: the first byte has not come yet */
    uint64_t offset; /* of the pattern, sent or received */
    uint8_t *unsent; /* echo that the kernel did not take */
    size_t unsent_size;
};

static int epoll;
static struct flow flows[FLOWS_MAX]; /* by descriptor */
static uint8_t buffer[PATTERN_WINDOW];

static void watch(struct flow *flow, int operation, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = flow };
    if (epoll_ctl(epoll, operation, flow->fd, &event) != 0)
        die("epoll_ctl");
}

static void flow_open(int fd, bool listens)
{
    if (fd >= FLOWS_MAX) {
        close(fd);
        return;
    }
    flows[fd] = (struct flow){ .fd = fd, .listens = listens };
    watch(&flows[fd], EPOLL_CTL_ADD, EPOLLIN);
}

static void flow_close(struct flow *flow)
{
    close(flow->fd);
    free(flow->unsent);
    flow->unsent = NULL;
}

static void listen_on(const char *text)
{
    struct sockaddr_in address = address_of(text);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0)
        die(text);
    flow_open(fd, true);
}

static void accept_all(const struct flow *listener)
{
    for (;;) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED)
            die("accept");
        if (fd < 0)
            return;
        flow_open(fd, false);
    }
}

/* The step functions return false when the flow is over. */

static bool echo(struct flow *flow, const uint8_t *data, size_t size)
{
    ssize_t sent = send(flow->fd, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return false;
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done == size)
        return true;
    flow->unsent_size = size - done;
    flow->unsent = malloc(flow->unsent_size);
    if (flow->unsent == NULL)
        die("malloc");
    memcpy(flow->unsent, data + done, flow->unsent_size);
    watch(flow, EPOLL_CTL_MOD, EPOLLOUT);
    return true;
}

static bool echo_rest(struct flow *flow)
{
    uint8_t *data = flow->unsent;
    size_t size = flow->unsent_size;
    flow->unsent = NULL;
    watch(flow, EPOLL_CTL_MOD, EPOLLIN);
    bool goes_on = echo(flow, data, size);
    free(data);
    return goes_on;
}

static bool source(struct flow *flow)
{
    ssize_t sent = send(flow->fd, pattern_at(flow->offset), PATTERN_WINDOW, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN;
    flow->offset += (uint64_t)sent;
    return true;
}

static bool sink(struct flow *flow, const uint8_t *data, size_t size)
{
    if (memcmp(data, pattern_at(flow->offset), size) != 0) {
        fprintf(stderr, "wrong bytes after %llu\n", (unsigned long long)flow->offset);
        return false;
    }
    flow->offset += size;
    return true;
}

static bool received(struct flow *flow, const uint8_t *data, size_t size)
{
    if (flow->ask == 0) {
        flow->ask = data[0];
        if (flow->ask == ASK_DOWN)
            watch(flow, EPOLL_CTL_MOD, EPOLLOUT);
        if (flow->ask == ASK_UP)
            return sink(flow, data + 1, size - 1);
    }
    switch (flow->ask) {
    case ASK_ECHO:
        return echo(flow, data, size);
    case ASK_UP:
        return sink(flow, data, size);
    default:
        return flow->ask == ASK_DOWN;
    }
}

static bool step(struct flow *flow, uint32_t events)
{
    if (flow->unsent != NULL)
        return echo_rest(flow);
    if (flow->ask == ASK_DOWN && (events & (EPOLLERR | EPOLLHUP)) == 0)
        return source(flow);
    ssize_t size = recv(flow->fd, buffer, sizeof buffer, 0);
    if (size > 0)
        return received(flow, buffer, (size_t)size);
    if (size == 0 && flow->ask == ASK_UP)
        (void)!send(flow->fd, &flow->offset, sizeof flow->offset, MSG_NOSIGNAL);
    return size < 0 && errno == EAGAIN;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: weir-upstream ADDRESS...\n");
        return 2;
    }
    pattern_init();
    signal(SIGPIPE, SIG_IGN);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int n = 1; n < argc; n++)
        listen_on(argv[n]);
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int n = 0; n < count; n++) {
            struct flow *flow = events[n].data.ptr;
            if (flow->listens)
                accept_all(flow);
            else if (!step(flow, events[n].events))
                flow_close(flow);
        }
    }
}
