/* SPDX-License-Identifier: Apache-2.0 */
#include "conn.h"

#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

/* TLS on a side of a connection. */

static int start(struct secure *secure, struct tls_context *context, const struct weir_address *address)
{
    secure->handshake = calloc(1, sizeof *secure->handshake);
    return secure->handshake == NULL ? WEIR_ENOMEM : tls_session_new(context, address, &secure->session);
}

int secure_start(struct secure *secure, struct conn *conn, struct weir_socket *socket, struct tls_context *context,
                 const struct weir_address *address, void (*done)(struct handshake *handshake, int status))
{
    int err = start(secure, context, address);
    if (err != 0) {
        secure_free(secure);
        return err;
    }
    secure->handshake->owner = conn;
    handshake_start(secure->handshake, &conn->gate->worker->handshakes, socket, secure->session, done);
    return 0;
}

struct weir_filter *secure_filter(const struct secure *secure)
{
    return secure->session != NULL ? tls_session_filter(secure->session) : NULL;
}

void secure_feed(struct secure *secure, struct weir_relay *relay, enum weir_relay_side side)
{
    struct handshake *handshake = secure->handshake;
    if (handshake == NULL)
        return;
    secure->handshake = NULL;
    handshake_stop(handshake);
    handshake_feed(handshake, relay, side);
    handshake_release(handshake);
    free(handshake);
}

void secure_stop(struct secure *secure)
{
    if (secure->handshake != NULL)
        handshake_stop(secure->handshake);
}

void secure_free(struct secure *secure)
{
    if (secure->handshake != NULL)
        handshake_release(secure->handshake);
    free(secure->handshake);
    secure->handshake = NULL;
    tls_session_free(&secure->session);
}

/* Those that are nobody yet, the oldest first. */

static bool same_source(const struct weir_address *a, const struct weir_address *b)
{
    if (a->u.any.sa_family != b->u.any.sa_family)
        return false;
    if (a->u.any.sa_family == AF_INET)
        return a->u.v4.sin_addr.s_addr == b->u.v4.sin_addr.s_addr;
    return memcmp(&a->u.v6.sin6_addr, &b->u.v6.sin6_addr, 8) == 0;
}

static uint32_t count_source(const struct worker *worker, const struct weir_address *address)
{
    uint32_t count = 0;
    for (const struct conn *conn = worker->nobodies; conn != NULL; conn = conn->next_nobody)
        count += same_source(&conn->peer, address);
    return count;
}

bool unauthenticated_enter(struct conn *conn)
{
    struct worker *worker = conn->gate->worker;
    const struct settings *settings = &worker->view->snapshot->settings;
    uint32_t per_source = settings->max_handshakes_per_source;
    if (per_source != 0 && count_source(worker, &conn->peer) >= per_source)
        return false;
    if (worker->nobody_count >= settings->max_handshakes)
        conn_end(worker->nobodies, CLOSE_OVER_CAPACITY);
    conn->next_nobody = NULL;
    conn->pprev_nobody = worker->last_nobody;
    *worker->last_nobody = conn;
    worker->last_nobody = &conn->next_nobody;
    worker->nobody_count++;
    return true;
}

void unauthenticated_leave(struct conn *conn)
{
    struct worker *worker = conn->gate->worker;
    if (conn->pprev_nobody == NULL)
        return;
    *conn->pprev_nobody = conn->next_nobody;
    if (conn->next_nobody != NULL)
        conn->next_nobody->pprev_nobody = conn->pprev_nobody;
    else
        worker->last_nobody = conn->pprev_nobody;
    conn->pprev_nobody = NULL;
    worker->nobody_count--;
}
