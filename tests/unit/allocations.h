/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_ALLOCATIONS_H
#define TESTS_UNIT_ALLOCATIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Makes the n-th allocation from now on fail, once, in everything that is linked statically; 0: none. The test is
 * linked with the options that allocations.c needs. */
void allocations_fail_at(uint64_t n);
/* Whether it has failed by now. */
bool allocations_failed(void);

#endif
