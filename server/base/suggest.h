/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SUGGEST_H
#define BASE_SUGGEST_H

#include <stddef.h>
#include <stdint.h>

/* Finds what somebody probably meant: offer every word that would have been right, then read `best`. */
struct suggestion {
    const char *word; /* what was written; not copied */
    const char *best; /* the nearest word offered so far, or NULL: none is near */
    unsigned best_distance;
};

struct suggestion suggest_for(const char *word);
void suggest_offer(struct suggestion *suggestion, const char *candidate);

/* The index of the record whose name is the word; UINT32_MAX: none is, and all names were offered. `records` is an
 * array of `count` records of `size` bytes, each of which begins with its name. */
uint32_t suggest_find(struct suggestion *suggestion, const void *records, size_t size, uint32_t count);

/* Letters to insert, delete, replace or swap with their neighbour to make one word of the other, whatever their case;
 * or `limit` + 1 when more than `limit` (at most 8) are needed. */
unsigned suggest_distance(const char *a, const char *b, unsigned limit);

#endif
