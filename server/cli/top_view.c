/* SPDX-License-Identifier: Apache-2.0 */
#include "top_view.h"

#include <string.h>
#include <time.h>

#include "line.h"
#include "top_text.h"

#define BOLD "\033[1m"
#define DIM "\033[2m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define RED "\033[31m"
#define CYAN "\033[36m"

#define LOOKS_PER_BAR 5
#define HEAD_LINES 4
#define ROWS_MAX 160

/* What is drawn on: lines are begun until the screen is full. */
struct canvas {
    const struct top_view *view;
    FILE *out;
    unsigned rows, columns; /* rows: that are left */
    struct line line;
};

/* JSON */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* Numbers */

/* "14/40", or "14" where there is no limit. */
static struct short_text of_limit_text(const json_t *object)
{
    struct short_text text;
    double active = number_of(object, "active"), most = number_of(object, "max_connections");
    if (most > 0)
        snprintf(text.bytes, sizeof text.bytes, "%.0f/%.0f", active, most);
    else
        text = count_text(active);
    return text;
}

static const char *of_limit_style(const json_t *object)
{
    double most = number_of(object, "max_connections");
    return most > 0 && number_of(object, "active") >= most ? RED : "";
}

/* Lines */

static struct line *begin(struct canvas *canvas)
{
    canvas->line = (struct line){ canvas->out, canvas->columns, canvas->view->utf8, canvas->view->colour };
    return &canvas->line;
}

static void end(struct canvas *canvas)
{
    line_end(&canvas->line);
    if (--canvas->rows > 0)
        fputs("\r\n", canvas->out);
}

static void gap(struct line *line)
{
    line_text(line, "", "  ", 0, false);
}

static void empty_line(struct canvas *canvas)
{
    begin(canvas);
    end(canvas);
}

static unsigned spark_width(const struct canvas *canvas)
{
    return canvas->columns < 50 ? 0 : canvas->columns / 4 < 60 ? canvas->columns / 4 : 60;
}

/* Of a row's history. */
static void put_history(struct canvas *canvas, const json_t *row)
{
    double values[TOP_PAST];
    const char *styles[TOP_PAST];
    const char *health = text_of(row, "health_history");
    size_t n, health_size = strlen(health);
    const json_t *value;
    unsigned count = 0;
    json_array_foreach(json_object_get(row, "history"), n, value)
    {
        if (count == TOP_PAST)
            break;
        char letter = n < health_size ? health[n] : 'u';
        styles[count] = letter == 'd' ? RED : letter == 'e' ? YELLOW : "";
        values[count++] = json_number_value(value);
    }
    line_spark(&canvas->line, values, styles, count, spark_width(canvas));
}

/* Head */

static void draw_title(struct canvas *canvas)
{
    const json_t *figures = canvas->view->figures, *workers = json_object_get(figures, "workers");
    struct line *line = begin(canvas);
    char clock[16] = "";
    time_t now = time(NULL);
    struct tm local;
    if (localtime_r(&now, &local) != NULL)
        strftime(clock, sizeof clock, "%H:%M:%S", &local);
    line_text(line, BOLD, "weir", 0, false);
    if (figures != NULL)
        line_format(line, "", 0, false, " %s, up %s, %s, %zu worker%s", text_of(figures, "version"),
                    duration_text(number_of(figures, "uptime")).bytes, text_of(figures, "io"), json_array_size(workers),
                    json_array_size(workers) == 1 ? "" : "s");
    size_t n;
    const json_t *busy;
    json_array_foreach(workers, n, busy)
        line_format(line, "", 0, false, "%s%.0f%%", n == 0 ? " busy " : " ", 100 * json_number_value(busy));
    unsigned right = (unsigned)strlen(clock) + 1;
    if (line->left > right)
        line_text(line, "", "", line->left - right, false);
    line_format(line, DIM, 0, false, " %s", clock);
    end(canvas);
}

/* The last bars of a series, each the most of a few looks. */
static void put_past(struct canvas *canvas, enum top_series series, unsigned width)
{
    const struct top_view *view = canvas->view;
    double bars[TOP_PAST / LOOKS_PER_BAR] = { 0 };
    unsigned count = (view->past_count + LOOKS_PER_BAR - 1) / LOOKS_PER_BAR;
    for (unsigned n = 0; n < view->past_count; n++) {
        double value = view->past[series][view->past_count - 1 - n], *bar = &bars[count - 1 - n / LOOKS_PER_BAR];
        *bar = value > *bar ? value : *bar;
    }
    line_spark(&canvas->line, bars, NULL, count, width);
}

static void draw_totals(struct canvas *canvas)
{
    const json_t *now = json_object_get(canvas->view->figures, "now");
    const struct {
        const char *name;
        struct short_text value;
        enum top_series series;
        const char *style;
    } blocks[] = {
        { "open", count_text(number_of(now, "active")), TOP_ACTIVE, BOLD },
        { "new/s", rate_text(number_of(now, "rate")), TOP_RATE, BOLD },
        { "refused/s", rate_text(number_of(now, "refusing")), TOP_REFUSING,
          number_of(now, "refusing") > 0 ? BOLD RED : BOLD },
    };
    struct line *line = begin(canvas);
    unsigned width = canvas->columns / 3;
    for (unsigned n = 0; n < sizeof blocks / sizeof blocks[0]; n++) {
        unsigned start = line->left;
        line_format(line, "", 0, false, "%s ", blocks[n].name);
        line_text(line, blocks[n].style, blocks[n].value.bytes, 6, false);
        unsigned used = start - line->left;
        if (width > used + 2)
            put_past(canvas, blocks[n].series, width - used - 2);
        gap(line);
    }
    end(canvas);
}

static void draw_traffic(struct canvas *canvas)
{
    const json_t *now = json_object_get(canvas->view->figures, "now");
    const json_t *upstreams = json_object_get(canvas->view->figures, "upstreams");
    double total = number_of(upstreams, "total"), up = number_of(upstreams, "up");
    struct line *line = begin(canvas);
    line_format(line, "", 0, false, "to upstreams %s, to clients %s; ", bytes_text(number_of(now, "to_upstream")).bytes,
                bytes_text(number_of(now, "to_client")).bytes);
    line_format(line, up < total ? RED : GREEN, 0, false, "%.0f of %.0f upstreams up", up, total);
    if (json_is_true(json_object_get(canvas->view->figures, "draining")))
        line_text(line, YELLOW, "; draining", 0, false);
    end(canvas);
}

static void draw_trouble(struct canvas *canvas)
{
    struct line *line = begin(canvas);
    if (canvas->view->trouble != NULL)
        line_format(line, RED, 0, false, "%s; trying again", canvas->view->trouble);
    else
        line_text(line, "", "", 0, false);
    end(canvas);
}

/* Upstreams: those in trouble first, then as they stand in the file. */

struct rows {
    const json_t *at[ROWS_MAX];
    const json_t *pools[ROWS_MAX];
    unsigned count;
};

static bool in_trouble(const json_t *upstream)
{
    return strcmp(text_of(upstream, "health"), "up") != 0 || strcmp(text_of(upstream, "state"), "enabled") != 0;
}

static void add_row(struct rows *rows, const json_t *row, const json_t *pool)
{
    if (rows->count == ROWS_MAX)
        return;
    rows->pools[rows->count] = pool;
    rows->at[rows->count++] = row;
}

static void add_upstreams(struct rows *rows, const json_t *figures, bool trouble)
{
    size_t n, m;
    const json_t *pool, *upstream;
    json_array_foreach(json_object_get(figures, "pools"), n, pool)
    {
        json_array_foreach(json_object_get(pool, "upstreams"), m, upstream)
        {
            if (in_trouble(upstream) == trouble)
                add_row(rows, upstream, pool);
        }
    }
}

static const char *state_style(const char *word)
{
    if (strcmp(word, "up") == 0)
        return GREEN;
    return strcmp(word, "down") == 0 || strcmp(word, "disabled") == 0 ? RED : YELLOW;
}

static void draw_upstream(struct canvas *canvas, const json_t *upstream, const json_t *pool, unsigned name_width)
{
    bool enabled = strcmp(text_of(upstream, "state"), "enabled") == 0,
         up = strcmp(text_of(upstream, "health"), "up") == 0;
    const char *state = enabled || !up ? text_of(upstream, "health") : text_of(upstream, "state");
    struct line *line = begin(canvas);
    line_format(line, "", name_width, false, "%s/%s", text_of(pool, "name"), text_of(upstream, "name"));
    gap(line);
    line_text(line, state_style(state), state, 8, false);
    line_text(line, of_limit_style(upstream), of_limit_text(upstream).bytes, 10, true);
    line_text(line, "", rate_text(number_of(upstream, "rate")).bytes, 8, true);
    line_text(line, number_of(upstream, "failing") > 0 ? RED : "", count_text(number_of(upstream, "failures")).bytes, 8,
              true);
    gap(line);
    put_history(canvas, upstream);
    end(canvas);
}

struct head {
    const char *name;
    unsigned width;
    bool right;
};
#define HEADS 4
#define HEADS_WIDTH (10 + 8 + 8 + 8)

static void draw_heads(struct canvas *canvas, const char *first, unsigned first_width, const struct head *heads)
{
    struct line *line = begin(canvas);
    line_text(line, BOLD, first, first_width, false);
    gap(line);
    for (unsigned n = 0; n < HEADS; n++)
        line_text(line, BOLD, heads[n].name, heads[n].width, heads[n].right);
    gap(line);
    if (spark_width(canvas) > 0)
        line_text(line, BOLD, "LAST MINUTES", spark_width(canvas), true);
    end(canvas);
}

static void draw_more(struct canvas *canvas, unsigned hidden, const char *what)
{
    struct line *line = begin(canvas);
    line_format(line, DIM, 0, false, "%u more %s", hidden, what);
    end(canvas);
}

/* The column of names takes what the others leave. */
static unsigned name_width(const struct canvas *canvas)
{
    unsigned taken = HEADS_WIDTH + 4 + spark_width(canvas);
    return canvas->columns > taken + 8 ? canvas->columns - taken : 8;
}

static void draw_upstreams(struct canvas *canvas, unsigned room)
{
    static const struct head heads[HEADS] = {
        { "STATE", 8, false }, { "OPEN", 10, true }, { "NEW/S", 8, true }, { "FAILED", 8, true }
    };
    struct rows rows = { 0 };
    unsigned width = name_width(canvas);
    add_upstreams(&rows, canvas->view->figures, true);
    add_upstreams(&rows, canvas->view->figures, false);
    draw_heads(canvas, "UPSTREAM", width, heads);
    unsigned shown = rows.count <= room ? rows.count : room - 1;
    for (unsigned n = 0; n < shown; n++)
        draw_upstream(canvas, rows.at[n], rows.pools[n], width);
    if (shown < rows.count)
        draw_more(canvas, rows.count - shown, "upstreams");
}

/* Clients: the busiest, then those that are refused most. */

static bool has_client(const struct rows *rows, const char *name)
{
    for (unsigned n = 0; n < rows->count; n++)
        if (strcmp(text_of(rows->at[n], "name"), name) == 0)
            return true;
    return false;
}

static void add_clients(struct rows *rows, const json_t *figures, const char *list)
{
    size_t n;
    const json_t *client;
    json_array_foreach(json_object_get(json_object_get(figures, "clients"), list), n, client)
    {
        if (!has_client(rows, text_of(client, "name")))
            add_row(rows, client, NULL);
    }
}

static void draw_client(struct canvas *canvas, const json_t *client, unsigned width)
{
    const json_t *limit = json_object_get(client, "limit");
    struct short_text most = { "" };
    if (json_is_object(limit))
        snprintf(most.bytes, sizeof most.bytes, "%s", rate_text(number_of(limit, "per_second")).bytes);
    struct line *line = begin(canvas);
    line_text(line, "", text_of(client, "name"), width, false);
    gap(line);
    line_text(line, of_limit_style(client), of_limit_text(client).bytes, 10, true);
    line_text(line, "", most.bytes[0] == '\0' ? "-" : most.bytes, 8, true);
    line_text(line, "", count_text(number_of(client, "refused")).bytes, 8, true);
    line_text(line, number_of(client, "refusing") > 0 ? RED : "", rate_text(number_of(client, "refusing")).bytes, 8,
              true);
    gap(line);
    put_history(canvas, client);
    end(canvas);
}

static void draw_clients(struct canvas *canvas, unsigned room)
{
    static const struct head heads[HEADS] = {
        { "OPEN", 10, true }, { "MAX/S", 8, true }, { "REFUSED", 8, true }, { "PER S", 8, true }
    };
    struct rows rows = { 0 };
    unsigned width = name_width(canvas);
    add_clients(&rows, canvas->view->figures, "by_active");
    add_clients(&rows, canvas->view->figures, "by_refused");
    draw_heads(canvas, "CLIENT", width, heads);
    unsigned shown = rows.count <= room ? rows.count : room - 1;
    for (unsigned n = 0; n < shown; n++)
        draw_client(canvas, rows.at[n], width);
    if (shown < rows.count)
        draw_more(canvas, rows.count - shown, "clients");
}

/* Refusals */

static void draw_refusal(struct canvas *canvas, const json_t *refusal)
{
    char clock[16] = "";
    time_t when = (time_t)number_of(refusal, "time");
    struct tm local;
    const char *client = text_of(refusal, "client"), *detail = text_of(refusal, "detail");
    if (localtime_r(&when, &local) != NULL)
        strftime(clock, sizeof clock, "%H:%M:%S", &local);
    struct line *line = begin(canvas);
    line_format(line, DIM, 0, false, "%s ", clock);
    line_text(line, CYAN, client[0] != '\0' ? client : text_of(refusal, "identity"), 0, false);
    line_format(line, "", 0, false, ": %s (%s)", detail[0] != '\0' ? detail : text_of(refusal, "sentence"),
                text_of(refusal, "reason"));
    end(canvas);
}

static void draw_refusals(struct canvas *canvas, unsigned room)
{
    const json_t *last = json_object_get(json_object_get(canvas->view->figures, "refusals"), "last");
    size_t n;
    const json_t *refusal;
    struct line *line = begin(canvas);
    line_text(line, BOLD, "REFUSED", 0, false);
    end(canvas);
    json_array_foreach(last, n, refusal)
    {
        if (n < room)
            draw_refusal(canvas, refusal);
    }
}

/* All of it */

static unsigned count_upstreams(const json_t *figures)
{
    size_t n, count = 0;
    const json_t *pool;
    json_array_foreach(json_object_get(figures, "pools"), n, pool) count +=
        json_array_size(json_object_get(pool, "upstreams"));
    return (unsigned)count;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Upstreams may have half of the room, clients half of the rest; each section has a head and an empty line before. */
static void draw_sections(struct canvas *canvas)
{
    unsigned keep = 1; /* the last line says how to leave */
    if (canvas->rows < keep + 4)
        return;
    draw_upstreams(canvas, least(count_upstreams(canvas->view->figures), (canvas->rows - keep) / 2));
    if (canvas->rows < keep + 4)
        return;
    empty_line(canvas);
    draw_clients(canvas, (canvas->rows - keep) / 2);
    if (canvas->rows < keep + 3)
        return;
    empty_line(canvas);
    draw_refusals(canvas, canvas->rows - keep - 1);
}

static void draw_foot(struct canvas *canvas)
{
    while (canvas->rows > 1)
        empty_line(canvas);
    struct line *line = begin(canvas);
    line_text(line, DIM, "q quits", 0, false);
    end(canvas);
}

void top_view_draw(const struct top_view *view, unsigned rows, unsigned columns, FILE *out)
{
    struct canvas canvas = { .view = view, .out = out, .rows = rows, .columns = columns };
    if (rows > HEAD_LINES) {
        draw_title(&canvas);
        if (view->figures != NULL) {
            draw_totals(&canvas);
            draw_traffic(&canvas);
        }
        draw_trouble(&canvas);
        if (view->figures != NULL)
            draw_sections(&canvas);
    }
    draw_foot(&canvas);
}

/* Past */

static void add_moment(struct top_view *view, const json_t *moment)
{
    static const char *const keys[TOP_SERIES] = { "active", "rate", "refusing" };
    bool full = view->past_count == TOP_PAST;
    view->past_count -= full;
    for (unsigned n = 0; n < TOP_SERIES; n++) {
        double *values = view->past[n];
        if (full)
            memmove(values, values + 1, (TOP_PAST - 1) * sizeof *values);
        values[view->past_count] = number_of(moment, keys[n]);
    }
    view->past_count++;
}

void top_view_past(struct top_view *view, const json_t *past)
{
    size_t n;
    const json_t *moment;
    view->past_count = 0;
    /* The newest one comes again, as now. */
    json_array_foreach(past, n, moment)
    {
        if (n + 1 < json_array_size(past))
            add_moment(view, moment);
    }
}

void top_view_figures(struct top_view *view, json_t *figures)
{
    json_decref(view->figures);
    view->figures = figures;
    add_moment(view, json_object_get(figures, "now"));
}

void top_view_free(struct top_view *view)
{
    json_decref(view->figures);
    view->figures = NULL;
}
