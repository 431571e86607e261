/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_FORMAT_H
#define BASE_LOG_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "log.h"

/* One line's text. Pure: the time is an argument. */

enum log_style {
    LOG_STYLE_JSON,
    LOG_STYLE_TEXT,
    LOG_STYLE_COLOUR, /* text for a terminal */
};

#define LOG_LINE_MAX 8192

/* Writes the line, without newline or NUL, into LOG_LINE_MAX bytes; returns its size. Fields that might not fit any
 * more are left out. Strings are made safe to read anywhere: what is no valid UTF-8, controls of a terminal or of text
 * direction and line ends become escapes as in JSON, in all styles. */
size_t log_format_line(char *line, enum log_style style, uint64_t wall_ns, enum log_level level, const char *msg,
                       const struct log_field *fields, size_t count);

#endif
