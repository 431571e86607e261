/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/errors.h>

#include "../base/clock.h"
#include "../base/suggest.h"
#include "../control/config_values.h"
#include "../control/explain.h"
#include "../tls/certificate.h"
#include "client.h"
#include "commands.h"
#include "explain_text.h"
#include "options.h"

#define CERTIFICATE_BYTES_MAX (1u << 20)

/* What is asked, and what is taken to answer it. */
struct question {
    const char *path; /* of the configuration */
    bool json;
    struct snapshot *snapshot;
    struct state state;
    struct certificate_names *names;
    struct explain_subject subject;
    uint32_t listener;
};

static int wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int wrong(const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "weir explain: ");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    return EXIT_USAGE;
}

static int out_of_memory(void)
{
    fprintf(stderr, "weir explain: %s\n", weir_strerror(WEIR_ENOMEM));
    return EXIT_FAILED;
}

static int load(struct question *question)
{
    struct config_errors errors = { 0 };
    int err = config_read(question->path, &question->snapshot, &errors);
    bool bad_file = errors.count > 0;

    if (err == 0)
        err = state_new(0, &question->state);
    if (err == 0)
        err = snapshot_bind(question->snapshot, &question->state, 1);
    if (err != 0 && !bad_file)
        fprintf(stderr, "weir: cannot load %s: %s\n", question->path, weir_strerror(err));
    print_config_errors(&errors);
    config_errors_free(&errors);
    if (err == 0)
        return EXIT_OK;
    return bad_file ? EXIT_USAGE : EXIT_FAILED;
}

/* At most CERTIFICATE_BYTES_MAX + 1 bytes. Returns 0, or WEIR_EIO and errno. */
static int read_file(const char *path, char *bytes, size_t *ret_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    size_t size = 0;
    ssize_t got = -1;

    if (fd < 0)
        return WEIR_EIO;
    do {
        got = read(fd, bytes + size, CERTIFICATE_BYTES_MAX + 1 - size);
        if (got > 0)
            size += (size_t)got;
    } while (got > 0 || (got < 0 && errno == EINTR));
    int reason = errno;
    close(fd);
    errno = reason;
    *ret_size = size;
    return got < 0 ? WEIR_EIO : 0;
}

static int ask_about_certificate(struct question *question)
{
    struct explain_subject *subject = &question->subject;
    char *bytes = malloc(CERTIFICATE_BYTES_MAX + 1);
    size_t size = 0;
    int status = EXIT_OK;

    int err = bytes == NULL ? WEIR_ENOMEM : read_file(subject->name, bytes, &size);
    if (err == WEIR_EIO)
        status = wrong("%s: %s", subject->name, strerror(errno));
    else if (err == 0)
        err = size > CERTIFICATE_BYTES_MAX ? WEIR_EINVAL
                                           : certificate_names_read(bytes, (uint32_t)size, &question->names);
    if (err == WEIR_EINVAL)
        status = wrong("%s: this is no certificate; write the path of a PEM file", subject->name);
    if (err == WEIR_ENOMEM)
        status = out_of_memory();
    free(bytes);
    if (err != 0)
        return status;
    subject->wall_ns = clock_ns(CLOCK_REALTIME);
    subject->kind = EXPLAIN_CERTIFICATE;
    certificate_names_identity(question->names, &subject->identity);
    return EXIT_OK;
}

static int ask_about_client(struct question *question)
{
    const struct snapshot *snapshot = question->snapshot;
    struct explain_subject *subject = &question->subject;
    struct suggestion suggestion = suggest_for(subject->name);

    subject->kind = EXPLAIN_CLIENT;
    subject->client = suggest_find(&suggestion, snapshot->clients, sizeof(struct client), snapshot->client_count);
    if (subject->client != ANY_INDEX)
        return EXIT_OK;
    if (suggestion.best != NULL)
        return wrong("unknown client \"%s\"; did you mean \"%s\"?", subject->name, suggestion.best);
    return wrong("\"%s\" is no client of %s, no address and no file", subject->name, question->path);
}

static bool is_file(const char *who)
{
    struct stat status;

    return strchr(who, '/') != NULL || (stat(who, &status) == 0 && S_ISREG(status.st_mode));
}

static int ask_about(struct question *question, const char *who)
{
    struct explain_subject *subject = &question->subject;

    subject->name = who;
    if (is_file(who))
        return ask_about_certificate(question);
    if (value_host(who, &subject->identity.address) != 0)
        return ask_about_client(question);
    subject->kind = EXPLAIN_ADDRESS;
    return EXIT_OK;
}

static int choose_listener(struct question *question, const char *name)
{
    const struct snapshot *snapshot = question->snapshot;

    question->listener = ANY_INDEX;
    if (name == NULL)
        return EXIT_OK;
    struct suggestion suggestion = suggest_for(name);
    question->listener =
        suggest_find(&suggestion, snapshot->listeners, sizeof(struct listener), snapshot->listener_count);
    if (question->listener != ANY_INDEX)
        return EXIT_OK;
    if (suggestion.best != NULL)
        return wrong("unknown listener \"%s\"; did you mean \"%s\"?", name, suggestion.best);
    return wrong("unknown listener \"%s\"; write one that %s defines", name, question->path);
}

static int print(const struct question *question, json_t *json)
{
    if (json == NULL)
        return out_of_memory();
    if (question->json) {
        json_dumpf(json, stdout, JSON_INDENT(2));
        printf("\n");
    } else {
        explain_print(json);
    }
    json_decref(json);
    return EXIT_OK;
}

/* What the file says. */
static int answer(struct question *question, const char *who, const char *listener)
{
    struct explanation *explanation = NULL;
    int status = load(question);

    if (status == EXIT_OK)
        status = choose_listener(question, listener);
    if (status == EXIT_OK)
        status = ask_about(question, who);
    if (status != EXIT_OK)
        return status;
    int err = explain(question->snapshot, &question->subject, question->listener, &explanation);
    json_t *json = err == 0 ? explain_json(explanation, NULL) : NULL;
    explanation_free(&explanation);
    return print(question, json);
}

/* Whether a balancer runs that the default configuration names, so that it is the one that is meant. */
static bool one_runs(struct admin_client *client)
{
    struct config_errors errors = { 0 };
    struct client_answer answer = { 0 };
    char *socket = NULL;
    bool runs = config_find_socket(client->config, &socket, &errors) == 0 && socket != NULL &&
                strlen(socket) < sizeof client->path;

    if (runs) {
        memcpy(client->path, socket, strlen(socket) + 1);
        runs = client_ask(client, "GET", "/healthz", NULL, &answer) == 0;
    }
    free(answer.body);
    free(socket);
    config_errors_free(&errors);
    return runs;
}

/* What the running balancer says. */
static int ask_balancer(const struct question *question, struct admin_client *client, const char *who,
                        const char *listener)
{
    char *escaped_who = client_escape(who), *escaped_listener = client_escape(listener == NULL ? "" : listener);
    char *path = NULL;
    json_t *json = NULL;

    if (escaped_who == NULL || escaped_listener == NULL ||
        asprintf(&path, "/api/v1/explain?client=%s%s%s", escaped_who,
                 listener == NULL ? "" : "&listener=", escaped_listener) < 0)
        path = NULL;
    int status = path == NULL ? EXIT_FAILED : client_ask_json(client, "GET", path, NULL, &json);
    free(escaped_who);
    free(escaped_listener);
    if (path == NULL)
        return out_of_memory();
    free(path);
    return status == EXIT_OK ? print(question, json) : client_complain(client, status);
}

/* Without -c, the running balancer answers where one runs; a file that is named is meant itself. */
static int choose_and_answer(struct question *question, struct admin_client *client, bool live, const char *who,
                             const char *listener)
{
    bool named = client->config != NULL;

    if (!named)
        client->config = DEFAULT_CONFIG;
    question->path = client->config;
    if (is_file(who) && (live || client->socket != NULL))
        return wrong("a certificate is judged by what a file says: leave out --live and --socket");
    if (live || client->socket != NULL) {
        int status = client_find(client);
        return status == EXIT_OK ? ask_balancer(question, client, who, listener) : status;
    }
    if (!named && !is_file(who) && one_runs(client))
        return ask_balancer(question, client, who, listener);
    return answer(question, who, listener);
}

int cmd_explain(int argc, char **argv)
{
    struct question question = { .listener = ANY_INDEX };
    struct admin_client client = { .command = "explain" };
    bool live = false;
    const struct cli_option options[] = {
        { 'c', "config", "FILE", "what this configuration says (" DEFAULT_CONFIG ")", .text = &client.config },
        { 0, "live", NULL, "ask the running balancer that FILE names", .flag = &live },
        { 's', "socket", "PATH", "ask the one with this admin socket", .text = &client.socket },
        { 0, "json", NULL, "print JSON, for programs", .flag = &question.json },
    };
    static const char about[] = "Says who somebody is to the balancer, which upstreams they may reach behind each\n"
                                "listener and which rule says so, and with which limits. WHO is a path to a\n"
                                "certificate (PEM; leaf first), an IP address, or the name of a client. Nothing is\n"
                                "changed. Without -c the running balancer is asked where one runs, and says also\n"
                                "what its upstreams are like now. A denial is an answer too: exit status 0.\n";
    const struct cli_page page = { "explain", "[-c FILE [--live]] [--socket PATH] [--json] WHO [LISTENER]",
                                   about,     options,
                                   4,         2 };
    int status = cli_read(&page, argc, argv);
    if (status != CLI_GO_ON)
        return status;
    if (optind == argc)
        return cli_wrong("explain", "whom? Write the name of a client, an address, or the path of a certificate");
    status = choose_and_answer(&question, &client, live, argv[optind], optind + 1 < argc ? argv[optind + 1] : NULL);
    certificate_names_free(&question.names);
    snapshot_free(&question.snapshot);
    state_free(&question.state);
    return status;
}
