/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "client.h"
#include "commands.h"
#include "options.h"
#include "table.h"

/* `weir status`: one look at a running balancer. */

#define CLIENTS_SHOWN 20

#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define RED "\033[31m"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "?";
}

static long long number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* "12/500", or "12" where there is no limit. */
static void add_of_limit(struct table *table, const json_t *object, const char *limit_key)
{
    long long active = number_of(object, "active"), limit = number_of(object, limit_key);
    const char *style = limit > 0 && active >= limit ? YELLOW : "";

    if (limit > 0)
        table_add(table, style, "%lld/%lld", active, limit);
    else
        table_add(table, style, "%lld", active);
}

static void end_table(struct table *table)
{
    if (!table_print(table, stdout))
        fprintf(stderr, "weir status: %s\n", weir_strerror(WEIR_ENOMEM));
    table_free(table);
}

/* The head */

static void print_duration(double seconds)
{
    long long s = (long long)seconds;

    if (s < 60)
        printf("%lld s", s);
    else if (s < 3600)
        printf("%lld min", s / 60);
    else if (s < 86400)
        printf("%lld h %lld min", s / 3600, s / 60 % 60);
    else
        printf("%lld d %lld h", s / 86400, s / 3600 % 24);
}

static long long sum_active(const json_t *array)
{
    long long sum = 0;
    size_t n;
    json_t *entry;

    json_array_foreach(array, n, entry) sum += number_of(entry, "active");
    return sum;
}

static void print_reload(const json_t *reload)
{
    bool done = strcmp(text_of(reload, "result"), "done") == 0;
    size_t lines = json_array_size(json_object_get(reload, done ? "changes" : "errors"));

    printf("last reload at %s: %s%s%s", text_of(reload, "time"), cli_style(stdout, done ? "" : RED),
           text_of(reload, "result"), done ? "" : cli_plain(stdout));
    if (lines > 0)
        printf(", %zu %s%s", lines, done ? "change" : "error", lines == 1 ? "" : "s");
    printf("\n");
}

static void print_head(const json_t *status)
{
    long long workers = number_of(status, "workers");

    printf("%sweir %s%s, up ", cli_bold(stdout), text_of(status, "version"), cli_plain(stdout));
    print_duration(json_number_value(json_object_get(status, "uptime")));
    printf(", %lld worker%s on %s, %lld of %lld connections", workers, workers == 1 ? "" : "s", text_of(status, "io"),
           sum_active(json_object_get(status, "listeners")), number_of(status, "max_connections"));
    if (json_is_true(json_object_get(status, "draining")))
        printf(", %sdraining%s", cli_style(stdout, YELLOW), cli_plain(stdout));
    printf("\n");
    if (json_is_object(json_object_get(status, "last_reload")))
        print_reload(json_object_get(status, "last_reload"));
}

/* The tables */

static void print_listeners(const json_t *status)
{
    static const struct table_column columns[] = {
        { .head = "LISTENER", .elastic = true },
        { .head = "ADDRESS" },
        { .head = "POOL", .elastic = true },
        { .head = "ACTIVE", .right = true },
    };
    struct table table = { .columns = columns, .column_count = sizeof columns / sizeof columns[0] };
    size_t n;
    json_t *listener;

    json_array_foreach(json_object_get(status, "listeners"), n, listener)
    {
        table_add(&table, "", "%s", text_of(listener, "name"));
        table_add(&table, "", "%s", text_of(listener, "address"));
        table_add(&table, "", "%s", text_of(listener, "pool"));
        table_add(&table, "", "%lld", number_of(listener, "active"));
    }
    end_table(&table);
}

static const char *style_of_state(const char *state)
{
    return strcmp(state, "enabled") == 0 ? "" : YELLOW;
}

static const char *style_of_health(const char *health)
{
    return strcmp(health, "up") == 0 ? GREEN : strcmp(health, "down") == 0 ? RED : YELLOW;
}

static void add_place(struct table *table, const char *pool, const json_t *place, const json_t *upstream)
{
    const char *state = text_of(upstream, "state"), *health = text_of(place, "health");

    table_add(table, "", "%s", pool);
    table_add(table, "", "%s", text_of(place, "name"));
    table_add(table, "", "%s", text_of(upstream, "address"));
    table_add(table, style_of_state(state), "%s", state);
    table_add(table, style_of_health(health), "%s", health);
    if (json_is_true(json_object_get(place, "backup")))
        table_add(table, "", "backup");
    else
        table_add(table, "", "%lld", number_of(place, "weight"));
    add_of_limit(table, upstream, "max_connections");
}

/* The upstreams by their names; NULL when out of memory. */
static json_t *index_upstreams(const json_t *status)
{
    json_t *index = json_object();
    size_t n;
    json_t *upstream;

    json_array_foreach(json_object_get(status, "upstreams"), n, upstream)
        json_object_set(index, text_of(upstream, "name"), upstream);
    return index;
}

static void print_upstreams(const json_t *status)
{
    static const struct table_column columns[] = {
        { .head = "POOL", .elastic = true },
        { .head = "UPSTREAM", .elastic = true },
        { .head = "ADDRESS", .elastic = true },
        { .head = "STATE" },
        { .head = "HEALTH" },
        { .head = "WEIGHT", .right = true },
        { .head = "ACTIVE", .right = true },
    };
    struct table table = { .columns = columns, .column_count = sizeof columns / sizeof columns[0] };
    json_t *index = index_upstreams(status);
    size_t n, m;
    json_t *pool, *place;

    json_array_foreach(json_object_get(status, "pools"), n, pool)
        json_array_foreach(json_object_get(pool, "upstreams"), m, place)
            add_place(&table, text_of(pool, "name"), place, json_object_get(index, text_of(place, "name")));
    printf("\n");
    end_table(&table);
    json_decref(index);
}

static int by_active(const void *a, const void *b)
{
    long long first = number_of(*(json_t *const *)a, "active"), second = number_of(*(json_t *const *)b, "active");

    return (first < second) - (first > second);
}

/* Those that have connections, the most active first. Returns how many; the array is the caller's. */
static size_t busy_clients(const json_t *status, json_t ***ret_busy)
{
    const json_t *clients = json_object_get(status, "clients");
    json_t **busy = calloc(json_array_size(clients) + 1, sizeof(json_t *)), *client;
    size_t count = 0, n;

    if (busy == NULL)
        return 0;
    json_array_foreach(clients, n, client) if (number_of(client, "active") > 0) busy[count++] = client;
    qsort(busy, count, sizeof(json_t *), by_active);
    *ret_busy = busy;
    return count;
}

static void print_clients(const json_t *status)
{
    static const struct table_column columns[] = {
        { .head = "CLIENT", .elastic = true },
        { .head = "ACTIVE", .right = true },
    };
    struct table table = { .columns = columns, .column_count = sizeof columns / sizeof columns[0] };
    json_t **busy = NULL;
    size_t count = busy_clients(status, &busy), shown = count < CLIENTS_SHOWN ? count : CLIENTS_SHOWN;

    for (size_t n = 0; n < shown; n++) {
        table_add(&table, "", "%s", text_of(busy[n], "name"));
        add_of_limit(&table, busy[n], "limit");
    }
    if (count > 0) {
        printf("\n");
        end_table(&table);
    }
    if (count > shown)
        printf("and %zu more; --json shows all\n", count - shown);
    free(busy);
}

int cmd_status(int argc, char **argv)
{
    bool json = false;
    struct admin_client client = { .command = "status", .config = DEFAULT_CONFIG };
    const struct cli_option options[] = {
        CLIENT_OPTIONS(&client),
        { 0, "json", NULL, "print JSON, for programs", .flag = &json },
    };
    static const char about[] = "One look at a running balancer: its listeners, upstreams with state, health and\n"
                                "connections, and the clients that have connections now.\n";
    const struct cli_page page = { "status", "[-c FILE | --socket PATH] [--json]", about, options, 3, 0 };
    json_t *status = NULL;
    int result = cli_read(&page, argc, argv);
    if (result != CLI_GO_ON || (result = client_find(&client)) != EXIT_OK)
        return result;
    result = client_ask_json(&client, "GET", "/api/v1/status", NULL, &status);
    if (result != EXIT_OK)
        return client_complain(&client, result);
    if (json) {
        json_dumpf(status, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
        printf("\n");
    } else {
        print_head(status);
        printf("\n");
        print_listeners(status);
        print_upstreams(status);
        print_clients(status);
    }
    json_decref(status);
    return EXIT_OK;
}
