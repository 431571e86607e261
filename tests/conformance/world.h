/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CONFORMANCE_WORLD_H
#define TESTS_CONFORMANCE_WORLD_H

/* The tests' stage: one loop, one acceptor, and ends of connections that write down what completes on them. */

#include "../unit/test.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <weir/errors.h>
#include <weir/loop.h>
#include <weir/socket.h>

#include "conformance.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof(array)[0])
#define MS UINT64_C(1000000)
#define LOG_MAX 128

struct end;

struct world {
    struct weir_loop *loop;
    struct weir_acceptor acceptor;
    struct weir_address address;
    struct end *expected; /* who gets the next accepted connection; a list */
    uint64_t accepted, surplus, accept_ends, acceptor_closed;
    int accept_status;
    bool open;
    const uint64_t *awaited; /* the loop runs until this counter... */
    uint64_t target;         /* ... has reached this */
    struct weir_timer guard, pause;
    uint64_t paused;
};

/* One end of a connection. All that completes is counted and, as letters, logged: C connected, R received, r the last
 * one, P spliced in, S sent, h half-closed, b broken, w end of the watch, X closed. */
struct end {
    struct weir_socket socket;
    struct world *world;
    struct end *next_expected;
    char log[LOG_MAX + 1];
    uint64_t connects, receipts, recv_ends, splices, sends, half_closes, resets, watch_ends, closes;
    int connect_status, recv_status, splice_status, send_status, watch_status;
    uint64_t bytes_in, bytes_out;
    bool quits;                          /* is closing: submits nothing more */
    bool wrong_bytes;                    /* what came was not the stream */
    bool keeps;                          /* loans are kept in `kept` rather than returned at once */
    bool echoes;                         /* sends back what comes; keeps it until then */
    struct weir_loan *kept, **last_kept; /* oldest first */
    uint32_t echoed;                     /* bytes of the first one */
    uint64_t kept_count, stream_left;
    bool shut_after; /* half-closes after the stream */
    void (*on_received)(struct end *end);
    void (*on_spliced)(struct end *end);
    void (*on_sent)(struct end *end);
    void (*on_closed)(struct end *end);
    void *data;
};

/* Opens the stage; `options` may be NULL. world_close() expects every end to be closed and checks that nothing more
 * completes. */
void world_open(struct world *world, const struct weir_loop_options *options);
void world_close(struct world *world);

/* Runs the loop until *counter >= target; fails the test when that takes too long. */
void run_until(struct world *world, const uint64_t *counter, uint64_t target);
void run_for(struct world *world, uint64_t ns);

/* To be called from a completion that has counted something. */
void counted(struct world *world);

void end_init(struct end *end, struct world *world);
void expect_end(struct end *end); /* it gets the next connection accepted */
void pair_up(struct world *world, struct end *client, struct end *server);
void quit(struct end *end, enum weir_close_mode mode);
void close_end(struct end *end, enum weir_close_mode mode); /* and waits for `closed` */
void close_pair(struct end *client, struct end *server);

void give_back_one(struct end *end);
void give_back_all(struct end *end);

/* Sends the next `bytes` of the stream, whose every position is known: the other end checks what it gets. The second
 * one sends once, up to so many. */
void stream(struct end *end, uint64_t bytes);
void stream_some(struct end *end, uint32_t bytes, enum weir_send_mode mode);
void send_text(struct end *end, const char *text, enum weir_send_mode mode);

/* Sends until the kernel takes no more. Returns how many bytes that were; they are of the stream. */
uint64_t fill_up(struct end *end);

#endif
