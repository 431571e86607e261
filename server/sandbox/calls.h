/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_CALLS_H
#define SANDBOX_CALLS_H

#include <stdbool.h>

/* seccomp: the system calls that the thread, and the threads that it starts, can make. There are two lists: with
 * io_uring, where rings that exist can be enabled and used, and without any of it. A call that is not listed fails with
 * EPERM; one that only an intruder would make ends the process. `remove_files`: unlink is needed.
 * Returns 0 or -errno; EINVAL: the kernel has no seccomp filters. */
int calls_confine(bool io_uring, bool remove_files);

#endif
