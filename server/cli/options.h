/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The values of an option that may be given several times. */
#define CLI_TEXTS_MAX 64
struct cli_texts {
    const char *at[CLI_TEXTS_MAX];
    uint32_t count;
};

/* A command's options as a table, from which both its parsing and its help page come. -h and --help are always there.
 * Of flag, text, texts and number exactly one is set. */
struct cli_option {
    char letter; /* 0: none */
    const char *name;
    const char *value; /* what the help page calls the value, like "FILE"; NULL for a flag */
    const char *help;
    bool *flag;
    const char **text;
    struct cli_texts *texts;
    uint32_t *number;
    uint32_t min, max; /* of a number */
};

struct cli_page {
    const char *command;   /* "check" */
    const char *arguments; /* what stands behind it, like "[-c FILE]" */
    const char *about;     /* what it does: lines of at most 80 columns, each with its newline */
    const struct cli_option *options;
    uint32_t option_count;
    int arguments_max; /* beside the options */
};

#define CLI_OPTIONS_MAX 16
#define CLI_GO_ON (-1)

/* Reads the options into where their table points. Returns CLI_GO_ON, or the exit status when there is nothing more to
 * do: the help page was asked for, or something was wrong and is said on standard error. The remaining arguments stand
 * in argv from `optind` on. */
int cli_read(const struct cli_page *page, int argc, char **argv);

/* Says "weir: MESSAGE" and where help is, on standard error; returns EXIT_USAGE. `command` may be NULL. */
int cli_wrong(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What begins and ends bold text on this stream; empty when it is no terminal or NO_COLOR is set. */
const char *cli_bold(FILE *stream);
const char *cli_plain(FILE *stream);
/* The same for a colour, by its escape ("\033[31m"). */
const char *cli_style(FILE *stream, const char *escape);

#endif
