/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_PROBER_H
#define PROXY_PROBER_H

#include <stdbool.h>

#include "worker.h"

/* The timetable of checks (probe.h) for one worker's share of the places: one check per interval, with jitter, the
 * first one within an interval from the start; never two at a time for one place, and no place waits for another.
 * `check: none`: nothing, until real connections failed and the place was ejected; when its time is over, it is tried
 * by connect until it answers.
 *
 * What is known of a place is kept by its place_health, nothing here: when places come and go, this prober is stopped
 * and another one made for the new snapshot; both may exist at a time, and the old one can be freed, and its snapshot
 * after it, as soon as it is idle. The loop's thread, but for its birth and where the health module calls in. */

/* For the snapshot and the TLS contexts of a view. Control thread. Returns 0 or WEIR_ENOMEM. */
int prober_new(struct view *view, struct prober **ret_prober);
/* Where a place has been checked before, its interval goes on. */
void prober_start(struct prober *prober);
/* Ends all checks, without a verdict; worker_part_closed() is called for each that was under way. */
void prober_stop(struct prober *prober);
/* No check is under way, and after prober_stop() nobody will call in. */
bool prober_idle(const struct prober *prober);
/* The prober has been stopped and is idle, or never ran. Accepts NULL. */
void prober_free(struct prober **pprober);

#endif
