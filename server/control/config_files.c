/* SPDX-License-Identifier: Apache-2.0 */
#include "config_schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* Makes a path that is relative to the file an absolute one. Returns NULL when out of memory or place. */
static char *absolute_path(const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    char *result = NULL;

    if (path[0] == '/')
        return strdup(path);
    char *here = file[0] == '/' ? strdup("") : getcwd(NULL, 0);
    if (here == NULL)
        return NULL;
    int directory = slash == NULL ? 0 : (int)(slash - file) + 1;
    const char *between = here[0] == '\0' || strcmp(here, "/") == 0 ? "" : "/";
    if (asprintf(&result, "%s%s%.*s%s", here, between, directory, file, path) < 0)
        result = NULL;
    free(here);
    return result;
}

static void take_path(struct reader *reader, const char *text, char **slot)
{
    *slot = absolute_path(reader->snapshot->path, text);
    if (*slot == NULL)
        reader->report->out_of_memory = true;
}

static bool names_a_file(const char *text)
{
    return text != NULL && text[0] != '\0' && text[strlen(text) - 1] != '/';
}

void read_path(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    const char *text = node_text(node);

    if (names_a_file(text))
        take_path(reader, text, slot);
    else
        refuse(reader, field->key, node, "the path of a file, like tls/server.crt");
}

void read_socket(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    const char *text = node_text(node);
    char **path = slot;

    if (!names_a_file(text)) {
        refuse(reader, field->key, node, "the path of a socket, like /run/weir/admin.sock");
        return;
    }
    take_path(reader, text, path);
    if (*path != NULL && strlen(*path) > max)
        report_add(reader->report, node->at, "%s has a path of %zu bytes; at most %zu are possible", field->key,
                   strlen(*path), max);
}
