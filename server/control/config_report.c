/* SPDX-License-Identifier: Apache-2.0 */
#include "config_report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

static bool stands_before(struct position a, struct position b)
{
    return a.line < b.line || (a.line == b.line && a.column < b.column);
}

bool report_wants(struct report *report, struct position at)
{
    if (report->count < CONFIG_ERRORS_MAX || stands_before(at, report->lines[report->count - 1].at))
        return true;
    report->left_out++;
    return false;
}

/* Makes room for a problem at this place, behind those at the same place. */
static struct report_line *make_room(struct report *report, struct position at)
{
    if (report->count == CONFIG_ERRORS_MAX) {
        report->left_out++;
        free(report->lines[--report->count].text);
    }
    uint32_t i = report->count++;
    for (; i > 0 && stands_before(at, report->lines[i - 1].at); i--)
        report->lines[i] = report->lines[i - 1];
    return &report->lines[i];
}

void report_add(struct report *report, struct position at, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;

    if (!report_wants(report, at))
        return;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        report->out_of_memory = true;
    else
        *make_room(report, at) = (struct report_line){ at, text };
    va_end(arguments);
}

int config_errors_add(struct config_errors *errors, const char *format, ...)
{
    char *text = NULL, **lines;
    va_list arguments;

    if (errors->count > CONFIG_ERRORS_MAX)
        return 0;
    lines = realloc(errors->lines, (errors->count + 1) * sizeof *lines);
    if (lines == NULL)
        return WEIR_ENOMEM;
    errors->lines = lines;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0)
        return WEIR_ENOMEM;
    errors->lines[errors->count++] = text;
    return 0;
}

int config_errors_left_out(struct config_errors *errors, const char *path, uint64_t count)
{
    if (count == 0)
        return 0;
    return config_errors_add(errors, "%s: %" PRIu64 " more error%s not shown", path, count,
                             count == 1 ? " is" : "s are");
}

void config_errors_free(struct config_errors *errors)
{
    for (uint32_t i = 0; i < errors->count; i++)
        free(errors->lines[i]);
    free(errors->lines);
    *errors = (struct config_errors){ 0 };
}

static int hand_over(const struct report *report, const char *path, struct config_errors *errors)
{
    int err = 0;

    for (uint32_t i = 0; err == 0 && i < report->count; i++) {
        const struct report_line *line = &report->lines[i];
        err = config_errors_add(errors, "%s:%u:%u: %s", path, line->at.line, line->at.column, line->text);
    }
    if (err == 0)
        err = config_errors_left_out(errors, path, report->left_out);
    return err;
}

int report_finish(struct report *report, const char *path, struct config_errors *errors)
{
    int err = report->out_of_memory ? WEIR_ENOMEM : hand_over(report, path, errors);
    bool clean = report->count == 0;

    for (uint32_t i = 0; i < report->count; i++)
        free(report->lines[i].text);
    report->count = 0;
    if (err != 0)
        return err;
    return clean ? 0 : WEIR_EINVAL;
}

/* Bytes of the UTF-8 character at `text`, which is valid UTF-8. */
static size_t character_size(const char *text)
{
    size_t size = 1;

    while (size < 4 && ((unsigned char)text[size] & 0xc0) == 0x80)
        size++;
    return size;
}

/* Control characters, the terminal's own ones (U+0080 to U+009F) included. */
static bool is_control(const char *text)
{
    unsigned char c = (unsigned char)text[0], d = (unsigned char)text[1];
    return c < 0x20 || c == 0x7f || (c == 0xc2 && d < 0xa0);
}

/* One character as it is shown; returns the bytes that it takes there. */
static size_t show(const char *character, size_t size, char *ret_shown, size_t room)
{
    int shown;

    if (*character == '\n')
        shown = snprintf(ret_shown, room, "\\n");
    else if (is_control(character))
        shown = snprintf(ret_shown, room, "\\x%02x", (unsigned char)character[size - 1]);
    else
        shown = snprintf(ret_shown, room, "%s%.*s", *character == '"' || *character == '\\' ? "\\" : "", (int)size,
                         character);
    return (size_t)shown;
}

struct quoted quote(const char *text)
{
    static const char cut[] = "...\"";
    struct quoted quoted = { "\"" };
    size_t used = 1, room = sizeof quoted.text - sizeof cut;
    const char *end = "\"";

    while (*text != '\0') {
        char shown[8];
        size_t size = character_size(text), more = show(text, size, shown, sizeof shown);
        if (used + more > room) {
            end = cut;
            break;
        }
        memcpy(quoted.text + used, shown, more);
        used += more;
        text += size;
    }
    memcpy(quoted.text + used, end, strlen(end) + 1);
    return quoted;
}
