/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_BUFFER_H
#define CONTROL_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Text that grows. When memory runs out, everything that comes after is ignored, so that only the end need be looked
 * at. All zero: empty. */
struct buffer {
    char *data;
    size_t size, capacity;
    bool failed;
};

/* Makes room for `size` more bytes behind the text and returns its place, or NULL. */
char *buffer_grow(struct buffer *buffer, size_t size);

static inline char *buffer_reserve(struct buffer *buffer, size_t size)
{
    return buffer->capacity - buffer->size >= size ? buffer->data + buffer->size : buffer_grow(buffer, size);
}

static inline void buffer_put(struct buffer *buffer, const char *data, size_t size)
{
    char *at = buffer_reserve(buffer, size);
    if (at == NULL)
        return;
    memcpy(at, data, size);
    buffer->size += size;
}

static inline void buffer_text(struct buffer *buffer, const char *text)
{
    buffer_put(buffer, text, strlen(text));
}

void buffer_unsigned(struct buffer *buffer, uint64_t number);
/* With `decimals` (at most 9) digits behind the point: 1500000000 nanoseconds are "1.500" seconds. Cut, not rounded. */
void buffer_seconds(struct buffer *buffer, uint64_t nanoseconds, unsigned decimals);

void buffer_free(struct buffer *buffer);

#endif
