/* SPDX-License-Identifier: Apache-2.0 */
#include "reload_changes.h"

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

int reload_changes(const struct snapshot *before, const struct snapshot *after, struct config_errors *changes)
{
    (void)before, (void)after, (void)changes;
    return 0;
}
