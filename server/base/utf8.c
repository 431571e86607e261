/* SPDX-License-Identifier: Apache-2.0 */
#include "utf8.h"

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

static uint32_t decode_long(const uint8_t *text, size_t size)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint32_t point = text[0] & (0xffu >> (size + 1));
    for (size_t n = 1; n < size; n++) {
        if (!is_continuation(text[n]))
            return UINT32_MAX;
        point = point << 6 | (text[n] & 0x3f);
    }
    if (point < smallest[size] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return UINT32_MAX;
    return point;
}

uint32_t utf8_decode(const uint8_t *text, size_t available, size_t *ret_size)
{
    *ret_size = 1;
    if (text[0] < 0x80)
        return text[0];
    size_t size = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4 || size > available)
        return UINT32_MAX;
    uint32_t point = decode_long(text, size);
    if (point != UINT32_MAX)
        *ret_size = size;
    return point;
}

/* Terminals take U+0080 to U+009F for escapes; the others end lines or turn the direction of the text around them. */
bool utf8_is_harmful(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x61c || point == 0x200e || point == 0x200f ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
}

size_t utf8_cut(const uint8_t *text, size_t size, size_t max)
{
    if (size <= max)
        return size;
    size_t end = max;
    while (end > 0 && end > max - 3 && is_continuation(text[end]))
        end--;
    return is_continuation(text[end]) ? max : end;
}
