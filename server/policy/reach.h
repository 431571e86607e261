/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_REACH_H
#define POLICY_REACH_H

#include "snapshot.h"

/* Resolves the policy of a snapshot whose pools are made: who may reach what, as sets that are stored once.
 * Returns 0 or WEIR_ENOMEM; what was made is the snapshot's in any case. */
int reach_bind(struct snapshot *snapshot);

/* Frees what reach_bind() made, complete or not. */
void reach_free(struct snapshot *snapshot);

#endif
