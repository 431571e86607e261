/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_PROBER_H
#define PROXY_PROBER_H

#include <stdbool.h>

#include "worker.h"

/* The checks of one worker's share of the places. `check: connect`: one check per interval, with jitter, never
 * overlapping. `check: none`: nothing, until real connections failed and the place was ejected; when its time is over,
 * it is tried by connect until it answers. The loop's thread, except where the health module calls in. */

/* Returns 0 or WEIR_ENOMEM. */
int prober_new(struct worker *worker, struct prober **ret_prober);
void prober_start(struct prober *prober);
/* Ends all checks; worker_part_closed() is called for each that was under way. */
void prober_stop(struct prober *prober);
/* No check is under way. */
bool prober_idle(const struct prober *prober);
/* The loop does not run any more. Accepts NULL. */
void prober_free(struct prober **pprober);

#endif
