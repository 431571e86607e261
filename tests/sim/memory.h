/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_MEMORY_H
#define SIM_MEMORY_H

#include <stdint.h>

/* The memory that the code under test takes: counted, and denied on demand. The program is linked with --wrap for the
 * allocating functions. */

/* Forgets counts and denials. */
void memory_reset(void);

/* Denies `count` allocations in a row, after the next `skip` ones. */
void memory_deny(uint64_t skip, uint64_t count);

/* Pieces taken and not given back. */
int64_t memory_held(void);

/* Allocations denied. */
uint64_t memory_denied(void);

#endif
