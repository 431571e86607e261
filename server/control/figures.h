/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_FIGURES_H
#define CONTROL_FIGURES_H

#include <jansson.h>

#include "../proxy/balancer.h"
#include "reload.h"

/* What the dashboard draws: the balancer's counters, looked at again and again, with the rates between two looks and a
 * short past. The balancer is only read. One thread at a time. */
struct figures;

#define FIGURES_PAST 300     /* looks whose totals are kept */
#define FIGURES_MARKS 60     /* marks in the history of an upstream, ... */
#define FIGURES_MARK_LOOKS 5 /* ... each of so many looks */
#define FIGURES_ROWS 64      /* upstreams, pools and listeners that are told one by one */
#define FIGURES_CLIENTS 16   /* clients of each ranking */

#define FIGURES_RELOADS 5      /* the last ones, ... */
#define FIGURES_RELOAD_LINES 8 /* each with so many lines of what changed */

/* `reloader` may be NULL. Returns 0 or WEIR_ENOMEM. */
int figures_new(const struct balancer *balancer, struct reloader *reloader, struct figures **ret_figures);
/* Accepts NULL. */
void figures_free(struct figures **pfigures);

/* Looks at the balancer; rates are since the look before this one. Returns 0 or WEIR_ENOMEM; the look is then left out.
 */
int figures_look(struct figures *figures, uint64_t now_ns, uint64_t wall_ns);

/* What the last look saw, docs/OPERATIONS.md has it: bounded, however many upstreams and clients there are. NULL when
 * out of memory. */
json_t *figures_json(const struct figures *figures);

/* The totals of the last FIGURES_PAST looks, the oldest first. NULL when out of memory. */
json_t *figures_past_json(const struct figures *figures);

#endif
