/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text that strangers chose. */

/* The code point at `text` and, in *ret_size, its bytes; UINT32_MAX (and 1) when no valid UTF-8 stands there.
 * `available` is at least 1. */
uint32_t utf8_decode(const uint8_t *text, size_t available, size_t *ret_size);

/* Whether showing this would do more than show it: controls of a terminal, ends of lines, directions of text. */
bool utf8_is_harmful(uint32_t point);

/* The size of the beginning with at most `max` bytes that cuts no character in two. Byte `max` is looked at if `size`
 * is larger. */
size_t utf8_cut(const uint8_t *text, size_t size, size_t max);

#endif
