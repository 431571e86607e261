/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_RELOAD_H
#define SIM_RELOAD_H

#include <stdint.h>

struct world;

/* Reloads of a configuration that says the same again, at any time: no connection may end by it, no byte be lost, no
 * count be wrong, and nothing that was replaced be kept. Drawn in some worlds; the balancer has been built. */
void reloads_plan(struct world *world, uint64_t seed);

/* Frees all configurations that there were; the workers have stopped. */
void reloads_close(struct world *world);

#endif
