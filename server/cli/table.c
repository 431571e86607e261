/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

#define GAP 2
#define ELASTIC_MIN 6

static struct table_cell *new_cell(struct table *table)
{
    if (table->cell_count == table->room) {
        uint32_t room = table->room == 0 ? 64 : 2 * table->room;
        struct table_cell *cells = reallocarray(table->cells, room, sizeof *cells);
        if (cells == NULL)
            return NULL;
        table->cells = cells;
        table->room = room;
    }
    return &table->cells[table->cell_count];
}

void table_add(struct table *table, const char *style, const char *format, ...)
{
    struct table_cell *cell = new_cell(table);
    va_list arguments;

    va_start(arguments, format);
    if (cell != NULL && vasprintf(&cell->text, format, arguments) >= 0) {
        cell->style = style;
        table->cell_count++;
    } else {
        table->out_of_memory = true;
    }
    va_end(arguments);
}

static void measure(const struct table *table, int *widths)
{
    for (uint32_t n = 0; n < table->column_count; n++)
        widths[n] = (int)strlen(table->columns[n].head);
    for (uint32_t n = 0; n < table->cell_count; n++) {
        int width = (int)strlen(table->cells[n].text), *column = &widths[n % table->column_count];
        *column = width > *column ? width : *column;
    }
}

/* The widest elastic column, which gives way; NULL: none can. */
static int *widest(const struct table *table, int *widths)
{
    int *found = NULL;

    for (uint32_t n = 0; n < table->column_count; n++)
        if (table->columns[n].elastic && widths[n] > ELASTIC_MIN && (found == NULL || widths[n] > *found))
            found = &widths[n];
    return found;
}

static void fit(const struct table *table, int *widths)
{
    int total = -GAP, *column;

    for (uint32_t n = 0; n < table->column_count; n++)
        total += widths[n] + GAP;
    for (; total > TABLE_WIDTH_MAX && (column = widest(table, widths)) != NULL; total--)
        (*column)--;
}

static void print_cell(FILE *stream, const struct table_column *column, const char *text, const char *style, int width,
                       bool last)
{
    int size = (int)strlen(text), shown = size > width ? width - 1 : size;
    int space = size > width ? 0 : width - size;

    fprintf(stream, "%*s%s%.*s%s%s%*s", column->right ? space : 0, "", cli_style(stream, style), shown, text,
            size > width ? "~" : "", style[0] == '\0' ? "" : cli_plain(stream), column->right || last ? 0 : space, "");
    fprintf(stream, last ? "\n" : "%*s", GAP, "");
}

bool table_print(const struct table *table, FILE *stream)
{
    int widths[TABLE_COLUMNS_MAX];

    if (table->out_of_memory)
        return false;
    assert(table->column_count > 0);
    measure(table, widths);
    fit(table, widths);
    for (uint32_t n = 0; n < table->column_count; n++) {
        print_cell(stream, &table->columns[n], table->columns[n].head, "\033[1m", widths[n],
                   n + 1 == table->column_count);
    }
    for (uint32_t n = 0; n < table->cell_count; n++) {
        uint32_t at = n % table->column_count;
        print_cell(stream, &table->columns[at], table->cells[n].text, table->cells[n].style, widths[at],
                   at + 1 == table->column_count);
    }
    return true;
}

void table_free(struct table *table)
{
    for (uint32_t n = 0; n < table->cell_count; n++)
        free(table->cells[n].text);
    free(table->cells);
}
