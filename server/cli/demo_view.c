/* SPDX-License-Identifier: Apache-2.0 */
#include "demo_view.h"

#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "options.h"

#define BAR_COLUMNS 40

static const char *dim(const struct demo_view *view)
{
    return view->colour ? "\033[90m" : "";
}

static const char *red(const struct demo_view *view)
{
    return view->colour ? "\033[31m" : "";
}

static const char *plain(const struct demo_view *view)
{
    return view->colour ? "\033[0m" : "";
}

/* Each host has a colour of its own, as long as there are some. */
static const char *host_colour(const struct demo_view *view, uint32_t host)
{
    static const char *const colours[] = { "\033[36m", "\033[32m", "\033[33m", "\033[35m", "\033[34m", "\033[96m" };
    return view->colour ? colours[host % (sizeof colours / sizeof colours[0])] : "";
}

static const char *arrow(const struct demo_view *view)
{
    return view->utf8 ? "\u2192" : "->";
}

void demo_view_init(struct demo_view *view, uint32_t hosts, uint32_t clients)
{
    setlocale(LC_CTYPE, "");
    *view = (struct demo_view){ .hosts = hosts, .clients = clients, .has_rule = hosts > 1 };
    view->colour = cli_bold(stdout)[0] != '\0';
    view->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
}

void demo_view_answer(struct demo_view *view, uint32_t client, uint32_t host, const char *answer, uint64_t took_ns)
{
    view->sent[host]++;
    view->client1_sent += client == 0;
    view->client1_to_host2 += client == 0 && host == 1;
    printf("  client%-2" PRIu32 " %s %shost%-2" PRIu32 "%s  %s  %s%" PRIu64 ".%" PRIu64 " ms%s\n", client + 1,
           arrow(view), host_colour(view, host), host + 1, plain(view), answer, dim(view), took_ns / 1000000,
           took_ns / 100000 % 10, plain(view));
}

void demo_view_refused(struct demo_view *view, uint32_t client, enum close_reason reason)
{
    view->refused++;
    printf("  client%-2" PRIu32 " %srefused%s: %s (%s)\n", client + 1, red(view), plain(view),
           close_reason_sentence(reason), close_reason_label(reason));
}

void demo_view_silent(struct demo_view *view, uint32_t client, const char *error)
{
    printf("  client%-2" PRIu32 " %sno answer%s: %s\n", client + 1, red(view), plain(view), error);
}

void demo_view_guest(struct demo_view *view, uint32_t host)
{
    view->guests[host]++;
    printf("  a guest  %s %shost%-2" PRIu32 "%s  joined by hand; the rule for \"*\" lets everybody in\n", arrow(view),
           host_colour(view, host), host + 1, plain(view));
}

void demo_view_guest_refused(struct demo_view *view, enum close_reason reason)
{
    view->refused++;
    printf("  a guest  %srefused%s: %s (%s)\n", red(view), plain(view), close_reason_sentence(reason),
           close_reason_label(reason));
}

/* Bars */

static uint64_t total(const struct demo_view *view, uint32_t host)
{
    return view->sent[host] + view->guests[host];
}

static uint64_t largest(const struct demo_view *view)
{
    uint64_t most = 1;
    for (uint32_t host = 0; host < view->hosts; host++)
        most = total(view, host) > most ? total(view, host) : most;
    return most;
}

static void print_bar(const struct demo_view *view, uint32_t host, uint64_t most)
{
    /* One column each while there is room for all. */
    uint64_t count = total(view, host), columns = most <= BAR_COLUMNS ? count : count * BAR_COLUMNS / most;
    printf("  host%-2" PRIu32 " %s", host + 1, host_colour(view, host));
    for (uint64_t n = 0; n < columns; n++)
        fputs(view->utf8 ? "\u2588" : "#", stdout);
    printf("%s%s%" PRIu64 "%s\n", plain(view), columns > 0 ? " " : "", count,
           view->has_rule && host == 1 ? "  (never client1)" : "");
}

static void print_bars(const struct demo_view *view)
{
    uint64_t most = largest(view);
    for (uint32_t host = 0; host < view->hosts; host++)
        print_bar(view, host, most);
}

void demo_view_round(const struct demo_view *view, uint32_t round)
{
    printf("\n  %safter round %" PRIu32 ", connections of each host:%s\n", dim(view), round, plain(view));
    print_bars(view);
    printf("\n");
}

void demo_view_summary(const struct demo_view *view, uint64_t took_ns)
{
    uint64_t connections = 0, guests = 0;
    for (uint32_t host = 0; host < view->hosts; host++) {
        connections += total(view, host);
        guests += view->guests[host];
    }
    printf("\n  %s%" PRIu64 " connections in %" PRIu64 " s%s, %" PRIu64 " of them by guests; refused: %" PRIu64 "\n",
           cli_bold(stdout), connections, took_ns / 1000000000, cli_plain(stdout), guests, view->refused);
    print_bars(view);
    if (view->has_rule)
        printf("  client1 connected %" PRIu64 " times, %" PRIu64 " times to host2.\n", view->client1_sent,
               view->client1_to_host2);
}
