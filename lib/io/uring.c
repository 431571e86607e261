/* SPDX-License-Identifier: Apache-2.0 */
#include <weir/errors.h>

#include "backend.h"

int io_uring_loop_new(const struct weir_loop_options *options, struct weir_loop **ret_loop, const char **ret_reason)
{
    (void)options;
    (void)ret_loop;
    *ret_reason = "this build has no io_uring";
    return WEIR_ENOTSUP;
}
