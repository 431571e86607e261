/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LINE_H
#define CLI_LINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A line of a screen, written from left to right and never longer than it may be. Text may be any valid UTF-8; where
 * the locale has none, what is not ASCII becomes '?'. */
struct line {
    FILE *out;
    unsigned left; /* columns */
    bool utf8, colour;
};

/* Text in a field of `width` columns (0: as long as it is), cut or filled up; on the right side of it or the left.
 * `style`: an escape, or "". */
void line_text(struct line *line, const char *style, const char *text, unsigned width, bool right);
void line_format(struct line *line, const char *style, unsigned width, bool right, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The last `width` of `count` values as bars, the newest on the right. `styles`: a style for each value, or NULL. */
void line_spark(struct line *line, const double *values, const char *const *styles, unsigned count, unsigned width);

/* Clears what is left of it. */
void line_end(struct line *line);

#endif
