/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_REPLY_H
#define PROXY_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/relay.h>

#include "../policy/snapshot.h"

/* What an upstream answers to a check: its first bytes, searched for what is expected. No I/O. */

#define REPLY_BYTES_MAX (16u << 10)

struct reply {
    struct weir_sink sink; /* where the bytes go; what is beyond the bound is dropped */
    const struct check_bytes *expect;
    bool found;
    uint32_t size; /* of `bytes`; stays 0 when nothing is expected */
    uint8_t bytes[REPLY_BYTES_MAX];
    uint8_t dropped[512];
};

/* Zeroed before. `expect` outlives the reply; size 0: nothing is expected. */
void reply_init(struct reply *reply, const struct check_bytes *expect);

/* Nothing that still comes can make it the right one. */
bool reply_is_full(const struct reply *reply);

/* How it came to its end without what was expected. */
enum reply_end { REPLY_TIMED_OUT, REPLY_ENDED, REPLY_BROKE, REPLY_FULL };

/* 'expected "+PONG", but the upstream sent "-ERR\r\n" and ended the connection'. Printable ASCII, cut. */
void reply_describe(const struct reply *reply, enum reply_end end, char *text, size_t size);

#endif
