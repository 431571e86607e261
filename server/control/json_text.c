/* SPDX-License-Identifier: Apache-2.0 */
#include "json_text.h"

#include "../base/text.h"
#include "../base/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd"

json_t *json_text(const void *bytes, size_t size)
{
    char safe[JSON_TEXT_MAX * (sizeof REPLACEMENT - 1)];
    char *at = safe;
    const uint8_t *text = bytes;
    size_t end = utf8_cut(text, size, JSON_TEXT_MAX), length;
    for (size_t n = 0; n < end; n += length) {
        uint32_t point = utf8_decode(text + n, end - n, &length);
        if (point == UINT32_MAX || utf8_is_harmful(point))
            at = TEXT_PUT(at, REPLACEMENT);
        else
            at = text_put(at, (const char *)text + n, length);
    }
    return json_stringn(safe, (size_t)(at - safe));
}
