/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_SNAPSHOTS_H
#define TESTS_UNIT_SNAPSHOTS_H

#include "../../server/policy/snapshot.h"

/* Snapshots by hand, as a reader of configurations would make them. Each call adds one thing and returns its index. */

struct snapshot *snapshot_make(void);

/* A pool with `count` upstreams of its own. */
uint32_t snapshot_add_pool(struct snapshot *snapshot, uint32_t count);
/* A place for an upstream that is there already; the last pool only. */
void snapshot_add_place(struct snapshot *snapshot, uint32_t upstream, uint32_t weight, bool backup);
uint32_t snapshot_add_listener(struct snapshot *snapshot, uint32_t pool);
uint32_t snapshot_add_client(struct snapshot *snapshot, const char *name);
/* "10.0.0.0", 8 */
void snapshot_add_network(struct snapshot *snapshot, const char *base, uint8_t prefix, uint32_t client);

void snapshot_add_identity(struct snapshot *snapshot, enum identity_kind kind, const char *text, uint32_t client);

/* A rule for nobody and nothing yet, and what the last rule is for. The first rule makes the policy. */
uint32_t snapshot_add_rule(struct snapshot *snapshot, bool allow);
void snapshot_rule_client(struct snapshot *snapshot, uint32_t client); /* ANY_INDEX: "*" */
void snapshot_rule_target(struct snapshot *snapshot, uint32_t pool, uint32_t place);

/* "10.0.0.1" or "::1", without a port. */
struct weir_address host(const char *text);

#endif
