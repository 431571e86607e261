/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_SWEEP_H
#define PROXY_SWEEP_H

#include <stdatomic.h>

#include <weir/loop.h>

#include "walk.h"

/* Ends the connections of one worker whose upstreams are disabled, with admin_closed. One of each worker; all zero at
 * birth, then sweep_init(). */
struct sweep {
    struct worker *worker;
    struct weir_message message;
    struct walk walk;
    _Atomic bool posted; /* the message is under way */
    bool walking;
    bool again; /* something was disabled meanwhile */
};

void sweep_init(struct sweep *sweep, struct worker *worker);

/* An upstream has been disabled. Any thread, while the worker's loop runs or has yet to. */
void sweep_post(struct sweep *sweep);

#endif
