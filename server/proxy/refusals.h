/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_REFUSALS_H
#define PROXY_REFUSALS_H

#include <weir/address.h>

#include "../policy/snapshot.h"

/* The last refusals of one worker, for whoever asks why: the worker fills it in, anybody may look. */

#define REFUSALS_KEPT 20
#define REFUSAL_TEXT_MAX 256

/* Any bytes from outside, cut. */
struct refusal_text {
    uint32_t size;
    char bytes[REFUSAL_TEXT_MAX];
};

struct refusal {
    uint64_t id; /* of the connection */
    uint64_t wall_ns;
    enum close_reason reason;
    char listener[NAME_MAX_BYTES + 1];
    char peer[WEIR_ADDRESS_TEXT_MAX];
    struct refusal_text client, identity, detail;
};

struct refusals;

/* NULL: out of memory. */
struct refusals *refusals_new(void);
/* Accepts NULL. */
void refusals_free(struct refusals **prefusals);

void refusal_text_set(struct refusal_text *text, const void *bytes, size_t size);

/* Never waits: while somebody looks, which takes microseconds, a refusal is left out. */
void refusals_add(struct refusals *refusals, const struct refusal *refusal);

/* Copies what is kept, the oldest first, to room for REFUSALS_KEPT; returns how many. Any thread. */
uint32_t refusals_read(struct refusals *refusals, struct refusal *ret_kept);

#endif
