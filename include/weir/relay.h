/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RELAY_H
#define WEIR_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/api.h>
#include <weir/loop.h>
#include <weir/socket.h>

WEIR_BEGIN_C

/* Moves bytes both ways between two connected sockets until both directions have ended.
 *
 * An idle relay holds no buffer. Bytes are sent from the buffer they were received in; what the kernel does not take is
 * copied to the direction's overflow, and receiving rests until that is half empty. The end of one direction is carried
 * through as a half-close. Where no filter needs to see the bytes, bulk is spliced. */

enum weir_relay_end {
    WEIR_RELAY_DONE,             /* both directions ended cleanly */
    WEIR_RELAY_CLIENT_TRUNCATED, /* the client's bytes ended without the end that its filter knows (TLS: no
                                    close_notify) */
    WEIR_RELAY_UPSTREAM_TRUNCATED,
    WEIR_RELAY_CLIENT_CORRUPT, /* the client's filter could make no sense of its bytes */
    WEIR_RELAY_UPSTREAM_CORRUPT,
    WEIR_RELAY_CLIENT_RESET,       /* the client's connection broke */
    WEIR_RELAY_UPSTREAM_RESET,     /* the upstream's connection broke */
    WEIR_RELAY_IDLE_TIMEOUT,       /* no byte in either direction for idle_timeout */
    WEIR_RELAY_HALF_CLOSE_TIMEOUT, /* one direction ended, and no byte in the other for half_close_timeout */
    WEIR_RELAY_OUT_OF_MEMORY,      /* no memory for an overflow, or the budget is used up */
};

/* What the overflows of all relays of one loop may take together. A plain value that outlives the relays. */
struct weir_relay_budget {
    size_t limit; /* bytes */
    size_t used;
};

/* Where a filter puts bytes: the queue towards one side of a relay, or a caller's own. */
struct weir_sink {
    /* Room for at least 1 byte, of *ret_room bytes; NULL when out of memory. Stays valid until the next call. */
    uint8_t *(*reserve)(struct weir_sink *sink, uint32_t *ret_room);
    /* The first `size` bytes of the room are filled. Returns 0 or WEIR_ENOMEM. */
    int (*commit)(struct weir_sink *sink, uint32_t size);
};

/* Copies bytes into a sink. Returns 0 or WEIR_ENOMEM. */
WEIR_API WEIR_MUST_CHECK int weir_sink_put(struct weir_sink *sink, const void *data, uint32_t size);

/* What stands between a socket and the relay when bytes do not cross it as they are (TLS). A filter does no I/O: bytes
 * go in, bytes come out. Embedded in what it belongs to; the loop's thread. */
struct weir_filter {
    const struct weir_filter_ops *ops;
};

enum weir_filter_result {
    WEIR_FILTER_OK = 0,
    WEIR_FILTER_ENDED = 1, /* decode: the peer has ended its side cleanly; what came before was put out */
    WEIR_FILTER_CORRUPT = -1,
    WEIR_FILTER_NO_MEMORY = -2,
};

struct weir_filter_ops {
    /* Bytes that came from the side's socket (size 0: only what is inside already). All plain bytes in them go to
     * `plain`; what the peer must be answered goes to `back`. */
    enum weir_filter_result (*decode)(struct weir_filter *filter, const uint8_t *data, uint32_t size,
                                      struct weir_sink *plain, struct weir_sink *back);
    /* Plain bytes for the side: as they go over its socket, into `out`. */
    enum weir_filter_result (*encode)(struct weir_filter *filter, const uint8_t *data, uint32_t size,
                                      struct weir_sink *out);
    /* No more plain bytes for the side. */
    enum weir_filter_result (*encode_end)(struct weir_filter *filter, struct weir_sink *out);
};

struct weir_relay_options {
    uint64_t idle_timeout_ns;       /* 0: none */
    uint64_t half_close_timeout_ns; /* 0: none */
    uint32_t overflow_bytes;        /* bound of one direction's overflow, beside one turn's loans; 0: 64 KiB */
    uint32_t splice_bytes; /* so many in one direction, with hardly any in the other, go on by splice; 0: 256 KiB */
    struct weir_relay_budget *budget;
    uint64_t *totals; /* two sums over relays, by the side that the bytes come from, or NULL; only the loop's
                                       thread writes, others may read by relaxed atomics */
};

enum weir_relay_side { WEIR_RELAY_CLIENT, WEIR_RELAY_UPSTREAM };

/* One direction: from a side to the other. Private, but for `bytes`. */
struct weir_relay_direction {
    uint64_t bytes; /* plain ones: taken by the kernel of the receiving side, or by its filter */
    struct weir_loan *loans, *last_loan;
    struct weir_relay_chunk *overflow, *last_chunk;
    uint32_t overflow_size; /* bytes that wait in it */
    uint32_t loan_sent;     /* of the first loan */
    uint32_t answers;       /* bytes in it that a filter had to answer with */
    uint32_t surplus;       /* bytes beyond what the other direction makes up for: see relay_splice.c */
    bool ended;             /* the source has sent its last byte */
    bool truncated;         /* ... which its filter did not expect */
    bool finished;          /* ... and the destination was told */
    bool sending;
    bool receiving;
    bool resting; /* receiving rests until the overflow is half empty */
};

/* Embedded in a connection. Zero it at birth. */
struct weir_relay {
    struct weir_filter *filters[2]; /* by side; set before the start; NULL: bytes cross the socket as they are */
    void (*answered)(struct weir_relay *relay); /* once, when the upstream's first plain byte has come, before it goes
                                                   on; then NULL. Set before the start; may be NULL */
    struct weir_socket *sockets[2];             /* by side; private from here on, but for direction[].bytes */
    struct weir_relay_direction direction[2];   /* by the side that the bytes come from */
    struct weir_timer timer;
    struct weir_loop *loop;
    const struct weir_relay_options *options;
    void (*ended)(struct weir_relay *relay, enum weir_relay_end end);
    uint64_t last_byte_ns;
    struct weir_pipe *pipes[2]; /* while it splices; by the side that the bytes come from */
    uint8_t splice;             /* enum relay_splice */
    uint8_t small_splices;      /* in a row */
    bool has_spliced;
    uint8_t watching; /* one bit for each side */
    bool draining;    /* a truncated direction waits for its last byte to arrive */
};

/* Starts relaying between two sockets that are connected and have nothing in flight but, at most, a watch or a receive.
 * The relay sets their `events` and `owner`; the completions of what is in flight go to the relay from then on.
 * `options` must outlive the relay. `ended` is called once, from the loop's turn. The caller then puts its own `events`
 * on both sockets and closes them (with a reset to say: this is no clean end); weir_relay_release() comes after both
 * are closed, since a send may be in flight from the relay's buffers until then. */
WEIR_API void weir_relay_start(struct weir_relay *relay, struct weir_loop *loop, struct weir_socket *client,
                               struct weir_socket *upstream, const struct weir_relay_options *options,
                               void (*ended)(struct weir_relay *relay, enum weir_relay_end end));

/* Hands over bytes of a side that has a filter, which arrived before the start (size 0: only what the filter holds
 * inside). After the start, before anything else. May call `ended`. */
WEIR_API void weir_relay_feed(struct weir_relay *relay, enum weir_relay_side side, const void *data, uint32_t size);

/* Stops for a reason of the caller's own: `ended` will not be called. Close the sockets next. */
WEIR_API void weir_relay_stop(struct weir_relay *relay);

/* Frees what a relay holds: timer, loans, overflow. Both sockets have been closed (or the relay was never started: does
 * nothing). */
WEIR_API void weir_relay_release(struct weir_relay *relay);

WEIR_END_C

#endif
