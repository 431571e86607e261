/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LOOP_H
#define WEIR_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/api.h>

WEIR_BEGIN_C

/* A loop: one thread's I/O. Whoever calls weir_loop_run() is the loop's thread; all functions on a loop, its sockets
 * and timers belong to that thread (or to the only thread, before it runs), except where "any thread" is said.
 *
 * Operations are submitted and complete later: the loop calls the completion exactly once, from weir_loop_run(), never
 * from inside the call that submitted it. One turn of the loop: wait, read the clock, deliver completions, fire timers
 * that are due, deliver messages. */
struct weir_loop;

enum weir_backend {
    WEIR_BACKEND_AUTO,     /* io_uring where the kernel allows it and has what is needed, else epoll */
    WEIR_BACKEND_IO_URING, /* io_uring, or fail */
    WEIR_BACKEND_EPOLL,
};

struct weir_loop_options {
    enum weir_backend backend;
    uint32_t buffers;      /* receive buffers of the loop, a power of two, at most 32768; 0: 256 */
    uint32_t buffer_bytes; /* size of each; 0: 16 KiB */
    uint32_t pipes;        /* open at most, of two descriptors each, to splice bulk; 0: 64 */
};

/* Makes a loop. `options` may be NULL: all defaults. May be run by another thread than the one that made it, if fewer
 * than 1,000 operations have been submitted before.
 * Returns 0, WEIR_ENOMEM, WEIR_EMFILE, or WEIR_ENOTSUP / WEIR_EACCES when the backend asked for cannot be had (AUTO
 * falls back instead); *ret_loop is untouched on failure. */
WEIR_API WEIR_MUST_CHECK int weir_loop_new(const struct weir_loop_options *options, struct weir_loop **ret_loop);

/* Frees a loop that does not run. Every socket and acceptor must have been closed, to the last completion. Accepts
 * NULL. */
WEIR_API void weir_loop_free(struct weir_loop **ploop);

/* Runs turns until weir_loop_stop(). May be called again, by the same thread. Returns 0 or the error of a kernel call
 * that should not fail. */
WEIR_API WEIR_MUST_CHECK int weir_loop_run(struct weir_loop *loop);

/* Makes weir_loop_run() return at the end of this turn. The loop's thread; from another one post a message that calls
 * it. */
WEIR_API void weir_loop_stop(struct weir_loop *loop);

/* "io_uring", "epoll", ... Any thread. */
WEIR_API const char *weir_loop_backend_name(const struct weir_loop *loop);

/* Why AUTO chose epoll: a static sentence, or NULL when it did not fall back. Any thread. */
WEIR_API const char *weir_loop_fallback_reason(const struct weir_loop *loop);

/* Monotonic time of this turn in nanoseconds. */
WEIR_API uint64_t weir_loop_now(const struct weir_loop *loop);

/* Wall-clock time in nanoseconds since 1970, read when called. */
WEIR_API uint64_t weir_loop_wall(const struct weir_loop *loop);

/* Nanoseconds that this loop has spent outside of waiting. Any thread (approximate while it runs). */
WEIR_API uint64_t weir_loop_busy_ns(const struct weir_loop *loop);

/* A timer, embedded in what it belongs to. Zero it, set `fire`, then use weir_timer_set(). It takes no memory of its
 * own and cannot fail. Fields below `fire` are private. */
struct weir_timer {
    void (*fire)(struct weir_timer *timer);
    uint64_t deadline_ns;
    uint64_t order;
    struct weir_timer *child, *sibling, *previous;
    bool armed;
};

/* Fires once, when the loop's clock has reached deadline_ns; timers fire in the order of their deadlines, equal ones in
 * the order in which they were set. Setting an armed timer moves it. May be called from `fire`. */
WEIR_API void weir_timer_set(struct weir_loop *loop, struct weir_timer *timer, uint64_t deadline_ns);

/* Disarms; nothing happens when it is not armed. After this call `fire` is not called. */
WEIR_API void weir_timer_stop(struct weir_loop *loop, struct weir_timer *timer);

/* A message to a loop's thread, embedded in what it belongs to. Set `deliver`; the rest is private. */
struct weir_message {
    void (*deliver)(struct weir_loop *loop, struct weir_message *message);
    struct weir_message *next;
};

/* Hands a message to the loop: `deliver` is called once on its thread, in the order in which each sender posted. The
 * message must stay alive, and must not be posted again, until then. Any thread; never blocks; cannot fail. */
WEIR_API void weir_loop_post(struct weir_loop *loop, struct weir_message *message);

WEIR_END_C

#endif
