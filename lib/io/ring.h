/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_RING_H
#define IO_RING_H

/* The ring of the io_uring backend: made disabled by whoever makes the loop, restricted to what Weir uses, and enabled
 * by the thread that runs it, which from then on is the only one that may submit. */

#include <stdbool.h>
#include <stdint.h>
#include <liburing.h>

#define RING_SUBMISSIONS 1024
#define RING_COMPLETIONS 8192

struct ring {
    struct io_uring uring;
    struct io_uring_buf_ring *buffers; /* the kernel takes receive buffers from here; group 0 */
    uint32_t buffer_count;             /* a power of two */
    bool open, enabled;
};

/* Returns 0, or an error and why in a static sentence. ring_close() in either case. */
int ring_open(struct ring *ring, uint32_t buffer_count, const char **ret_reason);
int ring_enable(struct ring *ring);
void ring_close(struct ring *ring);

/* Puts a buffer where the kernel may take it. */
void ring_give(struct ring *ring, void *data, uint32_t size, uint32_t index);

/* A submission to fill in. Submits what is queued when the queue is full. */
struct io_uring_sqe *ring_submission(struct ring *ring);

#endif
