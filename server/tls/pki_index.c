/* SPDX-License-Identifier: Apache-2.0 */
#include "pki_index.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/errors.h>

#include "pki_names.h"

#define TIME_FORMAT "%Y-%m-%dT%H:%M:%SZ"
#define HEX "0123456789ABCDEF"

const char *pki_time_format(int64_t time_s, char *text, size_t size)
{
    time_t time = (time_t)time_s;
    struct tm parts;
    if (gmtime_r(&time, &parts) == NULL || strftime(text, size, TIME_FORMAT, &parts) == 0)
        snprintf(text, size, "?");
    return text;
}

static bool read_time(const char *text, int64_t *ret_time_s)
{
    struct tm parts = { 0 };
    const char *end = strptime(text, TIME_FORMAT, &parts);
    if (end == NULL || *end != '\0')
        return false;
    *ret_time_s = timegm(&parts);
    return *ret_time_s > 0;
}

static bool read_entry(char *line, struct pki_entry *entry)
{
    char *rest = NULL;
    const char *serial = strtok_r(line, " \n", &rest), *kind = strtok_r(NULL, " \n", &rest);
    const char *expires = strtok_r(NULL, " \n", &rest), *revoked = strtok_r(NULL, " \n", &rest);
    const char *name = strtok_r(NULL, " \n", &rest);
    if (name == NULL || strtok_r(NULL, " \n", &rest) != NULL || !pki_name_is_good(name))
        return false;
    size_t digits = strlen(serial);
    if (digits > PKI_SERIAL_MAX || strspn(serial, HEX) != digits)
        return false;
    snprintf(entry->name, sizeof entry->name, "%s", name);
    snprintf(entry->serial, sizeof entry->serial, "%s", serial);
    entry->server = strcmp(kind, "server") == 0;
    return (entry->server || strcmp(kind, "client") == 0) && read_time(expires, &entry->expires_s) &&
           (strcmp(revoked, "-") == 0 || read_time(revoked, &entry->revoked_s));
}

int pki_index_add(struct pki_index *index, const struct pki_entry *entry)
{
    /* Doubled whenever full, which a power of two tells. */
    if ((index->count & (index->count - 1)) == 0) {
        size_t room = index->count == 0 ? 1 : 2 * (size_t)index->count;
        struct pki_entry *entries = reallocarray(index->entries, room, sizeof *entries);
        if (entries == NULL)
            return WEIR_ENOMEM;
        index->entries = entries;
    }
    index->entries[index->count++] = *entry;
    return 0;
}

int pki_index_read(FILE *stream, struct pki_index *index, uint32_t *ret_line)
{
    char *line = NULL;
    size_t room = 0;
    int err = 0;
    uint32_t number = 0;
    while (err == 0 && getline(&line, &room, stream) >= 0) {
        struct pki_entry entry = { 0 };
        number++;
        if (line[0] == '#')
            continue;
        err = read_entry(line, &entry) ? pki_index_add(index, &entry) : WEIR_EIO;
    }
    *ret_line = number;
    if (err == 0 && ferror(stream) != 0) {
        *ret_line = 0;
        err = WEIR_EIO;
    }
    free(line);
    return err;
}

void pki_index_write(FILE *stream, const struct pki_index *index)
{
    fprintf(stream, "# Certificates of a development CA, made by weir pki. `weir pki list` shows them.\n"
                    "# serial, kind, expires, revoked (or -), name\n");
    for (uint32_t n = 0; n < index->count; n++) {
        const struct pki_entry *entry = &index->entries[n];
        char expires[PKI_TIME_TEXT], revoked[PKI_TIME_TEXT] = "-";
        if (entry->revoked_s != 0)
            pki_time_format(entry->revoked_s, revoked, sizeof revoked);
        fprintf(stream, "%s %s %s %s %s\n", entry->serial, entry->server ? "server" : "client",
                pki_time_format(entry->expires_s, expires, sizeof expires), revoked, entry->name);
    }
}

void pki_index_free(struct pki_index *index)
{
    free(index->entries);
    *index = (struct pki_index){ 0 };
}
