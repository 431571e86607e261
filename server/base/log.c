/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weir/errors.h>

#include "clock.h"
#include "log_format.h"
#include "thread.h"

#define QUEUE_BYTES (512u << 10) /* there are two: one fills while the other is written */
#define REPORT_EVERY_NS UINT64_C(1000000000)
#define STOP_WITHIN_NS UINT64_C(1000000000)
#define BATCH_NS 1000000

static_assert(QUEUE_BYTES > LOG_LINE_MAX, "a line fits");

#define STYLE_UNKNOWN (-1) /* before log_start() */

enum phase {
    PHASE_DIRECT,   /* lines are written by their own thread */
    PHASE_QUEUED,   /* the writer runs */
    PHASE_STOPPING, /* ... and ends when nothing is left; lines are still queued */
    PHASE_STUCK,    /* nobody read while it stopped: the writer is left alone in write(2), lines are dropped */
};

static struct {
    pthread_mutex_t mutex; /* never held while writing to a reader, but by direct lines */
    pthread_cond_t wake;   /* for the writer */
    pthread_cond_t ended;  /* by the writer */
    enum phase phase;
    bool writer_sleeps;
    char *filling, *spare;
    size_t filled;
    void (*sink)(void *context, const char *line, size_t size);
    void *sink_context;
    pthread_t writer;
    bool has_writer;
    _Atomic int level;
    _Atomic int style;
    _Atomic uint64_t dropped;
    uint64_t reported, report_at_ns; /* the writer's own */
} state = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
    .ended = PTHREAD_COND_INITIALIZER,
    .level = LOG_LEVEL_INFO,
    .style = STYLE_UNKNOWN,
};

/* Fields */

struct log_field log_bytes(const char *key, const void *value, size_t size)
{
    /* One byte more than is shown tells whether the last character is whole. */
    return (struct log_field){ .key = key,
                               .kind = value == NULL ? LOG_KIND_ABSENT : LOG_KIND_STRING,
                               .size = (uint32_t)(size <= LOG_VALUE_MAX ? size : LOG_VALUE_MAX + 1),
                               .value.string = value };
}

struct log_field log_string(const char *key, const char *value)
{
    return log_bytes(key, value, value == NULL ? 0 : strnlen(value, LOG_VALUE_MAX + 1));
}

struct log_field log_unsigned(const char *key, uint64_t value)
{
    return (struct log_field){ .key = key, .kind = LOG_KIND_UNSIGNED, .value.number = value };
}

struct log_field log_milliseconds(const char *key, uint64_t nanoseconds)
{
    return (struct log_field){ .key = key, .kind = LOG_KIND_MILLISECONDS, .value.number = nanoseconds };
}

/* Writing. Returns how many bytes were taken; fewer only when the reader is gone. */
static size_t write_out(const char *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = write(STDOUT_FILENO, data + done, size - done);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) {
            /* Somebody else has made this pipe or terminal non-blocking. */
            struct pollfd writable = { .fd = STDOUT_FILENO, .events = POLLOUT };
            poll(&writable, 1, -1);
        } else if (errno != EINTR) {
            break;
        }
    }
    return done;
}

static void count_dropped(uint64_t lines)
{
    atomic_fetch_add_explicit(&state.dropped, lines, memory_order_relaxed);
}

static uint64_t lines_of(const char *data, size_t size)
{
    uint64_t lines = 0;
    for (const char *end = data + size; (data = memchr(data, '\n', (size_t)(end - data))) != NULL; data++)
        lines++;
    return lines;
}

/* The writer */

static void write_lines(const char *data, size_t size)
{
    size_t done = write_out(data, size);
    if (done < size)
        count_dropped(lines_of(data + done, size - done));
}

static bool has_unreported(void)
{
    return log_dropped() != state.reported && log_enabled(LOG_LEVEL_WARN);
}

/* At most one line a second, but for the last one. */
static void report_dropped(bool last)
{
    uint64_t dropped = log_dropped(), now_ns = clock_ns(CLOCK_MONOTONIC);
    if (!has_unreported() || (now_ns < state.report_at_ns && !last))
        return;
    char line[LOG_LINE_MAX];
    const struct log_field lines = LOG_U64("lines", dropped - state.reported);
    size_t size = log_format_line(line, (enum log_style)state.style, clock_ns(CLOCK_REALTIME), LOG_LEVEL_WARN,
                                  "log lines dropped", &lines, 1);
    line[size] = '\n';
    state.reported = dropped;
    state.report_at_ns = now_ns + REPORT_EVERY_NS;
    write_lines(line, size + 1);
}

/* Sleeps until there is something to do. Holds the mutex. */
static void wait_for_lines(void)
{
    state.writer_sleeps = true;
    if (has_unreported()) {
        struct timespec until = clock_timespec(state.report_at_ns);
        pthread_cond_clockwait(&state.wake, &state.mutex, CLOCK_MONOTONIC, &until);
    } else {
        pthread_cond_wait(&state.wake, &state.mutex);
    }
    state.writer_sleeps = false;
}

/* Takes what is queued. Returns false when nothing is left and the writer was told to stop. */
static bool take_lines(char **ret_data, size_t *ret_size)
{
    pthread_mutex_lock(&state.mutex);
    bool go_on = state.filled > 0 || state.phase == PHASE_QUEUED;
    if (state.filled == 0 && go_on)
        wait_for_lines();
    *ret_data = state.filling;
    *ret_size = state.filled;
    state.filling = state.spare;
    state.spare = *ret_data;
    state.filled = 0;
    pthread_mutex_unlock(&state.mutex);
    return go_on;
}

static bool end_if_empty(void)
{
    pthread_mutex_lock(&state.mutex);
    bool empty = state.filled == 0;
    if (empty) {
        state.phase = PHASE_DIRECT;
        pthread_cond_signal(&state.ended);
    }
    pthread_mutex_unlock(&state.mutex);
    return empty;
}

static void *run_writer(void *argument)
{
    char *data;
    size_t size;
    do {
        while (take_lines(&data, &size)) {
            if (size > 0)
                write_lines(data, size);
            report_dropped(false);
            /* While it rests here, lines gather and nobody needs to wake it. */
            nanosleep(&(const struct timespec){ .tv_nsec = BATCH_NS }, NULL);
        }
        report_dropped(true);
    } while (!end_if_empty());
    return argument;
}

/* Lines */

/* Returns whether the writer must be woken. Holds the mutex. */
static bool enqueue(const char *line, size_t size)
{
    if (state.filled + size > QUEUE_BYTES) {
        count_dropped(1);
        return false;
    }
    memcpy(state.filling + state.filled, line, size);
    state.filled += size;
    bool sleeps = state.writer_sleeps;
    state.writer_sleeps = false;
    return sleeps;
}

/* `line` ends with a newline. */
static void deliver(const char *line, size_t size)
{
    bool wake = false;
    pthread_mutex_lock(&state.mutex);
    if (state.sink != NULL)
        state.sink(state.sink_context, line, size - 1);
    else if (state.phase == PHASE_QUEUED || state.phase == PHASE_STOPPING)
        wake = enqueue(line, size);
    else if (state.phase == PHASE_STUCK || write_out(line, size) < size)
        count_dropped(1);
    pthread_mutex_unlock(&state.mutex);
    if (wake)
        pthread_cond_signal(&state.wake);
}

static enum log_style style_of(enum log_format format)
{
    bool terminal = isatty(STDOUT_FILENO) == 1;
    if (format == LOG_FORMAT_JSON || (format == LOG_FORMAT_AUTO && !terminal))
        return LOG_STYLE_JSON;
    const char *no_colour = getenv("NO_COLOR"); /* of no-color.org */
    return terminal && (no_colour == NULL || no_colour[0] == '\0') ? LOG_STYLE_COLOUR : LOG_STYLE_TEXT;
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields, size_t count)
{
    if (!log_enabled(level))
        return;
    char line[LOG_LINE_MAX + 1];
    int known = atomic_load_explicit(&state.style, memory_order_relaxed);
    enum log_style style = known == STYLE_UNKNOWN ? style_of(LOG_FORMAT_AUTO) : (enum log_style)known;
    size_t size = log_format_line(line, style, clock_ns(CLOCK_REALTIME), level, msg, fields, count);
    line[size] = '\n';
    deliver(line, size + 1);
}

int log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&state.level, memory_order_relaxed);
}

uint64_t log_dropped(void)
{
    return atomic_load_explicit(&state.dropped, memory_order_relaxed);
}

/* Start and stop */

static void free_queue(void)
{
    free(state.filling);
    free(state.spare);
    state.filling = state.spare = NULL;
    state.filled = 0;
}

void log_configure(enum log_format format, enum log_level level)
{
    state.style = (int)style_of(format);
    state.level = (int)level;
}

int log_start(enum log_format format, enum log_level level)
{
    pthread_mutex_lock(&state.mutex);
    assert(!state.has_writer);
    log_configure(format, level);
    state.filling = malloc(QUEUE_BYTES);
    state.spare = malloc(QUEUE_BYTES);
    state.phase = PHASE_QUEUED;
    int err =
        state.filling == NULL || state.spare == NULL ? WEIR_ENOMEM : thread_start(&state.writer, run_writer, NULL);
    if (err != 0) {
        free_queue();
        state.phase = PHASE_DIRECT;
    }
    state.has_writer = err == 0;
    pthread_mutex_unlock(&state.mutex);
    return err;
}

void log_stop(void)
{
    struct timespec until = clock_timespec(clock_ns(CLOCK_MONOTONIC) + STOP_WITHIN_NS);
    pthread_mutex_lock(&state.mutex);
    if (state.phase == PHASE_QUEUED)
        state.phase = PHASE_STOPPING;
    pthread_cond_signal(&state.wake);
    int err = 0;
    while (err == 0 && state.phase != PHASE_DIRECT)
        err = pthread_cond_clockwait(&state.ended, &state.mutex, CLOCK_MONOTONIC, &until);
    if (state.phase != PHASE_DIRECT)
        state.phase = PHASE_STUCK;
    bool join = state.has_writer && state.phase == PHASE_DIRECT;
    pthread_mutex_unlock(&state.mutex);
    if (!join)
        return;
    pthread_join(state.writer, NULL);
    state.has_writer = false;
    free_queue();
}

void log_redirect(void (*sink)(void *context, const char *line, size_t size), void *context)
{
    pthread_mutex_lock(&state.mutex);
    state.sink = sink;
    state.sink_context = context;
    if (state.style == STYLE_UNKNOWN)
        state.style = LOG_STYLE_JSON;
    pthread_mutex_unlock(&state.mutex);
}
