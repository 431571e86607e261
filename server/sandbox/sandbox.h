/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

/* What the process can do no more once it serves, whoever gives the orders: run programs, write files, read others
 * than those it was told to read, trace, make kernel interfaces that it does not need. docs/SECURITY.md has the list.
 */

struct sandbox_plan {
    const char *const *files; /* that are read again while the process runs */
    uint32_t file_count;
    const char *socket; /* the path of a Unix socket that is removed at the end; NULL: none */
    bool io_uring;      /* the rings that are there are used on; new ones are made in no case */
    bool strict;        /* what cannot be applied is an error; otherwise a warning */
};

/* Confines the process for good: no new privileges, no core dump, no debugger; Landlock for files; seccomp for system
 * calls. There is only one thread, and what is needed before is open. What could not be applied is logged. Returns 0,
 * WEIR_ENOTSUP or WEIR_ENOMEM. */
int sandbox_enter(const struct sandbox_plan *plan);

/* Whether the sandbox lets a file with this path be read; it lies in (or below) the folder of a file of the plan, by
 * its name or by where its links lead. Without a sandbox any may be. The permissions of the file are another matter.
 * Any thread. */
bool sandbox_may_read(const char *path);

#endif
