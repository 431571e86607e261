/* SPDX-License-Identifier: Apache-2.0 */
/* A TCP balancer on libweir alone: cc mini_lb.c $(pkg-config --cflags --libs libweir) -o mini_lb */
#include <stdio.h>
#include <stdlib.h>

#include <weir/errors.h>
#include <weir/pool.h>
#include <weir/relay.h>

#define CONNECTIONS_MAX 4000
#define MS_NS UINT64_C(1000000)
#define OWNER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static struct weir_loop *loop;
static struct weir_set *set; /* all upstreams */
static struct weir_address addresses[WEIR_TRIED_MAX];
static struct weir_acceptor acceptor;
static unsigned connections;

struct conn {
    struct weir_socket client, upstream;
    unsigned open;           /* sockets that are not closed yet */
    bool connected;          /* to the upstream */
    struct weir_tried tried; /* upstreams that did not answer */
    struct weir_lease lease; /* the upstream that it counts for */
    struct weir_timer timer; /* connecting takes too long */
    struct weir_relay relay; /* moves the bytes once both sides are connected */
};

static void dial(struct conn *conn);
static void closed(struct weir_socket *socket)
{
    struct conn *conn = socket->owner;
    conn->open--;
    if (socket == &conn->upstream && !conn->connected) {
        weir_tried_add(&conn->tried, conn->lease.upstream);
        weir_lease_release(&conn->lease);
        dial(conn);
    } else if (conn->open == 0) {
        weir_relay_release(&conn->relay);
        weir_lease_release(&conn->lease);
        free(conn);
        connections--;
    }
}

static void connected(struct weir_socket *socket, int status);
static const struct weir_socket_events events = { .connected = connected, .closed = closed };

static void ended(struct weir_relay *relay, enum weir_relay_end end)
{
    struct conn *conn = OWNER(relay, struct conn, relay);
    conn->client.events = conn->upstream.events = &events;
    conn->client.owner = conn->upstream.owner = conn;
    weir_close(&conn->client, end == WEIR_RELAY_DONE ? WEIR_CLOSE_NORMAL : WEIR_CLOSE_RESET);
    weir_close(&conn->upstream, end == WEIR_RELAY_DONE ? WEIR_CLOSE_NORMAL : WEIR_CLOSE_RESET);
}

static void connected(struct weir_socket *socket, int status)
{
    static const struct weir_relay_options options = { .idle_timeout_ns = 3600000 * MS_NS };
    struct conn *conn = socket->owner;
    weir_timer_stop(loop, &conn->timer);
    conn->connected = status == 0;
    if (conn->connected)
        weir_relay_start(&conn->relay, loop, &conn->client, socket, &options, ended);
    else if (status != WEIR_ECANCELED) /* which is what a close brings */
        weir_close(socket, WEIR_CLOSE_RESET);
}

static void connect_timeout(struct weir_timer *timer)
{
    weir_close(&OWNER(timer, struct conn, timer)->upstream, WEIR_CLOSE_RESET);
}

static void dial(struct conn *conn)
{
    if (weir_set_acquire(set, &conn->tried, weir_loop_now(loop), &conn->lease) != 0) {
        weir_close(&conn->client, WEIR_CLOSE_RESET);
        return;
    }
    conn->open++;
    conn->upstream = (struct weir_socket){ .owner = conn };
    weir_socket_init(&conn->upstream, loop, &events);
    weir_connect(&conn->upstream, &addresses[conn->lease.upstream], 0);
    weir_timer_set(loop, &conn->timer, weir_loop_now(loop) + 3000 * MS_NS);
}

static void accept_again(struct weir_timer *timer)
{
    (void)timer;
    weir_accept(&acceptor);
}

static void accepted(struct weir_acceptor *from, int status, int fd)
{
    static struct weir_timer pause = { .fire = accept_again };
    (void)from;
    struct conn *conn = status == 0 && connections < CONNECTIONS_MAX ? calloc(1, sizeof *conn) : NULL;
    if (status != 0) {
        weir_timer_set(loop, &pause, weir_loop_now(loop) + 50 * MS_NS); /* no descriptor is left */
    } else if (conn == NULL) {
        weir_fd_discard(loop, fd);
    } else {
        *conn = (struct conn){ .open = 1, .timer.fire = connect_timeout };
        weir_socket_init(&conn->client, loop, &events);
        weir_socket_adopt(&conn->client, fd);
        conn->client.owner = conn;
        connections++;
        dial(conn);
    }
}

static int must(int result, const char *what)
{
    if (result >= 0)
        return result;
    fprintf(stderr, "%s: %s\n", what, weir_strerror(result));
    exit(1);
}

int main(int argc, char **argv)
{
    struct weir_address address;
    struct weir_upstreams *upstreams;
    struct weir_place places[WEIR_TRIED_MAX];
    struct weir_pool *pool;
    uint32_t all[WEIR_TRIED_MAX], count = 0;
    must(argc < 3 ? WEIR_EINVAL : 0, "usage: mini_lb LISTEN UPSTREAM... (each as IP:PORT)");
    must(weir_upstreams_new(WEIR_TRIED_MAX, &upstreams), "upstreams");
    for (uint32_t id; argv[count + 2] != NULL; count++) {
        must(weir_upstreams_add(upstreams, 0, &id), "upstreams");
        must(weir_address_parse(argv[count + 2], &addresses[id]), argv[count + 2]);
        places[count] = (struct weir_place){ .upstream = id, .weight = 1 };
        all[count] = count;
    }
    must(weir_pool_new(upstreams, places, count, &pool), "pool");
    must(weir_set_new(pool, all, count, &set), "set");
    must(weir_loop_new(NULL, &loop), "loop");
    must(weir_address_parse(argv[1], &address), argv[1]);
    acceptor.accepted = accepted;
    weir_acceptor_init(&acceptor, loop,
                       must(weir_listen(&address, &(struct weir_listen_options){ .keepalive_s = 60 }), argv[1]));
    weir_accept(&acceptor);
    return must(weir_loop_run(loop), "loop");
}
