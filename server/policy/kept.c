/* SPDX-License-Identifier: Apache-2.0 */
#include "kept.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#define BUCKETS_MIN 64

/* FNV-1a: keys come from the configuration, not from strangers. */
static uint64_t hash_of(enum kept_kind kind, const char *key, uint32_t key_size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)kind;
    for (uint32_t i = 0; i < key_size; i++)
        hash = (hash ^ (unsigned char)key[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static struct kept **bucket_of(const struct keep *keep, uint64_t hash)
{
    return &keep->buckets[hash & (keep->bucket_count - 1)];
}

struct kept *keep_find(const struct keep *keep, enum kept_kind kind, const char *key, uint32_t key_size)
{
    uint64_t hash = hash_of(kind, key, key_size);
    struct kept *kept = keep->bucket_count == 0 ? NULL : *bucket_of(keep, hash);
    while (kept != NULL && (kept->hash != hash || kept->kind != kind || kept->key_size != key_size ||
                            memcmp(kept->key, key, key_size) != 0))
        kept = kept->next;
    if (kept != NULL)
        kept_ref(kept);
    return kept;
}

static void link_kept(struct keep *keep, struct kept *kept)
{
    struct kept **bucket = bucket_of(keep, kept->hash);
    kept->next = *bucket;
    *bucket = kept;
}

static int reserve(struct keep *keep)
{
    struct keep old = *keep;
    if (keep->count < keep->bucket_count)
        return 0;
    uint32_t count = old.bucket_count == 0 ? BUCKETS_MIN : 2 * old.bucket_count;
    struct kept **buckets = calloc(count, sizeof(struct kept *));
    if (buckets == NULL)
        return WEIR_ENOMEM;
    keep->buckets = buckets;
    keep->bucket_count = count;
    for (uint32_t n = 0; n < old.bucket_count; n++) {
        for (struct kept *kept = old.buckets[n], *next; kept != NULL; kept = next) {
            next = kept->next;
            link_kept(keep, kept);
        }
    }
    free(old.buckets);
    return 0;
}

int keep_add(struct keep *keep, enum kept_kind kind, const char *key, uint32_t key_size, struct kept *kept)
{
    int err = reserve(keep);
    if (err != 0)
        return err;
    kept->kind = kind;
    kept->key = key;
    kept->key_size = key_size;
    kept->hash = hash_of(kind, key, key_size);
    atomic_init(&kept->references, 2);
    link_kept(keep, kept);
    keep->count++;
    return 0;
}

static bool is_forgotten(const struct kept *kept)
{
    return atomic_load_explicit(&kept->references, memory_order_acquire) == 1 &&
           (kept->is_busy == NULL || !kept->is_busy(kept));
}

/* What was held by what has gone may be free to go too. */
static bool sweep_once(struct keep *keep)
{
    uint32_t before = keep->count;
    for (uint32_t n = 0; n < keep->bucket_count; n++) {
        for (struct kept **at = &keep->buckets[n]; *at != NULL;) {
            struct kept *kept = *at;
            if (!is_forgotten(kept)) {
                at = &kept->next;
                continue;
            }
            *at = kept->next;
            keep->count--;
            kept->free(kept);
        }
    }
    return keep->count < before;
}

void keep_sweep(struct keep *keep)
{
    while (sweep_once(keep))
        ;
}

void keep_free(struct keep *keep)
{
    keep_sweep(keep);
    assert(keep->count == 0);
    free(keep->buckets);
    *keep = (struct keep){ 0 };
}
