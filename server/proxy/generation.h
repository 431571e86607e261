/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_GENERATION_H
#define PROXY_GENERATION_H

#include "entrance.h"
#include "worker.h"

/* One snapshot with all that workers need of it, from its reading to the end of the last that uses it. Control thread.
 */
struct generation {
    struct generation *before; /* an older one that is not over yet */
    struct snapshot *snapshot; /* owned */
    uint32_t workers;
    struct entrance **entrances; /* by worker, then listener; shared with the generations before and after */
    struct view **views;         /* by worker */
};

/* Why it cannot be had. */
struct fault {
    struct position at; /* line 0: nowhere in the file */
    char text[256];
};

/* Makes views and opens the listeners that `present` (NULL: none) does not have. Takes the snapshot, which is bound to
 * `state`, if it succeeds; what runs is not touched. Returns 0, an error of the listeners (with a fault, and logged) or
 * WEIR_ENOMEM. */
int generation_new(struct snapshot *snapshot, struct state *state, struct worker *const *workers, uint32_t count,
                   const struct generation *present, struct fault *fault, struct generation **ret_generation);

/* Nothing uses it any more. */
bool generation_is_over(const struct generation *generation);
/* It is over, or the workers have stopped. Its entrances belong to the workers by then. Accepts NULL. */
void generation_free(struct generation **pgeneration);

#endif
