/* SPDX-License-Identifier: Apache-2.0 */
#include "figures_parts.h"

#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

/* What a row is about, and where it stands. */
struct key {
    const char *group, *name; /* of the pool and the upstream; else the group is "" */
    uint32_t index;
};

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int order = strcmp(x->group, y->group);
    return order != 0 ? order : strcmp(x->name, y->name);
}

/* Each gives the key of the n-th row of its kind. */

static struct key listener_key(const struct snapshot *snapshot, uint32_t n)
{
    return (struct key){ "", snapshot->listeners[n].name, n };
}

static struct key client_key(const struct snapshot *snapshot, uint32_t n)
{
    return (struct key){ "", snapshot->clients[n].name, n };
}

static struct key place_key(const struct snapshot *snapshot, uint32_t n)
{
    const struct pool *pool = snapshot->pools;
    uint32_t place = n;
    for (; place >= pool->place_count; pool++)
        place -= pool->place_count;
    return (struct key){ pool->name, snapshot->upstreams[pool->places[place].upstream].name, n };
}

/* Rows of one kind. */
struct rows {
    const struct snapshot *snapshot;
    void *rows;
    uint32_t count;
};

/* Copies the rows that are about the same thing. */
static int carry(const struct rows *from, const struct rows *to, size_t size,
                 struct key (*key_of)(const struct snapshot *snapshot, uint32_t n))
{
    struct key *keys = calloc(from->count + (size_t)1, sizeof *keys);
    if (keys == NULL)
        return WEIR_ENOMEM;
    for (uint32_t n = 0; n < from->count; n++)
        keys[n] = key_of(from->snapshot, n);
    qsort(keys, from->count, sizeof *keys, compare_keys);
    for (uint32_t n = 0; n < to->count; n++) {
        const struct key key = key_of(to->snapshot, n);
        const struct key *found = bsearch(&key, keys, from->count, sizeof *keys, compare_keys);
        if (found != NULL)
            memcpy((char *)to->rows + n * size, (const char *)from->rows + found->index * size, size);
    }
    free(keys);
    return 0;
}

static int carry_all(const struct tables *from, const struct snapshot *old, const struct tables *to,
                     const struct snapshot *new)
{
    const struct rows old_listeners = { old, from->listeners, old->listener_count };
    const struct rows new_listeners = { new, to->listeners, new->listener_count };
    const struct rows old_places = { old, from->places, from->place_count };
    const struct rows new_places = { new, to->places, to->place_count };
    const struct rows old_clients = { old, from->clients, old->client_count };
    const struct rows new_clients = { new, to->clients, new->client_count };
    int err = carry(&old_listeners, &new_listeners, sizeof *to->listeners, listener_key);
    if (err == 0)
        err = carry(&old_places, &new_places, sizeof *to->places, place_key);
    return err != 0 ? err : carry(&old_clients, &new_clients, sizeof *to->clients, client_key);
}

static int new_tables(const struct snapshot *snapshot, struct tables *ret_tables)
{
    struct tables tables = { .first_place = calloc(snapshot->pool_count + (size_t)1, sizeof *tables.first_place) };
    for (uint32_t n = 0; tables.first_place != NULL && n < snapshot->pool_count; n++) {
        tables.first_place[n] = tables.place_count;
        tables.place_count += snapshot->pools[n].place_count;
    }
    tables.listeners = calloc(snapshot->listener_count + (size_t)1, sizeof *tables.listeners);
    tables.places = calloc(tables.place_count + (size_t)1, sizeof *tables.places);
    tables.clients = calloc(snapshot->client_count + (size_t)1, sizeof *tables.clients);
    if (tables.first_place == NULL || tables.listeners == NULL || tables.places == NULL || tables.clients == NULL) {
        tables_free(&tables);
        return WEIR_ENOMEM;
    }
    *ret_tables = tables;
    return 0;
}

int tables_adopt(struct tables *tables, const struct snapshot *old, const struct snapshot *new)
{
    struct tables fresh;
    int err = new_tables(new, &fresh);
    if (err != 0)
        return err;
    if (old != NULL)
        err = carry_all(tables, old, &fresh, new);
    tables_free(err == 0 ? tables : &fresh);
    if (err == 0)
        *tables = fresh;
    return err;
}

void tables_free(struct tables *tables)
{
    free(tables->listeners);
    free(tables->places);
    free(tables->first_place);
    free(tables->clients);
    *tables = (struct tables){ 0 };
}
