/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_RELOAD_VIEW_H
#define CONTROL_RELOAD_VIEW_H

#include <jansson.h>

#include "buffer.h"
#include "reload.h"

/* How reloads went, for people and for Prometheus. Any thread. */

/* Of a result that is done: {"result", "time", "duration_ms", "changes", "warnings"}; of another one "errors" instead
 * of "changes". NULL when out of memory. */
json_t *reload_json(const struct reload_result *result);

/* The last one; null: none since the start. `reloader` may be NULL. */
json_t *reload_last_json(struct reloader *reloader);

/* weir_config_reloads_total, in Prometheus' text format. */
void reload_metrics(struct reloader *reloader, struct buffer *buffer);

#endif
