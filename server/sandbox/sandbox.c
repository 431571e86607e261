/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include <weir/errors.h>

#include "../base/log.h"
#include "calls.h"
#include "files.h"

/* Where files may be read, with links resolved; the process's own, as what the kernel knows of it is. */
static struct {
    char **folders;
    uint32_t count;
    bool active;
} readable;

/* Folders */

/* The folder of a path, resolved; NULL when there is none or no memory is left. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    char *folder = name == NULL ? NULL : realpath(name, NULL);
    free(name);
    return folder;
}

static bool is_below(const char *path, const char *folder)
{
    size_t size = strlen(folder);
    return strncmp(path, folder, size) == 0 && (path[size] == '/' || path[size] == '\0' || folder[size - 1] == '/');
}

static bool is_readable(const char *path)
{
    for (uint32_t n = 0; n < readable.count; n++)
        if (is_below(path, readable.folders[n]))
            return true;
    return false;
}

static void add_folder(char *folder)
{
    if (folder == NULL || is_readable(folder))
        free(folder);
    else
        readable.folders[readable.count++] = folder;
}

/* Both where a file's name stands and where its links lead: whoever renews a certificate changes either. */
static int collect_folders(const struct sandbox_plan *plan)
{
    readable.folders = calloc(2 * (size_t)plan->file_count + 1, sizeof *readable.folders);
    if (readable.folders == NULL)
        return -ENOMEM;
    for (uint32_t n = 0; n < plan->file_count; n++) {
        char *target = realpath(plan->files[n], NULL);
        add_folder(folder_of(plan->files[n]));
        if (target != NULL)
            add_folder(folder_of(target));
        free(target);
    }
    return 0;
}

bool sandbox_may_read(const char *path)
{
    if (!readable.active)
        return true;
    char *target = realpath(path, NULL), *folder = target == NULL ? folder_of(path) : NULL;
    const char *place = target != NULL ? target : folder;
    bool may = place != NULL && is_readable(place);
    free(target);
    free(folder);
    return may;
}

/* Applying it */

/* Keys lie in this memory. */
static int hide_memory(void)
{
    static const struct rlimit none = { 0, 0 };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
        setrlimit(RLIMIT_CORE, &none) != 0)
        return -errno;
    return 0;
}

static int confine_files(const struct sandbox_plan *plan)
{
    int err = collect_folders(plan);
    char *removal = plan->socket == NULL ? NULL : folder_of(plan->socket);
    if (err == 0)
        err = files_confine((const char *const *)readable.folders, readable.count, removal);
    free(removal);
    readable.active = err == 0;
    return err;
}

static const char *why_not(int err)
{
    return err == -ENOSYS || err == -EOPNOTSUPP || err == -EINVAL ? "this kernel does not have it" : strerror(-err);
}

/* Returns 0 when it may go on without. */
static int missing(const struct sandbox_plan *plan, const char *what, int err)
{
    if (err == 0)
        return 0;
    if (plan->strict)
        log_error("cannot confine the process", LOG_STR("what", what), LOG_STR("error", why_not(err)),
                  LOG_STR("hint", "to start without it, write sandbox: best-effort"));
    else
        log_warn("the process is not fully confined", LOG_STR("without", what), LOG_STR("cause", why_not(err)));
    if (!plan->strict)
        return 0;
    return err == -ENOMEM ? WEIR_ENOMEM : WEIR_ENOTSUP;
}

int sandbox_enter(const struct sandbox_plan *plan)
{
    tzset(); /* reads a file the first time */
    int err = missing(plan, "memory that nobody else reads", hide_memory());
    if (err == 0)
        err = missing(plan, "Landlock (files)", confine_files(plan));
    if (err == 0)
        err = missing(plan, "seccomp (system calls)", calls_confine(plan->io_uring, plan->socket != NULL));
    return err;
}
