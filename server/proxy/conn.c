/* SPDX-License-Identifier: Apache-2.0 */
#include "conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "../policy/decide.h"
#include "health.h"
#include "unavailable.h"
#include "walk.h"

#define SECOND_NS UINT64_C(1000000000)
#define FAREWELL_NS SECOND_NS
#define EXPIRY_LOOK_S 60

/* A connection's life, in the order in which it happens. One driver, conn_run(), runs the stages; a stage says what
 * comes next, it never calls another and never closes. Everything that a connection holds is taken by one stage and
 * given back by close_conn(), whichever stage it dies in; its memory follows when its sockets have closed. */

enum stage {
    STAGE_HANDSHAKE,
    STAGE_IDENTIFY,
    STAGE_LIMIT,
    STAGE_SELECT,
    STAGE_CONNECT,
    STAGE_UPSTREAM_HANDSHAKE,
    STAGE_RELAY,
    STAGE_WAIT,  /* for a completion, which says where to go on */
    STAGE_CLOSE, /* conn->reason says why */
};

static void conn_run(struct conn *conn, enum stage next);
static void time_is_over(struct weir_timer *timer);
static void close_client(struct conn *conn, enum weir_close_mode mode);
static void close_upstream(struct conn *conn, enum weir_close_mode mode);
static const struct weir_socket_events client_events, upstream_events;

static struct conn *conn_of_client(struct weir_socket *socket)
{
    return (struct conn *)((char *)socket - offsetof(struct conn, client));
}

static struct conn *conn_of_upstream(struct weir_socket *socket)
{
    return (struct conn *)((char *)socket - offsetof(struct conn, upstream));
}

static struct snapshot *snapshot_of(const struct conn *conn)
{
    return conn->view->snapshot;
}

static const struct pool *pool_of(const struct conn *conn)
{
    return &snapshot_of(conn)->pools[conn->pool];
}

static uint64_t now_of(const struct conn *conn)
{
    return weir_loop_now(conn->gate->worker->loop);
}

static enum stage close_for(struct conn *conn, enum close_reason reason)
{
    conn->reason = reason;
    return STAGE_CLOSE;
}

/* Accept */

static void link_conn(struct conn *conn)
{
    struct worker *worker = conn->gate->worker;
    conn->next = worker->conns;
    conn->pprev = &worker->conns;
    if (worker->conns != NULL)
        worker->conns->pprev = &conn->next;
    worker->conns = conn;
    atomic_fetch_add_explicit(&worker->shared->open_connections, 1, memory_order_relaxed);
}

static void unlink_conn(struct conn *conn)
{
    walk_pass_over(conn->gate->worker, conn);
    *conn->pprev = conn->next;
    if (conn->next != NULL)
        conn->next->pprev = conn->pprev;
    atomic_fetch_sub_explicit(&conn->gate->worker->shared->open_connections, 1, memory_order_relaxed);
}

void conn_accept(struct entrance *entrance, int fd)
{
    struct worker *worker = entrance->worker;
    counter_add_own(&entrance->gate->slot->accepted, 1);
    struct conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        counter_add_own(&entrance->gate->slot->closed[CLOSE_OUT_OF_MEMORY], 1);
        weir_fd_discard(worker->loop, fd);
        return;
    }
    conn->gate = gate_hold(entrance->gate);
    conn->view = view_hold(entrance->view);
    conn->id = ++worker->next_id * worker->shared->workers + worker->index;
    conn->accepted_ns = weir_loop_now(worker->loop);
    conn->timer.fire = time_is_over;
    conn->counters = snapshot_of(conn)->nobody;
    weir_socket_init(&conn->client, worker->loop, &client_events);
    weir_socket_adopt(&conn->client, fd);
    link_conn(conn);
    conn_run(conn, STAGE_HANDSHAKE);
}

/* Handshake: on a TLS listener, the client proves who it is. Until then it is nobody, and nobodies are bounded. */

static void client_shaken(struct handshake *handshake, int status)
{
    static const enum close_reason reasons[] = {
        [TLS_FAILURE_NONE] = CLOSE_TLS_ERROR,
        [TLS_FAILURE_NO_CERTIFICATE] = CLOSE_TLS_NO_CERTIFICATE,
        [TLS_FAILURE_BAD_CERTIFICATE] = CLOSE_TLS_BAD_CERTIFICATE,
        [TLS_FAILURE_PROTOCOL] = CLOSE_TLS_ERROR,
        [TLS_FAILURE_NO_MEMORY] = CLOSE_OUT_OF_MEMORY,
    };
    struct conn *conn = handshake->owner;
    unauthenticated_leave(conn);
    if (status == 0)
        conn_run(conn, STAGE_IDENTIFY);
    else if (conn->reason != CLOSE_NONE)
        close_client(conn, WEIR_CLOSE_NORMAL); /* the farewell is over */
    else if (status == WEIR_EIO)
        conn_end(conn, reasons[tls_session_failure(conn->client_tls.session)->kind]);
    else if (status == WEIR_ENOMEM)
        conn_end(conn, CLOSE_OUT_OF_MEMORY);
    else
        conn_end(conn, CLOSE_CLIENT_RESET);
}

static enum stage shake_client(struct conn *conn)
{
    struct gate *gate = conn->gate;
    if (weir_socket_peer(&conn->client, &conn->peer) != 0)
        return close_for(conn, CLOSE_CLIENT_RESET);
    if (gate->tls == NULL)
        return STAGE_IDENTIFY;
    if (!unauthenticated_enter(conn))
        return close_for(conn, CLOSE_OVER_CAPACITY);
    if (secure_start(&conn->client_tls, conn, &conn->client, gate->tls, NULL, client_shaken) != 0)
        return close_for(conn, CLOSE_OUT_OF_MEMORY);
    weir_timer_set(gate->worker->loop, &conn->timer, conn->accepted_ns + gate->handshake_timeout_ns);
    return STAGE_WAIT;
}

/* Identify and authorize: who is it, and what may it reach? */

static bool remember_name(struct conn *conn, const struct decision *decision)
{
    if (decision->client != NULL)
        return true;
    conn->own_name = malloc(decision->name_size);
    if (conn->own_name == NULL)
        return false;
    memcpy(conn->own_name, decision->name, decision->name_size);
    conn->own_name_size = decision->name_size;
    return true;
}

/* What the log will say: "dns:alice.example.com". */
static bool remember_identity(struct conn *conn, const struct identity *identity)
{
    const struct identity_name *name = identity_own_name(identity);
    if (!identity->has_certificate || name == NULL)
        return true;
    const char *kind = identity_kind_name(name->kind);
    size_t kind_size = strlen(kind), size = name->size < LOG_VALUE_MAX ? name->size : LOG_VALUE_MAX;
    conn->identity = malloc(kind_size + 1 + size);
    if (conn->identity == NULL)
        return false;
    memcpy(conn->identity, kind, kind_size);
    conn->identity[kind_size] = ':';
    memcpy(conn->identity + kind_size + 1, name->bytes, size);
    conn->identity_size = (uint32_t)(kind_size + 1 + size);
    return true;
}

/* Whoever waited for a handshake while the configuration changed is decided by the new one, as long as its listener is
 * there. Returns the listener's index. */
static uint32_t take_present_view(struct conn *conn)
{
    const struct entrance *entrance = conn->gate->entrance;
    const struct gate *gate = entrance->gate != NULL ? entrance->gate : conn->gate;
    if (entrance->gate != NULL && conn->view != entrance->view) {
        view_leave(&conn->view);
        conn->view = view_hold(entrance->view);
    }
    conn->pool = snapshot_of(conn)->listeners[gate->index].pool;
    return gate->index;
}

static void take_client(struct conn *conn, const struct client *client)
{
    if (client == NULL)
        return;
    conn->configured = client;
    conn->client_record = client->kept;
    kept_ref(&client->kept->kept);
}

static enum stage identify(struct conn *conn)
{
    struct identity identity = { .address = conn->peer };
    struct decision decision;
    if (conn->client_tls.session != NULL)
        tls_session_identity(conn->client_tls.session, &identity);
    conn->shaken_ns = now_of(conn);
    if (conn->client_tls.session != NULL)
        histogram_add_own(&conn->gate->slot->handshake, conn->shaken_ns - conn->accepted_ns);
    uint32_t listener = take_present_view(conn);
    decide(snapshot_of(conn), listener, &identity, &decision);
    take_client(conn, decision.client);
    conn->counters = decision.counters;
    conn->limits = decision.limits;
    conn->set = decision.set;
    if (!remember_name(conn, &decision) || !remember_identity(conn, &identity))
        return close_for(conn, CLOSE_OUT_OF_MEMORY);
    if (review_is_revoked(conn))
        return close_for(conn, CLOSE_REVOKED);
    return decision.refusal != CLOSE_NONE ? close_for(conn, decision.refusal) : STAGE_LIMIT;
}

/* The name may hold any bytes. */
struct conn_name conn_client_name(const struct conn *conn)
{
    if (conn->client_record != NULL)
        return (struct conn_name){ conn->client_record->name, (uint32_t)strlen(conn->client_record->name) };
    return (struct conn_name){ conn->own_name, conn->own_name_size };
}

/* Limit: a slot and a token of this client. Held to the end. */

static enum stage limit(struct conn *conn)
{
    struct weir_limiter *limiter = conn->gate->worker->shared->state->limiter;
    struct conn_name name = conn_client_name(conn);
    int err = conn->client_record != NULL
                  ? weir_client_enter(conn->client_record->client, conn->limits, now_of(conn), &conn->slot)
                  : weir_limiter_enter(limiter, name.bytes, name.size, conn->limits, now_of(conn), &conn->slot);
    switch (err) {
    case 0:
        return STAGE_SELECT;
    case WEIR_ELIMIT:
        return close_for(conn, CLOSE_CLIENT_LIMIT);
    case WEIR_ERATE:
        return close_for(conn, CLOSE_CLIENT_RATE);
    case WEIR_EFULL:
        return close_for(conn, CLOSE_OVER_CAPACITY);
    default:
        return close_for(conn, CLOSE_OUT_OF_MEMORY);
    }
}

/* Select: the available upstream with the fewest connections, counted at once. */

static enum stage select_upstream(struct conn *conn)
{
    bool out_of_tries = conn->tried.count > pool_of(conn)->retries;
    if (!out_of_tries && weir_set_acquire(conn->set, &conn->tried, now_of(conn), &conn->lease) == 0)
        return STAGE_CONNECT;
    if (conn->tried.count == 0)
        unavailable_log(snapshot_of(conn), pool_of(conn), conn->set, now_of(conn));
    return close_for(conn, conn->tried.count == 0 ? CLOSE_NO_UPSTREAM : conn->failure);
}

/* Connect. The client is watched meanwhile: if it goes, nobody waits for the upstream. */

static void set_target(struct conn *conn, struct place_health *target)
{
    if (conn->target != NULL)
        kept_unref(&conn->target->kept);
    conn->target = target;
    if (target != NULL)
        kept_ref(&target->kept);
}

static enum stage connect_upstream(struct conn *conn)
{
    struct weir_loop *loop = conn->gate->worker->loop;
    set_target(conn, health_of(pool_of(conn), conn->lease.place));
    conn->connecting_ns = now_of(conn);
    weir_tried_add(&conn->tried, conn->lease.upstream);
    conn->upstream = (struct weir_socket){ 0 };
    weir_socket_init(&conn->upstream, loop, &upstream_events);
    conn->upstream_open = true;
    weir_connect(&conn->upstream, &conn->target->address, conn->gate->keepalive_s);
    weir_timer_set(loop, &conn->timer, conn->connecting_ns + pool_of(conn)->connect_timeout_ns);
    if (!conn->client_watched && conn->client_tls.session == NULL)
        weir_watch(&conn->client);
    conn->client_watched = true;
    return STAGE_WAIT;
}

static bool is_our_fault(int status)
{
    return status == WEIR_EMFILE || status == WEIR_ENOBUFS || status == WEIR_ENOMEM || status == WEIR_EADDRNOTAVAIL;
}

static enum upstream_failure failure_of(int status)
{
    switch (status) {
    case WEIR_ECONNREFUSED:
        return UPSTREAM_FAILURE_REFUSED;
    case WEIR_ETIMEDOUT:
        return UPSTREAM_FAILURE_TIMEOUT;
    case WEIR_EUNREACHABLE:
        return UPSTREAM_FAILURE_UNREACHABLE;
    case WEIR_ECONNRESET:
        return UPSTREAM_FAILURE_RESET;
    default:
        return UPSTREAM_FAILURE_OTHER;
    }
}

/* This upstream did not take the connection: its socket is closed, and then another one is selected. What fails for
 * want of descriptors, memory or ports here says nothing about the upstream. Ports are used up towards one address, so
 * that another upstream may still be reached; without descriptors or memory it would fare no better. */
static void attempt_failed(struct conn *conn, int status, enum upstream_failure failure, const char *cause)
{
    weir_timer_stop(conn->gate->worker->loop, &conn->timer);
    free(conn->trouble);
    conn->trouble = strdup(cause);
    if (is_our_fault(status)) {
        conn->failure = CLOSE_OVER_CAPACITY;
    } else {
        conn->failure = status == WEIR_ETIMEDOUT ? CLOSE_CONNECT_TIMEOUT : CLOSE_CONNECT_FAILED;
        counter_add(&conn->target->upstream->counters.failures[failure], 1);
        health_traffic(conn->target, false, conn->connecting_ns, now_of(conn), cause);
    }
    if (is_our_fault(status) && status != WEIR_EADDRNOTAVAIL) {
        conn_run(conn, close_for(conn, CLOSE_OVER_CAPACITY));
        return;
    }
    weir_lease_release(&conn->lease);
    close_upstream(conn, WEIR_CLOSE_NORMAL);
}

/* Where it is our fault, also what to do. */
static const char *cause_of(int status)
{
    switch (status) {
    case WEIR_EADDRNOTAVAIL:
        return "no local port is left towards it: widen net.ipv4.ip_local_port_range, or give the pool more addresses";
    case WEIR_EMFILE:
        return "no file descriptor is left: raise the limit (ulimit -n, LimitNOFILE), or lower max_connections";
    case WEIR_ENOBUFS:
    case WEIR_ENOMEM:
        return "the kernel has no memory for another socket: look at the machine's memory and at net.ipv4.tcp_mem";
    default:
        return weir_strerror(status);
    }
}

static void connect_failed(struct conn *conn, int status)
{
    attempt_failed(conn, status, failure_of(status), cause_of(status));
}

static void upstream_connected(struct weir_socket *socket, int status)
{
    struct conn *conn = conn_of_upstream(socket);
    if (conn->upstream_closing)
        return;
    if (status == 0)
        conn_run(conn, STAGE_UPSTREAM_HANDSHAKE);
    else
        connect_failed(conn, status);
}

/* Upstream handshake: not a byte of the client goes out before the upstream has proved who it is. */

static void upstream_shaken(struct handshake *handshake, int status)
{
    struct conn *conn = handshake->owner;
    if (status == 0)
        conn_run(conn, STAGE_RELAY);
    else if (status == WEIR_ENOMEM)
        conn_end(conn, CLOSE_OUT_OF_MEMORY);
    else if (status == WEIR_EIO)
        attempt_failed(conn, status, UPSTREAM_FAILURE_TLS, tls_session_failure(conn->upstream_tls.session)->text);
    else
        connect_failed(conn, status);
}

static enum stage shake_upstream(struct conn *conn)
{
    struct tls_context *context = conn->view->pool_tls[conn->pool];
    if (context == NULL)
        return STAGE_RELAY;
    int err =
        secure_start(&conn->upstream_tls, conn, &conn->upstream, context, &conn->target->address, upstream_shaken);
    return err == 0 ? STAGE_WAIT : close_for(conn, CLOSE_OUT_OF_MEMORY);
}

/* One timer serves the stages that wait with a deadline. */
static void time_is_over(struct weir_timer *timer)
{
    struct conn *conn = (struct conn *)((char *)timer - offsetof(struct conn, timer));
    if (conn->reason != CLOSE_NONE)
        close_client(conn, WEIR_CLOSE_NORMAL); /* enough farewell */
    else if (conn->shaken_ns == 0)
        conn_end(conn, CLOSE_HANDSHAKE_TIMEOUT);
    else if (conn->connected_ns != 0)
        conn_watch_expiry(conn, true);
    else
        connect_failed(conn, WEIR_ETIMEDOUT);
}

static void client_noticed(struct weir_socket *socket, int status)
{
    if (status == WEIR_WATCH_RESET)
        conn_end(conn_of_client(socket), CLOSE_CLIENT_RESET);
}

/* The wall clock may be set at any time: it is looked at again and again. */
void conn_watch_expiry(struct conn *conn, bool ends)
{
    struct weir_loop *loop = conn->gate->worker->loop;
    weir_timer_stop(loop, &conn->timer);
    if (!ends || conn->client_tls.session == NULL)
        return;
    int64_t now_s = (int64_t)(weir_loop_wall(loop) / SECOND_NS);
    int64_t expires_s = tls_session_peer_expires_s(conn->client_tls.session);
    if (expires_s == 0)
        return; /* it showed no certificate */
    if (expires_s < now_s) {
        conn_end(conn, CLOSE_EXPIRED);
        return;
    }
    int64_t left_s = expires_s - now_s < EXPIRY_LOOK_S ? expires_s - now_s + 1 : EXPIRY_LOOK_S;
    weir_timer_set(loop, &conn->timer, now_of(conn) + (uint64_t)left_s * SECOND_NS);
}

/* Relay: bytes both ways until both sides are done. */

static void relay_ended(struct weir_relay *relay, enum weir_relay_end end)
{
    static const enum close_reason reasons[] = {
        [WEIR_RELAY_DONE] = CLOSE_DONE,
        [WEIR_RELAY_CLIENT_TRUNCATED] = CLOSE_TLS_TRUNCATED,
        [WEIR_RELAY_UPSTREAM_TRUNCATED] = CLOSE_UPSTREAM_RESET,
        [WEIR_RELAY_CLIENT_CORRUPT] = CLOSE_TLS_ERROR,
        [WEIR_RELAY_UPSTREAM_CORRUPT] = CLOSE_UPSTREAM_RESET,
        [WEIR_RELAY_CLIENT_RESET] = CLOSE_CLIENT_RESET,
        [WEIR_RELAY_UPSTREAM_RESET] = CLOSE_UPSTREAM_RESET,
        [WEIR_RELAY_IDLE_TIMEOUT] = CLOSE_IDLE_TIMEOUT,
        [WEIR_RELAY_HALF_CLOSE_TIMEOUT] = CLOSE_HALF_CLOSE_TIMEOUT,
        [WEIR_RELAY_OUT_OF_MEMORY] = CLOSE_OUT_OF_MEMORY,
    };
    struct conn *conn = (struct conn *)((char *)relay - offsetof(struct conn, relay));
    conn_run(conn, close_for(conn, reasons[end]));
}

/* The upstream's first byte says that it is well, however long the connection may last. */
static void upstream_answered(struct weir_relay *relay)
{
    const struct conn *conn = (struct conn *)((char *)relay - offsetof(struct conn, relay));
    health_traffic(conn->target, true, conn->connected_ns, now_of(conn), "it answered");
}

static enum stage relay(struct conn *conn)
{
    struct worker *worker = conn->gate->worker;
    enum close_reason objection = conn->view != worker->view ? review_conn(conn) : CLOSE_NONE;
    if (objection != CLOSE_NONE)
        return close_for(conn, objection);
    weir_timer_stop(worker->loop, &conn->timer);
    conn->connected_ns = now_of(conn);
    counter_add(&conn->target->upstream->counters.connections, 1);
    histogram_add_own(&pool_of(conn)->slots[worker->index].connect, conn->connected_ns - conn->connecting_ns);
    view_leave(&conn->view);
    conn->relay.filters[WEIR_RELAY_CLIENT] = secure_filter(&conn->client_tls);
    conn->relay.filters[WEIR_RELAY_UPSTREAM] = secure_filter(&conn->upstream_tls);
    conn->relay.answered = upstream_answered;
    weir_relay_start(&conn->relay, worker->loop, &conn->client, &conn->upstream, &conn->gate->relay, relay_ended);
    secure_feed(&conn->upstream_tls, &conn->relay, WEIR_RELAY_UPSTREAM);
    if (conn->reason == CLOSE_NONE)
        secure_feed(&conn->client_tls, &conn->relay, WEIR_RELAY_CLIENT);
    if (conn->reason == CLOSE_NONE && conn->gate->end_expired)
        weir_timer_set(worker->loop, &conn->timer, conn->connected_ns);
    return STAGE_WAIT;
}

/* Close: everything that was taken goes back at once, so that whoever sees the end finds the place free; then the
 * sockets are closed, and the memory goes with the last of them. */

/* An upstream that never answered: with a clean end it is well, reset it is not. */
static void judge_upstream(const struct conn *conn)
{
    if (conn->connected_ns == 0)
        return;
    bool silent = conn->relay.answered != NULL;
    if (conn->reason == CLOSE_UPSTREAM_RESET)
        counter_add(&conn->target->upstream->counters.failures[UPSTREAM_FAILURE_RESET], 1);
    if (silent && (conn->reason == CLOSE_DONE || conn->reason == CLOSE_UPSTREAM_RESET))
        health_traffic(conn->target, conn->reason == CLOSE_DONE, conn->connected_ns, now_of(conn),
                       "connection reset before its first byte");
}

static void count_close(const struct conn *conn)
{
    struct listener_slot *slot = conn->gate->slot;
    counter_add_own(&slot->closed[conn->reason], 1);
    histogram_add_own(&slot->connection, now_of(conn) - conn->accepted_ns);
    bool refused = conn->connected_ns == 0 && close_reason_level(conn->reason) == LOG_LEVEL_WARN;
    if (!refused)
        return;
    counter_add(&conn->counters->denied[conn->reason], 1);
    conn_keep_refusal(conn);
}

static void close_client(struct conn *conn, enum weir_close_mode mode)
{
    weir_timer_stop(conn->gate->worker->loop, &conn->timer);
    secure_stop(&conn->client_tls);
    conn->client.events = &client_events;
    weir_close(&conn->client, mode);
}

static void close_upstream(struct conn *conn, enum weir_close_mode mode)
{
    if (!conn->upstream_open || conn->upstream_closing)
        return;
    secure_stop(&conn->upstream_tls);
    conn->upstream.events = &upstream_events;
    conn->upstream_closing = true;
    weir_close(&conn->upstream, mode);
}

/* A TLS client that is refused gets a clean end, with the alert that says why where there is one: to close with unread
 * input would destroy what it has not read yet. */
static bool deserves_farewell(const struct conn *conn)
{
    switch (conn->reason) {
    case CLOSE_TLS_NO_CERTIFICATE:
    case CLOSE_TLS_BAD_CERTIFICATE:
    case CLOSE_TLS_ERROR:
    case CLOSE_UNKNOWN_CLIENT:
    case CLOSE_CLIENT_LIMIT:
    case CLOSE_CLIENT_RATE:
    case CLOSE_NOT_AUTHORIZED:
    case CLOSE_NO_UPSTREAM:
    case CLOSE_CONNECT_FAILED:
    case CLOSE_CONNECT_TIMEOUT:
        return conn->client_tls.handshake != NULL && conn->client_tls.handshake->state != HANDSHAKE_OVER;
    default:
        return false;
    }
}

static void close_conn(struct conn *conn)
{
    struct weir_loop *loop = conn->gate->worker->loop;
    /* Whoever was cut off must not take that for a clean end. */
    enum weir_close_mode mode = conn->reason == CLOSE_DONE ? WEIR_CLOSE_NORMAL : WEIR_CLOSE_RESET;
    weir_timer_stop(loop, &conn->timer);
    weir_relay_stop(&conn->relay);
    unauthenticated_leave(conn);
    judge_upstream(conn);
    weir_lease_release(&conn->lease);
    weir_client_leave(&conn->slot);
    count_close(conn);
    conn_log(conn, now_of(conn));
    view_leave(&conn->view);

    conn->sockets_closing = conn->upstream_open ? 2 : 1;
    close_upstream(conn, mode);
    if (deserves_farewell(conn)) {
        weir_timer_set(loop, &conn->timer, now_of(conn) + FAREWELL_NS);
        handshake_farewell(conn->client_tls.handshake);
    } else {
        close_client(conn, mode);
    }
}

static void socket_closed(struct conn *conn)
{
    assert(conn->sockets_closing > 0);
    if (--conn->sockets_closing > 0)
        return;
    struct worker *worker = conn->gate->worker;
    weir_relay_release(&conn->relay);
    secure_free(&conn->client_tls);
    secure_free(&conn->upstream_tls);
    unlink_conn(conn);
    set_target(conn, NULL);
    if (conn->client_record != NULL)
        kept_unref(&conn->client_record->kept);
    gate_leave(&conn->gate);
    free(conn->own_name);
    free(conn->identity);
    free(conn->trouble);
    free(conn);
    worker_part_closed(worker);
}

static void client_closed(struct weir_socket *socket)
{
    socket_closed(conn_of_client(socket));
}

static void upstream_closed(struct weir_socket *socket)
{
    struct conn *conn = conn_of_upstream(socket);
    conn->upstream_open = conn->upstream_closing = false;
    if (conn->connected_ns == 0)
        secure_free(&conn->upstream_tls);
    if (conn->reason != CLOSE_NONE)
        socket_closed(conn);
    else
        conn_run(conn, STAGE_SELECT);
}

void conn_end(struct conn *conn, enum close_reason reason)
{
    if (conn->reason == CLOSE_NONE)
        conn_run(conn, close_for(conn, reason));
}

static const struct weir_socket_events client_events = { .noticed = client_noticed, .closed = client_closed };
static const struct weir_socket_events upstream_events = { .connected = upstream_connected, .closed = upstream_closed };

/* The driver. */

static enum stage (*const stages[])(struct conn *conn) = {
    [STAGE_HANDSHAKE] = shake_client,
    [STAGE_IDENTIFY] = identify,
    [STAGE_LIMIT] = limit,
    [STAGE_SELECT] = select_upstream,
    [STAGE_CONNECT] = connect_upstream,
    [STAGE_UPSTREAM_HANDSHAKE] = shake_upstream,
    [STAGE_RELAY] = relay,
};

static void conn_run(struct conn *conn, enum stage next)
{
    while (next < STAGE_WAIT)
        next = stages[next](conn);
    if (next == STAGE_CLOSE)
        close_conn(conn);
}
