/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

/* One line per event on standard output, JSON or text. Logging never blocks: a line goes into a bounded queue that a
 * thread of its own writes out; when the reader is slow, lines are dropped and counted. Strings from outside are
 * escaped and cut at LOG_VALUE_MAX bytes. */

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

#define LOG_VALUE_MAX 256

enum log_kind { LOG_KIND_STRING, LOG_KIND_UNSIGNED, LOG_KIND_MILLISECONDS, LOG_KIND_ABSENT };

struct log_field {
    const char *key;
    enum log_kind kind;
    uint32_t size; /* of string */
    union {
        const char *string;
        uint64_t number; /* MILLISECONDS: nanoseconds, written as milliseconds with three decimals */
    } value;
};

/* A field whose string is NULL is left out. */
struct log_field log_string(const char *key, const char *value);
struct log_field log_bytes(const char *key, const void *value, size_t size); /* may hold any byte */
struct log_field log_unsigned(const char *key, uint64_t value);
struct log_field log_milliseconds(const char *key, uint64_t nanoseconds);

#define LOG_STR(key, value) log_string((key), (value))
#define LOG_BYTES(key, value, size) log_bytes((key), (value), (size))
#define LOG_U64(key, value) log_unsigned((key), (value))
#define LOG_MS(key, ns) log_milliseconds((key), (ns))

/* Sets what lines look like and which are written; log_start() does it too. */
void log_configure(enum log_format format, enum log_level level);

/* Starts the writer thread. Before this (and after log_stop()), lines are written at once, blocking: start-up and
 * tests. Returns 0 or WEIR_ENOMEM. */
int log_start(enum log_format format, enum log_level level);

/* Writes out what is queued and ends the thread. When the reader is stuck, gives up after a second: the thread is left
 * waiting for it, and lines are dropped; called again, it tries again. */
void log_stop(void);

/* Sends every line (without newline) to a function instead of standard output, synchronously; NULL: back to normal. For
 * tests. */
void log_redirect(void (*sink)(void *context, const char *line, size_t size), void *context);

/* Lines dropped since the start. Any thread. */
uint64_t log_dropped(void);

/* Whether a line of this level would be written. Any thread. */
int log_enabled(enum log_level level);

/* Writes one line. Any thread, never blocks (after log_start()). Order within one thread is kept. */
void log_write(enum log_level level, const char *msg, const struct log_field *fields, size_t count);

#define LOG_FIELDS(...)                                                                                                \
    (const struct log_field[]){ __VA_ARGS__ },                                                                         \
        sizeof((const struct log_field[]){ __VA_ARGS__ }) / sizeof(struct log_field)
#define log_debug(msg, ...) log_write(LOG_LEVEL_DEBUG, (msg), LOG_FIELDS(__VA_ARGS__))
#define log_info(msg, ...) log_write(LOG_LEVEL_INFO, (msg), LOG_FIELDS(__VA_ARGS__))
#define log_warn(msg, ...) log_write(LOG_LEVEL_WARN, (msg), LOG_FIELDS(__VA_ARGS__))
#define log_error(msg, ...) log_write(LOG_LEVEL_ERROR, (msg), LOG_FIELDS(__VA_ARGS__))

#endif
