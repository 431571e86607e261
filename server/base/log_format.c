/* SPDX-License-Identifier: Apache-2.0 */
#include "log_format.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "text.h"
#include "utf8.h"

/* The longest escape of one byte: \u001b. */
#define ESCAPE_MAX 6
/* What stands around a field's key and value (comma, quotes, colon, colours), a number, and the line's end. */
#define FIELD_EXTRA 64
#define MSG_MAX 256

static_assert(LOG_LINE_MAX >= 3 * ESCAPE_MAX * LOG_VALUE_MAX, "a few of the worst values fit");

#define SECOND_NS UINT64_C(1000000000)
#define DAY_S 86400

static const struct level {
    const char *name, *padded, *colour;
} levels[] = {
    [LOG_LEVEL_DEBUG] = { "debug", "debug", "\033[90m" },
    [LOG_LEVEL_INFO] = { "info", "info ", "\033[32m" },
    [LOG_LEVEL_WARN] = { "warn", "warn ", "\033[33m" },
    [LOG_LEVEL_ERROR] = { "error", "error", "\033[31m" },
};

static char *put_string(char *at, const char *text)
{
    return text_put(at, text, strlen(text));
}

/* Time */

/* Days since 1970 to a date of the Gregorian calendar. Counting in years that begin in March and in eras of 400 years
 * puts the leap day last, so that no table is needed. */
static char *put_date(char *at, uint64_t days)
{
    uint64_t shifted = days + 719468; /* since 0000-03-01 */
    uint64_t era = shifted / 146097, day_of_era = shifted % 146097;
    uint64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t month_from_march = (5 * day_of_year + 2) / 153;
    uint64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    at = text_put_digits(at, era * 400 + year_of_era + (month <= 2), 4);
    *at++ = '-';
    at = text_put_digits(at, month, 2);
    *at++ = '-';
    return text_put_digits(at, day_of_year - (153 * month_from_march + 2) / 5 + 1, 2);
}

/* RFC 3339 in UTC, with `decimals` (at most 9) digits of a second. */
static char *put_time(char *at, uint64_t wall_ns, unsigned decimals)
{
    uint64_t seconds = wall_ns / SECOND_NS, in_day = seconds % DAY_S, fraction = wall_ns % SECOND_NS;
    at = put_date(at, seconds / DAY_S);
    *at++ = 'T';
    at = text_put_digits(at, in_day / 3600, 2);
    *at++ = ':';
    at = text_put_digits(at, in_day / 60 % 60, 2);
    *at++ = ':';
    at = text_put_digits(at, in_day % 60, 2);
    *at++ = '.';
    for (unsigned n = decimals; n < 9; n++)
        fraction /= 10;
    at = text_put_digits(at, fraction, decimals);
    *at++ = 'Z';
    return at;
}

/* Strings */

static char *put_escape(char *at, uint32_t point)
{
    static const char hex[] = "0123456789abcdef";
    at = TEXT_PUT(at, "\\u");
    for (int shift = 12; shift >= 0; shift -= 4)
        *at++ = hex[point >> shift & 15];
    return at;
}

static char *put_ascii_escape(char *at, uint8_t byte)
{
    switch (byte) {
    case '"':
        return TEXT_PUT(at, "\\\"");
    case '\\':
        return TEXT_PUT(at, "\\\\");
    case '\n':
        return TEXT_PUT(at, "\\n");
    case '\r':
        return TEXT_PUT(at, "\\r");
    case '\t':
        return TEXT_PUT(at, "\\t");
    default:
        return put_escape(at, byte);
    }
}

static bool is_plain(uint8_t byte)
{
    return byte >= ' ' && byte < 0x7f && byte != '"' && byte != '\\';
}

static char *put_escaped(char *at, const uint8_t *text, size_t size)
{
    for (size_t n = 0; n < size;) {
        size_t length = 1;
        if (is_plain(text[n])) {
            *at++ = (char)text[n];
        } else if (text[n] < 0x80) {
            at = put_ascii_escape(at, text[n]);
        } else {
            uint32_t point = utf8_decode(text + n, size - n, &length);
            if (point == UINT32_MAX)
                at = TEXT_PUT(at, "\\ufffd");
            else if (utf8_is_harmful(point))
                at = put_escape(at, point);
            else
                at = text_put(at, (const char *)text + n, length);
        }
        n += length;
    }
    return at;
}

static char *put_quoted(char *at, const uint8_t *text, size_t size)
{
    *at++ = '"';
    at = put_escaped(at, text, size);
    *at++ = '"';
    return at;
}

static bool is_word(const uint8_t *text, size_t size)
{
    for (size_t n = 0; n < size; n++)
        if (!is_plain(text[n]) || text[n] == ' ' || text[n] == '=')
            return false;
    return size > 0;
}

/* Fields */

static char *put_value(char *at, const struct log_field *field, bool json)
{
    const uint8_t *text = (const uint8_t *)field->value.string;
    uint64_t number = field->value.number;
    switch (field->kind) {
    case LOG_KIND_STRING: {
        size_t size = utf8_cut(text, field->size, LOG_VALUE_MAX);
        return json || !is_word(text, size) ? put_quoted(at, text, size) : text_put(at, (const char *)text, size);
    }
    case LOG_KIND_MILLISECONDS:
        at = text_put_unsigned(at, number / 1000000);
        *at++ = '.';
        return text_put_digits(at, number / 1000 % 1000, 3);
    case LOG_KIND_UNSIGNED:
        return text_put_unsigned(at, number);
    case LOG_KIND_ABSENT:
        break;
    }
    return at;
}

static size_t field_room(const struct log_field *field)
{
    size_t size = field->kind != LOG_KIND_STRING ? 0 : field->size < LOG_VALUE_MAX ? field->size : LOG_VALUE_MAX;
    return strlen(field->key) + ESCAPE_MAX * size + FIELD_EXTRA;
}

static char *put_json_field(char *at, const struct log_field *field)
{
    at = TEXT_PUT(at, ",\"");
    at = put_string(at, field->key);
    at = TEXT_PUT(at, "\":");
    return put_value(at, field, true);
}

static char *put_text_field(char *at, const struct log_field *field, bool colour)
{
    at = put_string(at, colour ? " \033[36m" : " ");
    at = put_string(at, field->key);
    at = put_string(at, colour ? "=\033[0m" : "=");
    return put_value(at, field, false);
}

/* Lines */

static char *put_json_head(char *at, uint64_t wall_ns, const struct level *level, const char *msg)
{
    at = TEXT_PUT(at, "{\"ts\":\"");
    at = put_time(at, wall_ns, 6);
    at = TEXT_PUT(at, "\",\"level\":\"");
    at = put_string(at, level->name);
    at = TEXT_PUT(at, "\",\"msg\":");
    return put_quoted(at, (const uint8_t *)msg, strnlen(msg, MSG_MAX));
}

static char *put_text_head(char *at, uint64_t wall_ns, const struct level *level, const char *msg, bool colour)
{
    at = put_string(at, colour ? "\033[90m" : "");
    at = put_time(at, wall_ns, 3);
    at = put_string(at, colour ? "\033[0m " : " ");
    at = put_string(at, colour ? level->colour : "");
    at = put_string(at, level->padded);
    at = put_string(at, colour ? "\033[0m " : " ");
    return put_escaped(at, (const uint8_t *)msg, strnlen(msg, MSG_MAX));
}

size_t log_format_line(char *line, enum log_style style, uint64_t wall_ns, enum log_level level, const char *msg,
                       const struct log_field *fields, size_t count)
{
    bool json = style == LOG_STYLE_JSON, colour = style == LOG_STYLE_COLOUR;
    char *at = json ? put_json_head(line, wall_ns, &levels[level], msg)
                    : put_text_head(line, wall_ns, &levels[level], msg, colour);
    for (size_t n = 0; n < count; n++) {
        const struct log_field *field = &fields[n];
        if (field->kind == LOG_KIND_ABSENT || field_room(field) > (size_t)(line + LOG_LINE_MAX - at))
            continue;
        at = json ? put_json_field(at, field) : put_text_field(at, field, colour);
    }
    if (json)
        *at++ = '}';
    return (size_t)(at - line);
}
