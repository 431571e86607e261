/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../server/base/log.h"
#include "../../server/base/log_format.h"

#define WALL_NS UINT64_C(1772323199123456789) /* 2026-02-28T23:59:59.123456789Z */

/* One line with one field, as text. */
static const char *line_of(enum log_style style, struct log_field field)
{
    static char line[LOG_LINE_MAX + 1];
    size_t size = log_format_line(line, style, WALL_NS, LOG_LEVEL_INFO, "hello world", &field, 1);
    assert_true(size <= LOG_LINE_MAX);
    line[size] = '\0';
    return line;
}

#define JSON_HEAD "{\"ts\":\"2026-02-28T23:59:59.123456Z\",\"level\":\"info\",\"msg\":\"hello world\""
#define TEXT_HEAD "2026-02-28T23:59:59.123Z info  hello world"

static void assert_json_value(struct log_field field, const char *value)
{
    char expected[LOG_LINE_MAX];
    snprintf(expected, sizeof expected, JSON_HEAD ",\"key\":%s}", value);
    assert_string_equal(line_of(LOG_STYLE_JSON, field), expected);
}

static void assert_text_value(struct log_field field, const char *value)
{
    char expected[LOG_LINE_MAX];
    snprintf(expected, sizeof expected, TEXT_HEAD " key=%s", value);
    assert_string_equal(line_of(LOG_STYLE_TEXT, field), expected);
}

static void a_json_line_has_time_level_message_and_fields(void **state)
{
    (void)state;
    assert_json_value(LOG_STR("key", "value"), "\"value\"");
    assert_json_value(LOG_U64("key", 0), "0");
    assert_json_value(LOG_U64("key", UINT64_MAX), "18446744073709551615");
    assert_json_value(LOG_MS("key", 1234567), "1.234");
    assert_json_value(LOG_MS("key", 999), "0.000");
    assert_json_value(LOG_MS("key", 60000001000), "60000.001");
    assert_string_equal(line_of(LOG_STYLE_JSON, LOG_STR("key", NULL)), JSON_HEAD "}");
}

static void a_text_line_quotes_only_what_is_no_word(void **state)
{
    (void)state;
    assert_text_value(LOG_STR("key", "127.0.0.1:80"), "127.0.0.1:80");
    assert_text_value(LOG_STR("key", "two words"), "\"two words\"");
    assert_text_value(LOG_STR("key", "a=b"), "\"a=b\"");
    assert_text_value(LOG_STR("key", "a\"b"), "\"a\\\"b\"");
    assert_text_value(LOG_STR("key", ""), "\"\"");
    assert_text_value(LOG_STR("key", "zo\xc3\xab"), "\"zo\xc3\xab\"");
    assert_text_value(LOG_U64("key", 7), "7");
    assert_string_equal(line_of(LOG_STYLE_TEXT, LOG_STR("key", NULL)), TEXT_HEAD);
}

static void colours_stand_around_the_level_and_the_keys_only(void **state)
{
    (void)state;
    assert_string_equal(
        line_of(LOG_STYLE_COLOUR, LOG_STR("key", "v")),
        "\033[90m2026-02-28T23:59:59.123Z\033[0m \033[32minfo \033[0m hello world \033[36mkey=\033[0mv");
}

static void dates_are_those_of_the_calendar(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int n = 0; n < 20000; n++) {
        time_t seconds = (time_t)(test_random(&seed) % UINT64_C(9000000000)); /* to the year 2255 */
        char expected[64], line[LOG_LINE_MAX];
        struct tm tm;
        strftime(expected, sizeof expected, "{\"ts\":\"%Y-%m-%dT%H:%M:%S.000001Z\"", gmtime_r(&seconds, &tm));
        log_format_line(line, LOG_STYLE_JSON, (uint64_t)seconds * 1000000000 + 1999, LOG_LEVEL_WARN, "", NULL, 0);
        assert_memory_equal(line, expected, strlen(expected));
    }
}

static void bytes_that_could_harm_a_reader_become_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *escaped;
    } rows[] = {
        { "\"\\\n\r\t", "\"\\\"\\\\\\n\\r\\t\"" },
        { "\033[31m\x7f\x01", "\"\\u001b[31m\\u007f\\u0001\"" },
        { "\xc2\x9b"
          "31m",
          "\"\\u009b31m\"" }, /* a terminal's escape in one character */
        { "\xe2\x80\xae"
          "abc",
          "\"\\u202eabc\"" },                                                     /* right-to-left override */
        { "\xff\xfe", "\"\\ufffd\\ufffd\"" },                                     /* never in UTF-8 */
        { "\xc0\xaf", "\"\\ufffd\\ufffd\"" },                                     /* '/' in two bytes */
        { "\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\"" },                          /* in three */
        { "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },                          /* a surrogate */
        { "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },               /* over U+10FFFF */
        { "\xe2\x82", "\"\\ufffd\\ufffd\"" },                                     /* cut short */
        { "\xe2\x82\xac \xf0\x9f\x9a\xa6", "\"\xe2\x82\xac \xf0\x9f\x9a\xa6\"" }, /* as it is */
    };
    for (size_t n = 0; n < sizeof rows / sizeof rows[0]; n++) {
        assert_json_value(LOG_STR("key", rows[n].bytes), rows[n].escaped);
        assert_text_value(LOG_STR("key", rows[n].bytes), rows[n].escaped);
    }
    assert_json_value(LOG_BYTES("key", "a\0b", 3), "\"a\\u0000b\"");
}

static void long_values_are_cut_where_a_character_ends(void **state)
{
    (void)state;
    static const char *const characters[] = { "a", "\xc3\xab", "\xe2\x82\xac", "\xf0\x9f\x9a\xa6" };
    for (size_t c = 0; c < 4; c++)
        for (size_t lead = 0; lead < 4; lead++) {
            size_t size = strlen(characters[c]), shown = lead + (LOG_VALUE_MAX - lead) / size * size;
            char text[2 * LOG_VALUE_MAX + 1] = { 0 }, expected[2 * LOG_VALUE_MAX];
            memset(text, 'x', lead);
            for (size_t at = lead; at + size < sizeof text; at += size)
                memcpy(text + at, characters[c], size);
            snprintf(expected, sizeof expected, "\"%.*s\"", (int)shown, text);
            assert_json_value(LOG_STR("key", text), expected);
            assert_json_value(LOG_BYTES("key", text, strlen(text)), expected);
        }
    char broken[LOG_VALUE_MAX + 8];
    memset(broken, 0x80, sizeof broken);
    assert_int_equal(strlen(line_of(LOG_STYLE_JSON, LOG_BYTES("key", broken, sizeof broken))),
                     strlen(JSON_HEAD ",\"key\":\"\"}") + (size_t)6 * LOG_VALUE_MAX);
}

static void any_bytes_make_valid_json_on_one_line(void **state)
{
    (void)state;
    uint64_t seed = 2;
    for (int n = 0; n < 5000; n++) {
        uint8_t bytes[LOG_VALUE_MAX + 10];
        uint32_t size = test_random_below(&seed, sizeof bytes);
        for (uint32_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(test_random(&seed) | (n % 2 ? 0x80 : 0));
        const char *line = line_of(LOG_STYLE_JSON, LOG_BYTES("key", bytes, size));
        json_t *json = json_loads(line, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        assert_non_null(json);
        json_decref(json);
        const char *text = line_of(LOG_STYLE_TEXT, LOG_BYTES("key", bytes, size));
        for (; *text != '\0'; text++)
            assert_true((uint8_t)*text >= ' ' && *text != 0x7f);
    }
}

static void the_worst_fields_fit_or_are_left_out_whole(void **state)
{
    (void)state;
    char bytes[LOG_VALUE_MAX];
    memset(bytes, 1, sizeof bytes);
    struct log_field fields[20];
    for (int n = 0; n < 20; n++)
        fields[n] = n % 2 ? LOG_U64("number", 1) : LOG_BYTES("bytes", bytes, sizeof bytes);
    for (int style = LOG_STYLE_JSON; style <= LOG_STYLE_COLOUR; style++) {
        char *line = malloc(LOG_LINE_MAX); /* so that a sanitizer sees its end */
        size_t size = log_format_line(line, (enum log_style)style, WALL_NS, LOG_LEVEL_ERROR, bytes, fields, 20);
        assert_true(size > LOG_LINE_MAX / 2 && size <= LOG_LINE_MAX);
        json_t *json = json_loadb(line, size, 0, NULL);
        assert_int_equal(json != NULL, style == LOG_STYLE_JSON);
        json_decref(json);
        free(line);
    }
}

/* The queue, with a pipe in place of standard output. */

struct reader {
    int stdout_was, fd;
};

static struct reader pipe_in(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    struct reader reader = { .stdout_was = dup(STDOUT_FILENO), .fd = ends[0] };
    dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
    return reader;
}

/* Puts standard output back, so that the reader finds the end of what was written. */
static void pipe_out(const struct reader *reader)
{
    dup2(reader->stdout_was, STDOUT_FILENO);
    close(reader->stdout_was);
}

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Reads lines to the end, each valid JSON; the caller's function sees each. */
static void read_lines(int fd, void (*see)(void *context, const json_t *line), void *context)
{
    FILE *file = fdopen(fd, "r");
    char text[LOG_LINE_MAX + 2];
    while (fgets(text, sizeof text, file) != NULL) {
        json_t *json = json_loads(text, 0, NULL);
        assert_non_null(json);
        see(context, json);
        json_decref(json);
    }
    fclose(file);
}

struct seen {
    int fd;
    uint64_t lines, reported;
    _Atomic uint64_t reports;
    json_int_t next[4]; /* by thread */
};

static void see(void *context, const json_t *line)
{
    struct seen *seen = context;
    if (strcmp(json_string_value(json_object_get(line, "msg")), "log lines dropped") == 0) {
        seen->reports++;
        seen->reported += (uint64_t)json_integer_value(json_object_get(line, "lines"));
        return;
    }
    seen->lines++;
    json_int_t thread = json_integer_value(json_object_get(line, "thread"));
    json_int_t number = json_integer_value(json_object_get(line, "number"));
    assert_true(number >= seen->next[thread]);
    seen->next[thread] = number + 1;
}

static void write_numbered(uint64_t thread, uint64_t count)
{
    for (uint64_t n = 0; n < count; n++)
        log_info("numbered", LOG_U64("thread", thread), LOG_U64("number", n));
}

static void *writing_thread(void *argument)
{
    write_numbered((uintptr_t)argument, 1000);
    return NULL;
}

static void *reading_thread(void *argument)
{
    struct seen *seen = argument;
    read_lines(seen->fd, see, seen);
    return NULL;
}

static void lines_of_many_threads_arrive_whole_and_in_each_thread_s_order(void **state)
{
    (void)state;
    struct reader reader = pipe_in();
    pthread_t reading, writing[4];
    struct seen seen = { .fd = reader.fd };
    assert_int_equal(log_start(LOG_FORMAT_AUTO, LOG_LEVEL_INFO), 0);
    pthread_create(&reading, NULL, reading_thread, &seen);
    for (uintptr_t n = 0; n < 4; n++)
        pthread_create(&writing[n], NULL, writing_thread, (void *)n);
    for (int n = 0; n < 4; n++)
        pthread_join(writing[n], NULL);
    log_stop();
    pipe_out(&reader);
    pthread_join(reading, NULL);
    assert_int_equal(seen.lines, 4000);
    assert_int_equal(seen.reports, 0);
}

static void a_slow_reader_costs_counted_lines_and_no_waiting(void **state)
{
    (void)state;
    struct reader reader = pipe_in();
    uint64_t dropped = log_dropped();
    assert_int_equal(log_start(LOG_FORMAT_JSON, LOG_LEVEL_INFO), 0);
    write_numbered(0, 40000); /* more than pipe and queue hold; nobody reads yet, so a blocking line would hang */
    assert_true(log_dropped() - dropped > 1000);
    pthread_t reading;
    struct seen seen = { .fd = reader.fd };
    pthread_create(&reading, NULL, reading_thread, &seen);
    while (seen.reports == 0)
        sched_yield();
    write_numbered(1, 40000); /* faster than anybody reads: what is dropped now is reported at the end */
    log_stop();
    dropped = log_dropped() - dropped;
    pipe_out(&reader);
    pthread_join(reading, NULL);
    assert_int_equal(seen.lines, 80000 - dropped);
    assert_int_equal(seen.reported, dropped);
    assert_true(seen.reports >= 1);
}

static void stopping_gives_up_a_reader_that_is_stuck_after_a_second(void **state)
{
    (void)state;
    struct reader reader = pipe_in();
    assert_int_equal(log_start(LOG_FORMAT_JSON, LOG_LEVEL_INFO), 0);
    write_numbered(0, 40000);
    uint64_t start_ns = monotonic_ns();
    log_stop();
    assert_true(monotonic_ns() - start_ns >= UINT64_C(900000000));
    assert_true(monotonic_ns() - start_ns < UINT64_C(20000000000));
    uint64_t dropped = log_dropped();
    log_info("nobody reads this", LOG_U64("n", 1)); /* and it does not block */
    assert_int_equal(log_dropped(), dropped + 1);
    close(reader.fd);
    log_stop(); /* now the writer comes back */
    pipe_out(&reader);
}

static void a_reader_that_went_away_ends_nothing(void **state)
{
    (void)state;
    struct reader reader = pipe_in();
    uint64_t dropped = log_dropped();
    assert_int_equal(log_start(LOG_FORMAT_JSON, LOG_LEVEL_INFO), 0);
    close(reader.fd);
    write_numbered(0, 10);
    log_stop();
    pipe_out(&reader);
    assert_true(log_dropped() - dropped >= 10);
}

/* Without the writer's thread */

struct sunk {
    char line[256];
    int count;
};

static void sink(void *context, const char *line, size_t size)
{
    struct sunk *sunk = context;
    assert_true(size < sizeof sunk->line);
    memcpy(sunk->line, line, size);
    sunk->line[size] = '\0';
    sunk->count++;
}

static void a_redirected_line_arrives_at_once_and_without_its_newline(void **state)
{
    (void)state;
    struct sunk sunk = { 0 };
    log_redirect(sink, &sunk);
    log_warn("taken", LOG_STR("key", "value"));
    assert_int_equal(sunk.count, 1);
    assert_non_null(strstr(sunk.line, "\"level\":\"warn\",\"msg\":\"taken\",\"key\":\"value\"}"));
    assert_int_equal(sunk.line[strlen(sunk.line) - 1], '}');
    log_redirect(NULL, NULL);
}

static void lines_below_the_level_are_not_written(void **state)
{
    (void)state;
    struct sunk sunk = { 0 };
    log_redirect(sink, &sunk);
    assert_int_equal(log_start(LOG_FORMAT_JSON, LOG_LEVEL_WARN), 0);
    log_debug("no", LOG_U64("n", 1));
    log_info("no", LOG_U64("n", 1));
    log_error("yes", LOG_U64("n", 1));
    assert_int_equal(sunk.count, 1);
    assert_false(log_enabled(LOG_LEVEL_INFO));
    assert_true(log_enabled(LOG_LEVEL_WARN));
    log_stop();
    log_redirect(NULL, NULL);
}

static void without_the_thread_a_line_is_written_at_once(void **state)
{
    (void)state;
    struct reader reader = pipe_in();
    log_error("direct", LOG_U64("thread", 0), LOG_U64("number", 3));
    pipe_out(&reader);
    struct seen seen = { 0 };
    read_lines(reader.fd, see, &seen);
    assert_int_equal(seen.lines, 1);
    assert_int_equal(seen.next[0], 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_json_line_has_time_level_message_and_fields),
        cmocka_unit_test(a_text_line_quotes_only_what_is_no_word),
        cmocka_unit_test(colours_stand_around_the_level_and_the_keys_only),
        cmocka_unit_test(dates_are_those_of_the_calendar),
        cmocka_unit_test(bytes_that_could_harm_a_reader_become_escapes),
        cmocka_unit_test(long_values_are_cut_where_a_character_ends),
        cmocka_unit_test(any_bytes_make_valid_json_on_one_line),
        cmocka_unit_test(the_worst_fields_fit_or_are_left_out_whole),
        cmocka_unit_test(a_redirected_line_arrives_at_once_and_without_its_newline),
        cmocka_unit_test(lines_of_many_threads_arrive_whole_and_in_each_thread_s_order),
        cmocka_unit_test(a_slow_reader_costs_counted_lines_and_no_waiting),
        cmocka_unit_test(stopping_gives_up_a_reader_that_is_stuck_after_a_second),
        cmocka_unit_test(a_reader_that_went_away_ends_nothing),
        cmocka_unit_test(lines_below_the_level_are_not_written),
        cmocka_unit_test(without_the_thread_a_line_is_written_at_once),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
