/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weir/errors.h>

#include "../base/suggest.h"
#include "../tls/pki.h"
#include "../tls/pki_index.h"
#include "commands.h"
#include "options.h"

/* `weir pki`: a development CA, one action at a time. */

#define DEFAULT_FOLDER "pki"
#define NAMES_MAX 63
#define NAME_COLUMNS 36

struct action {
    const char *name;
    const char *arguments;
    const char *summary;
    int (*run)(const struct action *action, int argc, char **argv);
};

/* What an action was told. */
struct told {
    const char *folder;
    uint32_t days;
    struct cli_texts addresses, uris;
    char **names; /* the arguments */
    uint32_t name_count;
};

#define OPTION_DIR(told)                                                                                               \
    {                                                                                                                  \
        'd', "dir", "DIR", "the CA's folder (" DEFAULT_FOLDER ")", .text = &(told)->folder                             \
    }
#define OPTION_DAYS(told, help)                                                                                        \
    {                                                                                                                  \
        0, "days", "N", help, .number = &(told)->days, .min = 1, .max = PKI_DAYS_MAX                                   \
    }

/* Returns CLI_GO_ON or an exit status. */
static int read_arguments(const struct action *action, const char *about, const struct cli_option *options,
                          uint32_t option_count, int argc, char **argv, struct told *told)
{
    char command[32];
    int names_max = action->arguments[0] == '\0' ? 0 : NAMES_MAX;
    snprintf(command, sizeof command, "pki %s", action->name);
    const struct cli_page page = { command, action->arguments, about, options, option_count, names_max };
    int status = cli_read(&page, argc, argv);
    if (status != CLI_GO_ON)
        return status;
    told->names = argv + optind;
    told->name_count = (uint32_t)(argc - optind);
    if (names_max > 0 && told->name_count == 0)
        return cli_wrong(command, "a name is missing");
    return CLI_GO_ON;
}

static int finish(int err, const struct pki_error *error)
{
    if (err == 0)
        return EXIT_OK;
    fprintf(stderr, "weir: %s\n", error->text);
    return err == WEIR_EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

static const char *day_of(int64_t time_s, char text[PKI_TIME_TEXT])
{
    pki_time_format(time_s, text, PKI_TIME_TEXT);
    text[strcspn(text, "T")] = '\0';
    return text;
}

/* init */

static int run_init(const struct action *action, int argc, char **argv)
{
    struct told told = { .folder = DEFAULT_FOLDER, .days = PKI_CA_DAYS };
    const struct cli_option options[] = { OPTION_DIR(&told), OPTION_DAYS(&told, "how long the CA is valid (3650)") };
    static const char about[] = "Makes a CA for development in a new folder: its certificate, its key, an index and a\n"
                                "CRL that is good for 30 days. The key is not encrypted: whoever can read it can be\n"
                                "everybody. For production use the CA of your organization.\n";
    int status = read_arguments(action, about, options, 2, argc, argv, &told);
    if (status != CLI_GO_ON)
        return status;
    struct pki_error error;
    int err = pki_init(told.folder, time(NULL), told.days, &error);
    if (err == 0)
        printf("Made a development CA in %s.\n"
               "Give ca.crt and ca.crl to those who verify. ca.key stays there; it is not encrypted.\n",
               told.folder);
    return finish(err, &error);
}

/* server, client */

static void print_names(const char *kind, struct pki_texts texts)
{
    for (uint32_t n = 0; n < texts.count; n++)
        printf("  %s%s\n", kind, texts.at[n]);
}

static void print_issued(const char *folder, const struct pki_request *request, const struct pki_entry *entry)
{
    char day[PKI_TIME_TEXT];
    printf("Made %s/%s.crt and .key, for a %s, until %s\n", folder, entry->name, request->server ? "server" : "client",
           day_of(entry->expires_s, day));
    print_names("dns:", request->names);
    print_names("ip:", request->addresses);
    print_names("uri:", request->uris);
}

/* The CRL is renewed on the way, as by every action that changes something. */
static int issue(const char *folder, const struct pki_request *request)
{
    struct pki_error error;
    struct pki *pki = NULL;
    const struct pki_entry *entry = NULL;
    int err = pki_open(folder, time(NULL), &pki, &error);
    if (err == 0)
        err = pki_issue(pki, request, &entry, &error);
    if (err == 0)
        print_issued(folder, request, entry);
    if (err == 0)
        err = pki_write_crl(pki, PKI_CRL_DAYS, &error);
    pki_close(&pki);
    return finish(err, &error);
}

static struct pki_request request_of(const struct told *told, bool server)
{
    return (struct pki_request){ .server = server,
                                 .names = { (const char *const *)told->names, told->name_count },
                                 .addresses = { told->addresses.at, told->addresses.count },
                                 .uris = { told->uris.at, told->uris.count },
                                 .days = told->days };
}

static int run_server(const struct action *action, int argc, char **argv)
{
    struct told told = { .folder = DEFAULT_FOLDER };
    const struct cli_option options[] = {
        OPTION_DIR(&told),
        OPTION_DAYS(&told, "how long it is valid (825)"),
        { 0, "ip", "ADDRESS", "an address that it proves too; may be given again", .texts = &told.addresses },
    };
    static const char about[] = "Makes a key and a certificate for a server: a listener of Weir, or an upstream. It\n"
                                "proves the DNS names; the first one also names the files, NAME.crt and NAME.key.\n";
    int status = read_arguments(action, about, options, 3, argc, argv, &told);
    if (status != CLI_GO_ON)
        return status;
    const struct pki_request request = request_of(&told, true);
    return issue(told.folder, &request);
}

static int run_client(const struct action *action, int argc, char **argv)
{
    struct told told = { .folder = DEFAULT_FOLDER };
    const struct cli_option options[] = {
        OPTION_DIR(&told),
        OPTION_DAYS(&told, "how long it is valid (398)"),
        { 0, "uri", "URI", "a URI that it proves too, like a SPIFFE ID; may be given again", .texts = &told.uris },
    };
    static const char about[] = "Makes a key and a certificate for a client, NAME.key and NAME.crt. In a\n"
                                "configuration it is identity dns:NAME, or uri:URI. Weir itself needs one where it\n"
                                "speaks TLS to upstreams that want to know who it is.\n";
    int status = read_arguments(action, about, options, 3, argc, argv, &told);
    if (status != CLI_GO_ON)
        return status;
    if (told.name_count > 1)
        return cli_wrong("pki client", "\"%s\" is one argument too many", told.names[1]);
    const struct pki_request request = request_of(&told, false);
    return issue(told.folder, &request);
}

/* revoke, crl */

static int revoke_all(const struct told *told)
{
    struct pki_error error;
    struct pki *pki = NULL;
    int err = pki_open(told->folder, time(NULL), &pki, &error);
    for (uint32_t n = 0; err == 0 && n < told->name_count; n++) {
        uint32_t count = 0;
        err = pki_revoke(pki, told->names[n], &count, &error);
        if (err == 0 && count > 0)
            printf("Revoked %s: %u certificate%s. %s/ca.crl says so.\n", told->names[n], count, count == 1 ? "" : "s",
                   told->folder);
        else if (err == 0)
            printf("%s was revoked before. %s/ca.crl says so.\n", told->names[n], told->folder);
    }
    pki_close(&pki);
    return finish(err, &error);
}

static int run_revoke(const struct action *action, int argc, char **argv)
{
    struct told told = { .folder = DEFAULT_FOLDER };
    const struct cli_option options[] = { OPTION_DIR(&told) };
    static const char about[] = "Revokes all certificates of each NAME, or the one with a serial, and writes ca.crl\n"
                                "anew. Whoever verifies must be given the new ca.crl.\n";
    int status = read_arguments(action, about, options, 1, argc, argv, &told);
    return status == CLI_GO_ON ? revoke_all(&told) : status;
}

static int run_crl(const struct action *action, int argc, char **argv)
{
    struct told told = { .folder = DEFAULT_FOLDER, .days = PKI_CRL_DAYS };
    const struct cli_option options[] = { OPTION_DIR(&told), OPTION_DAYS(&told, "how long it is good (30)") };
    static const char about[] = "Writes ca.crl anew. When a CRL that Weir was given is too old, Weir refuses every\n"
                                "certificate under that CA: renew it in time, and give it to Weir.\n";
    int status = read_arguments(action, about, options, 2, argc, argv, &told);
    if (status != CLI_GO_ON)
        return status;
    struct pki_error error;
    struct pki *pki = NULL;
    char day[PKI_TIME_TEXT];
    int err = pki_open(told.folder, time(NULL), &pki, &error);
    if (err == 0)
        err = pki_write_crl(pki, told.days, &error);
    if (err == 0)
        printf("Wrote %s/ca.crl, good until %s.\n", told.folder, day_of(pki_crl_expires(pki), day));
    pki_close(&pki);
    return finish(err, &error);
}

/* list */

static const char *state_of(const struct pki_entry *entry, int64_t now_s)
{
    if (entry->revoked_s != 0)
        return "revoked";
    return entry->expires_s <= now_s ? "expired" : "valid";
}

static void print_entry(const struct pki_entry *entry, int64_t now_s)
{
    char day[PKI_TIME_TEXT];
    bool cut = strlen(entry->name) > NAME_COLUMNS, valid = entry->revoked_s == 0 && entry->expires_s > now_s;
    const char *bold = valid ? "" : cli_bold(stdout), *plain = valid ? "" : cli_plain(stdout);
    printf(cut ? "%.*s.." : "%-*s", cut ? NAME_COLUMNS - 2 : NAME_COLUMNS, entry->name);
    printf("  %-6s  %-32s  %-10s  %s%s%s\n", entry->server ? "server" : "client", entry->serial,
           day_of(entry->expires_s, day), bold, state_of(entry, now_s), plain);
}

static void print_ca(const struct pki *pki, const char *folder, int64_t now_s)
{
    char day[PKI_TIME_TEXT];
    int64_t ca_s = pki_ca_expires(pki), crl_s = pki_crl_expires(pki);
    printf("\nDevelopment CA in %s: %s %s.", folder, ca_s > now_s ? "valid until" : "EXPIRED on", day_of(ca_s, day));
    if (crl_s == 0)
        printf(" There is no CRL: weir pki crl\n");
    else
        printf(" CRL: %s %s%s\n", crl_s > now_s ? "good until" : "EXPIRED on", day_of(crl_s, day),
               crl_s > now_s ? "." : ": weir pki crl");
}

static int run_list(const struct action *action, int argc, char **argv)
{
    struct told told = { .folder = DEFAULT_FOLDER };
    const struct cli_option options[] = { OPTION_DIR(&told) };
    static const char about[] = "Lists the certificates that the CA has made, in that order, with their states.\n";
    int status = read_arguments(action, about, options, 1, argc, argv, &told);
    if (status != CLI_GO_ON)
        return status;
    struct pki_error error;
    struct pki *pki = NULL;
    int64_t now_s = time(NULL);
    int err = pki_open(told.folder, now_s, &pki, &error);
    if (err != 0)
        return finish(err, &error);
    printf("%s%-*s  %-6s  %-32s  %-10s  %s%s\n", cli_bold(stdout), NAME_COLUMNS, "NAME", "KIND", "SERIAL", "EXPIRES",
           "STATE", cli_plain(stdout));
    for (uint32_t n = 0; n < pki_entry_count(pki); n++)
        print_entry(pki_entry(pki, n), now_s);
    print_ca(pki, told.folder, now_s);
    pki_close(&pki);
    return EXIT_OK;
}

/* Which action */

static const struct action actions[] = {
    { "init", "", "make a CA", run_init },
    { "server", "NAME...", "make a key and a certificate for a server", run_server },
    { "client", "NAME", "make a key and a certificate for a client", run_client },
    { "revoke", "NAME...", "revoke certificates, and write the CRL", run_revoke },
    { "crl", "", "write the CRL anew, before it is too old", run_crl },
    { "list", "", "list the certificates", run_list },
};
#define ACTIONS (sizeof actions / sizeof actions[0])

static void print_overview(void)
{
    printf("%susage:%s weir pki ACTION [OPTIONS]\n\n"
           "A small CA for development and tests, in a folder (--dir DIR, else ./" DEFAULT_FOLDER "). Its key is not\n"
           "encrypted. Nothing is ever overwritten.\n\n%sactions:%s\n",
           cli_bold(stdout), cli_plain(stdout), cli_bold(stdout), cli_plain(stdout));
    for (size_t n = 0; n < ACTIONS; n++)
        printf("  %-7s %-8s  %s\n", actions[n].name, actions[n].arguments, actions[n].summary);
    printf("\nweir pki ACTION --help tells more.\n");
}

int cmd_pki(int argc, char **argv)
{
    if (argc < 2)
        return cli_wrong("pki", "an action is missing");
    const char *name = argv[1];
    if (strcmp(name, "-h") == 0 || strcmp(name, "--help") == 0) {
        print_overview();
        return EXIT_OK;
    }
    struct suggestion suggestion = suggest_for(name);
    for (size_t n = 0; n < ACTIONS; n++) {
        if (strcmp(actions[n].name, name) == 0)
            return actions[n].run(&actions[n], argc - 1, argv + 1);
        suggest_offer(&suggestion, actions[n].name);
    }
    if (suggestion.best != NULL)
        return cli_wrong("pki", "unknown action \"%s\"; did you mean \"%s\"?", name, suggestion.best);
    return cli_wrong("pki", "unknown action \"%s\"; the action comes first", name);
}
