/* SPDX-License-Identifier: Apache-2.0 */
#include "counters.h"

#include <stdlib.h>
#include <string.h>

#define MILLISECOND UINT64_C(1000000)
#define SECOND (1000 * MILLISECOND)
#define MINUTE (60 * SECOND)

/* Dense where connects end, sparse where connections live. */
const uint64_t histogram_bounds_ns[HISTOGRAM_BUCKETS] = {
    MILLISECOND / 2,  1 * MILLISECOND,   2 * MILLISECOND,   5 * MILLISECOND, 10 * MILLISECOND, 25 * MILLISECOND,
    50 * MILLISECOND, 100 * MILLISECOND, 250 * MILLISECOND, SECOND / 2,      1 * SECOND,       5 * SECOND,
    30 * SECOND,      2 * MINUTE,        10 * MINUTE,       60 * MINUTE,
};

const char *const upstream_failure_labels[UPSTREAM_FAILURES] = {
    [UPSTREAM_FAILURE_REFUSED] = "refused",
    [UPSTREAM_FAILURE_TIMEOUT] = "timeout",
    [UPSTREAM_FAILURE_UNREACHABLE] = "unreachable",
    [UPSTREAM_FAILURE_RESET] = "reset",
    [UPSTREAM_FAILURE_TLS] = "tls",
    [UPSTREAM_FAILURE_OTHER] = "other",
};

void histogram_add_own(struct histogram *histogram, uint64_t value_ns)
{
    unsigned bucket = 0;
    while (bucket < HISTOGRAM_BUCKETS && value_ns > histogram_bounds_ns[bucket])
        bucket++;
    counter_add_own(&histogram->bucket[bucket], 1);
    counter_add_own(&histogram->sum_ns, value_ns);
}

static void *slots_new(uint32_t workers, size_t size)
{
    void *slots = aligned_alloc(64, workers * size);
    return slots == NULL ? NULL : memset(slots, 0, workers * size);
}

struct listener_slot *listener_slots_new(uint32_t workers)
{
    return slots_new(workers, sizeof(struct listener_slot));
}

struct pool_slot *pool_slots_new(uint32_t workers)
{
    return slots_new(workers, sizeof(struct pool_slot));
}
