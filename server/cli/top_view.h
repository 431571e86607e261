/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TOP_VIEW_H
#define CLI_TOP_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

/* What `weir top` shows: a balancer's figures as lines of text, for a screen of any size. */

#define TOP_PAST 300 /* looks, one a second */

enum top_series { TOP_ACTIVE, TOP_RATE, TOP_REFUSING, TOP_SERIES };

struct top_view {
    json_t *figures; /* NULL: none yet */
    double past[TOP_SERIES][TOP_PAST];
    unsigned past_count;
    const char *trouble; /* why nothing new comes, or NULL */
    bool utf8;           /* the locale's; else ASCII alone is written */
    bool colour;
};

/* A document with the totals of the past, which replaces what was known. */
void top_view_past(struct top_view *view, const json_t *past);

/* New figures: the view keeps them. */
void top_view_figures(struct top_view *view, json_t *figures);

/* Writes exactly `rows` lines of at most `columns` columns, each cleared to its end; the last one without newline. */
void top_view_draw(const struct top_view *view, unsigned rows, unsigned columns, FILE *out);

void top_view_free(struct top_view *view);

#endif
