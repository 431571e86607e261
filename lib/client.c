/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <assert.h>
#include <stdlib.h>

#include <weir/errors.h>

/* Workers read their clocks at slightly different times. */
#define CLOCK_SKEW_NS UINT64_C(1000000000)

int weir_client_new(struct weir_client **ret_client)
{
    struct weir_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return WEIR_ENOMEM;
    client->references = 1;
    *ret_client = client;
    return 0;
}

struct weir_client *weir_client_ref(struct weir_client *client)
{
    assert(client->shard == NULL);
    atomic_fetch_add_explicit(&client->references, 1, memory_order_relaxed);
    return client;
}

void weir_client_unref(struct weir_client **pclient)
{
    struct weir_client *client = *pclient;
    if (client == NULL)
        return;
    assert(client->shard == NULL);
    *pclient = NULL;
    if (atomic_fetch_sub_explicit(&client->references, 1, memory_order_acq_rel) == 1)
        free(client);
}

uint32_t weir_client_active(const struct weir_client *client)
{
    return atomic_load_explicit(&client->active, memory_order_relaxed);
}

static int take_slot(struct weir_client *client, uint32_t limit)
{
    uint32_t active = atomic_load_explicit(&client->active, memory_order_relaxed);
    do {
        if (limit != 0 && active >= limit)
            return WEIR_ELIMIT;
    } while (!atomic_compare_exchange_weak_explicit(&client->active, &active, active + 1, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return 0;
}

static void return_slot(struct weir_client *client)
{
    uint32_t before = atomic_fetch_sub_explicit(&client->active, 1, memory_order_acq_rel);
    assert(before > 0);
}

/* How far full_at may lie ahead for one more connection to come. */
static uint64_t tolerance_of(const struct weir_limits *limits)
{
    uint64_t tolerance;
    uint64_t burst = limits->burst > 0 ? limits->burst : 1;
    if (__builtin_mul_overflow(limits->rate_period_ns, burst - 1, &tolerance) || tolerance > INT64_MAX)
        return INT64_MAX;
    return tolerance;
}

static int take_token(struct weir_client *client, const struct weir_limits *limits, uint64_t now_ns)
{
    uint64_t period = limits->rate_period_ns, tolerance = tolerance_of(limits);
    uint64_t full_at = atomic_load_explicit(&client->full_at_ns, memory_order_relaxed), next;
    int err;
    do {
        uint64_t ahead = full_at > now_ns ? full_at - now_ns : 0;
        err = ahead > tolerance || __builtin_add_overflow(now_ns + ahead, period, &next) ? WEIR_ERATE : 0;
        if (err != 0) {
            /* A debt from older, stricter limits counts as no more than an empty bucket of these. */
            if (period > INT64_MAX - tolerance || ahead <= tolerance + period + CLOCK_SKEW_NS)
                return err;
            next = now_ns + tolerance + period;
        }
    } while (!atomic_compare_exchange_weak_explicit(&client->full_at_ns, &full_at, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return err;
}

int client_admit(struct weir_client *client, const struct weir_limits *limits, uint64_t now_ns)
{
    int err = take_slot(client, limits->connections);
    if (err != 0 || limits->rate_period_ns == 0)
        return err;
    err = take_token(client, limits, now_ns);
    if (err != 0)
        return_slot(client);
    return err;
}

int weir_client_enter(struct weir_client *client, const struct weir_limits *limits, uint64_t now_ns,
                      struct weir_client **ret_client)
{
    int err = client_admit(client, limits, now_ns);
    if (err == 0)
        *ret_client = weir_client_ref(client);
    return err;
}

void weir_client_leave(struct weir_client **pclient)
{
    struct weir_client *client = *pclient;
    if (client == NULL)
        return;
    if (client->shard != NULL) {
        shard_leave(client);
        *pclient = NULL;
    } else {
        return_slot(client);
        weir_client_unref(pclient);
    }
}
