/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include "../tls/library.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/errors.h>

#include "prometheus.h"
#include "status.h"

/* A worker's busy ratio is an average since the look before this one, but over no less than this. */
#define BUSY_SPAN_NS UINT64_C(1000000000)

struct busy {
    uint64_t busy_ns;  /* at the last look */
    uint64_t ratio_ns; /* of a second */
};

struct metrics {
    const struct balancer *balancer;
    pthread_mutex_t mutex; /* of what follows: two may look at the same time */
    uint64_t looked_ns;
    struct busy busy[]; /* by worker */
};

/* What the functions below write to and read from. */
struct source {
    struct prometheus text;
    const struct balancer *balancer;
    const struct snapshot *snapshot;
    const struct state *state;
};

static void render_build(struct source *source)
{
    struct prometheus *text = &source->text;
    prometheus_begin(text, "weir_build_info", "gauge", "This program, and how it does TLS and I/O.");
    prometheus_series(text, "version", WEIR_VERSION);
    prometheus_label(text, "tls", tls_library_version());
    prometheus_label(text, "io", balancer_backend_name(source->balancer));
    prometheus_number(text, 1);
}

/* Listeners */

static uint64_t closed_for(const struct source *source, const struct listener *listener, unsigned reason)
{
    uint64_t sum = 0;
    for (uint32_t worker = 0; worker < balancer_workers(source->balancer); worker++)
        sum += counter_read(&listener->slots[worker].closed[reason]);
    return sum;
}

static uint64_t accepted_by(const struct source *source, const struct listener *listener)
{
    uint64_t sum = 0;
    for (uint32_t worker = 0; worker < balancer_workers(source->balancer); worker++)
        sum += counter_read(&listener->slots[worker].accepted);
    return sum;
}

static uint64_t bytes_from(const struct source *source, const struct listener *listener, unsigned side)
{
    uint64_t sum = 0;
    for (uint32_t worker = 0; worker < balancer_workers(source->balancer); worker++)
        sum += __atomic_load_n(&listener->slots[worker].bytes[side], __ATOMIC_RELAXED);
    return sum;
}

static void render_connections(struct source *source)
{
    struct prometheus *text = &source->text;
    const struct snapshot *snapshot = source->snapshot;
    prometheus_begin(text, "weir_connections_active", "gauge", "Open connections of clients.");
    for (uint32_t n = 0; n < snapshot->listener_count; n++) {
        prometheus_series(text, "listener", snapshot->listeners[n].name);
        prometheus_number(text, balancer_listener_active(source->balancer, &snapshot->listeners[n]));
    }
    prometheus_begin(text, "weir_connections_total", "counter", "Connections of clients that were accepted.");
    for (uint32_t n = 0; n < snapshot->listener_count; n++) {
        prometheus_series(text, "listener", snapshot->listeners[n].name);
        prometheus_number(text, accepted_by(source, &snapshot->listeners[n]));
    }
}

static void render_closed(struct source *source)
{
    struct prometheus *text = &source->text;
    prometheus_begin(text, "weir_connections_closed_total", "counter", "Connections that ended, by reason.");
    for (uint32_t n = 0; n < source->snapshot->listener_count; n++)
        for (unsigned reason = CLOSE_NONE + 1; reason < CLOSE_REASONS; reason++) {
            prometheus_series(text, "listener", source->snapshot->listeners[n].name);
            prometheus_label(text, "reason", close_reason_label((enum close_reason)reason));
            prometheus_number(text, closed_for(source, &source->snapshot->listeners[n], reason));
        }
}

static void render_bytes(struct source *source)
{
    static const char *const directions[] = { "to_upstream", "to_client" };
    struct prometheus *text = &source->text;
    prometheus_begin(text, "weir_bytes_total", "counter", "Bytes moved.");
    for (uint32_t n = 0; n < source->snapshot->listener_count; n++)
        for (unsigned side = 0; side < 2; side++) {
            prometheus_series(text, "listener", source->snapshot->listeners[n].name);
            prometheus_label(text, "direction", directions[side]);
            prometheus_number(text, bytes_from(source, &source->snapshot->listeners[n], side));
        }
}

/* Histograms */

static void add_histogram(struct histogram *sum, const struct histogram *slot)
{
    for (unsigned n = 0; n <= HISTOGRAM_BUCKETS; n++)
        counter_add_own(&sum->bucket[n], counter_read(&slot->bucket[n]));
    counter_add_own(&sum->sum_ns, counter_read(&slot->sum_ns));
}

/* Only of listeners with TLS: where there is none, there is no such metric. */
static void render_handshakes(struct source *source)
{
    bool begun = false;
    for (uint32_t n = 0; n < source->snapshot->listener_count; n++) {
        const struct listener *listener = &source->snapshot->listeners[n];
        struct histogram sum = { 0 };
        if (listener->material == NULL)
            continue;
        if (!begun)
            prometheus_begin(&source->text, "weir_handshake_seconds", "histogram",
                             "From accept to the end of a client's TLS handshake.");
        begun = true;
        for (uint32_t worker = 0; worker < balancer_workers(source->balancer); worker++)
            add_histogram(&sum, &listener->slots[worker].handshake);
        prometheus_histogram(&source->text, "listener", listener->name, &sum);
    }
}

static void render_durations(struct source *source)
{
    const struct snapshot *snapshot = source->snapshot;
    prometheus_begin(&source->text, "weir_connection_seconds", "histogram", "From accept to close.");
    for (uint32_t n = 0; n < snapshot->listener_count; n++) {
        struct histogram sum = { 0 };
        for (uint32_t worker = 0; worker < balancer_workers(source->balancer); worker++)
            add_histogram(&sum, &snapshot->listeners[n].slots[worker].connection);
        prometheus_histogram(&source->text, "listener", snapshot->listeners[n].name, &sum);
    }
    prometheus_begin(&source->text, "weir_connect_seconds", "histogram", "Time that connecting to an upstream took.");
    for (uint32_t n = 0; n < snapshot->pool_count; n++) {
        struct histogram sum = { 0 };
        for (uint32_t worker = 0; worker < balancer_workers(source->balancer); worker++)
            add_histogram(&sum, &snapshot->pools[n].slots[worker].connect);
        prometheus_histogram(&source->text, "pool", snapshot->pools[n].name, &sum);
    }
}

/* Upstreams */

static void render_upstreams(struct source *source)
{
    struct prometheus *text = &source->text;
    const struct snapshot *snapshot = source->snapshot;
    prometheus_begin(text, "weir_upstream_connections_active", "gauge", "Connections that an upstream has.");
    for (uint32_t n = 0; n < snapshot->upstream_count; n++) {
        prometheus_series(text, "upstream", snapshot->upstreams[n].name);
        prometheus_number(text, weir_upstreams_active(source->state->upstreams, snapshot->upstreams[n].id));
    }
    prometheus_begin(text, "weir_upstream_connections_total", "counter", "Connections that an upstream took.");
    for (uint32_t n = 0; n < snapshot->upstream_count; n++) {
        prometheus_series(text, "upstream", snapshot->upstreams[n].name);
        prometheus_number(text, counter_read(&snapshot->upstreams[n].counters->connections));
    }
}

static bool has_failed(const struct upstream_counters *counters)
{
    for (unsigned reason = 0; reason < UPSTREAM_FAILURES; reason++)
        if (counter_read(&counters->failures[reason]) != 0)
            return true;
    return false;
}

/* Of upstreams that have failed at all: half of all lines would be zeros otherwise. */
static void render_failures(struct source *source)
{
    struct prometheus *text = &source->text;
    prometheus_begin(text, "weir_upstream_failures_total", "counter",
                     "Connections of clients that an upstream failed, by reason; none of those that never did.");
    for (uint32_t n = 0; n < source->snapshot->upstream_count; n++) {
        const struct upstream *upstream = &source->snapshot->upstreams[n];
        for (unsigned reason = 0; has_failed(upstream->counters) && reason < UPSTREAM_FAILURES; reason++) {
            prometheus_series(text, "upstream", upstream->name);
            prometheus_label(text, "reason", upstream_failure_labels[reason]);
            prometheus_number(text, counter_read(&upstream->counters->failures[reason]));
        }
    }
}

static void render_health(struct source *source)
{
    struct prometheus *text = &source->text;
    const struct snapshot *snapshot = source->snapshot;
    prometheus_begin(text, "weir_upstream_up", "gauge", "Whether an upstream is up in a pool, by health.");
    for (uint32_t n = 0; n < snapshot->pool_count; n++) {
        const struct pool *pool = &snapshot->pools[n];
        for (uint32_t place = 0; place < pool->place_count; place++) {
            prometheus_series(text, "pool", pool->name);
            prometheus_label(text, "upstream", snapshot->upstreams[pool->places[place].upstream].name);
            prometheus_number(text, weir_pool_health(pool->balancing, place) == WEIR_PLACE_UP);
        }
    }
}

static void render_states(struct source *source)
{
    struct prometheus *text = &source->text;
    const struct snapshot *snapshot = source->snapshot;
    prometheus_begin(text, "weir_upstream_state", "gauge", "The state that an upstream was put in, by hand.");
    for (uint32_t n = 0; n < snapshot->upstream_count; n++) {
        enum weir_upstream_state now = weir_upstreams_state(source->state->upstreams, snapshot->upstreams[n].id);
        for (enum weir_upstream_state state = WEIR_UPSTREAM_ENABLED; state <= WEIR_UPSTREAM_DISABLED; state++) {
            prometheus_series(text, "upstream", snapshot->upstreams[n].name);
            prometheus_label(text, "state", status_upstream_state(state));
            prometheus_number(text, state == now);
        }
    }
}

/* Clients */

static void put_denied(struct source *source, const char *client, const struct client_counters *counters)
{
    /* Only what has happened: reasons times thousands of clients would be many lines of zeros. */
    for (unsigned reason = 0; reason < CLOSE_REASONS; reason++) {
        uint64_t denied = counter_read(&counters->denied[reason]);
        if (denied == 0)
            continue;
        prometheus_series(&source->text, "client", client);
        prometheus_label(&source->text, "reason", close_reason_label((enum close_reason)reason));
        prometheus_number(&source->text, denied);
    }
}

static void render_clients(struct source *source)
{
    struct prometheus *text = &source->text;
    const struct snapshot *snapshot = source->snapshot;
    prometheus_begin(text, "weir_client_connections_active", "gauge", "Connections that a client has.");
    for (uint32_t n = 0; n < snapshot->client_count; n++) {
        prometheus_series(text, "client", snapshot->clients[n].name);
        prometheus_number(text, weir_client_active(snapshot->clients[n].record));
    }
    prometheus_series(text, "client", "other");
    prometheus_number(text, weir_limiter_active(source->state->limiter));
    prometheus_begin(text, "weir_client_denied_total", "counter", "Connections that a client was refused, by reason.");
    for (uint32_t n = 0; n < snapshot->client_count; n++)
        put_denied(source, snapshot->clients[n].name, snapshot->clients[n].counters);
    put_denied(source, "other", snapshot->other);
    put_denied(source, "", snapshot->nobody);
}

/* The process */

static void render_log(struct source *source)
{
    prometheus_begin(&source->text, "weir_log_lines_dropped_total", "counter",
                     "Log lines dropped because the reader was slow.");
    buffer_text(source->text.out, "weir_log_lines_dropped_total ");
    buffer_unsigned(source->text.out, log_dropped());
    buffer_text(source->text.out, "\n");
}

static void look_at_workers(struct metrics *metrics)
{
    uint64_t now_ns = balancer_uptime_ns(metrics->balancer), span_ns = now_ns - metrics->looked_ns;
    if (span_ns < BUSY_SPAN_NS && metrics->looked_ns != 0)
        return;
    metrics->looked_ns = now_ns;
    for (uint32_t n = 0; n < balancer_workers(metrics->balancer); n++) {
        uint64_t busy_ns = balancer_worker_busy_ns(metrics->balancer, n);
        double ratio = (double)(busy_ns - metrics->busy[n].busy_ns) / (double)(span_ns > 0 ? span_ns : 1);
        metrics->busy[n] = (struct busy){ busy_ns, (uint64_t)((ratio < 1 ? ratio : 1) * 1e9 + 0.5) };
    }
}

static void render_workers(struct source *source, struct metrics *metrics)
{
    prometheus_begin(&source->text, "weir_worker_busy_ratio", "gauge",
                     "Share of its time that a worker did not wait, since the look before, at least a second.");
    pthread_mutex_lock(&metrics->mutex);
    look_at_workers(metrics);
    for (uint32_t n = 0; n < balancer_workers(metrics->balancer); n++) {
        char number[12];
        snprintf(number, sizeof number, "%u", n);
        prometheus_series(&source->text, "worker", number);
        buffer_text(source->text.out, "} ");
        buffer_seconds(source->text.out, metrics->busy[n].ratio_ns, 4);
        buffer_text(source->text.out, "\n");
    }
    pthread_mutex_unlock(&metrics->mutex);
}

/* All of them */

int metrics_new(const struct balancer *balancer, struct metrics **ret_metrics)
{
    struct metrics *metrics = calloc(1, sizeof *metrics + balancer_workers(balancer) * sizeof(struct busy));
    if (metrics == NULL)
        return WEIR_ENOMEM;
    metrics->balancer = balancer;
    pthread_mutex_init(&metrics->mutex, NULL);
    *ret_metrics = metrics;
    return 0;
}

void metrics_free(struct metrics **pmetrics)
{
    if (*pmetrics == NULL)
        return;
    pthread_mutex_destroy(&(*pmetrics)->mutex);
    free(*pmetrics);
    *pmetrics = NULL;
}

void metrics_render(struct metrics *metrics, struct buffer *buffer)
{
    struct source source = {
        .text.out = buffer,
        .balancer = metrics->balancer,
        .snapshot = balancer_snapshot_ref(metrics->balancer),
        .state = balancer_state(metrics->balancer),
    };
    render_build(&source);
    render_connections(&source);
    render_closed(&source);
    render_handshakes(&source);
    render_durations(&source);
    render_bytes(&source);
    render_upstreams(&source);
    render_failures(&source);
    render_health(&source);
    render_states(&source);
    render_clients(&source);
    render_log(&source);
    render_workers(&source, metrics);
    balancer_snapshot_unref(metrics->balancer, &source.snapshot);
}
