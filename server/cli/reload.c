/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "client.h"
#include "commands.h"
#include "options.h"

/* `weir reload`: asks, waits, and says what has changed, or why nothing has. */

static void print_lines(FILE *stream, const char *before, const json_t *lines)
{
    size_t n;
    json_t *line;

    json_array_foreach(lines, n, line) fprintf(stream, "%s%s\n", before, json_string_value(line));
}

static int say(struct admin_client *client, int status, const json_t *json)
{
    const json_t *changes = json_object_get(json, "changes");

    print_lines(stderr, "", json_object_get(json, "errors"));
    print_lines(stderr, "warning: ", json_object_get(json, "warnings"));
    if (status != EXIT_OK)
        return client_complain(client, status);
    print_lines(stdout, "", changes);
    if (json_array_size(changes) == 0)
        printf("nothing has changed\n");
    return EXIT_OK;
}

int cmd_reload(int argc, char **argv)
{
    struct admin_client client = { .command = "reload", .config = DEFAULT_CONFIG };
    const struct cli_option options[] = { CLIENT_OPTIONS(&client) };
    static const char about[] = "Makes a running balancer read its configuration, certificates and CRLs anew, without\n"
                                "losing a connection, and says what has changed. When something is wrong with them,\n"
                                "everything is told, nothing is changed, and the exit status is 2.\n";
    const struct cli_page page = { "reload", "[-c FILE | --socket PATH]", about, options, 2, 0 };
    struct client_answer answer = { 0 };
    json_t *json = NULL;
    int status = cli_read(&page, argc, argv);

    if (status != CLI_GO_ON || (status = client_find(&client)) != EXIT_OK)
        return status;
    if (client_ask(&client, "POST", "/api/v1/reload", NULL, &answer) != 0)
        return client_complain(&client, EXIT_FAILED);
    status = client_judge(&client, &answer, &json);
    status = say(&client, status, json);
    json_decref(json);
    free(answer.body);
    return status;
}
