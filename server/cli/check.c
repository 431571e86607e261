/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include <weir/errors.h>

#include "commands.h"
#include "options.h"

void print_config_errors(const struct config_errors *errors)
{
    for (uint32_t i = 0; i < errors->count; i++)
        fprintf(stderr, "%s\n", errors->lines[i]);
    for (uint32_t i = 0; i < errors->warning_count; i++)
        fprintf(stderr, "warning: %s\n", errors->warnings[i]);
}

/* Judges the snapshot in a state of its own that nobody else sees: expectations go through the same code as
 * connections. */
static int run_expectations(struct snapshot *snapshot, struct state *state, struct config_errors *errors)
{
    int err = state_new(0, state);

    if (err == 0)
        err = snapshot_bind(snapshot, state, 1);
    return err == 0 ? config_expect(snapshot, errors) : err;
}

static const char *plural(uint32_t count)
{
    return count == 1 ? "" : "s";
}

static void print_summary(const char *path, const struct snapshot *snapshot)
{
    uint32_t expectations = snapshot->expectation_count;

    printf("%s is good: %u listener%s, %u pool%s, %u upstream%s", path, snapshot->listener_count,
           plural(snapshot->listener_count), snapshot->pool_count, plural(snapshot->pool_count),
           snapshot->upstream_count, plural(snapshot->upstream_count));
    if (snapshot->client_count > 0)
        printf(", %u client%s", snapshot->client_count, plural(snapshot->client_count));
    if (expectations > 0)
        printf(", %u expectation%s", expectations, expectations == 1 ? " holds" : "s hold");
    printf("\n");
}

static int check(const char *path)
{
    struct snapshot *snapshot = NULL;
    struct state state = { 0 };
    struct config_errors errors = { 0 };
    int err = config_read(path, &snapshot, &errors);

    if (err == 0)
        err = run_expectations(snapshot, &state, &errors);
    if (err == 0)
        print_summary(path, snapshot);
    else if (errors.count == 0)
        fprintf(stderr, "weir: cannot check %s: %s\n", path, weir_strerror(err));
    print_config_errors(&errors);
    config_errors_free(&errors);
    snapshot_free(&snapshot);
    state_free(&state);
    if (err == 0)
        return EXIT_OK;
    return err == WEIR_EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

int cmd_check(int argc, char **argv)
{
    const char *path = DEFAULT_CONFIG;
    const struct cli_option options[] = {
        { 'c', "config", "FILE", "the configuration (" DEFAULT_CONFIG ")", .text = &path },
    };
    static const char about[] = "Reads the configuration, checks all of it and runs its `expect` lines. Nothing is\n"
                                "changed and no socket is opened. Every error is told in one run, each as\n"
                                "FILE:LINE:COLUMN: what is wrong, and what would be right.\n";
    const struct cli_page page = { "check", "[-c FILE]", about, options, 1, 0 };
    int status = cli_read(&page, argc, argv);

    return status == CLI_GO_ON ? check(path) : status;
}
