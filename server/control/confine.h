/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CONFINE_H
#define CONTROL_CONFINE_H

#include "../policy/snapshot.h"
#include "../sandbox/privileges.h"

/* Becomes the account, enters the sandbox that the configuration asks for, and opens all its files once more, so that a
 * reload will not be the first to find out that it cannot. All sockets and rings are open, and there is only one
 * thread. Why it failed is logged. Returns 0 or WEIR_ENOMEM, WEIR_ENOTSUP, WEIR_EACCES. */
int confine(const struct snapshot *snapshot, const struct account *account, bool io_uring);

#endif
