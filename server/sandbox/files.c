/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of the file system alone: what listens and connects changes with the configuration. */
struct ruleset {
    uint64_t handled_access_fs;
};

/* Every right that this version of the kernel's interface can withhold. They were added one after the other. */
static uint64_t rights_of_version(long version)
{
    static const unsigned counts[] = { 0, 13, 14, 15, 15, 16 };
    long newest = sizeof counts / sizeof counts[0] - 1;
    return (UINT64_C(1) << counts[version < newest ? version : newest]) - 1;
}

static int ruleset_new(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 0)
        return -errno;
    const struct ruleset ruleset = { .handled_access_fs = rights_of_version(version) };
    long fd = syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
    return fd < 0 ? -errno : (int)fd;
}

static int allow_below(int ruleset, const char *folder, uint64_t rights)
{
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
    const struct landlock_path_beneath_attr rule = { .allowed_access = rights, .parent_fd = fd };
    int err = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0 ? 0 : -errno;
    close(fd);
    return err;
}

int files_confine(const char *const *folders, uint32_t count, const char *removal_folder)
{
    int ruleset = ruleset_new(), err = 0;
    if (ruleset < 0)
        return ruleset;
    for (uint32_t n = 0; err == 0 && n < count; n++)
        err = allow_below(ruleset, folders[n], LANDLOCK_ACCESS_FS_READ_FILE);
    if (err == 0 && removal_folder != NULL)
        err = allow_below(ruleset, removal_folder, LANDLOCK_ACCESS_FS_REMOVE_FILE);
    if (err == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        err = -errno;
    close(ruleset);
    return err;
}
