/* SPDX-License-Identifier: Apache-2.0 */
#include "timers.h"

#include <stddef.h>

/* A node's `previous` is its left sibling, or its parent when it is the first child. */

static bool earlier(const struct weir_timer *a, const struct weir_timer *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->order < b->order;
}

static struct weir_timer *meld(struct weir_timer *a, struct weir_timer *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (earlier(b, a)) {
        struct weir_timer *swap = a;
        a = b;
        b = swap;
    }
    b->previous = a;
    b->sibling = a->child;
    if (b->sibling != NULL)
        b->sibling->previous = b;
    a->child = b;
    return a;
}

static struct weir_timer *pop_sibling(struct weir_timer **plist)
{
    struct weir_timer *timer = *plist;
    if (timer != NULL) {
        *plist = timer->sibling;
        timer->sibling = timer->previous = NULL;
    }
    return timer;
}

/* The two passes that give the heap its bound: pairs from left to right, then all of them from right to left. */
static struct weir_timer *meld_siblings(struct weir_timer *list)
{
    struct weir_timer *pairs = NULL, *all = NULL;
    while (list != NULL) {
        struct weir_timer *first = pop_sibling(&list);
        struct weir_timer *pair = meld(first, pop_sibling(&list));
        pair->sibling = pairs;
        pairs = pair;
    }
    while (pairs != NULL)
        all = meld(all, pop_sibling(&pairs));
    return all;
}

static void detach(struct weir_timer *timer)
{
    if (timer->previous->child == timer)
        timer->previous->child = timer->sibling;
    else
        timer->previous->sibling = timer->sibling;
    if (timer->sibling != NULL)
        timer->sibling->previous = timer->previous;
}

void timers_stop(struct timers *timers, struct weir_timer *timer)
{
    if (!timer->armed)
        return;
    if (timer == timers->first) {
        timers->first = meld_siblings(timer->child);
    } else {
        detach(timer);
        timers->first = meld(timers->first, meld_siblings(timer->child));
    }
    timer->child = timer->sibling = timer->previous = NULL;
    timer->armed = false;
}

void timers_set(struct timers *timers, struct weir_timer *timer, uint64_t deadline_ns)
{
    timers_stop(timers, timer);
    timer->deadline_ns = deadline_ns;
    timer->order = timers->next_order++;
    timer->armed = true;
    timers->first = meld(timers->first, timer);
}

uint64_t timers_next(const struct timers *timers)
{
    return timers->first != NULL ? timers->first->deadline_ns : UINT64_MAX;
}

struct weir_timer *timers_due(struct timers *timers, uint64_t now_ns, uint64_t end_order)
{
    struct weir_timer *timer = timers->first;
    if (timer == NULL || timer->deadline_ns > now_ns || timer->order >= end_order)
        return NULL;
    timers_stop(timers, timer);
    return timer;
}
