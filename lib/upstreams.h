/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_UPSTREAMS_H
#define LIB_UPSTREAMS_H

#include <stdatomic.h>
#include <stdint.h>

#include <weir/pool.h>

#include "words.h"

/* An upstream's word: the count of its connections, and why it takes no more. A word with one of these bits is greater
 * than every word without, and none is negative as a signed number: choosing is finding the least. */
#define WORD_COUNT UINT32_C(0x1fffffff)
#define WORD_FULL UINT32_C(0x20000000)
#define WORD_CLOSED UINT32_C(0x40000000) /* drained, disabled or removed */
#define WORD_UNAVAILABLE WORD_FULL       /* words from here on */

struct upstream_row {
    _Atomic uint32_t max_connections; /* 0: no limit */
    _Atomic uint32_t state;           /* enum weir_upstream_state */
    bool used;
};

struct weir_upstreams {
    uint32_t capacity;
    uint32_t next;           /* where the search for a free row begins */
    _Atomic uint32_t *words; /* by id; whole blocks of BLOCK_WORDS */
    struct upstream_row *rows;
};

/* Counts one connection more if the word still is `word`, which must be available. Returns false when it has changed.
 */
bool upstreams_take(struct weir_upstreams *upstreams, uint32_t id, uint32_t word);

#endif
