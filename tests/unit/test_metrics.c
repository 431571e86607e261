/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_balancer.h"

#include <string.h>
#include <time.h>

#include "../../server/control/metrics.h"
#include "../../server/control/prometheus.h"

static const char *const configuration = "listeners:\n"
                                         "  - { name: edge, address: 127.0.0.1:1, pool: web }\n"
                                         "  - { name: side, address: 127.0.0.1:2, pool: web }\n"
                                         "pools:\n"
                                         "  - name: web\n"
                                         "    upstreams:\n"
                                         "      - { name: web1, address: 127.0.0.1:3 }\n"
                                         "      - { name: web2, address: 127.0.0.1:4 }\n"
                                         "clients:\n"
                                         "  - { name: alice, identity: [cidr:127.0.0.2/32] }\n"
                                         "  - { name: bob, identity: [cidr:127.0.0.3/32] }\n";

struct fixture {
    struct balancer *balancer;
    struct metrics *metrics;
    struct buffer text;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->balancer = fake_balancer_new(configuration);
    *state = fixture;
    return metrics_new(fixture->balancer, &fixture->metrics);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    metrics_free(&fixture->metrics);
    fake_balancer_free(fixture->balancer);
    buffer_free(&fixture->text);
    free(fixture);
    return 0;
}

static void render(struct fixture *fixture)
{
    buffer_free(&fixture->text);
    metrics_render(fixture->metrics, &fixture->text);
    assert_false(fixture->text.failed);
    buffer_put(&fixture->text, "", 1);
}

/* A whole line is there. */
static void assert_line(const struct fixture *fixture, const char *line)
{
    char wanted[256];
    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    if (strstr(fixture->text.data, wanted) == NULL)
        fail_msg("no line %s in\n%s", line, fixture->text.data);
}

static void assert_nowhere(const struct fixture *fixture, const char *part)
{
    if (strstr(fixture->text.data, part) != NULL)
        fail_msg("%s in\n%s", part, fixture->text.data);
}

/* Prometheus' format */

static const char *finish(struct buffer *out)
{
    buffer_put(out, "", 1);
    return out->data;
}

static void a_metric_has_help_and_type_and_its_labels_are_escaped(void **state)
{
    (void)state;
    struct buffer out = { 0 };
    struct prometheus text = { .out = &out };
    prometheus_begin(&text, "weir_x_total", "counter", "What x is.");
    prometheus_series(&text, "a", "say \"\\\n\"");
    prometheus_label(&text, "b", "");
    prometheus_number(&text, UINT64_MAX);
    assert_string_equal(finish(&out), "# HELP weir_x_total What x is.\n# TYPE weir_x_total counter\n"
                                      "weir_x_total{a=\"say \\\"\\\\\\n\\\"\",b=\"\"} 18446744073709551615\n");
    buffer_free(&out);
}

static void a_histogram_is_cumulative_in_seconds_and_ends_at_infinity(void **state)
{
    (void)state;
    struct histogram histogram = { 0 };
    histogram_add_own(&histogram, 400000);
    histogram_add_own(&histogram, 400000);
    histogram_add_own(&histogram, UINT64_C(20000000000));
    histogram_add_own(&histogram, UINT64_C(7200000000001));
    struct buffer out = { 0 };
    struct prometheus text = { .out = &out, .name = "weir_x_seconds" };
    prometheus_histogram(&text, "pool", "web", &histogram);
    const char *got = finish(&out);
    assert_non_null(strstr(got, "weir_x_seconds_bucket{pool=\"web\",le=\"0.0005\"} 2\n"));
    assert_non_null(strstr(got, "weir_x_seconds_bucket{pool=\"web\",le=\"5\"} 2\n"));
    assert_non_null(strstr(got, "weir_x_seconds_bucket{pool=\"web\",le=\"30\"} 3\n"));
    assert_non_null(strstr(got, "weir_x_seconds_bucket{pool=\"web\",le=\"3600\"} 3\n"));
    assert_non_null(strstr(got, "weir_x_seconds_bucket{pool=\"web\",le=\"+Inf\"} 4\n"
                                "weir_x_seconds_sum{pool=\"web\"} 7220.000800001\n"
                                "weir_x_seconds_count{pool=\"web\"} 4\n"));
    buffer_free(&out);
}

/* The balancer's metrics */

static void slots_of_all_workers_are_summed(void **state)
{
    struct fixture *fixture = *state;
    struct listener_slot *slots = fixture->balancer->snapshot->listeners[0].slots;
    for (int worker = 0; worker < FAKE_WORKERS; worker++) {
        counter_add_own(&slots[worker].accepted, 10);
        counter_add_own(&slots[worker].closed[CLOSE_DONE], 3);
        slots[worker].bytes[0] += 100;
        slots[worker].bytes[1] += 2000;
        histogram_add_own(&slots[worker].connection, 1);
        histogram_add_own(&fixture->balancer->snapshot->pools[0].slots[worker].connect, 1);
    }
    render(fixture);
    assert_line(fixture, "weir_connections_total{listener=\"edge\"} 20");
    assert_line(fixture, "weir_connections_total{listener=\"side\"} 0");
    assert_line(fixture, "weir_connections_active{listener=\"side\"} 41");
    assert_line(fixture, "weir_connections_closed_total{listener=\"edge\",reason=\"done\"} 6");
    assert_line(fixture, "weir_connections_closed_total{listener=\"edge\",reason=\"no_upstream\"} 0");
    assert_nowhere(fixture, "reason=\"open\"");
    assert_line(fixture, "weir_bytes_total{listener=\"edge\",direction=\"to_upstream\"} 200");
    assert_line(fixture, "weir_bytes_total{listener=\"edge\",direction=\"to_client\"} 4000");
    assert_line(fixture, "weir_connection_seconds_count{listener=\"edge\"} 2");
    assert_line(fixture, "weir_connection_seconds_count{listener=\"side\"} 0");
    assert_line(fixture, "weir_connect_seconds_count{pool=\"web\"} 2");
}

static void upstreams_show_connections_failures_health_and_state(void **state)
{
    struct fixture *fixture = *state;
    const struct snapshot *snapshot = fixture->balancer->snapshot;
    struct weir_upstreams *table = fixture->balancer->state.upstreams;
    struct weir_lease lease = { 0 };
    assert_int_equal(weir_set_acquire(snapshot->unknown_reach.sets[0], NULL, 0, &lease), 0);
    const char *taken = lease.place == 0 ? "weir_upstream_connections_active{upstream=\"web1\"} 1"
                                         : "weir_upstream_connections_active{upstream=\"web2\"} 1";
    counter_add(&snapshot->upstreams[1].counters->connections, 5);
    counter_add(&snapshot->upstreams[1].counters->failures[UPSTREAM_FAILURE_TIMEOUT], 2);
    weir_pool_set_health(snapshot->pools[0].balancing, 1, WEIR_PLACE_EJECTED);
    weir_upstreams_set_state(table, snapshot->upstreams[1].id, WEIR_UPSTREAM_DRAIN);
    render(fixture);
    assert_line(fixture, taken);
    assert_line(fixture, "weir_upstream_connections_total{upstream=\"web2\"} 5");
    assert_line(fixture, "weir_upstream_failures_total{upstream=\"web2\",reason=\"timeout\"} 2");
    assert_line(fixture, "weir_upstream_failures_total{upstream=\"web2\",reason=\"reset\"} 0");
    assert_nowhere(fixture, "weir_upstream_failures_total{upstream=\"web1\"");
    assert_line(fixture, "weir_upstream_up{pool=\"web\",upstream=\"web1\"} 1");
    assert_line(fixture, "weir_upstream_up{pool=\"web\",upstream=\"web2\"} 0");
    assert_line(fixture, "weir_upstream_state{upstream=\"web1\",state=\"enabled\"} 1");
    assert_line(fixture, "weir_upstream_state{upstream=\"web2\",state=\"enabled\"} 0");
    assert_line(fixture, "weir_upstream_state{upstream=\"web2\",state=\"drain\"} 1");
    assert_line(fixture, "weir_upstream_state{upstream=\"web2\",state=\"disabled\"} 0");
    weir_lease_release(&lease);
}

static void unknown_clients_stand_together_and_only_what_was_denied_is_shown(void **state)
{
    struct fixture *fixture = *state;
    const struct snapshot *snapshot = fixture->balancer->snapshot;
    static const struct weir_limits none;
    struct weir_client *alice = NULL, *strangers[2] = { 0 };
    assert_int_equal(weir_client_enter(snapshot->clients[0].record, &none, 1, &alice), 0);
    assert_int_equal(weir_limiter_enter(fixture->balancer->state.limiter, "x", 1, &none, 1, &strangers[0]), 0);
    assert_int_equal(weir_limiter_enter(fixture->balancer->state.limiter, "y", 1, &none, 1, &strangers[1]), 0);
    counter_add(&snapshot->clients[1].counters->denied[CLOSE_CLIENT_RATE], 4);
    counter_add(&snapshot->other->denied[CLOSE_UNKNOWN_CLIENT], 9);
    render(fixture);
    assert_line(fixture, "weir_client_connections_active{client=\"alice\"} 1");
    assert_line(fixture, "weir_client_connections_active{client=\"bob\"} 0");
    assert_line(fixture, "weir_client_connections_active{client=\"other\"} 2");
    assert_line(fixture, "weir_client_denied_total{client=\"bob\",reason=\"client_rate\"} 4");
    assert_line(fixture, "weir_client_denied_total{client=\"other\",reason=\"unknown_client\"} 9");
    assert_nowhere(fixture, "weir_client_denied_total{client=\"alice\"");
    weir_client_leave(&alice);
    weir_client_leave(&strangers[0]);
    weir_client_leave(&strangers[1]);
}

static void a_worker_s_busy_ratio_is_that_of_the_time_between_two_looks(void **state)
{
    struct fixture *fixture = *state;
    struct balancer *balancer = fixture->balancer;
    *balancer = (struct balancer){ .snapshot = balancer->snapshot, .state = balancer->state };
    balancer->uptime_ns = 10000000000;
    balancer->busy_ns[0] = 1000000000;
    render(fixture);
    assert_line(fixture, "weir_worker_busy_ratio{worker=\"0\"} 0.1000");
    assert_line(fixture, "weir_worker_busy_ratio{worker=\"1\"} 0.0000");
    balancer->uptime_ns += 2000000000;
    balancer->busy_ns[0] += 500000000;
    balancer->busy_ns[1] += 2000000001;
    render(fixture);
    assert_line(fixture, "weir_worker_busy_ratio{worker=\"0\"} 0.2500");
    assert_line(fixture, "weir_worker_busy_ratio{worker=\"1\"} 1.0000");
    balancer->uptime_ns += 999999999; /* too soon: the same figure again */
    render(fixture);
    assert_line(fixture, "weir_worker_busy_ratio{worker=\"0\"} 0.2500");
}

static bool belongs_to(const char *sample, const char *name)
{
    size_t size = strlen(name);
    if (strncmp(sample, name, size) != 0)
        return false;
    const char *rest = sample + size;
    return *rest == '{' || *rest == ' ' || strncmp(rest, "_bucket{", 8) == 0 || strncmp(rest, "_sum{", 5) == 0 ||
           strncmp(rest, "_count{", 7) == 0;
}

static void every_sample_follows_its_metric_s_help_and_type(void **state)
{
    struct fixture *fixture = *state;
    render(fixture);
    char help[64] = "", type[64] = "";
    int metrics = 0;
    for (char *line = strtok(fixture->text.data, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (sscanf(line, "# HELP %63s", help) == 1)
            metrics++;
        else if (sscanf(line, "# TYPE %63s", type) == 1)
            assert_string_equal(type, help);
        else
            assert_true(belongs_to(line, type));
    }
    assert_int_equal(metrics, 16);
}

static void ten_thousand_upstreams_and_clients_are_written_at_once(void **state)
{
    (void)state;
    struct buffer text = { 0 };
    buffer_text(&text, "listeners: [{ name: edge, address: 127.0.0.1:1, pool: web }]\n"
                       "pools: [{ name: web, upstreams: [");
    for (unsigned n = 0; n < 10000; n++) {
        char line[128];
        snprintf(line, sizeof line, "%s{ name: web%u, address: 127.0.0.1:%u }", n > 0 ? ", " : "", n, n + 2);
        buffer_text(&text, line);
    }
    buffer_text(&text, "] }]\nclients:\n");
    for (unsigned n = 0; n < 10000; n++) {
        char line[128];
        snprintf(line, sizeof line, "  - { name: c%u, identity: [cidr:10.0.%u.%u/32] }\n", n, n >> 8, n & 255);
        buffer_text(&text, line);
    }
    buffer_put(&text, "", 1);
    struct balancer *balancer = fake_balancer_new(text.data);
    struct metrics *metrics = NULL;
    assert_int_equal(metrics_new(balancer, &metrics), 0);
    buffer_free(&text);
    struct timespec start, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    metrics_render(metrics, &text);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    print_message("%zu bytes in %.1f ms\n", text.size, seconds * 1e3);
    assert_true(text.size > 3000000);
    assert_true(seconds < 1.0); /* some milliseconds; a sanitizer on a busy machine takes longer */
    buffer_free(&text);
    metrics_free(&metrics);
    fake_balancer_free(balancer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_metric_has_help_and_type_and_its_labels_are_escaped),
        cmocka_unit_test(a_histogram_is_cumulative_in_seconds_and_ends_at_infinity),
        cmocka_unit_test_setup_teardown(slots_of_all_workers_are_summed, setup, teardown),
        cmocka_unit_test_setup_teardown(upstreams_show_connections_failures_health_and_state, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_clients_stand_together_and_only_what_was_denied_is_shown, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_worker_s_busy_ratio_is_that_of_the_time_between_two_looks, setup, teardown),
        cmocka_unit_test_setup_teardown(every_sample_follows_its_metric_s_help_and_type, setup, teardown),
        cmocka_unit_test(ten_thousand_upstreams_and_clients_are_written_at_once),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
