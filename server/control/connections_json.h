/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CONNECTIONS_JSON_H
#define CONTROL_CONNECTIONS_JSON_H

#include <jansson.h>

#include "../proxy/connections.h"

/* A page of open connections, with the names of the log's fields. The caller's; NULL when out of memory. */
json_t *connections_json(const struct connections *connections);

#endif
