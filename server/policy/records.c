/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

/* A record begins with its head: a pointer to one is a pointer to the other. */

static void copy_name(char to[NAME_MAX_BYTES + 1], const char *name)
{
    strncpy(to, name, NAME_MAX_BYTES);
}

static void *new_record(size_t size, void (*destroy)(struct kept *kept))
{
    struct kept *kept = calloc(1, size);
    if (kept != NULL)
        kept->free = destroy;
    return kept;
}

/* Adds a record that is complete, or destroys it. */
static int finish(struct keep *keep, enum kept_kind kind, const char *key, struct kept *kept, int err)
{
    if (err == 0)
        err = keep_add(keep, kind, key, (uint32_t)strlen(key), kept);
    if (err != 0)
        kept->free(kept);
    return err;
}

static void free_listener(struct kept *kept)
{
    free(((struct listener_record *)kept)->slots);
    free(kept);
}

int listener_record_get(struct keep *keep, const char *name, uint32_t workers, struct listener_record **ret_record)
{
    struct kept *found = keep_find(keep, KEPT_LISTENER, name, (uint32_t)strlen(name));
    struct listener_record *record = (struct listener_record *)found;
    int err = 0;
    if (found == NULL) {
        record = new_record(sizeof *record, free_listener);
        if (record == NULL)
            return WEIR_ENOMEM;
        copy_name(record->name, name);
        record->slots = listener_slots_new(workers);
        err = finish(keep, KEPT_LISTENER, record->name, &record->kept, record->slots == NULL ? WEIR_ENOMEM : 0);
    }
    if (err == 0)
        *ret_record = record;
    return err;
}

static void free_pool(struct kept *kept)
{
    free(((struct pool_record *)kept)->slots);
    free(kept);
}

int pool_record_get(struct keep *keep, const char *name, uint32_t workers, struct pool_record **ret_record)
{
    struct kept *found = keep_find(keep, KEPT_POOL, name, (uint32_t)strlen(name));
    struct pool_record *record = (struct pool_record *)found;
    int err = 0;
    if (found == NULL) {
        record = new_record(sizeof *record, free_pool);
        if (record == NULL)
            return WEIR_ENOMEM;
        copy_name(record->name, name);
        record->slots = pool_slots_new(workers);
        err = finish(keep, KEPT_POOL, record->name, &record->kept, record->slots == NULL ? WEIR_ENOMEM : 0);
    }
    if (err == 0)
        *ret_record = record;
    return err;
}

static void free_upstream(struct kept *kept)
{
    free(kept);
}

int upstream_record_get(struct keep *keep, const char *name, struct upstream_record **ret_record)
{
    struct kept *found = keep_find(keep, KEPT_UPSTREAM, name, (uint32_t)strlen(name));
    struct upstream_record *record = (struct upstream_record *)found;
    int err = 0;
    if (found == NULL) {
        record = new_record(sizeof *record, free_upstream);
        if (record == NULL)
            return WEIR_ENOMEM;
        copy_name(record->name, name);
        err = finish(keep, KEPT_UPSTREAM, record->name, &record->kept, 0);
    }
    if (err == 0)
        *ret_record = record;
    return err;
}

static void free_client(struct kept *kept)
{
    weir_client_unref(&((struct client_record *)kept)->client);
    free(kept);
}

int client_record_get(struct keep *keep, const char *name, struct client_record **ret_record)
{
    struct kept *found = keep_find(keep, KEPT_CLIENT, name, (uint32_t)strlen(name));
    struct client_record *record = (struct client_record *)found;
    int err = 0;
    if (found == NULL) {
        record = new_record(sizeof *record, free_client);
        if (record == NULL)
            return WEIR_ENOMEM;
        copy_name(record->name, name);
        err = finish(keep, KEPT_CLIENT, record->name, &record->kept, weir_client_new(&record->client));
    }
    if (err == 0)
        *ret_record = record;
    return err;
}

static bool has_connections(const struct kept *kept)
{
    const struct address_record *record = (const struct address_record *)kept;
    return weir_upstreams_active(record->table, record->id) > 0;
}

static void free_address(struct kept *kept)
{
    struct address_record *record = (struct address_record *)kept;
    if (record->table != NULL)
        weir_upstreams_remove(record->table, record->id);
    free(record);
}

static int make_address(struct keep *keep, const char *text, struct weir_upstreams *table, uint32_t max_connections,
                        struct address_record **ret_record)
{
    struct address_record *record = new_record(sizeof *record, free_address);
    if (record == NULL)
        return WEIR_ENOMEM;
    memcpy(record->text, text, strlen(text) + 1);
    record->kept.is_busy = has_connections;
    int err = weir_upstreams_add(table, max_connections, &record->id);
    if (err == 0)
        record->table = table;
    err = finish(keep, KEPT_ADDRESS, record->text, &record->kept, err);
    if (err == 0)
        *ret_record = record;
    return err;
}

int address_record_get(struct keep *keep, const struct weir_address *address, struct weir_upstreams *table,
                       uint32_t max_connections, struct address_record **ret_record)
{
    char text[WEIR_ADDRESS_TEXT_MAX];
    weir_address_format(address, text, sizeof text);
    struct kept *found = keep_find(keep, KEPT_ADDRESS, text, (uint32_t)strlen(text));
    if (found == NULL)
        return make_address(keep, text, table, max_connections, ret_record);
    *ret_record = (struct address_record *)found;
    return 0;
}
