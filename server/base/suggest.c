/* SPDX-License-Identifier: Apache-2.0 */
#include "suggest.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define WORD_BYTES_MAX 128
#define LIMIT_MAX 8

/* Three rows of the table of distances: the present one and two before, for swapped neighbours. */
struct rows {
    unsigned now[WORD_BYTES_MAX + 1];
    unsigned before[WORD_BYTES_MAX + 1];
    unsigned earlier[WORD_BYTES_MAX + 1];
};

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Fills the row of a[i]; returns its least distance. */
static unsigned fill_row(struct rows *rows, const char *a, size_t i, const char *b, size_t b_size)
{
    unsigned row_least = rows->now[0] = (unsigned)i + 1;

    for (size_t j = 0; j < b_size; j++) {
        unsigned distance = rows->before[j] + (same(a[i], b[j]) ? 0 : 1);
        distance = least(distance, least(rows->before[j + 1], rows->now[j]) + 1);
        if (i > 0 && j > 0 && same(a[i], b[j - 1]) && same(a[i - 1], b[j]))
            distance = least(distance, rows->earlier[j - 1] + 1);
        rows->now[j + 1] = distance;
        row_least = least(row_least, distance);
    }
    return row_least;
}

unsigned suggest_distance(const char *a, const char *b, unsigned limit)
{
    size_t a_size = strnlen(a, WORD_BYTES_MAX + 1), b_size = strnlen(b, WORD_BYTES_MAX + 1);
    struct rows rows;

    assert(limit <= LIMIT_MAX);
    if (a_size > WORD_BYTES_MAX || b_size > WORD_BYTES_MAX || a_size > b_size + limit || b_size > a_size + limit)
        return limit + 1;
    for (unsigned j = 0; j <= b_size; j++)
        rows.now[j] = j;
    for (size_t i = 0; i < a_size; i++) {
        memcpy(rows.earlier, rows.before, sizeof rows.before);
        memcpy(rows.before, rows.now, sizeof rows.now);
        if (fill_row(&rows, a, i, b, b_size) > limit)
            return limit + 1;
    }
    return least(rows.now[b_size], limit + 1);
}

static unsigned limit_for(const char *word)
{
    return strnlen(word, 4) < 4 ? 1 : 2;
}

struct suggestion suggest_for(const char *word)
{
    return (struct suggestion){ .word = word, .best_distance = limit_for(word) + 1 };
}

void suggest_offer(struct suggestion *suggestion, const char *candidate)
{
    size_t size = strnlen(suggestion->word, WORD_BYTES_MAX);
    unsigned limit = limit_for(suggestion->word);
    unsigned distance = suggest_distance(suggestion->word, candidate, limit);

    /* "addr" is far from "address" by letters, but clearly meant. */
    if (distance > limit && size >= 3 && strncasecmp(candidate, suggestion->word, size) == 0)
        distance = limit;
    if (distance < suggestion->best_distance) {
        suggestion->best = candidate;
        suggestion->best_distance = distance;
    }
}

uint32_t suggest_find(struct suggestion *suggestion, const void *records, size_t size, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        const char *name = (const char *)records + n * size;
        if (strcmp(name, suggestion->word) == 0)
            return n;
        suggest_offer(suggestion, name);
    }
    return UINT32_MAX;
}
