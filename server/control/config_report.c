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

static bool list_wants(struct report_list *list, struct position at)
{
    if (list->count < CONFIG_ERRORS_MAX || stands_before(at, list->lines[list->count - 1].at))
        return true;
    list->left_out++;
    return false;
}

bool report_wants(struct report *report, struct position at)
{
    return list_wants(&report->errors, at);
}

/* Makes room for a problem at this place, behind those at the same place. */
static struct report_line *make_room(struct report_list *list, struct position at)
{
    if (list->count == CONFIG_ERRORS_MAX) {
        list->left_out++;
        free(list->lines[--list->count].text);
    }
    uint32_t i = list->count++;
    for (; i > 0 && stands_before(at, list->lines[i - 1].at); i--)
        list->lines[i] = list->lines[i - 1];
    return &list->lines[i];
}

__attribute__((format(printf, 4, 0))) static void list_add(struct report *report, struct report_list *list,
                                                           struct position at, const char *format, va_list arguments)
{
    char *text = NULL;

    if (!list_wants(list, at))
        return;
    if (vasprintf(&text, format, arguments) < 0)
        report->out_of_memory = true;
    else
        *make_room(list, at) = (struct report_line){ at, text };
}

void report_add(struct report *report, struct position at, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    list_add(report, &report->errors, at, format, arguments);
    va_end(arguments);
}

void report_warn(struct report *report, struct position at, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    list_add(report, &report->warnings, at, format, arguments);
    va_end(arguments);
}

__attribute__((format(printf, 3, 0))) static int add_line(char ***plines, uint32_t *pcount, const char *format,
                                                          va_list arguments)
{
    char *text = NULL, **lines;

    if (*pcount > CONFIG_ERRORS_MAX)
        return 0;
    lines = realloc(*plines, (*pcount + 1) * sizeof *lines);
    if (lines == NULL)
        return WEIR_ENOMEM;
    *plines = lines;
    if (vasprintf(&text, format, arguments) < 0)
        return WEIR_ENOMEM;
    lines[(*pcount)++] = text;
    return 0;
}

int config_errors_add(struct config_errors *errors, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int err = add_line(&errors->lines, &errors->count, format, arguments);
    va_end(arguments);
    return err;
}

__attribute__((format(printf, 2, 3))) static int add_warning(struct config_errors *errors, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int err = add_line(&errors->warnings, &errors->warning_count, format, arguments);
    va_end(arguments);
    return err;
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
    for (uint32_t i = 0; i < errors->warning_count; i++)
        free(errors->warnings[i]);
    free(errors->lines);
    free(errors->warnings);
    *errors = (struct config_errors){ 0 };
}

static int hand_over(const struct report_list *list, const char *path, struct config_errors *errors,
                     int (*add)(struct config_errors *errors, const char *format, ...))
{
    int err = 0;

    for (uint32_t i = 0; err == 0 && i < list->count; i++) {
        const struct report_line *line = &list->lines[i];
        err = add(errors, "%s:%u:%u: %s", path, line->at.line, line->at.column, line->text);
    }
    return err;
}

static void list_empty(struct report_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        free(list->lines[i].text);
    list->count = 0;
}

int report_finish(struct report *report, const char *path, struct config_errors *errors)
{
    int err = report->out_of_memory ? WEIR_ENOMEM : hand_over(&report->errors, path, errors, config_errors_add);
    bool clean = report->errors.count == 0;

    if (err == 0)
        err = config_errors_left_out(errors, path, report->errors.left_out);
    if (err == 0)
        err = hand_over(&report->warnings, path, errors, add_warning);
    if (err == 0 && report->warnings.left_out > 0)
        err = add_warning(errors, "%s: %" PRIu64 " more warnings are not shown", path, report->warnings.left_out);
    list_empty(&report->errors);
    list_empty(&report->warnings);
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
