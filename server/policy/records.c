/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

/* A record begins with its head, so that a pointer to one is a pointer to the other; those with a name, with that. */
struct named {
    struct kept kept;
    char name[NAME_MAX_BYTES + 1];
};
static_assert(offsetof(struct listener_record, name) == offsetof(struct named, name) &&
                  offsetof(struct pool_record, name) == offsetof(struct named, name) &&
                  offsetof(struct upstream_record, name) == offsetof(struct named, name) &&
                  offsetof(struct client_record, name) == offsetof(struct named, name),
              "names stand behind heads");

/* What is different from kind to kind. */
struct maker {
    enum kept_kind kind;
    size_t size;
    int (*fill)(struct kept *kept, uint32_t workers); /* returns 0 or WEIR_ENOMEM; NULL: there is nothing to do */
    void (*destroy)(struct kept *kept);
};

/* Adds a record, if it is complete, or destroys it. */
static int finish(struct keep *keep, enum kept_kind kind, const char *key, struct kept *kept, int err)
{
    if (err == 0)
        err = keep_add(keep, kind, key, (uint32_t)strlen(key), kept);
    if (err != 0)
        kept->free(kept);
    return err;
}

static int make_named(struct keep *keep, const struct maker *maker, const char *name, uint32_t workers,
                      struct kept **ret_kept)
{
    struct named *named = calloc(1, maker->size);
    if (named == NULL)
        return WEIR_ENOMEM;
    strncpy(named->name, name, NAME_MAX_BYTES);
    named->kept.free = maker->destroy;
    int err = maker->fill == NULL ? 0 : maker->fill(&named->kept, workers);
    err = finish(keep, maker->kind, named->name, &named->kept, err);
    if (err == 0)
        *ret_kept = &named->kept;
    return err;
}

static int get_named(struct keep *keep, const struct maker *maker, const char *name, uint32_t workers,
                     struct kept **ret_kept)
{
    struct kept *found = keep_find(keep, maker->kind, name, (uint32_t)strlen(name));
    if (found == NULL)
        return make_named(keep, maker, name, workers, ret_kept);
    *ret_kept = found;
    return 0;
}

static int fill_listener(struct kept *kept, uint32_t workers)
{
    struct listener_record *record = (struct listener_record *)kept;
    record->slots = listener_slots_new(workers);
    return record->slots == NULL ? WEIR_ENOMEM : 0;
}

static void free_listener(struct kept *kept)
{
    free(((struct listener_record *)kept)->slots);
    free(kept);
}

int listener_record_get(struct keep *keep, const char *name, uint32_t workers, struct listener_record **ret_record)
{
    static const struct maker maker = { KEPT_LISTENER, sizeof(struct listener_record), fill_listener, free_listener };
    return get_named(keep, &maker, name, workers, (struct kept **)ret_record);
}

static int fill_pool(struct kept *kept, uint32_t workers)
{
    struct pool_record *record = (struct pool_record *)kept;
    record->slots = pool_slots_new(workers);
    return record->slots == NULL ? WEIR_ENOMEM : 0;
}

static void free_pool(struct kept *kept)
{
    free(((struct pool_record *)kept)->slots);
    free(kept);
}

int pool_record_get(struct keep *keep, const char *name, uint32_t workers, struct pool_record **ret_record)
{
    static const struct maker maker = { KEPT_POOL, sizeof(struct pool_record), fill_pool, free_pool };
    return get_named(keep, &maker, name, workers, (struct kept **)ret_record);
}

static void free_upstream(struct kept *kept)
{
    free(kept);
}

int upstream_record_get(struct keep *keep, const char *name, struct upstream_record **ret_record)
{
    static const struct maker maker = { KEPT_UPSTREAM, sizeof(struct upstream_record), NULL, free_upstream };
    return get_named(keep, &maker, name, 0, (struct kept **)ret_record);
}

static int fill_client(struct kept *kept, uint32_t workers)
{
    (void)workers;
    return weir_client_new(&((struct client_record *)kept)->client);
}

static void free_client(struct kept *kept)
{
    weir_client_unref(&((struct client_record *)kept)->client);
    free(kept);
}

int client_record_get(struct keep *keep, const char *name, struct client_record **ret_record)
{
    static const struct maker maker = { KEPT_CLIENT, sizeof(struct client_record), fill_client, free_client };
    return get_named(keep, &maker, name, 0, (struct kept **)ret_record);
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
    struct address_record *record = calloc(1, sizeof *record);
    if (record == NULL)
        return WEIR_ENOMEM;
    record->kept.free = free_address;
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
