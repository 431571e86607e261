/* SPDX-License-Identifier: Apache-2.0 */
#include "figures_parts.h"

#include <math.h>
#include <string.h>

#include "json_text.h"
#include "ranking.h"
#include "status.h"

/* Packing and appending accept NULL, so that only the whole need be looked at: what could not be appended makes a
 * document NULL in the end. */
struct list {
    json_t *array; /* NULL: something was lost */
};

static struct list list_new(void)
{
    return (struct list){ json_array() };
}

static void list_add(struct list *list, json_t *element)
{
    if (json_array_append_new(list->array, element) == 0)
        return;
    json_decref(list->array);
    list->array = NULL;
}

static json_t *number(double value)
{
    return json_real(round(value * 100) / 100);
}

static json_t *seconds(uint64_t ns)
{
    return json_real(round((double)ns / 1e6) / 1e3);
}

/* The most of a kind, or no limit. */
static json_t *maximum(uint32_t value)
{
    return value == 0 ? json_null() : json_integer(value);
}

/* Listeners */

static json_t *listener_json(const struct figures *figures, uint32_t index)
{
    const struct listener *listener = &figures->snapshot->listeners[index];
    const struct listener_figures *seen = &figures->tables.listeners[index];
    char text[WEIR_ADDRESS_TEXT_MAX];
    return json_pack("{s:s, s:s, s:s, s:b, s:I, s:o, s:o, s:o}", "name", listener->name, "address",
                     weir_address_format(&listener->bound, text, sizeof text), "pool",
                     figures->snapshot->pools[listener->pool].name, "tls", (int)(listener->tls != NULL), "active",
                     (json_int_t)balancer_listener_active(figures->balancer, listener), "rate", number(seen->rate),
                     "to_upstream", number(seen->byte_rates[0]), "to_client", number(seen->byte_rates[1]));
}

static json_t *listeners_json(const struct figures *figures)
{
    struct list list = list_new();
    for (uint32_t n = 0; n < figures->snapshot->listener_count && n < FIGURES_ROWS; n++)
        list_add(&list, listener_json(figures, n));
    return list.array;
}

/* Upstreams: those in trouble first, then the busiest; and all of them in the file's order when there is room. */

struct place_view {
    const struct pool *pool;
    const struct place *place;
    const struct upstream *upstream;
    const struct place_figures *seen;
    enum weir_place_health health;
    enum weir_upstream_state state;
    uint32_t active;
};

static struct place_view view_place(const struct figures *figures, uint32_t pool_index, uint32_t index)
{
    const struct pool *pool = &figures->snapshot->pools[pool_index];
    const struct weir_upstreams *table = balancer_state(figures->balancer)->upstreams;
    const struct upstream *upstream = &figures->snapshot->upstreams[pool->places[index].upstream];
    return (struct place_view){
        .pool = pool,
        .place = &pool->places[index],
        .upstream = upstream,
        .seen = &figures->tables.places[figures->tables.first_place[pool_index] + index],
        .health = weir_pool_health(pool->balancing, index),
        .state = weir_upstreams_state(table, upstream->id),
        .active = weir_upstreams_active(table, upstream->id),
    };
}

static uint64_t score_place(const struct place_view *view)
{
    bool trouble = view->health != WEIR_PLACE_UP || view->state != WEIR_UPSTREAM_ENABLED || view->seen->failing > 0;
    return (uint64_t)trouble << 40 | view->active;
}

static struct ranking rank_places(const struct figures *figures)
{
    struct ranking ranking = { .limit = FIGURES_ROWS };
    for (uint32_t pool = 0; pool < figures->snapshot->pool_count; pool++)
        for (uint32_t n = 0; n < figures->snapshot->pools[pool].place_count; n++) {
            struct place_view view = view_place(figures, pool, n);
            ranking_offer(&ranking, figures->tables.first_place[pool] + n, score_place(&view));
        }
    return ranking;
}

static bool is_ranked(const struct ranking *ranking, uint32_t index)
{
    for (uint32_t n = 0; n < ranking->count; n++)
        if (ranking->rows[n].index == index)
            return true;
    return false;
}

/* Histories: the oldest mark first. */

static uint64_t first_mark(const struct figures *figures)
{
    uint64_t end = figures_mark(figures) + 1;
    return end < FIGURES_MARKS ? 0 : end - FIGURES_MARKS;
}

static json_t *active_marks_json(const struct figures *figures, const uint32_t *marks)
{
    struct list list = list_new();
    for (uint64_t n = first_mark(figures); n <= figures_mark(figures); n++)
        list_add(&list, json_integer(marks[n % FIGURES_MARKS]));
    return list.array;
}

/* A letter each: up, ejected, down. */
static json_t *health_marks_json(const struct figures *figures, const uint8_t *marks)
{
    char letters[FIGURES_MARKS];
    size_t count = 0;
    for (uint64_t n = first_mark(figures); n <= figures_mark(figures); n++)
        letters[count++] = "ued"[marks[n % FIGURES_MARKS]];
    return json_stringn(letters, count);
}

static json_t *place_json(const struct figures *figures, const struct place_view *view)
{
    char text[WEIR_ADDRESS_TEXT_MAX];
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:i, s:b, s:I, s:o, s:o, s:o}", "name", view->upstream->name,
                     "address", weir_address_format(&view->upstream->address, text, sizeof text), "health",
                     status_health(view->health), "state", status_upstream_state(view->state), "active",
                     (json_int_t)view->active, "max_connections", maximum(view->upstream->max_connections), "rate",
                     number(view->seen->rate), "weight", (int)view->place->weight, "backup", (int)view->place->backup,
                     "failures", (json_int_t)view->seen->failures, "failing", number(view->seen->failing), "history",
                     active_marks_json(figures, view->seen->active), "health_history",
                     health_marks_json(figures, view->seen->health));
}

static json_t *pool_json(const struct figures *figures, uint32_t index, const struct ranking *shown)
{
    const struct pool *pool = &figures->snapshot->pools[index];
    uint32_t health[WEIR_PLACE_DOWN + 1] = { 0 };
    uint64_t active = 0;
    double rate = 0;
    struct list places = list_new();
    for (uint32_t n = 0; n < pool->place_count; n++) {
        struct place_view view = view_place(figures, index, n);
        health[view.health]++;
        active += view.active;
        rate += view.seen->rate;
        if (is_ranked(shown, figures->tables.first_place[index] + n))
            list_add(&places, place_json(figures, &view));
    }
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:I, s:o, s:o}", "name", pool->name, "total", (int)pool->place_count,
                     "up", (int)health[WEIR_PLACE_UP], "ejected", (int)health[WEIR_PLACE_EJECTED], "down",
                     (int)health[WEIR_PLACE_DOWN], "active", (json_int_t)active, "rate", number(rate), "upstreams",
                     places.array);
}

static bool has_ranked(const struct figures *figures, uint32_t pool, const struct ranking *shown)
{
    uint32_t first = figures->tables.first_place[pool], end = first + figures->snapshot->pools[pool].place_count;
    for (uint32_t n = 0; n < shown->count; n++)
        if (shown->rows[n].index >= first && shown->rows[n].index < end)
            return true;
    return false;
}

static json_t *pools_json(const struct figures *figures)
{
    struct ranking shown = rank_places(figures);
    struct list list = list_new();
    for (uint32_t n = 0; n < figures->snapshot->pool_count; n++)
        if (has_ranked(figures, n, &shown))
            list_add(&list, pool_json(figures, n, &shown));
    return list.array;
}

/* Of all pools. */
static json_t *upstream_counts_json(const struct figures *figures)
{
    uint32_t health[WEIR_PLACE_DOWN + 1] = { 0 };
    for (uint32_t pool = 0; pool < figures->snapshot->pool_count; pool++)
        for (uint32_t n = 0; n < figures->snapshot->pools[pool].place_count; n++)
            health[view_place(figures, pool, n).health]++;
    return json_pack("{s:i, s:i, s:i, s:i}", "total", (int)figures->tables.place_count, "up",
                     (int)health[WEIR_PLACE_UP], "ejected", (int)health[WEIR_PLACE_EJECTED], "down",
                     (int)health[WEIR_PLACE_DOWN]);
}

/* Clients */

static json_t *rate_limit_json(const struct weir_limits *limits)
{
    if (limits->rate_period_ns == 0)
        return json_null();
    return json_pack("{s:o, s:i}", "per_second", number(1e9 / (double)limits->rate_period_ns), "burst",
                     (int)limits->burst);
}

static json_t *client_json(const struct figures *figures, uint32_t index)
{
    const struct client *client = &figures->snapshot->clients[index];
    const struct client_figures *seen = &figures->tables.clients[index];
    return json_pack("{s:s, s:I, s:o, s:o, s:I, s:o, s:o}", "name", client->name, "active",
                     (json_int_t)weir_client_active(client->record), "max_connections",
                     maximum(client->limits.connections), "limit", rate_limit_json(&client->limits), "refused",
                     (json_int_t)seen->denied, "refusing", number(seen->refusing), "history",
                     active_marks_json(figures, seen->active));
}

static json_t *ranked_clients_json(const struct figures *figures, const struct ranking *ranking)
{
    struct list list = list_new();
    for (uint32_t n = 0; n < ranking->count; n++)
        list_add(&list, client_json(figures, ranking->rows[n].index));
    return list.array;
}

static json_t *unnamed_json(const struct client_figures *seen, uint32_t active)
{
    return json_pack("{s:I, s:I, s:o}", "active", (json_int_t)active, "refused", (json_int_t)seen->denied, "refusing",
                     number(seen->refusing));
}

static json_t *clients_json(const struct figures *figures)
{
    const struct snapshot *snapshot = figures->snapshot;
    struct ranking active = { .limit = FIGURES_CLIENTS }, refused = { .limit = FIGURES_CLIENTS };
    for (uint32_t n = 0; n < snapshot->client_count; n++) {
        const struct client_figures *seen = &figures->tables.clients[n];
        ranking_offer(&active, n, weir_client_active(snapshot->clients[n].record));
        if (seen->denied > 0)
            ranking_offer(&refused, n, (uint64_t)(seen->recent * 16) << 32 | (uint32_t)seen->denied);
    }
    uint32_t others = weir_limiter_active(balancer_state(figures->balancer)->limiter);
    return json_pack("{s:i, s:o, s:o, s:o, s:o}", "total", (int)snapshot->client_count, "by_active",
                     ranked_clients_json(figures, &active), "by_refused", ranked_clients_json(figures, &refused),
                     "other", unnamed_json(&figures->other, others), "unidentified", unnamed_json(&figures->nobody, 0));
}

/* Refusals */

static json_t *reasons_json(const struct figures *figures)
{
    struct list list = list_new();
    for (unsigned n = 0; n < CLOSE_REASONS; n++) {
        enum close_reason reason = (enum close_reason)n;
        if (figures->reasons[n] > 0)
            list_add(&list, json_pack("{s:s, s:s, s:I, s:o}", "reason", close_reason_label(reason), "sentence",
                                      close_reason_sentence(reason), "count", (json_int_t)figures->reasons[n], "rate",
                                      number(figures->reason_rates[n])));
    }
    return list.array;
}

static json_t *text_json(const struct refusal_text *text)
{
    return json_text(text->bytes, text->size);
}

static json_t *refusal_json(const struct refusal *refusal)
{
    return json_pack("{s:I, s:o, s:s, s:s, s:s, s:o, s:o, s:s, s:o}", "id", (json_int_t)refusal->id, "time",
                     seconds(refusal->wall_ns), "reason", close_reason_label(refusal->reason), "sentence",
                     close_reason_sentence(refusal->reason), "listener", refusal->listener, "client",
                     text_json(&refusal->client), "identity", text_json(&refusal->identity), "peer", refusal->peer,
                     "detail", text_json(&refusal->detail));
}

/* Keeps the newest of `last` and `more`, the oldest first in both. Returns how many. */
static uint32_t merge_refusals(struct refusal *last, uint32_t count, const struct refusal *more, uint32_t more_count)
{
    struct refusal merged[REFUSALS_KEPT];
    uint32_t kept = count + more_count < REFUSALS_KEPT ? count + more_count : REFUSALS_KEPT;
    for (uint32_t n = kept; n-- > 0;) {
        bool take_more = count == 0 || (more_count > 0 && more[more_count - 1].wall_ns > last[count - 1].wall_ns);
        merged[n] = take_more ? more[--more_count] : last[--count];
    }
    memcpy(last, merged, kept * sizeof *merged);
    return kept;
}

/* The newest first. */
static json_t *last_refusals_json(const struct figures *figures)
{
    struct refusal last[REFUSALS_KEPT], more[REFUSALS_KEPT];
    uint32_t count = 0;
    for (uint32_t worker = 0; worker < balancer_workers(figures->balancer); worker++)
        count = merge_refusals(last, count, more, balancer_refusals(figures->balancer, worker, more));
    struct list list = list_new();
    while (count > 0)
        list_add(&list, refusal_json(&last[--count]));
    return list.array;
}

/* Reloads */

static json_t *lines_json(char *const *lines, uint32_t count)
{
    struct list list = list_new();
    for (uint32_t n = 0; n < count && n < FIGURES_RELOAD_LINES; n++)
        list_add(&list, json_text(lines[n], strlen(lines[n])));
    return list.array;
}

static json_t *last_reload_json(const struct reload_result *result)
{
    return json_pack("{s:o, s:s, s:o, s:o, s:I, s:o, s:I}", "time", seconds(result->wall_ns), "result",
                     reload_outcome_label(result->outcome), "duration", seconds(result->duration_ns), "lines",
                     lines_json(result->lines, result->line_count), "line_total", (json_int_t)result->line_count,
                     "warnings", lines_json(result->warnings, result->warning_count), "warning_total",
                     (json_int_t)result->warning_count);
}

/* The newest first. */
static json_t *reloads_json(const struct figures *figures)
{
    struct list list = list_new();
    for (unsigned n = 0; n < FIGURES_RELOADS && figures->reloads[n] != NULL; n++)
        list_add(&list, last_reload_json(figures->reloads[n]));
    return list.array;
}

/* All of it */

static json_t *workers_json(const struct figures *figures)
{
    struct list list = list_new();
    for (uint32_t n = 0; n < balancer_workers(figures->balancer); n++)
        list_add(&list, number(figures->busy_ratios[n]));
    return list.array;
}

static json_t *moment_json(const struct moment *moment)
{
    return json_pack("{s:o, s:I, s:o, s:o, s:o, s:o}", "time", seconds(moment->wall_ns), "active",
                     (json_int_t)moment->active, "rate", number(moment->accepting), "refusing",
                     number(moment->refusing), "to_upstream", number(moment->byte_rates[0]), "to_client",
                     number(moment->byte_rates[1]));
}

json_t *figures_json(const struct figures *figures)
{
    const struct balancer *balancer = figures->balancer;
    const struct snapshot *snapshot = figures->snapshot;
    return json_pack("{s:s, s:o, s:b, s:s, s:o, s:I, s:o, s:i, s:o, s:i, s:o, s:o, s:o, s:{s:I, s:o, s:o}, s:o}",
                     "version", WEIR_VERSION, "uptime", seconds(balancer_uptime_ns(balancer)), "draining",
                     (int)balancer_draining(balancer), "io", balancer_backend_name(balancer), "workers",
                     workers_json(figures), "max_connections", (json_int_t)balancer_max_connections(balancer), "now",
                     moment_json(figures_now(figures)), "listener_total", (int)snapshot->listener_count, "listeners",
                     listeners_json(figures), "pool_total", (int)snapshot->pool_count, "pools", pools_json(figures),
                     "upstreams", upstream_counts_json(figures), "clients", clients_json(figures), "refusals", "total",
                     (json_int_t)figures->refused, "reasons", reasons_json(figures), "last",
                     last_refusals_json(figures), "reloads", reloads_json(figures));
}

json_t *figures_past_json(const struct figures *figures)
{
    uint64_t start = figures->looks < FIGURES_PAST ? 0 : figures->looks - FIGURES_PAST;
    struct list list = list_new();
    for (uint64_t n = start; n < figures->looks; n++)
        list_add(&list, moment_json(&figures->past[n % FIGURES_PAST]));
    return list.array;
}
