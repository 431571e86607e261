/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_METRICS_H
#define CONTROL_METRICS_H

#include "../proxy/balancer.h"
#include "buffer.h"

/* The balancer's metrics. Reads counters while the workers go on. */
struct metrics;

/* The balancer must outlive it. Returns 0 or WEIR_ENOMEM. */
int metrics_new(const struct balancer *balancer, struct metrics **ret_metrics);
/* Accepts NULL. */
void metrics_free(struct metrics **pmetrics);

/* Appends all metrics in Prometheus' text format. Any thread. When memory runs out, the buffer says so. */
void metrics_render(struct metrics *metrics, struct buffer *buffer);

#endif
