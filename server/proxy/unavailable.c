/* SPDX-License-Identifier: Apache-2.0 */
#include "unavailable.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../base/log.h"
#include "health.h"

#define SECOND_NS UINT64_C(1000000000)
#define MORE_BYTES sizeof("; 65536 more")

static void describe_place(const struct snapshot *snapshot, const struct pool *pool, uint32_t place, char *text,
                           size_t size)
{
    const struct upstream *upstream = &snapshot->upstreams[pool->places[place].upstream];
    char cause[HEALTH_CAUSE_BYTES];
    switch (weir_upstreams_state(snapshot->table, upstream->id)) {
    case WEIR_UPSTREAM_DRAIN:
        snprintf(text, size, "%s draining", upstream->name);
        return;
    case WEIR_UPSTREAM_DISABLED:
        snprintf(text, size, "%s disabled", upstream->name);
        return;
    default:
        break;
    }
    uint32_t active = weir_upstreams_active(snapshot->table, upstream->id), most = upstream->max_connections;
    if (health_down_cause(health_of(pool, place), cause))
        snprintf(text, size, "%s down: %s", upstream->name, cause);
    else if (most != 0 && active >= most)
        snprintf(text, size, "%s full (%" PRIu32 " of %" PRIu32 ")", upstream->name, active, most);
    else
        snprintf(text, size, "%s available again", upstream->name);
}

void unavailable_describe(const struct snapshot *snapshot, const struct pool *pool, const struct weir_set *set,
                          char *text, size_t size)
{
    uint32_t count = weir_set_count(set), n = 0;
    size_t used = 0;
    text[0] = '\0';
    for (; n < count; n++) {
        char place[NAME_MAX_BYTES + HEALTH_CAUSE_BYTES + 16];
        describe_place(snapshot, pool, weir_set_place(set, n), place, sizeof place);
        size_t room = n + 1 < count ? MORE_BYTES : 1, length = strlen(place) + (n > 0 ? 2 : 0);
        if (used + length + room > size)
            break;
        used += (size_t)snprintf(text + used, size - used, "%s%s", n > 0 ? "; " : "", place);
    }
    if (n < count)
        snprintf(text + used, size - used, "%s%" PRIu32 " more", n > 0 ? "; " : "", count - n);
}

void unavailable_log(const struct snapshot *snapshot, const struct pool *pool, const struct weir_set *set,
                     uint64_t now_ns)
{
    struct pool_record *record = pool->record;
    uint64_t logged_ns = atomic_load(&record->unavailable_ns);
    bool due = logged_ns == 0 || now_ns >= logged_ns + SECOND_NS;
    if (!due || !atomic_compare_exchange_strong(&record->unavailable_ns, &logged_ns, now_ns)) {
        atomic_fetch_add(&record->unavailable_unsaid, 1);
        return;
    }
    char text[LOG_VALUE_MAX + 1];
    unavailable_describe(snapshot, pool, set, text, sizeof text);
    log_warn("no upstream available", LOG_STR("pool", pool->name), LOG_STR("why", text),
             LOG_U64("left_out", atomic_exchange(&record->unavailable_unsaid, 0)));
}
