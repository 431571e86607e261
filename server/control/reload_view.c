/* SPDX-License-Identifier: Apache-2.0 */
#include "reload_view.h"

#include <string.h>
#include <time.h>

#include "json_text.h"
#include "prometheus.h"

static json_t *lines_json(char *const *lines, uint32_t count)
{
    json_t *array = json_array();

    for (uint32_t n = 0; n < count; n++)
        json_array_append_new(array, json_text(lines[n], strlen(lines[n])));
    return array;
}

/* RFC 3339. */
static json_t *time_json(uint64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / 1000000000);
    struct tm parts;
    char text[32];

    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return json_string(text);
}

json_t *reload_json(const struct reload_result *result)
{
    return json_pack(
        "{s:s, s:o, s:f, s:o, s:o}", "result", reload_outcome_label(result->outcome), "time",
        time_json(result->wall_ns), "duration_ms", (double)(result->duration_ns - result->duration_ns % 1000) / 1e6,
        result->outcome == RELOAD_DONE ? "changes" : "errors", lines_json(result->lines, result->line_count),
        "warnings", lines_json(result->warnings, result->warning_count));
}

json_t *reload_last_json(struct reloader *reloader)
{
    struct reload_result *last = reloader == NULL ? NULL : reloader_last(reloader);
    json_t *json = last == NULL ? json_null() : reload_json(last);

    reload_result_unref(&last);
    return json;
}

void reload_metrics(struct reloader *reloader, struct buffer *buffer)
{
    struct prometheus text = { .out = buffer };

    if (reloader == NULL)
        return;
    prometheus_begin(&text, "weir_config_reloads_total", "counter", "Reloads of the configuration, by their result.");
    for (unsigned outcome = 0; outcome < RELOAD_OUTCOMES; outcome++) {
        prometheus_series(&text, "result", reload_outcome_label((enum reload_outcome)outcome));
        prometheus_number(&text, reloader_count(reloader, (enum reload_outcome)outcome));
    }
}
