/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_ADMIN_SOCKET_H
#define CONTROL_ADMIN_SOCKET_H

#include <sys/types.h>

/* A Unix socket in the file system, for its owner only. */
struct admin_socket {
    const char *path; /* the caller's; NULL: none */
    dev_t device;
    ino_t inode;
};

/* Listens at `path` (mode 0600 from the first moment). A file that a dead process left there is replaced; one on which
 * a process answers, or that is no socket, is an error. Why it failed is logged. Changes the umask for a moment.
 * Returns a descriptor that the caller owns, or WEIR_EADDRINUSE, WEIR_EINVAL, ... */
int admin_socket_open(const char *path, struct admin_socket *ret_socket);

/* Removes the file, unless another process has put its own there meanwhile. */
void admin_socket_remove(struct admin_socket *socket);

#endif
