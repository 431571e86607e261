/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_UNAVAILABLE_H
#define PROXY_UNAVAILABLE_H

#include "../policy/snapshot.h"

/* Why nobody of a set can be chosen. */

/* "web1 down: connection refused; web2 draining; web3 full (500 of 500)"; what has no room is counted: "; 12 more". Any
 * thread. */
void unavailable_describe(const struct snapshot *snapshot, const struct pool *pool, const struct weir_set *set,
                          char *text, size_t size);

/* The same as a line of the log, at most one a second for each pool, which says how many were left out. Any thread. */
void unavailable_log(const struct snapshot *snapshot, const struct pool *pool, const struct weir_set *set,
                     uint64_t now_ns);

#endif
