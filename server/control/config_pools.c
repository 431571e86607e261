/* SPDX-License-Identifier: Apache-2.0 */
#include "config_parts.h"

#include <stdlib.h>
#include <string.h>

#define POOLS_MAX 1000
#define UPSTREAMS_MAX 65536
#define CONNECTIONS_MAX 1000000

/* One entry of a pool's `upstreams`. */
struct upstream_draft {
    struct upstream upstream; /* max_connections: LIMIT_ABSENT when not given */
    struct place place;
    struct position address_at, max_at;
};

struct pool_draft {
    struct pool pool;
    const struct node *upstreams;
    struct position tls_at;
};

static const struct field upstream_fields[] = {
    { "name", read_name, offsetof(struct upstream_draft, upstream.name), .add = "name: NAME",
      PLACED_AT(struct upstream_draft, upstream.at) },
    { "address", read_address, offsetof(struct upstream_draft, upstream.address), .add = "address: IP:PORT",
      PLACED_AT(struct upstream_draft, address_at) },
    { "weight", read_u32, offsetof(struct upstream_draft, place.weight), 1, WEIR_WEIGHT_MAX },
    { "max_connections", read_u32, offsetof(struct upstream_draft, upstream.max_connections), 0, CONNECTIONS_MAX,
      PLACED_AT(struct upstream_draft, max_at) },
    { "backup", read_bool, offsetof(struct upstream_draft, place.backup) },
};
static const struct section upstream_section = SECTION("this upstream", upstream_fields);

static const struct field pool_fields[] = {
    { "name", read_name, offsetof(struct pool_draft, pool.name), .add = "name: NAME",
      PLACED_AT(struct pool_draft, pool.at) },
    { "upstreams", read_node, offsetof(struct pool_draft, upstreams), 1, WEIR_PLACES_MAX,
      .add = "upstreams: [{ name: NAME, address: IP:PORT }]" },
    { "connect_timeout", read_duration, offsetof(struct pool_draft, pool.connect_timeout_ns), NS_PER_MS, NS_PER_HOUR },
    { "retries", read_u32, offsetof(struct pool_draft, pool.retries), 0, WEIR_TRIED_MAX - 1 },
    { "health", read_health, offsetof(struct pool_draft, pool.health) },
    { "slow_start", read_duration, offsetof(struct pool_draft, pool.slow_start_ns), 0, NS_PER_DAY },
    { "tls", read_pool_tls, offsetof(struct pool_draft, pool), PLACED_AT(struct pool_draft, tls_at) },
};
static const struct section pool_section = SECTION("this pool", pool_fields);
enum { UPSTREAMS_FIELD = 1 };

static const struct pool_draft new_pool = {
    .pool = { .connect_timeout_ns = 5 * NS_PER_S,
              .retries = 3,
              .health = { .interval_ns = 2 * NS_PER_S,
                          .timeout_ns = 2 * NS_PER_S,
                          .fall = 3,
                          .rise = 2,
                          .check = HEALTH_CHECK_CONNECT,
                          .passive = true } },
};

/* Makes room for one more physical upstream. */
static bool upstream_room(struct reader *reader)
{
    struct snapshot *snapshot = reader->snapshot;
    uint32_t room = reader->upstream_room == 0 ? 64 : reader->upstream_room * 2;

    if (snapshot->upstream_count < reader->upstream_room)
        return true;
    struct upstream *upstreams = reallocarray(snapshot->upstreams, room, sizeof *upstreams);
    if (upstreams != NULL)
        snapshot->upstreams = upstreams;
    struct upstream_limit *limits = reallocarray(reader->upstream_limits, room, sizeof *limits);
    if (limits != NULL)
        reader->upstream_limits = limits;
    if (upstreams == NULL || limits == NULL) {
        reader->report->out_of_memory = true;
        return false;
    }
    reader->upstream_room = room;
    return true;
}

static uint32_t add_upstream(struct reader *reader, const struct upstream_draft *draft)
{
    struct snapshot *snapshot = reader->snapshot;
    const struct upstream *upstream = &draft->upstream;
    struct address_key key = value_address_key(&upstream->address);
    uint32_t i = snapshot->upstream_count;

    if (i == UPSTREAMS_MAX) {
        report_add(reader->report, upstream->at, "more than %d upstreams are not possible", UPSTREAMS_MAX);
        return ANY_INDEX;
    }
    if (!upstream_room(reader))
        return ANY_INDEX;
    snapshot->upstream_count++;
    snapshot->upstreams[i] = *upstream;
    snapshot->upstreams[i].max_connections = 0;
    reader->upstream_limits[i] = (struct upstream_limit){ .given = false };
    reader_index(reader, &reader->upstreams, 0, upstream->name, strlen(upstream->name), i);
    reader_index(reader, &reader->upstream_addresses, 0, &key, sizeof key, i);
    return i;
}

/* The one entry for this address, which has this name and no other. */
static uint32_t find_or_add_upstream(struct reader *reader, const struct upstream_draft *draft)
{
    const struct upstream *upstream = &draft->upstream, *others = reader->snapshot->upstreams;
    struct address_key key = value_address_key(&upstream->address);
    uint32_t by_name = index_find(&reader->upstreams, 0, upstream->name, strlen(upstream->name));
    uint32_t by_address = index_find(&reader->upstream_addresses, 0, &key, sizeof key);
    char text[WEIR_ADDRESS_TEXT_MAX];

    if (by_name == by_address)
        return by_name == INDEX_NONE ? add_upstream(reader, draft) : by_name;
    if (by_address != INDEX_NONE)
        report_add(reader->report, draft->address_at,
                   "%s is the address of upstream \"%s\" (line %u); an upstream has one name in all pools",
                   weir_address_format(&upstream->address, text, sizeof text), others[by_address].name,
                   others[by_address].at.line);
    else
        report_add(reader->report, draft->address_at,
                   "upstream \"%s\" is at %s (line %u); another address needs another name", upstream->name,
                   weir_address_format(&others[by_name].address, text, sizeof text), others[by_name].at.line);
    return ANY_INDEX;
}

/* The limit belongs to the upstream, not to the place: whoever gives it gives the same. */
static void set_limit(struct reader *reader, const struct upstream_draft *draft, uint32_t i)
{
    struct upstream *upstream = &reader->snapshot->upstreams[i];
    struct upstream_limit *limit = &reader->upstream_limits[i];

    if (draft->upstream.max_connections == LIMIT_ABSENT)
        return;
    if (limit->given && upstream->max_connections != draft->upstream.max_connections)
        report_add(reader->report, draft->max_at,
                   "upstream \"%s\" has max_connections: %u on line %u; write the same or leave it out", upstream->name,
                   upstream->max_connections, limit->line);
    if (limit->given)
        return;
    upstream->max_connections = draft->upstream.max_connections;
    *limit = (struct upstream_limit){ .given = true, .line = draft->max_at.line };
}

static bool address_is_one_host(const struct weir_address *address)
{
    const struct in6_addr *v6 = &address->u.v6.sin6_addr;

    if (address->u.any.sa_family == AF_INET)
        return address->u.v4.sin_addr.s_addr != INADDR_ANY && !IN_MULTICAST(ntohl(address->u.v4.sin_addr.s_addr));
    return !IN6_IS_ADDR_UNSPECIFIED(v6) && !IN6_IS_ADDR_MULTICAST(v6);
}

static bool upstream_address_is_fine(struct reader *reader, const struct upstream_draft *draft)
{
    const struct weir_address *address = &draft->upstream.address;
    char text[WEIR_ADDRESS_TEXT_MAX];

    if (address->u.any.sa_family == AF_UNSPEC)
        return false;
    if (weir_address_port(address) == 0)
        report_add(reader->report, draft->address_at, "an upstream's port must be a number from 1 to 65535, not 0");
    else if (!address_is_one_host(address))
        report_add(reader->report, draft->address_at,
                   "%s is not the address of one host; write one to connect to, like 10.0.0.11:7000",
                   weir_address_format(address, text, sizeof text));
    else
        return true;
    return false;
}

/* The place is known by its name even if its address is wrong, so that references to it raise no further errors. */
static void add_place(struct reader *reader, uint32_t pool_index, struct pool *pool, struct upstream_draft *draft)
{
    const char *name = draft->upstream.name;
    uint32_t other = index_find(&reader->places, pool_index, name, strlen(name));

    if (name[0] == '\0') {
        reader->places_incomplete = true;
        return;
    }
    if (other != INDEX_NONE) {
        report_add(reader->report, draft->upstream.at,
                   "upstream \"%s\" stands in this pool already; remove one of them", name);
        return;
    }
    reader_index(reader, &reader->places, pool_index, name, strlen(name), pool->place_count);
    draft->place.upstream = ANY_INDEX;
    if (upstream_address_is_fine(reader, draft))
        draft->place.upstream = find_or_add_upstream(reader, draft);
    if (draft->place.upstream != ANY_INDEX)
        set_limit(reader, draft, draft->place.upstream);
    pool->places[pool->place_count++] = draft->place;
}

static void read_upstreams(struct reader *reader, uint32_t pool_index, struct pool *pool, const struct node *list)
{
    if (list == NULL || !list_is_fine(reader, &pool_fields[UPSTREAMS_FIELD], list, "upstreams")) {
        reader->places_incomplete = true;
        return;
    }
    pool->places = reader_array(reader, list->count, sizeof *pool->places);
    for (const struct node *item = list->first; pool->places != NULL && item != NULL; item = item->next) {
        struct upstream_draft draft = { .upstream.max_connections = LIMIT_ABSENT, .place.weight = 1 };
        if (section_read(reader, &upstream_section, item, &draft))
            add_place(reader, pool_index, pool, &draft);
        else
            reader->places_incomplete = true;
    }
}

static void check_needs_tls(struct reader *reader, const struct pool_draft *draft)
{
    if (draft->pool.health.check == HEALTH_CHECK_TLS && draft->tls_at.line == 0)
        report_add(reader->report, draft->pool.health.check_at,
                   "check: tls needs the tls of its pool; add tls: { ca: FILE } to the pool, or write check: connect");
}

static void add_pool(struct reader *reader, const struct pool_draft *draft)
{
    struct snapshot *snapshot = reader->snapshot;
    const char *name = draft->pool.name;
    uint32_t i = snapshot->pool_count++;
    uint32_t other = index_find(&reader->pools, 0, name, strlen(name));

    snapshot->pools[i] = draft->pool;
    check_needs_tls(reader, draft);
    if (name[0] == '\0')
        reader->pools_incomplete = true;
    else if (other != INDEX_NONE)
        refuse_taken(reader, "pool", name, draft->pool.at, snapshot->pools[other].at.line);
    else
        reader_index(reader, &reader->pools, 0, name, strlen(name), i);
    read_upstreams(reader, i, &snapshot->pools[i], draft->upstreams);
}

void read_pools(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    struct snapshot *snapshot = slot;

    if (!list_is_fine(reader, field, node, "pools"))
        return;
    snapshot->pools = reader_array(reader, node->count, sizeof *snapshot->pools);
    if (snapshot->pools == NULL)
        return;
    reader->pools_incomplete = false;
    for (const struct node *item = node->first; item != NULL; item = item->next) {
        struct pool_draft draft = new_pool;
        if (section_read(reader, &pool_section, item, &draft))
            add_pool(reader, &draft);
        else
            reader->pools_incomplete = true;
    }
}
