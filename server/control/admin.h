/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_ADMIN_H
#define CONTROL_ADMIN_H

#include "../proxy/balancer.h"
#include "reload.h"

/* The admin side: HTTP on a Unix socket (mode 0600), where the balancer can be changed, and on the address of
 * `admin.http`, where it can only be looked at. Each has a thread of its own; workers are never stopped or locked. */
struct admin;

/* Opens what the snapshot's settings ask for (perhaps nothing), in the calling thread; nobody answers yet. A socket
 * file that a dead process left behind is replaced. Why it failed is logged. Returns 0, WEIR_EADDRINUSE (another
 * process answers on the socket, or has the port), another error of the listeners, or WEIR_ENOMEM. Balancer
 * and reloader (NULL: there is no file to read anew) must outlive the admin side. */
int admin_open(struct balancer *balancer, struct reloader *reloader, struct admin **ret_admin);

/* Starts the threads that answer. Returns 0 or WEIR_ENOMEM (logged). */
int admin_start(struct admin *admin);

/* The address that HTTP is served at (port 0 resolved); all zero without. */
struct weir_address admin_http_address(const struct admin *admin);

/* Ends all requests, stops the threads and removes the socket file. Accepts NULL. */
void admin_free(struct admin **padmin);

#endif
