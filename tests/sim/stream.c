/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include <string.h>

#include "random.h"

/* A prime, so that a shift by any buffer's size shows. */
#define PERIOD 16381

static uint8_t period[PERIOD];

/* Where a stream is in the period. */
static uint32_t place_of(uint64_t stream, uint64_t offset)
{
    if (period[0] == 0) {
        struct random random = { 1 };
        for (uint32_t n = 0; n < PERIOD; n++)
            period[n] = (uint8_t)random_next(&random);
        period[0] = 1;
    }
    struct random start = { stream };
    return (uint32_t)((random_below(&start, PERIOD) + offset) % PERIOD);
}

void stream_fill(uint64_t stream, uint64_t offset, uint8_t *data, uint32_t size)
{
    uint32_t place = place_of(stream, offset);
    while (size > 0) {
        uint32_t part = size < PERIOD - place ? size : PERIOD - place;
        memcpy(data, period + place, part);
        data += part;
        size -= part;
        place = 0;
    }
}

uint32_t stream_match(uint64_t stream, uint64_t offset, const uint8_t *data, uint32_t size)
{
    uint32_t place = place_of(stream, offset);
    for (uint32_t n = 0; n < size; n++) {
        if (data[n] != period[place])
            return n;
        place = place + 1 == PERIOD ? 0 : place + 1;
    }
    return size;
}
