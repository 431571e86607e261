/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEMO_FOLDER_H
#define CLI_DEMO_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "demo_hosts.h"

/* The demo's folder: its configuration and, with TLS, a CA and certificates for the balancer ("localhost"), for each
 * client ("client1", ...) and for people ("guest"). */
struct demo_folder {
    char path[32], configuration[48];
};

struct demo_plan {
    uint32_t port, hosts, clients;
    bool tls;
    bool has_rule;  /* client1 may never talk to host2 */
    uint32_t limit; /* connections at once of the last client; 0: none */
};

/* What went wrong is said on standard error. Returns 0 or an error of libweir; in both cases demo_folder_remove() is
 * next. */
int demo_folder_make(const struct demo_plan *plan, const struct demo_hosts *hosts, struct demo_folder *folder);

/* With all that is in it. Does nothing for one that was never made. */
void demo_folder_remove(struct demo_folder *folder);

#endif
