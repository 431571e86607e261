/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_EVENTS_H
#define CONTROL_EVENTS_H

#include <microhttpd.h>

#include "../proxy/balancer.h"
#include "reload.h"

/* Server-sent events: the figures that the dashboard draws, once a second. A newcomer gets an event `past` with the
 * totals of the last minutes first. One thread looks for all; a subscriber gets the newest event when it has taken the
 * one before, so that a slow one costs no memory; one that takes nothing is dropped by the daemon's timeout. */
struct events;

#define EVENTS_SUBSCRIBERS_MAX 16u /* of each daemon */

/* Starts to look. The balancer and the reloader (perhaps NULL) must outlive it. Returns 0 or WEIR_ENOMEM. */
int events_new(const struct balancer *balancer, struct reloader *reloader, struct events **ret_events);

/* What a new subscriber gets: the caller's to queue and destroy. The connection's daemon was started with
 * MHD_ALLOW_SUSPEND_RESUME. NULL: there are too many, or no memory. Any thread. */
struct MHD_Response *events_subscribe(struct events *events, struct MHD_Connection *connection);

/* Ends all streams and takes no new ones: before the daemons are stopped. */
void events_stop(struct events *events);

/* The daemons have been stopped. Accepts NULL. */
void events_free(struct events **pevents);

#endif
