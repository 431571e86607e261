/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_PROMETHEUS_H
#define CONTROL_PROMETHEUS_H

#include "../base/counters.h"
#include "buffer.h"

/* Prometheus' text format. A metric is begun once; then each of its samples is a series and its number:
 *
 *     prometheus_begin(&text, "weir_x_total", "counter", "What x is.");
 *     prometheus_series(&text, "listener", name);
 *     prometheus_label(&text, "reason", reason);
 *     prometheus_number(&text, 5);                    weir_x_total{listener="edge",reason="done"} 5 */

#define PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct prometheus {
    struct buffer *out;
    const char *name; /* of the metric */
};

void prometheus_begin(struct prometheus *text, const char *name, const char *type, const char *help);
void prometheus_series(struct prometheus *text, const char *key, const char *value);
void prometheus_label(struct prometheus *text, const char *key, const char *value);
void prometheus_number(struct prometheus *text, uint64_t number);

/* All samples of a histogram in seconds, with one label. */
void prometheus_histogram(struct prometheus *text, const char *key, const char *value,
                          const struct histogram *histogram);

#endif
