/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_RELOAD_CHANGES_H
#define CONTROL_RELOAD_CHANGES_H

#include "config.h"

/* What a reload would change, in words. Pure. */

/* Adds an error for each setting that needs a restart. Returns 0, WEIR_EINVAL or WEIR_ENOMEM. */
int reload_check_restart(const struct snapshot *after, const struct snapshot *before, struct config_errors *errors);

/* Adds a line for each thing that is different: "2 upstreams added". Both snapshots are bound. Returns 0 or
 * WEIR_ENOMEM. */
int reload_changes(const struct snapshot *before, const struct snapshot *after, struct config_errors *changes);

#endif
