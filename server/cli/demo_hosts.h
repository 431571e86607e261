/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEMO_HOSTS_H
#define CLI_DEMO_HOSTS_H

#include <stdint.h>

#include <weir/address.h>

/* The demo's upstreams: small servers on loopback, on a thread and a loop of their own. Each answers what it hears with
 * "Data 'Hello' was received by host at ADDRESS". */
struct demo_hosts;

/* Opens and serves `count` of them, on free ports. Returns 0 or an error of libweir. */
int demo_hosts_start(uint32_t count, struct demo_hosts **ret_hosts);

/* Ends their connections and frees everything. Accepts NULL. */
void demo_hosts_stop(struct demo_hosts **phosts);

const struct weir_address *demo_hosts_address(const struct demo_hosts *hosts, uint32_t host);

#endif
