/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "random.h"

/* One simulated world: chance, a clock that jumps from event to event, and memory that goes away with the world. */

#define SIM_US UINT64_C(1000)
#define SIM_MS UINT64_C(1000000)
#define SIM_SECOND UINT64_C(1000000000)

/* The wall clock at the beginning, in seconds since 1970. */
#define SIM_WALL_S 1700000000

/* Something that will happen. Embedded in what it belongs to; zero it and set `run`. */
struct sim_event {
    void (*run)(struct sim_event *event);
    uint64_t at_ns, order;
    uint32_t slot; /* 0: not planned */
};

struct sim {
    struct random random;
    uint64_t now_ns; /* monotonic */
    uint64_t wall_ns;
    struct sim_event **heap; /* from slot 1 */
    uint32_t count, capacity;
    uint64_t next_order;
    uint64_t steps;
    bool trace;
};

/* Makes the world of a seed. There is one at a time: all memory of the one before is gone. */
struct sim *sim_new(uint64_t seed);

/* Memory of the world, never given back before its end: the world's own parts must not disturb the count of what the
 * code under test allocates. Zeroed, but for sim_bytes(). */
void *sim_alloc(size_t size);
void *sim_bytes(size_t size);

/* Plans an event; one that is planned already moves. */
void sim_at(struct sim *sim, struct sim_event *event, uint64_t at_ns);
void sim_after(struct sim *sim, struct sim_event *event, uint64_t delay_ns);
/* The same, but leaves an event that is due earlier as it is. */
void sim_by(struct sim *sim, struct sim_event *event, uint64_t at_ns);
void sim_cancel(struct sim *sim, struct sim_event *event);

/* Time of the next event; UINT64_MAX: none is planned. */
uint64_t sim_next(const struct sim *sim);

/* Jumps to the next event and runs it. Returns false if there is none. */
bool sim_step(struct sim *sim);

/* Lets time pass without an event; none may be due before. */
void sim_jump(struct sim *sim, uint64_t at_ns);

/* A readable line, when tracing is on. */
#define SIM_TRACE(sim, ...)                                                                                            \
    do {                                                                                                               \
        if ((sim)->trace)                                                                                              \
            sim_trace((sim), __VA_ARGS__);                                                                             \
    } while (0)
void sim_trace(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
