/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

const struct conformance_backend *conformance_backend;

int conformance_run(const struct conformance_backend *backend, const char *pattern)
{
    conformance_backend = backend;
    if (pattern != NULL)
        cmocka_set_test_filter(pattern);
    int failures = conformance_life() + conformance_data() + conformance_ends() + conformance_buffers() +
                   conformance_splice() + conformance_accept() + conformance_time() + conformance_chaos();
    if (backend->real)
        failures += conformance_kernel();
    return failures;
}
