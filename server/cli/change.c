/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "client.h"
#include "commands.h"
#include "options.h"

/* `weir drain`, `weir disable` and `weir enable`: the state of an upstream. */

struct change {
    const char *command, *state;
    const char *about;
    const char *done, *one, *many; /* what is said of the upstream, and of its connections */
};

/* The pool, if one is named, only has to be right. Returns the exit status. */
static int ask(struct admin_client *client, const char *target, const char *state, json_t **ret_json)
{
    const char *slash = strchr(target, '/');
    char *name = client_escape(slash == NULL ? target : slash + 1), *path = NULL;
    json_t *body = json_pack("{s:s}", "state", state);
    char *text = NULL;

    if (slash != NULL)
        json_object_set_new(body, "pool", json_stringn(target, (size_t)(slash - target)));
    if (name != NULL && asprintf(&path, "/api/v1/upstreams/%s", name) < 0)
        path = NULL;
    text = json_dumps(body, 0);
    int status = EXIT_FAILED;
    if (path != NULL && text != NULL)
        status = client_ask_json(client, "POST", path, text, ret_json);
    else
        snprintf(client->trouble, sizeof client->trouble, "%s", weir_strerror(WEIR_ENOMEM));
    free(name);
    free(path);
    free(text);
    json_decref(body);
    return status;
}

static void say(const struct change *change, const json_t *json)
{
    long long active = json_integer_value(json_object_get(json, "active"));

    printf("%s %s", json_string_value(json_object_get(json, "name")), change->done);
    if (active > 0)
        printf("; %lld %s", active, active == 1 ? change->one : change->many);
    printf("\n");
}

static int run(const struct change *change, int argc, char **argv)
{
    struct admin_client client = { .command = change->command, .config = DEFAULT_CONFIG };
    const struct cli_option options[] = { CLIENT_OPTIONS(&client) };
    const struct cli_page page = {
        change->command, "[-c FILE | --socket PATH] [POOL/]UPSTREAM", change->about, options, 2, 1
    };
    json_t *json = NULL;
    int status = cli_read(&page, argc, argv);

    if (status != CLI_GO_ON)
        return status;
    if (optind == argc)
        return cli_wrong(change->command, "which upstream? weir status lists them");
    status = client_find(&client);
    if (status != EXIT_OK)
        return status;
    status = ask(&client, argv[optind], change->state, &json);
    if (status != EXIT_OK)
        return client_complain(&client, status);
    say(change, json);
    json_decref(json);
    return EXIT_OK;
}

int cmd_drain(int argc, char **argv)
{
    static const struct change change = {
        "drain",
        "drain",
        "Gives an upstream no new connections, in any pool; those that it has go on.\n"
        "POOL only checks that the upstream is in it. Lasts until weir enable.\n",
        "gets no new connections",
        "open one goes on",
        "open ones go on",
    };
    return run(&change, argc, argv);
}

int cmd_disable(int argc, char **argv)
{
    static const struct change change = {
        "disable",
        "disabled",
        "Gives an upstream no new connections, in any pool, and ends those that it has.\n"
        "POOL only checks that the upstream is in it. Lasts until weir enable.\n",
        "gets no connections",
        "open one is ended",
        "open ones are ended",
    };
    return run(&change, argc, argv);
}

int cmd_enable(int argc, char **argv)
{
    static const struct change change = {
        "enable",
        "enabled",
        "Gives an upstream connections again that was drained or disabled.\n"
        "POOL only checks that the upstream is in it.\n",
        "gets connections",
        "is open",
        "are open",
    };
    return run(&change, argc, argv);
}
