/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_STREAM_H
#define SIM_STREAM_H

#include <stdbool.h>
#include <stdint.h>

/* What somebody sends: endless bytes that follow from a number, so that every byte can be checked by its place. */

void stream_fill(uint64_t stream, uint64_t offset, uint8_t *data, uint32_t size);

/* How many of the bytes are those of the stream at this place, from the first on. */
uint32_t stream_match(uint64_t stream, uint64_t offset, const uint8_t *data, uint32_t size);

#endif
