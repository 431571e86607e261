/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_FIGURES_PARTS_H
#define CONTROL_FIGURES_PARTS_H

#include "figures.h"

/* What figures.c sees and figures_json.c tells. Rates are per second, since the look before; figures without one are of
 * the last look. */

struct listener_figures {
    uint64_t accepted, bytes[2];
    double rate, byte_rates[2];
};

struct place_figures {
    uint64_t connections, failures;
    double rate, failing;
    uint32_t active[FIGURES_MARKS]; /* a ring: the most in the time of each mark, */
    uint8_t health[FIGURES_MARKS];  /* and the worst: enum weir_place_health */
};

struct client_figures {
    uint64_t denied;
    double refusing;
    double recent;                  /* refusals, half of them forgotten every minute */
    uint32_t active[FIGURES_MARKS]; /* as of a place */
};

struct moment {
    uint64_t wall_ns;
    uint32_t active;
    double accepting, refusing, byte_rates[2];
};

/* By the indexes of one snapshot; places of all pools, one pool behind the other. */
struct tables {
    struct listener_figures *listeners;
    struct place_figures *places;
    uint32_t *first_place; /* by pool */
    struct client_figures *clients;
    uint32_t place_count;
};

/* Makes the tables those of another snapshot: what is about the same names stays. `old` may be NULL: they were empty.
 * Returns 0 or WEIR_ENOMEM; they are then unchanged. */
int tables_adopt(struct tables *tables, const struct snapshot *old, const struct snapshot *new);
void tables_free(struct tables *tables);

struct figures {
    const struct balancer *balancer;
    struct reloader *reloader;
    const struct snapshot *snapshot; /* of the tables; held */
    struct tables tables;
    struct client_figures other, nobody;
    uint64_t reasons[CLOSE_REASONS];
    double reason_rates[CLOSE_REASONS];
    uint64_t refused;
    uint64_t looked_ns, looks;
    struct moment past[FIGURES_PAST];               /* a ring; the last look's is the newest */
    struct reload_result *reloads[FIGURES_RELOADS]; /* the newest first; NULL behind the last */
    uint64_t *busy_ns;                              /* by worker */
    double *busy_ratios;
};

static inline const struct moment *figures_now(const struct figures *figures)
{
    return &figures->past[(figures->looks - 1) % FIGURES_PAST];
}

static inline uint64_t figures_mark(const struct figures *figures)
{
    return (figures->looks - 1) / FIGURES_MARK_LOOKS;
}

#endif
