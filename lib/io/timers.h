/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_TIMERS_H
#define IO_TIMERS_H

#include <stdint.h>

#include <weir/loop.h>

/* A queue of timers by deadline: an intrusive pairing heap, so that setting one needs no memory. Time is an argument.
 */
struct timers {
    struct weir_timer *first; /* earliest; NULL: none */
    uint64_t next_order;
};

void timers_set(struct timers *timers, struct weir_timer *timer, uint64_t deadline_ns);
void timers_stop(struct timers *timers, struct weir_timer *timer);

/* Deadline of the earliest; UINT64_MAX when there is none. */
uint64_t timers_next(const struct timers *timers);

/* Takes the earliest out if it is due and was set before `end_order`; NULL otherwise. Taking next_order as it was
 * before the first call keeps a timer that sets itself anew from firing for ever. */
struct weir_timer *timers_due(struct timers *timers, uint64_t now_ns, uint64_t end_order);

#endif
