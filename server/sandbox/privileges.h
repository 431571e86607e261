/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_PRIVILEGES_H
#define SANDBOX_PRIVILEGES_H

#include <sys/types.h>

/* Whom the process runs as. All of it while there is only one thread. */

struct account {
    const char *name; /* the caller's; NULL: whoever has started it */
    uid_t uid;
    gid_t gid;
};

/* Looks up who it shall run as; NULL: whoever has started it, with a warning when that is root. Why it failed is
 * logged. Returns 0, WEIR_EINVAL (there is no such user) or WEIR_EACCES (only root can become another user). */
int privileges_find(const char *user, struct account *ret_account);

/* Between these two, files are looked for and made as the account's. */
void privileges_borrow(const struct account *account);
void privileges_return(void);

/* Makes the folder of `path`, for the account, if it is not there and the process is root. */
void privileges_make_folder(const struct account *account, const char *path);

/* Becomes the account for good. Of root's rights one stays: opening ports below 1024, which a reload may need. Why it
 * failed is logged. Returns 0 or WEIR_EACCES. */
int privileges_drop(const struct account *account);

#endif
