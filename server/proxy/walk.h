/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_WALK_H
#define PROXY_WALK_H

#include <weir/loop.h>

/* A walk along the open connections of one worker, the newest first, a few in a turn of the loop, so that nobody waits
 * for it. Connections that come meanwhile are not visited; those that go are passed over. The loop's thread. */

struct conn;
struct worker;

#define WALK_STEPS 32 /* visits in a turn, where nothing else is said */

/* Set `visit` and `done`; the rest is private. */
struct walk {
    bool (*visit)(struct walk *walk, struct conn *conn); /* returns whether to go on; may end the connection */
    void (*done)(struct walk *walk); /* once, perhaps from inside walk_start(); the walk is then the owner's again */
    unsigned steps;                  /* 0: WALK_STEPS */
    struct worker *worker;
    struct conn *next;
    struct walk *others; /* of the worker */
    struct weir_timer turn;
};

void walk_start(struct walk *walk, struct worker *worker);

/* For conn.c: a connection is about to leave the worker's list. */
void walk_pass_over(struct worker *worker, const struct conn *conn);

#endif
