/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_RELOAD_CHANGES_H
#define CONTROL_RELOAD_CHANGES_H

#include "../proxy/review.h"
#include "config.h"

/* What a reload would change, in words. Pure. */

/* Adds an error for each setting that needs a restart. Returns 0, WEIR_EINVAL or WEIR_ENOMEM. */
int reload_check_restart(const struct snapshot *after, const struct snapshot *before, struct config_errors *errors);

/* Adds a line for each thing that is different: "2 upstreams added". Both snapshots are bound. Returns 0 or
 * WEIR_ENOMEM. */
int reload_changes(const struct snapshot *before, const struct snapshot *after, struct config_errors *changes);

/* The connections that a reload has ended, of all workers. Zero at birth. */
#define ENDED_ROWS 256
struct ended {
    struct review_row rows[ENDED_ROWS];
    uint32_t count;
};
void reload_count_ended(struct ended *ended, const struct review_row *rows, uint32_t count);

/* Says of the changes how many open connections they have ended: "policy: carol loses db/db2 (3 open connections)";
 * what no line is about gets one of its own. Without memory less is said. */
void reload_tell_ended(struct ended *ended, struct config_errors *changes);

/* The part of the policy: "policy: carol loses db/db2", for clients and upstreams that both know. */
int reload_policy_changes(const struct snapshot *before, const struct snapshot *after, struct config_errors *changes);

#endif
