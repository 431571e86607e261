/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "siphash.h"

#define SHARDS 64u
#define BUCKETS_MIN 8u

/* One part of the table, with a lock of its own. Clients without a connection stand in a heap, that whose rate recovers
 * first on top: if the top one can't be reused, none can. */
struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct weir_client **buckets;
    uint32_t bucket_count; /* a power of two, or 0 */
    struct weir_client **idle;
    uint32_t idle_count;
    uint32_t idle_capacity; /* at least `records`, so that leaving never needs memory */
    uint32_t records;
    _Atomic uint32_t active;
};

struct weir_limiter {
    struct shard shards[SHARDS];
    uint64_t key[2];
    uint32_t capacity;
    _Atomic uint32_t records;
};

int weir_limiter_new(uint32_t capacity, uint64_t seed, struct weir_limiter **ret_limiter)
{
    if (capacity == 0)
        return WEIR_EINVAL;
    struct weir_limiter *limiter = aligned_alloc(_Alignof(struct weir_limiter), sizeof *limiter);
    if (limiter == NULL)
        return WEIR_ENOMEM;
    memset(limiter, 0, sizeof *limiter);
    limiter->capacity = capacity;
    limiter->key[0] = seed;
    limiter->key[1] = ~seed;
    for (uint32_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&limiter->shards[i].lock, NULL);
    *ret_limiter = limiter;
    return 0;
}

static void shard_free(struct shard *shard)
{
    assert(shard->active == 0);
    for (uint32_t i = 0; i < shard->idle_count; i++)
        free(shard->idle[i]);
    free(shard->idle);
    free(shard->buckets);
    pthread_mutex_destroy(&shard->lock);
}

void weir_limiter_free(struct weir_limiter **plimiter)
{
    struct weir_limiter *limiter = *plimiter;
    if (limiter == NULL)
        return;
    for (uint32_t i = 0; i < SHARDS; i++)
        shard_free(&limiter->shards[i]);
    free(limiter);
    *plimiter = NULL;
}

/* The heap of idle clients. */

static uint64_t recovers_at(const struct weir_client *client)
{
    return atomic_load_explicit(&client->full_at_ns, memory_order_relaxed);
}

static void idle_put(struct shard *shard, uint32_t index, struct weir_client *client)
{
    shard->idle[index] = client;
    client->idle_index = index;
}

/* Finds a client's place in the heap, from `index`, which is free. */
static void idle_sift(struct shard *shard, uint32_t index, struct weir_client *client)
{
    uint64_t time = recovers_at(client);
    for (; index > 0 && recovers_at(shard->idle[(index - 1) / 2]) > time; index = (index - 1) / 2)
        idle_put(shard, index, shard->idle[(index - 1) / 2]);
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child + 1 < shard->idle_count && recovers_at(shard->idle[child + 1]) < recovers_at(shard->idle[child]))
            child++;
        if (child >= shard->idle_count || recovers_at(shard->idle[child]) >= time)
            break;
        idle_put(shard, index, shard->idle[child]);
        index = child;
    }
    idle_put(shard, index, client);
}

static void idle_add(struct shard *shard, struct weir_client *client)
{
    assert(shard->idle_count < shard->idle_capacity);
    idle_sift(shard, shard->idle_count++, client);
}

static void idle_remove(struct shard *shard, struct weir_client *client)
{
    struct weir_client *last = shard->idle[--shard->idle_count];
    if (last != client)
        idle_sift(shard, client->idle_index, last);
}

/* Room for one record more. */
static bool idle_reserve(struct shard *shard)
{
    if (shard->records < shard->idle_capacity)
        return true;
    uint32_t capacity = shard->idle_capacity == 0 ? BUCKETS_MIN : 2 * shard->idle_capacity;
    struct weir_client **idle = realloc(shard->idle, capacity * sizeof(struct weir_client *));
    if (idle == NULL)
        return false;
    shard->idle = idle;
    shard->idle_capacity = capacity;
    return true;
}

/* The hash table. */

static struct weir_client **bucket_of(const struct shard *shard, uint64_t hash)
{
    return &shard->buckets[hash / SHARDS & (shard->bucket_count - 1)];
}

static void link_client(struct shard *shard, struct weir_client *client)
{
    struct weir_client **bucket = bucket_of(shard, client->hash);
    client->next = *bucket;
    *bucket = client;
}

static void unlink_client(struct shard *shard, struct weir_client *client)
{
    struct weir_client **at = bucket_of(shard, client->hash);
    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
}

/* Doubles the buckets when there are more records than buckets. Without memory, the chains just get longer. */
static bool buckets_reserve(struct shard *shard)
{
    if (shard->records < shard->bucket_count)
        return true;
    struct shard old = { .buckets = shard->buckets, .bucket_count = shard->bucket_count };
    uint32_t count = old.bucket_count == 0 ? BUCKETS_MIN : 2 * old.bucket_count;
    struct weir_client **buckets = calloc(count, sizeof(struct weir_client *));
    if (buckets == NULL)
        return old.bucket_count != 0;
    shard->buckets = buckets;
    shard->bucket_count = count;
    for (uint32_t i = 0; i < old.bucket_count; i++) {
        for (struct weir_client *client = old.buckets[i], *next; client != NULL; client = next) {
            next = client->next;
            link_client(shard, client);
        }
    }
    free(old.buckets);
    return true;
}

static struct weir_client *find(const struct shard *shard, uint64_t hash, const void *name, size_t name_size)
{
    struct weir_client *client = shard->bucket_count == 0 ? NULL : *bucket_of(shard, hash);
    while (client != NULL &&
           (client->hash != hash || client->name_size != name_size || memcmp(client->name, name, name_size) != 0))
        client = client->next;
    return client;
}

/* Making and reusing records. */

/* Drops the record that recovered first. Returns false when none has. */
static bool drop_idle(struct weir_limiter *limiter, struct shard *shard, uint64_t now_ns)
{
    if (shard->idle_count == 0 || recovers_at(shard->idle[0]) > now_ns)
        return false;
    struct weir_client *client = shard->idle[0];
    idle_remove(shard, client);
    unlink_client(shard, client);
    shard->records--;
    atomic_fetch_sub_explicit(&limiter->records, 1, memory_order_relaxed);
    free(client);
    return true;
}

static bool drop_idle_anywhere(struct weir_limiter *limiter, uint64_t first, uint64_t now_ns)
{
    bool dropped = false;
    for (uint32_t i = 0; i < SHARDS && !dropped; i++) {
        struct shard *shard = &limiter->shards[(first + i) % SHARDS];
        pthread_mutex_lock(&shard->lock);
        dropped = drop_idle(limiter, shard, now_ns);
        pthread_mutex_unlock(&shard->lock);
    }
    return dropped;
}

static bool reserve_record(struct weir_limiter *limiter)
{
    uint32_t records = atomic_load_explicit(&limiter->records, memory_order_relaxed);
    do {
        if (records >= limiter->capacity)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&limiter->records, &records, records + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* A new record, without a connection yet. Returns 0, WEIR_EFULL or WEIR_ENOMEM. */
static int make(struct weir_limiter *limiter, struct shard *shard, uint64_t hash, const void *name, size_t name_size,
                struct weir_client **ret_client)
{
    if (!reserve_record(limiter))
        return WEIR_EFULL;
    struct weir_client *client = calloc(1, sizeof *client + name_size);
    if (client == NULL || !idle_reserve(shard) || !buckets_reserve(shard)) {
        free(client);
        atomic_fetch_sub_explicit(&limiter->records, 1, memory_order_relaxed);
        return WEIR_ENOMEM;
    }
    client->shard = shard;
    client->hash = hash;
    client->name_size = (uint8_t)name_size;
    memcpy(client->name, name, name_size);
    link_client(shard, client);
    shard->records++;
    idle_add(shard, client);
    *ret_client = client;
    return 0;
}

/* Under the shard's lock. */
static int enter(struct weir_limiter *limiter, struct shard *shard, uint64_t hash, const void *name, size_t name_size,
                 const struct weir_limits *limits, uint64_t now_ns, struct weir_client **ret_client)
{
    struct weir_client *client = find(shard, hash, name, name_size);
    int err = client == NULL ? make(limiter, shard, hash, name, name_size, &client) : 0;
    if (err != 0)
        return err;
    bool idle = weir_client_active(client) == 0;
    if (idle) /* its time may change: it can't stand in the heap meanwhile */
        idle_remove(shard, client);
    err = client_admit(client, limits, now_ns);
    if (err == 0) {
        atomic_fetch_add_explicit(&shard->active, 1, memory_order_relaxed);
        *ret_client = client;
    } else if (idle) {
        idle_add(shard, client);
    }
    return err;
}

int weir_limiter_enter(struct weir_limiter *limiter, const void *name, size_t name_size,
                       const struct weir_limits *limits, uint64_t now_ns, struct weir_client **ret_client)
{
    if (name_size < 1 || name_size > WEIR_CLIENT_NAME_MAX)
        return WEIR_EINVAL;
    uint64_t hash = siphash(limiter->key, name, name_size);
    struct shard *shard = &limiter->shards[hash % SHARDS];
    int err;
    do {
        pthread_mutex_lock(&shard->lock);
        err = enter(limiter, shard, hash, name, name_size, limits, now_ns, ret_client);
        pthread_mutex_unlock(&shard->lock);
    } while (err == WEIR_EFULL && drop_idle_anywhere(limiter, hash % SHARDS, now_ns));
    return err;
}

void shard_leave(struct weir_client *client)
{
    struct shard *shard = client->shard;
    pthread_mutex_lock(&shard->lock);
    atomic_fetch_sub_explicit(&shard->active, 1, memory_order_relaxed);
    uint32_t before = atomic_fetch_sub_explicit(&client->active, 1, memory_order_relaxed);
    assert(before > 0);
    if (before == 1)
        idle_add(shard, client);
    pthread_mutex_unlock(&shard->lock);
}

uint32_t weir_limiter_active(const struct weir_limiter *limiter)
{
    uint32_t active = 0;
    for (uint32_t i = 0; i < SHARDS; i++)
        active += atomic_load_explicit(&limiter->shards[i].active, memory_order_relaxed);
    return active;
}

uint32_t weir_limiter_records(const struct weir_limiter *limiter)
{
    return atomic_load_explicit(&limiter->records, memory_order_relaxed);
}
