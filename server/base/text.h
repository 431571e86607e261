/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdint.h>
#include <string.h>

/* Writing text without printf, where a line must cost little. Each writes at `at`, where the caller has made sure of
 * enough room, ends with no NUL, and returns the place behind. */

#define TEXT_UNSIGNED_MAX 20 /* digits of UINT64_MAX */

static inline char *text_put(char *at, const char *text, size_t size)
{
    return (char *)memcpy(at, text, size) + size;
}

#define TEXT_PUT(at, literal) text_put((at), (literal), sizeof(literal) - 1)

/* The last `width` decimal digits, with leading zeros. */
static inline char *text_put_digits(char *at, uint64_t value, unsigned width)
{
    for (unsigned n = width; n-- > 0; value /= 10)
        at[n] = (char)('0' + value % 10);
    return at + width;
}

static inline char *text_put_unsigned(char *at, uint64_t value)
{
    unsigned width = 1;
    for (uint64_t rest = value; rest >= 10; rest /= 10)
        width++;
    return text_put_digits(at, value, width);
}

#endif
