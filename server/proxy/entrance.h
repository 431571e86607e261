/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_ENTRANCE_H
#define PROXY_ENTRANCE_H

#include <stdbool.h>

#include <weir/socket.h>

#include "view.h"

/* A listening socket of one worker, from one snapshot to the next as long as its address is listened on. The loop's
 * thread, but for birth. */
struct entrance {
    struct weir_acceptor socket;
    struct worker *worker;
    struct gate *gate; /* for those who come in now; NULL: it is closed */
    struct view *view; /* that the gate is of */
    uint32_t gates;    /* that have served here and live */
    int fd;            /* -1: the acceptor has it */
    bool open;         /* its descriptor is not closed yet */
    bool closing, accepting;
    int parked_fd; /* taken when another worker had just filled the last place; -1: none */
    struct entrance *next;
};

/* Takes a listening descriptor. NULL: out of memory. Control thread. */
struct entrance *entrance_new(struct worker *worker, int fd);
/* One that no worker has got: closes it. Accepts NULL. */
void entrance_discard(struct entrance **pentrance);

/* From now on those who come in do so as this gate says, which is the entrance's now. The first time, it is opened. */
void entrance_serve(struct entrance *entrance, struct gate *gate, struct view *view);
/* Serves what waits in its queue, then closes. */
void entrance_close(struct entrance *entrance);
/* A gate that served here is gone: perhaps nothing is left of it. */
void entrance_leave(struct entrance *entrance);

/* All of a worker: accepts, as far as there is room. */
void entrances_accept(struct worker *worker);
/* Looks whether there is room again. */
void entrances_pause_over(struct weir_timer *timer);
bool entrances_may_resume(const struct worker *worker);

#endif
