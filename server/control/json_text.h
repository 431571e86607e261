/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_JSON_TEXT_H
#define CONTROL_JSON_TEXT_H

#include <stddef.h>

#include <jansson.h>

/* A string of what a stranger chose: whatever is no UTF-8, and whatever would do more than be shown, becomes U+FFFD;
 * cut at JSON_TEXT_MAX bytes. NULL when out of memory. */
#define JSON_TEXT_MAX 256
json_t *json_text(const void *bytes, size_t size);

#endif
