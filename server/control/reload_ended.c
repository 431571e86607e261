/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../proxy/health.h"
#include "config_report.h"
#include "reload_changes.h"

#define TEXT_BYTES (3 * NAME_MAX_BYTES + 32)

void reload_count_ended(struct ended *ended, const struct review_row *rows, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        uint32_t at = 0;
        while (at < ended->count &&
               (ended->rows[at].client != rows[n].client || ended->rows[at].place != rows[n].place))
            at++;
        if (at == ENDED_ROWS)
            continue;
        if (at == ended->count)
            ended->rows[ended->count++] = (struct review_row){ .client = rows[n].client, .place = rows[n].place };
        ended->rows[at].ended += rows[n].ended;
    }
}

static const char *plural(uint32_t count)
{
    return count == 1 ? "" : "s";
}

/* "carol loses db/db2", or only up to the pool. */
static void loss_text(const struct review_row *row, bool whole_pool, char text[TEXT_BYTES])
{
    const char *place = row->place->key, *slash = strchr(place, '/');
    int size = (int)(whole_pool ? slash - place : slash + 1 + strlen(row->place->upstream->name) - place);
    snprintf(text, TEXT_BYTES, "policy: %s loses %.*s", row->client == NULL ? "an unknown client" : row->client->name,
             size, place);
}

static bool is_about(const char *line, const struct review_row *row)
{
    char text[TEXT_BYTES];
    loss_text(row, false, text);
    if (strcmp(line, text) == 0)
        return true;
    loss_text(row, true, text);
    return strcmp(line, text) == 0;
}

static void add_to_line(struct ended *ended, char **pline)
{
    uint32_t sum = 0;
    char *told = NULL;
    for (uint32_t n = 0; n < ended->count; n++) {
        if (!is_about(*pline, &ended->rows[n]))
            continue;
        sum += ended->rows[n].ended;
        ended->rows[n].ended = 0;
    }
    if (sum == 0 || asprintf(&told, "%s (%" PRIu32 " open connection%s)", *pline, sum, plural(sum)) < 0)
        return;
    free(*pline);
    *pline = told;
}

static int add_line(const struct review_row *row, struct config_errors *changes)
{
    char text[TEXT_BYTES];
    if (row->ended == 0)
        return 0;
    loss_text(row, false, text);
    const char *target = strstr(text, " loses ") + strlen(" loses ");
    return config_errors_add(changes, "%" PRIu32 " open connection%s of %s to %s ended", row->ended, plural(row->ended),
                             row->client == NULL ? "unknown clients" : row->client->name, target);
}

void reload_tell_ended(struct ended *ended, struct config_errors *changes)
{
    for (uint32_t n = 0; n < changes->count; n++)
        add_to_line(ended, &changes->lines[n]);
    for (uint32_t n = 0; n < ended->count; n++)
        if (add_line(&ended->rows[n], changes) != 0)
            return;
}
