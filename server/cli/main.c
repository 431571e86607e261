/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../base/suggest.h"
#include "commands.h"
#include "options.h"

static int cmd_help(int argc, char **argv);

struct command {
    const char *name;
    const char *arguments;
    const char *summary;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    { "run", "[-c FILE]", "run in the foreground", cmd_run },
    { "check", "[-c FILE]", "read the configuration, run its expectations; change nothing", cmd_check },
    { "explain", "[-c FILE] WHO", "say what a client may reach, and why", cmd_explain },
    { "demo", "", "show a balancer at work between hosts and clients", cmd_demo },
    { "pki", "ACTION", "a small development CA: keys, certificates, CRL", cmd_pki },
    { "status", "[--json]", "one look at a running balancer", cmd_status },
    { "top", "", "the same, live, in the terminal", cmd_top },
    { "reload", "", "make a running balancer read its configuration anew", cmd_reload },
    { "drain", "UPSTREAM", "give an upstream no new connections", cmd_drain },
    { "disable", "UPSTREAM", "the same, and end the open ones", cmd_disable },
    { "enable", "UPSTREAM", "take that back", cmd_enable },
    { "version", "", "print the version", cmd_version },
    { "help", "[COMMAND]", "explain a command", cmd_help },
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void print_overview(FILE *stream)
{
    const char *bold = cli_bold(stream), *plain = cli_plain(stream);

    fprintf(stream, "%sweir%s, a TCP load balancer that knows who is calling\n\n", bold, plain);
    fprintf(stream, "%susage:%s weir COMMAND [OPTIONS]\n\n%scommands:%s\n", bold, plain, bold, plain);
    for (size_t i = 0; i < COMMANDS; i++) {
        char left[32];
        snprintf(left, sizeof left, "%-8s %s", commands[i].name, commands[i].arguments);
        fprintf(stream, "  %-20s  %s\n", left, commands[i].summary);
    }
    fprintf(stream,
            "\nweir COMMAND --help tells more. FILE is " DEFAULT_CONFIG " unless -c names another one.\n"
            "Exit status: %d done, %d failed at run time, %d wrong use or wrong configuration.\n",
            EXIT_OK, EXIT_FAILED, EXIT_USAGE);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int refuse_command(const char *name)
{
    struct suggestion suggestion = suggest_for(name);

    for (size_t i = 0; i < COMMANDS; i++)
        suggest_offer(&suggestion, commands[i].name);
    if (suggestion.best != NULL)
        return cli_wrong(NULL, "unknown command \"%s\"; did you mean \"%s\"?", name, suggestion.best);
    return cli_wrong(NULL, "unknown command \"%s\"", name);
}

static int cmd_help(int argc, char **argv)
{
    static char help[] = "--help";

    if (argc < 2 || strcmp(argv[1], help) == 0 || strcmp(argv[1], "-h") == 0) {
        print_overview(stdout);
        return EXIT_OK;
    }
    const struct command *command = find_command(argv[1]);
    if (argc > 2)
        return cli_wrong(NULL, "\"%s\" is one argument too many", argv[2]);
    if (command == NULL)
        return refuse_command(argv[1]);
    return command->run(2, (char *[]){ argv[1], help, NULL });
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "-h") == 0 || strcmp(name, "--help") == 0)
        name = "help";
    else if (strcmp(name, "-V") == 0 || strcmp(name, "--version") == 0)
        name = "version";
    else if (name[0] == '-')
        return cli_wrong(NULL, "unknown option %s; a command comes first", name);
    const struct command *command = find_command(name);
    return command == NULL ? refuse_command(name) : command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    int status = dispatch(argc, argv);

    if (fflush(stdout) != 0 && status == EXIT_OK) {
        perror("weir: standard output");
        status = EXIT_FAILED;
    }
    return status;
}
