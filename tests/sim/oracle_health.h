/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_ORACLE_HEALTH_H
#define SIM_ORACLE_HEALTH_H

#include "world.h"

/* What must hold of the health of upstreams. It is known from what the log says, and that is held against what the
 * checks and connections met on the network. */

void health_begin(struct world *world);

/* A check begins. */
void health_checks(struct world *world, const struct weir_socket *socket, struct net_end *end);
/* One could not begin, for want of something here. */
void health_cannot_check(struct world *world, const struct weir_socket *socket);

/* A reload stops the checks that are under way, some without a verdict. */
void health_reloaded(struct world *world);

/* A line that tells of a change. */
void health_changed(struct world *world, const char *msg, const char *pool, const char *upstream);
/* An upstream serves again, by hand. */
void health_enabled(struct world *world, uint32_t upstream);

/* A client's connection is dialled. */
void health_check_dialled(const struct life *life, uint32_t place);
/* A worker has had its turn. */
void health_check_turned(struct world *world, const struct worker *worker);
void health_check_final(struct world *world);

#endif
