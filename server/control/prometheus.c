/* SPDX-License-Identifier: Apache-2.0 */
#include "prometheus.h"

void prometheus_begin(struct prometheus *text, const char *name, const char *type, const char *help)
{
    const char *const words[] = { "# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n" };
    text->name = name;
    for (size_t n = 0; n < sizeof words / sizeof words[0]; n++)
        buffer_text(text->out, words[n]);
}

static bool is_special(char c)
{
    return c == '"' || c == '\\' || c == '\n';
}

static void put_escaped(struct buffer *out, const char *value)
{
    for (;;) {
        size_t plain = 0;
        while (value[plain] != '\0' && !is_special(value[plain]))
            plain++;
        buffer_put(out, value, plain);
        if (value[plain] == '\0')
            return;
        buffer_text(out, value[plain] == '\n' ? "\\n" : value[plain] == '"' ? "\\\"" : "\\\\");
        value += plain + 1;
    }
}

static void put_label(struct buffer *out, const char *key, const char *value)
{
    buffer_text(out, key);
    buffer_text(out, "=\"");
    put_escaped(out, value);
    buffer_text(out, "\"");
}

/* Series of a histogram have names of their own. */
static void begin_series(struct prometheus *text, const char *suffix, const char *key, const char *value)
{
    buffer_text(text->out, text->name);
    buffer_text(text->out, suffix);
    buffer_text(text->out, "{");
    put_label(text->out, key, value);
}

void prometheus_series(struct prometheus *text, const char *key, const char *value)
{
    begin_series(text, "", key, value);
}

void prometheus_label(struct prometheus *text, const char *key, const char *value)
{
    buffer_text(text->out, ",");
    put_label(text->out, key, value);
}

void prometheus_number(struct prometheus *text, uint64_t number)
{
    buffer_text(text->out, "} ");
    buffer_unsigned(text->out, number);
    buffer_text(text->out, "\n");
}

/* As people and Prometheus' own libraries write it: 0.0005, 30. */
static void put_bound(struct buffer *out, unsigned bucket)
{
    if (bucket == HISTOGRAM_BUCKETS) {
        buffer_text(out, "+Inf");
        return;
    }
    buffer_seconds(out, histogram_bounds_ns[bucket], 9);
    while (out->size > 0 && out->data[out->size - 1] == '0')
        out->size--;
    if (out->size > 0 && out->data[out->size - 1] == '.')
        out->size--;
}

static void put_bucket(struct prometheus *text, const char *key, const char *value, unsigned bucket, uint64_t count)
{
    begin_series(text, "_bucket", key, value);
    buffer_text(text->out, ",le=\"");
    put_bound(text->out, bucket);
    buffer_text(text->out, "\"");
    prometheus_number(text, count);
}

void prometheus_histogram(struct prometheus *text, const char *key, const char *value,
                          const struct histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned n = 0; n <= HISTOGRAM_BUCKETS; n++) {
        count += counter_read(&histogram->bucket[n]);
        put_bucket(text, key, value, n, count);
    }
    begin_series(text, "_sum", key, value);
    buffer_text(text->out, "} ");
    buffer_seconds(text->out, counter_read(&histogram->sum_ns), 9);
    buffer_text(text->out, "\n");
    begin_series(text, "_count", key, value);
    prometheus_number(text, count);
}
