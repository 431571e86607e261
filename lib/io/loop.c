/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include <weir/errors.h>

#include "backend.h"

#define BUFFERS_DEFAULT 256
#define BUFFERS_MAX 32768
#define BUFFER_BYTES_DEFAULT (16u << 10)
#define PIPES_DEFAULT 64
#define FAR_OVERDUE_NS UINT64_C(100000000)
#define CATCH_UP_NS UINT64_C(250000000)

/* Birth and death */

void io_loop_init(struct weir_loop *loop, const struct io_backend *backend)
{
    memset(loop, 0, sizeof *loop);
    loop->backend = backend;
}

static int loop_new(const struct weir_loop_options *options, struct weir_loop **ret_loop)
{
    const char *reason = NULL;
    if (options->backend == WEIR_BACKEND_EPOLL)
        return io_epoll_loop_new(options, ret_loop);
    int err = io_uring_loop_new(options, ret_loop, &reason);
    if (err == 0 || options->backend == WEIR_BACKEND_IO_URING)
        return err;
    err = io_epoll_loop_new(options, ret_loop);
    if (err == 0)
        (*ret_loop)->fallback_reason = reason;
    return err;
}

int weir_loop_new(const struct weir_loop_options *options, struct weir_loop **ret_loop)
{
    struct weir_loop_options full = { 0 };
    if (options != NULL)
        full = *options;
    if (full.buffers == 0)
        full.buffers = BUFFERS_DEFAULT;
    if (full.buffer_bytes == 0)
        full.buffer_bytes = BUFFER_BYTES_DEFAULT;
    assert(full.buffers <= BUFFERS_MAX && (full.buffers & (full.buffers - 1)) == 0);
    assert(full.buffer_bytes <= INT32_MAX);
    int err = loop_new(&full, ret_loop);
    if (err == 0)
        (*ret_loop)->pipes_max = full.pipes != 0 ? full.pipes : PIPES_DEFAULT;
    return err;
}

void weir_loop_free(struct weir_loop **ploop)
{
    struct weir_loop *loop = *ploop;
    if (loop == NULL)
        return;
    assert(atomic_load(&loop->cpu_clock) == 0);
    loop->backend->free(loop);
    *ploop = NULL;
}

/* Messages */

void weir_loop_post(struct weir_loop *loop, struct weir_message *message)
{
    struct weir_message *newest = atomic_load_explicit(&loop->messages, memory_order_relaxed);
    do {
        message->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&loop->messages, &newest, message, memory_order_release,
                                                    memory_order_relaxed));
    /* Whoever found the list empty wakes the loop for all that follow: it takes them together. */
    if (newest == NULL)
        loop->backend->wake(loop);
}

static struct weir_message *take_messages(struct weir_loop *loop)
{
    struct weir_message *newest = NULL, *oldest = NULL;
    if (atomic_load_explicit(&loop->messages, memory_order_relaxed) != NULL)
        newest = atomic_exchange_explicit(&loop->messages, NULL, memory_order_acquire);
    while (newest != NULL) {
        struct weir_message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void deliver_messages(struct weir_loop *loop)
{
    struct weir_message *message = take_messages(loop);
    while (message != NULL) {
        struct weir_message *next = message->next; /* the message is its receiver's again once delivered */
        message->deliver(loop, message);
        message = next;
    }
}

/* Running */

/* A process that was stopped wakes with its timers overdue, and with what came meanwhile not yet read. That goes first,
 * and those who were stopped in the middle of something get a moment to go on, so that nobody counts as silent for the
 * time in which nobody listened. */
static bool is_catching_up(struct weir_loop *loop)
{
    uint64_t next = timers_next(&loop->timers);
    bool far_overdue = next < loop->now_ns && loop->now_ns - next >= FAR_OVERDUE_NS;
    if (far_overdue && loop->catch_up_until_ns == 0)
        loop->catch_up_until_ns = loop->now_ns + CATCH_UP_NS;
    if (!far_overdue || loop->now_ns >= loop->catch_up_until_ns)
        loop->catch_up_until_ns = 0;
    return loop->catch_up_until_ns != 0;
}

static void fire_timers(struct weir_loop *loop)
{
    if (is_catching_up(loop))
        return;
    uint64_t end_order = loop->timers.next_order;
    struct weir_timer *timer;
    while ((timer = timers_due(&loop->timers, loop->now_ns, end_order)) != NULL)
        timer->fire(timer);
}

static uint64_t cpu_ns(clockid_t clock)
{
    struct timespec cpu;
    return clock_gettime(clock, &cpu) == 0 ? (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec : 0;
}

static void start_cpu_clock(struct weir_loop *loop)
{
    clockid_t clock;
    if (pthread_getcpuclockid(pthread_self(), &clock) != 0)
        return;
    atomic_fetch_sub(&loop->busy_ns, cpu_ns(clock));
    atomic_store(&loop->cpu_clock, clock);
}

static void stop_cpu_clock(struct weir_loop *loop)
{
    clockid_t clock = atomic_exchange(&loop->cpu_clock, 0);
    if (clock != 0)
        atomic_fetch_add(&loop->busy_ns, cpu_ns(clock));
}

int io_loop_turn(struct weir_loop *loop)
{
    uint64_t deadline_ns = loop->catch_up_until_ns != 0 ? loop->catch_up_until_ns : timers_next(&loop->timers);
    int err = loop->backend->turn(loop, deadline_ns);
    fire_timers(loop);
    deliver_messages(loop);
    return err;
}

int weir_loop_run(struct weir_loop *loop)
{
    int err = 0;
    loop->stopping = false;
    start_cpu_clock(loop);
    while (err == 0 && !loop->stopping)
        err = io_loop_turn(loop);
    stop_cpu_clock(loop);
    return err;
}

void weir_loop_stop(struct weir_loop *loop)
{
    loop->stopping = true;
}

/* What it knows */

const char *weir_loop_backend_name(const struct weir_loop *loop)
{
    return loop->backend->name;
}

const char *weir_loop_fallback_reason(const struct weir_loop *loop)
{
    return loop->fallback_reason;
}

uint64_t weir_loop_now(const struct weir_loop *loop)
{
    return loop->now_ns;
}

uint64_t weir_loop_wall(const struct weir_loop *loop)
{
    return loop->backend->wall(loop);
}

/* While it runs, busy_ns lacks what the thread had used before: the sum is this loop's alone. */
uint64_t weir_loop_busy_ns(const struct weir_loop *loop)
{
    clockid_t clock = atomic_load(&loop->cpu_clock);
    uint64_t busy = atomic_load(&loop->busy_ns);
    if (clock != 0)
        busy += cpu_ns(clock);
    return busy <= INT64_MAX ? busy : 0; /* between the two steps of starting it would be below zero */
}

/* What is set for long ago is due now; only what was left to wait makes a timer far overdue. */
void weir_timer_set(struct weir_loop *loop, struct weir_timer *timer, uint64_t deadline_ns)
{
    uint64_t earliest = loop->now_ns > FAR_OVERDUE_NS ? loop->now_ns - FAR_OVERDUE_NS / 2 : 0;
    timers_set(&loop->timers, timer, deadline_ns > earliest ? deadline_ns : earliest);
}

void weir_timer_stop(struct weir_loop *loop, struct weir_timer *timer)
{
    timers_stop(&loop->timers, timer);
}
