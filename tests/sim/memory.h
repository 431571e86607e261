/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_MEMORY_H
#define SIM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* The memory that the code under test takes: counted, and denied on demand. The program is linked with --wrap for the
 * allocating functions. */

/* Forgets counts and denials. */
void memory_reset(void);

/* Denies `count` allocations in a row, after the next `skip` ones. */
void memory_deny(uint64_t skip, uint64_t count);

/* What is taken and given back from here on is not the code under test's own: people use some of its parts as well. */
void memory_aside(bool aside);

/* Pieces taken and not given back. */
int64_t memory_held(void);

/* Allocations denied. */
uint64_t memory_denied(void);

#endif
