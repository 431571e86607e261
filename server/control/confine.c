/* SPDX-License-Identifier: Apache-2.0 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/errors.h>

#include "../base/log.h"
#include "../sandbox/sandbox.h"

#define FILES_OF_TLS 4

/* Sanitizers look into /proc, stop threads and start programs: what is built with them is for tests, and confines
 * nothing. */
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) ||               \
    __has_feature(thread_sanitizer)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static const char *const modes[] = { [SANDBOX_STRICT] = "strict", [SANDBOX_BEST_EFFORT] = "best-effort" };

static void add_file(struct sandbox_plan *plan, const char **files, const char *path)
{
    if (path != NULL)
        files[plan->file_count++] = path;
}

static void add_tls(struct sandbox_plan *plan, const char **files, const struct tls_settings *tls)
{
    if (tls == NULL)
        return;
    add_file(plan, files, tls->certificate);
    add_file(plan, files, tls->key);
    add_file(plan, files, tls->ca);
    add_file(plan, files, tls->crl);
}

static int list_files(const struct snapshot *snapshot, struct sandbox_plan *plan)
{
    size_t room = 1 + FILES_OF_TLS * ((size_t)snapshot->listener_count + snapshot->pool_count);
    const char **files = calloc(room, sizeof *files);
    if (files == NULL)
        return WEIR_ENOMEM;
    plan->files = files;
    add_file(plan, files, snapshot->path);
    for (uint32_t n = 0; n < snapshot->listener_count; n++)
        add_tls(plan, files, snapshot->listeners[n].tls);
    for (uint32_t n = 0; n < snapshot->pool_count; n++)
        add_tls(plan, files, snapshot->pools[n].tls);
    return 0;
}

/* A CRL may be missing; whatever else is not there now was read a moment ago. */
static int reopen(const char *path, const struct account *account)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0)
        close(fd);
    if (fd >= 0 || errno == ENOENT)
        return 0;
    log_error("cannot read a file again", LOG_STR("file", path), LOG_STR("error", strerror(errno)),
              LOG_STR("user", account->name),
              LOG_STR("hint",
                      "a reload would fail: let the user that Weir runs as read it (chgrp, chmod g+r), and enter "
                      "its folders (chmod g+x)"));
    return WEIR_EACCES;
}

static int enter(const struct snapshot *snapshot, const struct sandbox_plan *plan)
{
    enum sandbox_mode mode = snapshot->settings.sandbox;
    if (mode == SANDBOX_OFF)
        return 0;
    if (SANITIZED) {
        log_warn("not sandboxed", LOG_STR("cause", "this is a build with sanitizers"));
        return 0;
    }
    int err = sandbox_enter(plan);
    if (err == 0)
        log_info("sandboxed", LOG_STR("sandbox", modes[mode]), LOG_STR("io", plan->io_uring ? "io_uring" : "epoll"));
    return err;
}

int confine(const struct snapshot *snapshot, const struct account *account, bool io_uring)
{
    const struct settings *settings = &snapshot->settings;
    struct sandbox_plan plan = { .socket = settings->admin_socket,
                                 .io_uring = io_uring,
                                 .strict = settings->sandbox == SANDBOX_STRICT };
    int err = list_files(snapshot, &plan);
    if (err == 0)
        err = privileges_drop(account);
    if (err == 0)
        err = enter(snapshot, &plan);
    for (uint32_t n = 0; err == 0 && n < plan.file_count; n++)
        err = reopen(plan.files[n], account);
    free((void *)plan.files);
    return err;
}
