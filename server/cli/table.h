/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A table that is as wide as what stands in it, and no wider than it may be. */

#define TABLE_COLUMNS_MAX 8
#define TABLE_WIDTH_MAX 100

struct table_column {
    const char *head;
    bool right;   /* numbers */
    bool elastic; /* may be cut */
};

struct table_cell {
    char *text;        /* ASCII */
    const char *style; /* an escape, or "" */
};

struct table {
    const struct table_column *columns;
    uint32_t column_count;
    struct table_cell *cells;
    uint32_t cell_count, room;
    bool out_of_memory;
};

/* Adds the next cell: a row after the other, from left to right. */
void table_add(struct table *table, const char *style, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Writes it, with its heads. Returns false when memory ran out. */
bool table_print(const struct table *table, FILE *stream);

void table_free(struct table *table);

#endif
