/* SPDX-License-Identifier: Apache-2.0 */
#include "review.h"

#include <stddef.h>

#include "../policy/decide.h"
#include "conn.h"

/* A visit asks for all the names of a certificate, and perhaps for its number in a CRL: some microseconds. */
#define REVIEW_STEPS 8

/* Judging */

static const struct gate *present_gate(const struct conn *conn)
{
    const struct gate *gate = conn->gate->entrance->gate;
    return gate != NULL ? gate : conn->gate;
}

bool review_is_revoked(const struct conn *conn)
{
    const struct gate *gate = present_gate(conn);
    return conn->client_tls.session != NULL && gate->tls != NULL && gate->tls != conn->gate->tls &&
           tls_session_is_revoked(conn->client_tls.session, gate->tls);
}

static uint32_t client_of(const struct conn *conn, const struct snapshot *snapshot)
{
    struct identity identity = { .address = conn->peer };
    if (conn->client_tls.session != NULL)
        tls_session_identity(conn->client_tls.session, &identity);
    return client_of_identity(snapshot, &identity);
}

/* Of a place that the new configuration does not have, nothing is said: what goes there goes on. */
static enum close_reason judge_policy(const struct conn *conn, const struct snapshot *snapshot)
{
    uint32_t pool, place;
    if (!health_find(conn->target, snapshot, &pool, &place))
        return CLOSE_NONE;
    return client_may_reach(snapshot, client_of(conn, snapshot), pool, place) ? CLOSE_NONE : CLOSE_POLICY_CHANGED;
}

enum close_reason review_conn(const struct conn *conn)
{
    if (present_gate(conn)->keep_on_policy_change)
        return CLOSE_NONE;
    if (review_is_revoked(conn))
        return CLOSE_REVOKED;
    return judge_policy(conn, conn->gate->worker->view->snapshot);
}

/* Noting what was ended */

static void forget_rows(struct review *review)
{
    for (uint32_t n = 0; n < review->row_count; n++) {
        if (review->rows[n].client != NULL)
            kept_unref(&review->rows[n].client->kept);
        kept_unref(&review->rows[n].place->kept);
    }
    review->row_count = 0;
}

static struct review_row *row_of(struct review *review, const struct conn *conn)
{
    for (uint32_t n = 0; n < review->row_count; n++)
        if (review->rows[n].client == conn->client_record && review->rows[n].place == conn->target)
            return &review->rows[n];
    if (review->row_count == REVIEW_ROWS)
        return NULL;
    struct review_row *row = &review->rows[review->row_count++];
    *row = (struct review_row){ .client = conn->client_record, .place = conn->target };
    kept_ref(&row->place->kept);
    if (row->client != NULL)
        kept_ref(&row->client->kept);
    return row;
}

static void note(struct review *review, const struct conn *conn)
{
    struct review_row *row = row_of(review, conn);
    if (row != NULL)
        row->ended++;
}

/* The walk */

static struct review *review_of(struct walk *walk)
{
    return (struct review *)((char *)walk - offsetof(struct review, walk));
}

/* Connections on their way to an upstream are judged when they get there. */
static bool visit(struct walk *walk, struct conn *conn)
{
    if (conn->connected_ns == 0 || conn->reason != CLOSE_NONE)
        return true;
    enum close_reason reason = review_conn(conn);
    if (reason == CLOSE_NONE) {
        conn_watch_expiry(conn, present_gate(conn)->end_expired);
        return true;
    }
    note(review_of(walk), conn);
    conn_end(conn, reason);
    return true;
}

static void begin(struct review *review)
{
    forget_rows(review);
    review->walking = true;
    review->again = false;
    walk_start(&review->walk, review->worker);
}

static void done(struct walk *walk)
{
    struct review *review = review_of(walk);
    review->walking = false;
    if (review->again) {
        begin(review);
        return;
    }
    atomic_store_explicit(&review->is_over, true, memory_order_release);
    if (review->over != NULL)
        sem_post(review->over);
}

void review_init(struct review *review, struct worker *worker)
{
    review->worker = worker;
    review->walk.visit = visit;
    review->walk.done = done;
    review->walk.steps = REVIEW_STEPS;
}

void review_start(struct review *review)
{
    atomic_store_explicit(&review->is_over, false, memory_order_relaxed);
    if (review->walking)
        review->again = true;
    else
        begin(review);
}

void review_free(struct review *review)
{
    forget_rows(review);
}
