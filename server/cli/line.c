/* SPDX-License-Identifier: Apache-2.0 */
#include "line.h"

#include <stdarg.h>
#include <string.h>
#include <wchar.h>

#define TEXT_MAX 512
#define PLAIN "\033[0m"

static void begin_style(const struct line *line, const char *style)
{
    if (line->colour)
        fputs(style, line->out);
}

static void end_style(const struct line *line, const char *style)
{
    if (line->colour && style[0] != '\0')
        fputs(PLAIN, line->out);
}

static void put_spaces(struct line *line, unsigned count)
{
    count = count < line->left ? count : line->left;
    fprintf(line->out, "%*s", (int)count, "");
    line->left -= count;
}

/* The bytes and columns of the character at `text`; returns false when it cannot be shown as it is. */
static bool measure(const struct line *line, const char *text, size_t *ret_size, unsigned *ret_width)
{
    wchar_t wide;
    mbstate_t state = { 0 };
    size_t size = line->utf8 ? mbrtowc(&wide, text, strlen(text), &state) : 1;
    bool known = size != 0 && size <= strlen(text);
    int width = !known ? -1 : line->utf8 ? wcwidth(wide) : text[0] >= ' ' && text[0] < 0x7f ? 1 : -1;
    *ret_size = known ? size : 1;
    *ret_width = width < 0 ? 1 : (unsigned)width;
    return width >= 0;
}

static unsigned width_of(const struct line *line, const char *text)
{
    unsigned total = 0, width;
    size_t size;
    for (; *text != '\0'; text += size) {
        measure(line, text, &size, &width);
        total += width;
    }
    return total;
}

/* Returns the columns used. */
static unsigned put_cut(const struct line *line, const char *text, unsigned room)
{
    unsigned used = 0, width;
    size_t size;
    for (; *text != '\0'; text += size) {
        bool shown = measure(line, text, &size, &width);
        if (used + width > room)
            break;
        used += width;
        if (shown)
            fwrite(text, 1, size, line->out);
        else
            fputc('?', line->out);
    }
    return used;
}

void line_text(struct line *line, const char *style, const char *text, unsigned width, bool right)
{
    unsigned needed = width_of(line, text), used;
    width = width == 0 ? needed : width;
    width = width < line->left ? width : line->left;
    bool fits = needed <= width;
    if (right && fits)
        put_spaces(line, width - needed);
    begin_style(line, style);
    if (fits) {
        used = put_cut(line, text, needed);
    } else {
        used = width == 0 ? 0 : put_cut(line, text, width - 1) + 1;
        fputs(width == 0 ? "" : "~", line->out);
    }
    end_style(line, style);
    line->left -= used;
    if (!right || !fits)
        put_spaces(line, width - used);
}

void line_format(struct line *line, const char *style, unsigned width, bool right, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    line_text(line, style, text, width, right);
}

void line_spark(struct line *line, const double *values, const char *const *styles, unsigned count, unsigned width)
{
    static const char *const bars[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    static const char *const plain_bars[] = { " ", ".", ".", ":", ":", "-", "=", "+", "#" };
    double top = 0;
    width = width < line->left ? width : line->left;
    unsigned shown = count < width ? count : width;
    put_spaces(line, width - shown);
    for (unsigned n = count - shown; n < count; n++)
        top = values[n] > top ? values[n] : top;
    for (unsigned n = count - shown; n < count; n++) {
        unsigned level = values[n] <= 0 ? 0 : 1 + (unsigned)(7 * values[n] / top);
        const char *style = styles == NULL ? "" : styles[n];
        begin_style(line, style);
        fputs(style[0] != '\0' && level == 0 ? (line->utf8 ? "×" : "x") : (line->utf8 ? bars : plain_bars)[level],
              line->out);
        end_style(line, style);
    }
    line->left -= shown;
}

void line_end(struct line *line)
{
    fputs("\033[K", line->out);
}
