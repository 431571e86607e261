/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_WATCHDOG_H
#define CLI_WATCHDOG_H

#include "../proxy/balancer.h"

/* A thread that tells systemd that the process is alive, as long as every worker makes progress: twice in the time that
 * systemd waits, each worker is sent a message, and must have had the one before. A worker pays for it with one message
 * in that time, and a control thread that reloads has no part in it. */
struct watchdog;

/* Starts it where systemd wants to know (notify_open() has been called); else *ret_watchdog is NULL. Returns 0 or
 * WEIR_ENOMEM. */
int watchdog_start(struct balancer *balancer, struct watchdog **ret_watchdog);

/* Ends it, before the balancer. Accepts NULL. */
void watchdog_stop(struct watchdog **pwatchdog);

#endif
