/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_REFERENCE_H
#define SIM_REFERENCE_H

#include "world.h"

/* How access, choosing and limits are meant, written down a second time: as plainly as can be, and without what makes
 * the balancer's own code fast. */

/* The pool that a client's listener leads to, and the limits that hold for him. */
const struct pool *reference_pool(const struct life *life);
const struct weir_limits *reference_limits(const struct life *life);

/* Whether the policy lets the client reach a place of that pool; any place. */
bool reference_allows(const struct life *life, uint32_t place);
bool reference_allows_any(const struct life *life);

/* Connections of an upstream, by its index in the snapshot. */
uint32_t reference_active(const struct world *world, uint32_t upstream);

/* Whether a place may be chosen, after so many of the client's attempts. `active`: connections of its upstream, without
 * the one that is to be placed. */
bool reference_available(const struct life *life, uint32_t attempts, uint32_t index, uint32_t active);
bool reference_anything_available(const struct life *life);

/* Whether place a goes before place b: up before ejected, ordinary before backup, then connections for its weight, with
 * those that it is taken to have while it starts slowly. */
bool reference_goes_before(const struct world *world, const struct pool *pool, uint32_t a, uint32_t active_a,
                           uint32_t b, uint32_t active_b);

/* A place comes back now: it is taken to have as many connections for its weight as the others of its kind that are up.
 */
void reference_starts_slowly(struct world *world, uint32_t index, uint32_t place);

/* GCRA by its definition: over no stretch of time that ends now did more come than its length and the burst allow. */
bool reference_rate_allows(const struct life *life, uint64_t now_ns);

#endif
