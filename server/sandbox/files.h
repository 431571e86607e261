/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_FILES_H
#define SANDBOX_FILES_H

#include <stdint.h>

/* Landlock: what of the file system the thread, and the threads that it starts, can reach. Libraries of the kernel's
 * interface are not needed: it is three system calls. */

/* From now on files can be read below `folders` only; nothing can be run, made, written or removed, but for files that
 * are removed from `removal_folder` (NULL: none). Folders that do not exist are left out. Returns 0 or -errno; ENOSYS
 * and EOPNOTSUPP: the kernel has no Landlock. */
int files_confine(const char *const *folders, uint32_t count, const char *removal_folder);

#endif
