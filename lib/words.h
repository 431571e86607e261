/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_WORDS_H
#define LIB_WORDS_H

#include <stdatomic.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK_WORDS 64u

#ifdef __SSE2__

/* By bit, which words of a block are below a limit; both are less than 1 << 31. C has no atomic loads of vectors: these
 * are plain ones, each done once, and no processor tears their lanes. Who acts upon what they tell must compare and
 * swap the word itself. */
__attribute__((no_sanitize("thread"))) static inline uint64_t words_below(const _Atomic uint32_t *words, uint32_t limit)
{
    const volatile __m128i *at = (const volatile __m128i *)words;
    const __m128i limits = _mm_set1_epi32((int)limit);
    uint64_t below = 0;
    for (uint32_t i = 0; i < BLOCK_WORDS; i += 16, at += 4) {
        __m128i low = _mm_packs_epi32(_mm_cmplt_epi32(at[0], limits), _mm_cmplt_epi32(at[1], limits));
        __m128i high = _mm_packs_epi32(_mm_cmplt_epi32(at[2], limits), _mm_cmplt_epi32(at[3], limits));
        below |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high)) << i;
    }
    return below;
}

#else

static inline uint64_t words_below(const _Atomic uint32_t *words, uint32_t limit)
{
    uint64_t below = 0;
    for (uint32_t i = 0; i < BLOCK_WORDS; i++)
        below |= (uint64_t)(atomic_load_explicit(&words[i], memory_order_relaxed) < limit) << i;
    return below;
}

#endif

#endif
