/* SPDX-License-Identifier: Apache-2.0 */
#include "reload_changes.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "config_report.h"

/* Settings that need a restart */

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_admin(const struct settings *a, const struct settings *b)
{
    return same_text(a->admin_socket, b->admin_socket) && a->has_admin_http == b->has_admin_http &&
           (!a->has_admin_http || weir_address_equal(&a->admin_http, &b->admin_http));
}

/* A key that is not there any more stood nowhere: the file's beginning stands for it. */
static int refuse_change(const struct snapshot *after, const char *key, struct position at,
                         struct config_errors *errors)
{
    int err = config_errors_add(errors, "%s:%u:%u: %s cannot be changed by a reload; restart, or undo the change",
                                after->path, at.line == 0 ? 1 : at.line, at.column == 0 ? 1 : at.column, key);
    return err == 0 ? WEIR_EINVAL : err;
}

int reload_check_restart(const struct snapshot *after, const struct snapshot *before, struct config_errors *errors)
{
    const struct settings *new = &after->settings, *old = &before->settings;
    const struct {
        const char *key;
        bool same;
        struct position at;
    } keys[] = {
        { "workers", new->workers == old->workers, new->workers_at }, { "io", new->io == old->io, new->io_at },
        { "user", same_text(new->user, old->user), new->user_at },    { "admin", same_admin(new, old), new->admin_at },
        { "sandbox", new->sandbox == old->sandbox, new->sandbox_at },
    };
    int err = 0;
    for (size_t n = 0; err != WEIR_ENOMEM && n < sizeof keys / sizeof keys[0]; n++)
        if (!keys[n].same)
            err = refuse_change(after, keys[n].key, keys[n].at, errors);
    return err;
}

static_assert(offsetof(struct listener, name) == 0 && offsetof(struct pool, name) == 0 &&
                  offsetof(struct upstream, name) == 0 && offsetof(struct client, name) == 0,
              "names come first");

/* Things of a kind, by name */

struct kind {
    const char *one, *many;
    size_t size; /* of an element, which begins with its name */
    bool (*same)(const struct snapshot *before, const void *old, const struct snapshot *after, const void *new);
};

struct list {
    const void *elements;
    uint32_t count;
};

static const char *name_of(const struct kind *kind, const struct list *list, uint32_t index)
{
    return (const char *)list->elements + index * kind->size;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names in order. NULL: out of memory. */
static const char **sorted_names(const struct kind *kind, const struct list *list)
{
    const char **names = calloc(list->count + (size_t)1, sizeof *names);
    for (uint32_t n = 0; names != NULL && n < list->count; n++)
        names[n] = name_of(kind, list, n);
    if (names != NULL && list->count > 1)
        qsort(names, list->count, sizeof *names, compare_names);
    return names;
}

static const void *find(const char **names, uint32_t count, const char *name)
{
    const char **found = count == 0 ? NULL : bsearch(&name, names, count, sizeof *names, compare_names);
    return found == NULL ? NULL : *found;
}

static int tell_count(const struct kind *kind, uint32_t count, const char *name, const char *what,
                      struct config_errors *changes)
{
    if (count == 0)
        return 0;
    if (count == 1)
        return config_errors_add(changes, "%s %s %s", kind->one, name, what);
    return config_errors_add(changes, "%" PRIu32 " %s %s", count, kind->many, what);
}

struct tally {
    uint32_t added, removed, changed;
    const char *added_name, *removed_name, *changed_name;
};

static void compare(const struct kind *kind, const struct snapshot *before, const struct list *old,
                    const char **old_names, const struct snapshot *after, const struct list *new,
                    const char **new_names, struct tally *tally)
{
    for (uint32_t n = 0; n < new->count; n++) {
        const char *name = name_of(kind, new, n);
        const void *was = find(old_names, old->count, name);
        if (was == NULL) {
            tally->added++;
            tally->added_name = name;
        } else if (!kind->same(before, was, after, name)) {
            tally->changed++;
            tally->changed_name = name;
        }
    }
    for (uint32_t n = 0; n < old->count; n++)
        if (find(new_names, new->count, name_of(kind, old, n)) == NULL) {
            tally->removed++;
            tally->removed_name = name_of(kind, old, n);
        }
}

static int tell_kind(const struct kind *kind, const struct snapshot *before, const struct list *old,
                     const struct snapshot *after, const struct list *new, struct config_errors *changes)
{
    struct tally tally = { 0 };
    const char **old_names = sorted_names(kind, old), **new_names = sorted_names(kind, new);
    int err = old_names == NULL || new_names == NULL ? WEIR_ENOMEM : 0;
    if (err == 0)
        compare(kind, before, old, old_names, after, new, new_names, &tally);
    free(old_names);
    free(new_names);
    if (err == 0)
        err = tell_count(kind, tally.added, tally.added_name, "added", changes);
    if (err == 0)
        err = tell_count(kind, tally.removed, tally.removed_name, "removed", changes);
    if (err == 0)
        err = tell_count(kind, tally.changed, tally.changed_name, "changed", changes);
    return err;
}

/* What makes them equal */

static bool same_listener(const struct snapshot *before, const void *old, const struct snapshot *after, const void *new)
{
    const struct listener *a = old, *b = new;
    return weir_address_equal(&a->address, &b->address) && a->material == b->material &&
           a->idle_timeout_ns == b->idle_timeout_ns && a->half_close_timeout_ns == b->half_close_timeout_ns &&
           a->handshake_timeout_ns == b->handshake_timeout_ns && a->keepalive_s == b->keepalive_s &&
           a->keep_on_policy_change == b->keep_on_policy_change && a->end_expired == b->end_expired &&
           strcmp(before->pools[a->pool].name, after->pools[b->pool].name) == 0;
}

static bool same_upstream(const struct snapshot *before, const void *old, const struct snapshot *after, const void *new)
{
    const struct upstream *a = old, *b = new;
    (void)before, (void)after;
    return weir_address_equal(&a->address, &b->address) && a->max_connections == b->max_connections;
}

static bool same_place(const struct snapshot *before, const struct place *old, const struct snapshot *after,
                       const struct place *new)
{
    return old->weight == new->weight &&
           old->backup ==
               new->backup &&strcmp(before->upstreams[old->upstream].name, after->upstreams[new->upstream].name) == 0;
}

static bool same_bytes(const struct check_bytes *a, const struct check_bytes *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static bool same_health(const struct health_settings *a, const struct health_settings *b)
{
    return a->interval_ns == b->interval_ns && a->timeout_ns == b->timeout_ns && a->fall == b->fall &&
           a->rise == b->rise && a->check == b->check && a->passive == b->passive && same_bytes(&a->send, &b->send) &&
           same_bytes(&a->expect, &b->expect);
}

static bool same_pool(const struct snapshot *before, const void *old, const struct snapshot *after, const void *new)
{
    const struct pool *a = old, *b = new;
    bool same = a->place_count == b->place_count && a->connect_timeout_ns == b->connect_timeout_ns &&
                a->retries == b->retries && a->slow_start_ns == b->slow_start_ns && a->material == b->material &&
                same_health(&a->health, &b->health);
    for (uint32_t n = 0; same && n < a->place_count; n++)
        same = same_place(before, &a->places[n], after, &b->places[n]);
    return same;
}

static bool same_client(const struct snapshot *before, const void *old, const struct snapshot *after, const void *new)
{
    const struct weir_limits *a = &((const struct client *)old)->limits, *b = &((const struct client *)new)->limits;
    (void)before, (void)after;
    return a->connections == b->connections && a->rate_period_ns == b->rate_period_ns && a->burst == b->burst;
}

static int tell_things(const struct snapshot *before, const struct snapshot *after, struct config_errors *changes)
{
    static const struct kind listener = { "listener", "listeners", sizeof(struct listener), same_listener };
    static const struct kind pool = { "pool", "pools", sizeof(struct pool), same_pool };
    static const struct kind upstream = { "upstream", "upstreams", sizeof(struct upstream), same_upstream };
    static const struct kind client = { "client", "clients", sizeof(struct client), same_client };
    int err = tell_kind(&listener, before, &(const struct list){ before->listeners, before->listener_count }, after,
                        &(const struct list){ after->listeners, after->listener_count }, changes);
    if (err == 0)
        err = tell_kind(&pool, before, &(const struct list){ before->pools, before->pool_count }, after,
                        &(const struct list){ after->pools, after->pool_count }, changes);
    if (err == 0)
        err = tell_kind(&upstream, before, &(const struct list){ before->upstreams, before->upstream_count }, after,
                        &(const struct list){ after->upstreams, after->upstream_count }, changes);
    if (err == 0)
        err = tell_kind(&client, before, &(const struct list){ before->clients, before->client_count }, after,
                        &(const struct list){ after->clients, after->client_count }, changes);
    return err;
}

int reload_changes(const struct snapshot *before, const struct snapshot *after, struct config_errors *changes)
{
    int err = tell_things(before, after, changes);
    return err == 0 ? reload_policy_changes(before, after, changes) : err;
}
