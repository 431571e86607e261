/* SPDX-License-Identifier: Apache-2.0 */
#include "config_parts.h"

#include <string.h>

#define TIMEOUT_MAX (365 * NS_PER_DAY)
#define KEEPALIVE_MAX (9 * NS_PER_HOUR) /* the kernel takes at most 32767 seconds */

struct listener_draft {
    struct listener listener;
    struct position address_at, tls_at, handshake_at, expired_at;
};

static void read_pool_name(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    const char *name = node_text(node);

    if (name == NULL)
        refuse(reader, field->key, node, "the name of a pool");
    else
        *(uint32_t *)slot = find_pool(reader, node, name);
}

static const struct field listener_fields[] = {
    { "name", read_name, offsetof(struct listener_draft, listener.name), .add = "name: NAME",
      PLACED_AT(struct listener_draft, listener.at) },
    { "address", read_address, offsetof(struct listener_draft, listener.address), .add = "address: IP:PORT",
      PLACED_AT(struct listener_draft, address_at) },
    { "pool", read_pool_name, offsetof(struct listener_draft, listener.pool), .add = "pool: NAME" },
    { "keepalive", read_seconds, offsetof(struct listener_draft, listener.keepalive_s), 0, KEEPALIVE_MAX },
    { "idle_timeout", read_duration, offsetof(struct listener_draft, listener.idle_timeout_ns), 0, TIMEOUT_MAX },
    { "half_close_timeout", read_duration, offsetof(struct listener_draft, listener.half_close_timeout_ns), 0,
      TIMEOUT_MAX },
    { "tls", read_listener_tls, offsetof(struct listener_draft, listener), PLACED_AT(struct listener_draft, tls_at) },
    { "handshake_timeout", read_duration, offsetof(struct listener_draft, listener.handshake_timeout_ns),
      10 * NS_PER_MS, NS_PER_HOUR, PLACED_AT(struct listener_draft, handshake_at) },
    { "end_expired", read_bool, offsetof(struct listener_draft, listener.end_expired),
      PLACED_AT(struct listener_draft, expired_at) },
    { "keep_on_policy_change", read_bool, offsetof(struct listener_draft, listener.keep_on_policy_change) },
};
static const struct section listener_section = SECTION("this listener", listener_fields);

static const struct listener_draft new_listener = {
    .listener = { .pool = ANY_INDEX,
                  .keepalive_s = 60,
                  .idle_timeout_ns = NS_PER_HOUR,
                  .half_close_timeout_ns = 60 * NS_PER_S,
                  .handshake_timeout_ns = 10 * NS_PER_S },
};

static void take_name(struct reader *reader, uint32_t i)
{
    const struct listener *listener = &reader->snapshot->listeners[i];
    size_t size = strlen(listener->name);
    uint32_t other = index_find(&reader->listeners, 0, listener->name, size);

    if (size == 0)
        return;
    if (other != INDEX_NONE)
        refuse_taken(reader, "listener", listener->name, listener->at, reader->snapshot->listeners[other].at.line);
    else
        reader_index(reader, &reader->listeners, 0, listener->name, size, i);
}

/* Listeners and the admin API share addresses with nobody; port 0 is always another one. */
static void take_address(struct reader *reader, const struct weir_address *address, struct position at)
{
    struct address_key key = value_address_key(address);
    uint32_t line = index_find(&reader->listener_addresses, 0, &key, sizeof key);
    char text[WEIR_ADDRESS_TEXT_MAX];

    if (address->u.any.sa_family == AF_UNSPEC || weir_address_port(address) == 0)
        return;
    if (line != INDEX_NONE)
        report_add(reader->report, at, "%s is listened on already (line %u); choose another address or port",
                   weir_address_format(address, text, sizeof text), line);
    else
        reader_index(reader, &reader->listener_addresses, 0, &key, sizeof key, at.line);
}

void read_listeners(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    struct snapshot *snapshot = slot;

    if (!list_is_fine(reader, field, node, "listeners"))
        return;
    snapshot->listeners = reader_array(reader, node->count, sizeof *snapshot->listeners);
    if (snapshot->listeners == NULL)
        return;
    if (snapshot->settings.has_admin_http)
        take_address(reader, &snapshot->settings.admin_http, snapshot->settings.admin_http_at);
    for (const struct node *item = node->first; item != NULL; item = item->next) {
        struct listener_draft draft = new_listener;
        if (!section_read(reader, &listener_section, item, &draft))
            continue;
        snapshot->listeners[snapshot->listener_count++] = draft.listener;
        take_name(reader, snapshot->listener_count - 1);
        take_address(reader, &draft.listener.address, draft.address_at);
        if (draft.handshake_at.line != 0 && draft.tls_at.line == 0)
            report_add(reader->report, draft.handshake_at,
                       "handshake_timeout belongs to a listener with tls; add tls, or remove it");
        if (draft.listener.end_expired && draft.tls_at.line == 0)
            report_add(reader->report, draft.expired_at,
                       "end_expired belongs to a listener with tls; add tls, or remove it");
    }
}
