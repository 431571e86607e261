/* SPDX-License-Identifier: Apache-2.0 */
#include "buffer.h"

#include <stdlib.h>

#include "../base/text.h"

#define FIRST_BYTES (16u << 10)

char *buffer_grow(struct buffer *buffer, size_t size)
{
    if (buffer->failed)
        return NULL;
    size_t capacity = buffer->capacity == 0 ? FIRST_BYTES : buffer->capacity;
    while (capacity - buffer->size < size)
        capacity *= 2;
    char *data = realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->failed = true;
        buffer->capacity = buffer->size; /* nothing smaller gets in behind the gap */
        return NULL;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return buffer->data + buffer->size;
}

void buffer_unsigned(struct buffer *buffer, uint64_t number)
{
    char *at = buffer_reserve(buffer, TEXT_UNSIGNED_MAX);
    if (at != NULL)
        buffer->size = (size_t)(text_put_unsigned(at, number) - buffer->data);
}

void buffer_seconds(struct buffer *buffer, uint64_t nanoseconds, unsigned decimals)
{
    uint64_t fraction = nanoseconds % 1000000000;
    for (unsigned n = decimals; n < 9; n++)
        fraction /= 10;
    char *at = buffer_reserve(buffer, TEXT_UNSIGNED_MAX + 1 + 9);
    if (at == NULL)
        return;
    at = text_put_unsigned(at, nanoseconds / 1000000000);
    *at++ = '.';
    buffer->size = (size_t)(text_put_digits(at, fraction, decimals) - buffer->data);
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){ 0 };
}
