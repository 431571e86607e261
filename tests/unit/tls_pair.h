/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_TLS_PAIR_H
#define TESTS_UNIT_TLS_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "../../server/tls/session.h"
#include "certs.h"

/* A client and a server of ours that shuttle bytes in memory. */

/* Collects bytes; gives room in steps. */
struct collector {
    struct weir_sink sink;
    uint8_t *bytes;
    uint32_t size, capacity;
    uint32_t step;  /* room that reserve() gives at most; 0: 4096 */
    bool exhausted; /* reserve() fails */
};

void collector_init(struct collector *collector);
void collector_free(struct collector *collector);
void collector_put(struct collector *collector, const void *bytes, uint32_t size);
/* Forgets the first bytes. */
void collector_drop(struct collector *collector, uint32_t size);

struct end {
    struct tls_context *context;
    struct tls_session *session;
    struct collector out;   /* on their way to the other end */
    struct collector plain; /* received */
    enum tls_progress progress;
    enum weir_filter_result result; /* of the last decode */
};

struct pair {
    struct end client, server;
    uint64_t random;
    uint32_t piece; /* bytes that travel at once, at most; 0: all */
    bool bounded;   /* nothing travels any more after `budget` bytes */
    uint32_t budget;
};

/* The loop that contexts take the time from, and its time in seconds. */
struct weir_loop *pair_loop(void);
void pair_set_time(int64_t now_s);
int64_t pair_time(void);

/* Fails the test when the material cannot be loaded. */
struct tls_material *pair_material(const struct tls_settings *settings, enum tls_role role);
struct tls_context *pair_context(const struct tls_settings *settings, enum tls_role role);

/* New sessions of the contexts, which stay the caller's. */
void pair_open(struct pair *pair, struct tls_context *client, struct tls_context *server);
void pair_close(struct pair *pair);

/* The client's first step. */
void pair_start(struct pair *pair);

/* One piece travels; false when there is none. */
bool pair_carry(struct pair *pair, struct end *from, struct end *to);

/* Lets both ends work until nothing is on its way any more. */
void pair_run(struct pair *pair);

/* Runs the handshake; fails the test when it does not succeed. */
void pair_connect(struct pair *pair);

void pair_send(struct end *end, const void *data, uint32_t size);
void pair_end(struct end *end);

#endif
