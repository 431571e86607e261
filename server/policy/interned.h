/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_INTERNED_H
#define POLICY_INTERNED_H

#include "snapshot.h"

/* Sets of a snapshot by their content, so that equal ones are made once. Zero at birth; lives while a snapshot is
 * bound. */
struct interned {
    uint32_t *slots;     /* open addressing: index into snapshot->sets plus 1, or 0 */
    uint64_t *hashes;    /* by set */
    uint32_t slot_count; /* a power of two, or 0 */
};

/* The set of these places (ascending, at least one) of a pool; it belongs to the snapshot. Returns 0 or WEIR_ENOMEM. */
int interned_set(struct interned *interned, struct snapshot *snapshot, uint32_t pool, const uint32_t *places,
                 uint32_t count, struct weir_set **ret_set);

void interned_free(struct interned *interned);

#endif
