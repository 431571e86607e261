/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/suggest.h"
#include "commands.h"

/* getopt's codes of long options: beyond all letters. */
#define CODE_BASE 256
#define CODE_HELP (CODE_BASE + CLI_OPTIONS_MAX)

static bool styled(FILE *stream)
{
    const char *no_color = getenv("NO_COLOR");

    return (no_color == NULL || no_color[0] == '\0') && isatty(fileno(stream));
}

const char *cli_style(FILE *stream, const char *escape)
{
    return styled(stream) ? escape : "";
}

const char *cli_bold(FILE *stream)
{
    return cli_style(stream, "\033[1m");
}

const char *cli_plain(FILE *stream)
{
    return cli_style(stream, "\033[0m");
}

int cli_wrong(const char *command, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fprintf(stderr, "weir: ");
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nTry: weir%s%s --help\n", command == NULL ? "" : " ", command == NULL ? "" : command);
    return EXIT_USAGE;
}

static void print_option(char letter, const char *name, const char *value, const char *help)
{
    char left[32];
    char short_form[] = { '-', letter, ',', ' ', '\0' };

    snprintf(left, sizeof left, "%s--%s%s%s", letter == 0 ? "    " : short_form, name, value == NULL ? "" : " ",
             value == NULL ? "" : value);
    printf("  %-24s %s\n", left, help);
}

static void print_page(const struct cli_page *page)
{
    printf("%susage:%s weir %s%s%s\n\n%s\n", cli_bold(stdout), cli_plain(stdout), page->command,
           page->arguments[0] == '\0' ? "" : " ", page->arguments, page->about);
    printf("%soptions:%s\n", cli_bold(stdout), cli_plain(stdout));
    for (uint32_t i = 0; i < page->option_count; i++) {
        const struct cli_option *option = &page->options[i];
        print_option(option->letter, option->name, option->value, option->help);
    }
    print_option('h', "help", NULL, "show this page");
}

/* getopt's two forms of the table. */
struct getopt_tables {
    char letters[2 * CLI_OPTIONS_MAX + 4];
    struct option words[CLI_OPTIONS_MAX + 2];
};

static struct getopt_tables make_tables(const struct cli_page *page)
{
    struct getopt_tables tables = { .letters = ":h" };
    char *letter = tables.letters + strlen(tables.letters);

    assert(page->option_count <= CLI_OPTIONS_MAX);
    for (uint32_t i = 0; i < page->option_count; i++) {
        const struct cli_option *option = &page->options[i];
        int has_value = option->value == NULL ? no_argument : required_argument;
        tables.words[i] = (struct option){ option->name, has_value, NULL, CODE_BASE + (int)i };
        if (option->letter == 0)
            continue;
        *letter++ = option->letter;
        if (has_value == required_argument)
            *letter++ = ':';
    }
    tables.words[page->option_count] = (struct option){ "help", no_argument, NULL, CODE_HELP };
    return tables;
}

static const struct cli_option *find_option(const struct cli_page *page, int code)
{
    if (code >= CODE_BASE)
        return &page->options[code - CODE_BASE];
    for (uint32_t i = 0; i < page->option_count; i++)
        if (page->options[i].letter == code)
            return &page->options[i];
    return NULL;
}

/* getopt leaves 0 in optopt for an unknown word, else the code of the letter or word that it dislikes. */
static int refuse_option(const struct cli_page *page, const char *argument)
{
    const char *name = argument + strspn(argument, "-");
    struct suggestion suggestion = suggest_for(name);

    if (optopt >= CODE_BASE)
        return cli_wrong(page->command, "--%.*s takes no value", (int)strcspn(name, "="), name);
    if (optopt != 0)
        return cli_wrong(page->command, "unknown option -%c", optopt);
    for (uint32_t i = 0; i < page->option_count; i++)
        suggest_offer(&suggestion, page->options[i].name);
    suggest_offer(&suggestion, "help");
    if (suggestion.best == NULL)
        return cli_wrong(page->command, "unknown option %s", argument);
    return cli_wrong(page->command, "unknown option %s; did you mean --%s?", argument, suggestion.best);
}

static bool read_number(const char *text, const struct cli_option *option)
{
    char *end;

    errno = 0;
    uintmax_t number = strtoumax(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < option->min || number > option->max)
        return false;
    *option->number = (uint32_t)number;
    return true;
}

static int add_text(const struct cli_page *page, const struct cli_option *option)
{
    if (option->texts->count == CLI_TEXTS_MAX)
        return cli_wrong(page->command, "--%s may be given %d times", option->name, CLI_TEXTS_MAX);
    option->texts->at[option->texts->count++] = optarg;
    return CLI_GO_ON;
}

static int take_option(const struct cli_page *page, const struct cli_option *option)
{
    if (option->texts != NULL)
        return add_text(page, option);
    if (option->flag != NULL)
        *option->flag = true;
    else if (option->text != NULL)
        *option->text = optarg;
    else if (!read_number(optarg, option))
        return cli_wrong(page->command, "--%s must be a number from %u to %u, not \"%s\"", option->name, option->min,
                         option->max, optarg);
    return CLI_GO_ON;
}

static int take_code(const struct cli_page *page, int code, char **argv)
{
    switch (code) {
    case 'h':
    case CODE_HELP:
        print_page(page);
        return EXIT_OK;
    case ':':
        return cli_wrong(page->command, "%s needs a value: %s", argv[optind - 1], find_option(page, optopt)->value);
    case '?':
        return refuse_option(page, argv[optind - 1]);
    default:
        return take_option(page, find_option(page, code));
    }
}

int cli_read(const struct cli_page *page, int argc, char **argv)
{
    struct getopt_tables tables = make_tables(page);
    int code, status = CLI_GO_ON;

    opterr = 0;
    optind = 0; /* a new scan */
    while (status == CLI_GO_ON && (code = getopt_long(argc, argv, tables.letters, tables.words, NULL)) != -1)
        status = take_code(page, code, argv);
    if (status == CLI_GO_ON && argc - optind > page->arguments_max)
        return cli_wrong(page->command, "\"%s\" is one argument too many", argv[optind + page->arguments_max]);
    return status;
}
