/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_REVIEW_H
#define PROXY_REVIEW_H

#include <semaphore.h>
#include <stdatomic.h>

#include "../base/close_reason.h"
#include "../policy/records.h"
#include "walk.h"

/* After a reload the connections of a worker are looked at anew, a few in a turn of the loop: those that the new
 * configuration does not allow are ended. The loop's thread. */

struct conn;
struct place_health;
struct worker;

#define REVIEW_ROWS 64

/* Connections that were ended; of one client to one place. */
struct review_row {
    struct client_record *client; /* NULL: all that are not configured */
    struct place_health *place;
    uint32_t ended;
};

/* One of each worker; all zero at birth, then review_init(). */
struct review {
    struct worker *worker;
    struct walk walk;
    bool walking;
    bool again;                          /* another reload came meanwhile */
    struct review_row rows[REVIEW_ROWS]; /* of the last one; held until the next */
    uint32_t row_count;
    _Atomic bool is_over; /* `rows` rest until the next exchange */
    sem_t *over;          /* told of it; NULL: nobody waits */
};

void review_init(struct review *review, struct worker *worker);
void review_start(struct review *review);
/* The worker has stopped. */
void review_free(struct review *review);

/* What the worker's present view says of a connection that an earlier one let in: CLOSE_NONE: it may go on. */
enum close_reason review_conn(const struct conn *conn);

/* Whether the context with which the worker takes its clients now revokes this one's certificate. */
bool review_is_revoked(const struct conn *conn);

#endif
