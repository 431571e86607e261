/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

/* The simulator's only source of chance: splitmix64, so that a life follows from its seed alone. */
struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t mix = random->state += UINT64_C(0x9E3779B97F4A7C15);
    mix = (mix ^ mix >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    mix = (mix ^ mix >> 27) * UINT64_C(0x94D049BB133111EB);
    return mix ^ mix >> 31;
}

/* 0 <= result < bound; bound > 0. */
static inline uint64_t random_below(struct random *random, uint64_t bound)
{
    return random_next(random) % bound;
}

/* low <= result <= high. */
static inline uint64_t random_between(struct random *random, uint64_t low, uint64_t high)
{
    return low + random_below(random, high - low + 1);
}

static inline bool random_chance(struct random *random, uint32_t per_mille)
{
    return per_mille > 0 && random_below(random, 1000) < per_mille;
}

/* Between low and high, each order of magnitude as likely as the next; low > 0. */
static inline uint64_t random_scaled(struct random *random, uint64_t low, uint64_t high)
{
    uint64_t ceiling = low;
    while (ceiling < high && random_below(random, 3) != 0)
        ceiling = ceiling > high / 4 ? high : ceiling * 4;
    return random_between(random, low, ceiling);
}

#endif
