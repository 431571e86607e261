/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_RANKING_H
#define CONTROL_RANKING_H

#include <stdint.h>

/* The best few of many, by score: what a page can show of ten thousand. All zero but `limit`: empty. */

#define RANKING_MAX 64

struct ranking {
    uint32_t limit; /* at most RANKING_MAX */
    uint32_t count;
    struct ranked {
        uint64_t score;
        uint32_t index;
    } rows[RANKING_MAX]; /* best first; equal ones in the order of their offers */
};

static inline void ranking_offer(struct ranking *ranking, uint32_t index, uint64_t score)
{
    uint32_t at = ranking->count;
    if (at == ranking->limit && (at == 0 || score <= ranking->rows[at - 1].score))
        return;
    at = at < ranking->limit ? ranking->count++ : at - 1;
    for (; at > 0 && ranking->rows[at - 1].score < score; at--)
        ranking->rows[at] = ranking->rows[at - 1];
    ranking->rows[at] = (struct ranked){ score, index };
}

#endif
