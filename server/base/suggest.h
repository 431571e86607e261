/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SUGGEST_H
#define BASE_SUGGEST_H

/* Finds what somebody probably meant: offer every word that would have been right, then read `best`. */
struct suggestion {
    const char *word; /* what was written; not copied */
    const char *best; /* the nearest word offered so far, or NULL: none is near */
    unsigned best_distance;
};

struct suggestion suggest_for(const char *word);
void suggest_offer(struct suggestion *suggestion, const char *candidate);

/* Letters to insert, delete, replace or swap with their neighbour to make one word of the other, whatever their case;
 * or `limit` + 1 when more than `limit` (at most 8) are needed. */
unsigned suggest_distance(const char *a, const char *b, unsigned limit);

#endif
