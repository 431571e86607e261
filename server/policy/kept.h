/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_KEPT_H
#define POLICY_KEPT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Things that outlive snapshots: a new snapshot finds what an older one has made, as long as anybody holds it. Any
 * thread may drop a reference; the control thread alone finds, adds and, by sweeping, frees. */

enum kept_kind { KEPT_LISTENER, KEPT_POOL, KEPT_UPSTREAM, KEPT_ADDRESS, KEPT_CLIENT, KEPT_PLACE };

/* The head of such a thing; allocated zeroed, with its key behind `free`. */
struct kept {
    _Atomic uint32_t references; /* the table's included */
    enum kept_kind kind;
    uint32_t key_size;
    uint64_t hash;
    const char *key; /* lives as long as the thing */
    struct kept *next;
    bool (*is_busy)(const struct kept *kept); /* in use though nobody holds it; NULL: never */
    void (*free)(struct kept *kept);
};

/* Zero at birth. */
struct keep {
    struct kept **buckets;
    uint32_t bucket_count; /* a power of two, or 0 */
    uint32_t count;
};

static inline void kept_ref(struct kept *kept)
{
    atomic_fetch_add_explicit(&kept->references, 1, memory_order_relaxed);
}

static inline void kept_unref(struct kept *kept)
{
    atomic_fetch_sub_explicit(&kept->references, 1, memory_order_release);
}

/* Returns a reference for the caller, or NULL. */
struct kept *keep_find(const struct keep *keep, enum kept_kind kind, const char *key, uint32_t key_size);

/* Takes a thing that nobody else knows; the caller keeps one reference. Returns 0, or WEIR_ENOMEM: it is then still the
 * caller's alone. */
int keep_add(struct keep *keep, enum kept_kind kind, const char *key, uint32_t key_size, struct kept *kept);

/* Frees what nobody holds and what is not in use. */
void keep_sweep(struct keep *keep);

/* Frees everything; nothing is held or in use any more. */
void keep_free(struct keep *keep);

#endif
