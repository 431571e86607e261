/* SPDX-License-Identifier: Apache-2.0 */
#include "walk.h"

#include <stddef.h>

#include "conn.h"
#include "worker.h"

static void end(struct walk *walk)
{
    struct worker *worker = walk->worker;
    struct walk **at = &worker->walks;
    while (*at != walk)
        at = &(*at)->others;
    *at = walk->others;
    walk->done(walk);
    worker_part_closed(worker); /* it may have been the last thing that the worker waited for */
}

static void step(struct walk *walk)
{
    unsigned steps = walk->steps != 0 ? walk->steps : WALK_STEPS;
    for (unsigned n = 0; n < steps && walk->next != NULL; n++) {
        struct conn *conn = walk->next;
        walk->next = conn->next;
        if (!walk->visit(walk, conn))
            walk->next = NULL;
    }
    if (walk->next == NULL)
        end(walk);
    else
        weir_timer_set(walk->worker->loop, &walk->turn, weir_loop_now(walk->worker->loop));
}

static void next_turn(struct weir_timer *timer)
{
    step((struct walk *)((char *)timer - offsetof(struct walk, turn)));
}

void walk_start(struct walk *walk, struct worker *worker)
{
    walk->worker = worker;
    walk->next = worker->conns;
    walk->others = worker->walks;
    walk->turn = (struct weir_timer){ .fire = next_turn };
    worker->walks = walk;
    step(walk);
}

void walk_pass_over(struct worker *worker, const struct conn *conn)
{
    for (struct walk *walk = worker->walks; walk != NULL; walk = walk->others)
        if (walk->next == conn)
            walk->next = conn->next;
}
