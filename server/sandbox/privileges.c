/* SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weir/errors.h>

#include "../base/log.h"

#define NAMES_BYTES 16384 /* of an entry of the user database */

/* Who */

static int refuse(const char *user, const char *error, const char *hint)
{
    log_error("cannot run as this user", LOG_STR("user", user), LOG_STR("error", error), LOG_STR("hint", hint));
    return WEIR_EACCES;
}

static int find_entry(const char *user, struct account *ret_account)
{
    char names[NAMES_BYTES];
    struct passwd entry, *found = NULL;
    int err = getpwnam_r(user, &entry, names, sizeof names, &found);
    if (found == NULL) {
        refuse(user, err != 0 ? strerror(err) : "there is no such user",
               "make it, or change user in the configuration");
        return WEIR_EINVAL;
    }
    *ret_account = (struct account){ .name = user, .uid = entry.pw_uid, .gid = entry.pw_gid };
    return 0;
}

int privileges_find(const char *user, struct account *ret_account)
{
    struct account account = { .uid = geteuid(), .gid = getegid() };
    int err = user == NULL ? 0 : find_entry(user, &account);
    if (err != 0)
        return err;
    if (user == NULL && account.uid == 0)
        log_warn("running as root", LOG_STR("hint", "name a user in the configuration, like user: weir"));
    if (geteuid() != 0 && account.uid != geteuid())
        return refuse(user, "only root can become another user", "start weir as root or as this user, or remove user");
    *ret_account = account;
    return 0;
}

/* Files of the account's own */

void privileges_borrow(const struct account *account)
{
    setfsgid(account->gid);
    setfsuid(account->uid);
}

void privileges_return(void)
{
    setfsuid(geteuid());
    setfsgid(getegid());
}

void privileges_make_folder(const struct account *account, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = geteuid() != 0 || slash == NULL || slash == path ? NULL : strndup(path, (size_t)(slash - path));
    int fd = folder != NULL && mkdir(folder, 0755) == 0 ? open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) : -1;
    if (fd >= 0 && fchown(fd, account->uid, account->gid) != 0)
        log_warn("cannot give a folder away", LOG_STR("folder", folder), LOG_STR("error", strerror(errno)));
    if (fd >= 0)
        close(fd);
    free(folder);
}

/* Becoming it */

static int set_capabilities(uint32_t wanted)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
    if (syscall(SYS_capget, &header, data) != 0)
        return -1;
    wanted &= data[0].permitted;
    if (data[0].permitted == wanted && data[0].effective == wanted && data[1].permitted == 0)
        return 0;
    memset(data, 0, sizeof data);
    data[0].permitted = data[0].effective = wanted;
    return (int)syscall(SYS_capset, &header, data);
}

static int change_identity(const struct account *account)
{
    if (initgroups(account->name, account->gid) != 0 || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
        return -1;
    if (setresgid(account->gid, account->gid, account->gid) != 0 ||
        setresuid(account->uid, account->uid, account->uid) != 0)
        return -1;
    return prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
}

static bool can_regain_root(void)
{
    return setuid(0) == 0 || seteuid(0) == 0 || setgroups(0, NULL) == 0;
}

int privileges_drop(const struct account *account)
{
    bool was_root = geteuid() == 0;
    if (account->uid == 0)
        return 0;
    if ((was_root && change_identity(account) != 0) || set_capabilities(UINT32_C(1) << CAP_NET_BIND_SERVICE) != 0)
        return refuse(account->name, strerror(errno), "see which rights the process is started with");
    if (can_regain_root())
        return refuse(account->name, "root could be regained", "do not start weir with rights that let it");
    return 0;
}
