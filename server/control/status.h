/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_STATUS_H
#define CONTROL_STATUS_H

#include <jansson.h>

#include "../proxy/balancer.h"

/* What the balancer looks like at this moment. Any thread; workers go on meanwhile. */

/* Everything that /api/v1/status says. The caller's; NULL when out of memory. */
json_t *status_json(const struct balancer *balancer);

/* Why no client should be sent here now: it drains, or a listener's pool has no available upstream. Returns false and
 * leaves `why` alone when it is ready; `why` holds a sentence otherwise. */
bool status_unready(const struct balancer *balancer, char *why, size_t size);

/* The word for a state: "enabled", "drain", "disabled". */
const char *status_upstream_state(enum weir_upstream_state state);
/* "up", "ejected", "down". */
const char *status_health(enum weir_place_health health);

#endif
