/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <weir/errors.h>

#include "../base/clock.h"
#include "../control/admin.h"
#include "../control/config.h"
#include "../proxy/balancer.h"
#include "commands.h"
#include "demo_clients.h"
#include "demo_folder.h"
#include "demo_hosts.h"
#include "demo_view.h"
#include "options.h"

/* `weir demo`: a balancer with everything around it, in one process, on real sockets. */

#define SECOND_NS UINT64_C(1000000000)
#define ANSWER_MAX 256
#define HELLO "Hello"
#define LIMIT 2        /* of the last client */
#define LIMIT_ROUNDS 3 /* in one of so many it exceeds that */

/* What is taken at start, in this order, and given back in the other. */
struct demo {
    struct demo_plan plan;
    uint32_t interval_s;
    struct demo_hosts *hosts;
    struct demo_folder folder;
    struct demo_clients *clients;
    struct snapshot *snapshot;
    struct state state;
    struct balancer *balancer;
    struct admin *admin;
    struct demo_view view;
    uint64_t denied[DEMO_MAX + 1][CLOSE_REASONS]; /* that was shown, by client; the last are guests */
    uint64_t nobody[CLOSE_REASONS];               /* likewise, of those who did not say who they are */
};

static int load(struct demo *demo)
{
    struct config_errors errors = { 0 };
    uint64_t seed = 0;
    int err = config_read(demo->folder.configuration, &demo->snapshot, &errors);
    if (err == 0 && getrandom(&seed, sizeof seed, 0) != sizeof seed)
        err = WEIR_EIO;
    if (err == 0)
        err = state_new(seed, &demo->state);
    if (err == 0)
        err = snapshot_bind(demo->snapshot, &demo->state, demo->snapshot->settings.workers);
    if (err == 0)
        err = config_expect(demo->snapshot, &errors);
    print_config_errors(&errors);
    config_errors_free(&errors);
    return err;
}

/* What happens, shown */

/* The host that an answer names, or the number of hosts. */
static uint32_t host_of(const struct demo *demo, const char *answer)
{
    uint32_t host = 0;
    for (; host < demo->plan.hosts; host++) {
        char text[WEIR_ADDRESS_TEXT_MAX];
        const char *place =
            strstr(answer, weir_address_format(demo_hosts_address(demo->hosts, host), text, sizeof text));
        if (place != NULL && strcmp(place, text) == 0)
            break;
    }
    return host;
}

/* The reason for a refusal that has not been shown yet, or CLOSE_NONE. */
static enum close_reason new_refusal(struct demo *demo, uint32_t client)
{
    const struct client_counters *counters =
        client == demo->plan.clients ? demo->snapshot->other : demo->snapshot->clients[client].counters;
    for (unsigned reason = 0; reason < CLOSE_REASONS; reason++)
        if (counter_read(&counters->denied[reason]) > demo->denied[client][reason]) {
            demo->denied[client][reason]++;
            return (enum close_reason)reason;
        }
    return CLOSE_NONE;
}

static void show_talk(struct demo *demo, uint32_t client, struct demo_talk *talk)
{
    struct weir_address to = demo->snapshot->listeners[0].bound;
    char answer[ANSWER_MAX] = "";
    uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
    int err = demo_talk_open(demo->clients, client, &to, talk);
    if (err == 0)
        err = demo_talk_ask(talk, HELLO, answer, sizeof answer);
    uint32_t host = host_of(demo, answer);
    enum close_reason reason = err != 0 ? new_refusal(demo, client) : CLOSE_NONE;
    if (err == 0 && host < demo->plan.hosts)
        demo_view_answer(&demo->view, client, host, answer, clock_ns(CLOCK_MONOTONIC) - start_ns);
    else if (reason != CLOSE_NONE)
        demo_view_refused(&demo->view, client, reason);
    else
        demo_view_silent(&demo->view, client, err != 0 ? weir_strerror(err) : answer);
}

/* One connection; of the client with a limit now and then all that it may have at once, and one more. */
static void show_client(struct demo *demo, uint32_t client, uint32_t round)
{
    bool too_many = demo->plan.limit > 0 && client == demo->plan.clients - 1 && round % LIMIT_ROUNDS == 0;
    struct demo_talk talks[LIMIT + 1] = { 0 };
    uint32_t count = too_many ? LIMIT + 1 : 1;
    for (uint32_t n = 0; n < count; n++)
        show_talk(demo, client, &talks[n]);
    for (uint32_t n = 0; n < count; n++)
        demo_talk_close(&talks[n]);
}

/* Those who did not prove who they are. */
static void show_nobodies(struct demo *demo)
{
    static const enum close_reason reasons[] = { CLOSE_TLS_NO_CERTIFICATE, CLOSE_TLS_BAD_CERTIFICATE };
    const counter *closed = demo->snapshot->listeners[0].slots[0].closed;
    for (size_t n = 0; n < sizeof reasons / sizeof reasons[0]; n++)
        for (; counter_read(&closed[reasons[n]]) > demo->nobody[reasons[n]]; demo->nobody[reasons[n]]++)
            demo_view_nobody_refused(&demo->view, reasons[n]);
}

/* Connections of a host that are no client's are those of people. */
static void show_guests(struct demo *demo)
{
    struct demo_view *view = &demo->view;
    for (uint32_t host = 0; host < demo->plan.hosts; host++)
        while (counter_read(&demo->snapshot->upstreams[host].counters->connections) >
               view->sent[host] + view->guests[host])
            demo_view_guest(view, host);
    enum close_reason reason;
    while ((reason = new_refusal(demo, demo->plan.clients)) != CLOSE_NONE)
        demo_view_guest_refused(view, reason);
    show_nobodies(demo);
}

static void show_how_to_join(const struct demo *demo)
{
    const char *bold = cli_bold(stdout), *plain = cli_plain(stdout), *folder = demo->folder.path;
    struct weir_address listener = demo->snapshot->listeners[0].bound;
    unsigned port = weir_address_port(&listener);
    if (!demo->plan.tls)
        printf("  join in        %stelnet 127.0.0.1 %u%s   (and type a line)\n\n", bold, port, plain);
    else
        printf("  join in as guest, and type a line:\n\n"
               "    %sopenssl s_client -quiet -connect 127.0.0.1:%u -CAfile %s/ca.crt \\\n"
               "      -cert %s/guest.crt -key %s/guest.key%s\n\n",
               bold, port, folder, folder, folder, plain);
}

static void show_welcome(const struct demo *demo)
{
    const struct demo_plan *plan = &demo->plan;
    struct weir_address listener = demo->snapshot->listeners[0].bound;
    struct weir_address http = admin_http_address(demo->admin);
    char text[WEIR_ADDRESS_TEXT_MAX];
    printf("\n  %sWeir demo%s: %" PRIu32 " hosts, %" PRIu32 " clients%s, one balancer\n\n", cli_bold(stdout),
           cli_plain(stdout), plan->hosts, plan->clients, plan->tls ? " with certificates" : "");
    printf("  port           %u\n", weir_address_port(&listener));
    printf("  dashboard      http://%s/\n", weir_address_format(&http, text, sizeof text));
    printf("  configuration  %s\n", demo->folder.configuration);
    if (plan->has_rule)
        printf("  rule           client1 may never talk to host2\n");
    if (plan->limit > 0)
        printf("  limit          client%" PRIu32 " may have %" PRIu32
               " connections at once, and now and then tries %" PRIu32 "\n",
               plan->clients, plan->limit, plan->limit + 1);
    show_how_to_join(demo);
    printf("  Every %" PRIu32 " s each client connects, says %s, and is sent to the host with the fewest\n"
           "  connections of those that it may reach. Ctrl-C ends.\n\n",
           demo->interval_s, HELLO);
}

/* Start, run, stop */

static int start(struct demo *demo)
{
    int err = demo_hosts_start(demo->plan.hosts, &demo->hosts);
    if (err == 0)
        err = demo_folder_make(&demo->plan, demo->hosts, &demo->folder);
    if (err == 0)
        err = demo_clients_new(demo->plan.tls ? demo->folder.path : NULL, demo->plan.clients, &demo->clients);
    if (err == 0)
        err = load(demo);
    if (err == 0)
        err = log_start(demo->snapshot->settings.log_format, demo->snapshot->settings.log_level);
    if (err == 0)
        err = balancer_new(demo->snapshot, &demo->state, demo->snapshot->settings.workers, &demo->balancer);
    if (err == 0)
        err = admin_open(demo->balancer, NULL, &demo->admin);
    if (err == 0)
        err = admin_start(demo->admin);
    if (err == 0)
        err = balancer_start(demo->balancer);
    if (err != 0)
        fprintf(stderr, "weir: cannot start the demo: %s\n", weir_strerror(err));
    return err;
}

static void stop(struct demo *demo)
{
    admin_free(&demo->admin);
    if (demo->balancer == NULL)
        snapshot_free(&demo->snapshot); /* otherwise it is the balancer's */
    balancer_free(&demo->balancer);
    log_stop();
    state_free(&demo->state);
    demo_clients_free(&demo->clients);
    demo_folder_remove(&demo->folder);
    demo_hosts_stop(&demo->hosts);
}

/* Returns true when a signal ends the demo. */
static bool wait_until(uint64_t until_ns, const sigset_t *signals)
{
    uint64_t now = clock_ns(CLOCK_MONOTONIC), left_ns = until_ns > now ? until_ns - now : 0;
    const struct timespec timeout = clock_timespec(left_ns);
    return sigtimedwait(signals, NULL, &timeout) > 0;
}

/* Clients take turns, evenly over the interval; ends on a signal or when nobody reads any more. */
static void run(struct demo *demo, const sigset_t *signals)
{
    uint64_t start_ns = clock_ns(CLOCK_MONOTONIC), next_ns = start_ns;
    uint64_t step_ns = demo->interval_s * SECOND_NS / demo->plan.clients;
    for (uint32_t turn = 0; !wait_until(next_ns, signals) && !ferror(stdout); turn++) {
        uint32_t client = turn % demo->plan.clients, round = turn / demo->plan.clients + 1;
        show_client(demo, client, round);
        show_guests(demo);
        if (client == demo->plan.clients - 1)
            demo_view_round(&demo->view, round);
        next_ns += step_ns;
    }
    demo_view_summary(&demo->view, clock_ns(CLOCK_MONOTONIC) - start_ns);
}

static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGHUP);
    sigprocmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void make_plan(struct demo *demo, bool plain)
{
    struct demo_plan *plan = &demo->plan;
    plan->tls = !plain;
    plan->has_rule = plan->hosts > 1;
    plan->limit = plan->tls && plan->clients > 1 ? LIMIT : 0;
    demo_view_init(&demo->view, plan->hosts, plan->clients, plan->limit);
}

int cmd_demo(int argc, char **argv)
{
    struct demo demo = { .plan = { .hosts = 5, .clients = 7 }, .interval_s = 4 };
    bool plain = false;
    const struct cli_option options[] = {
        { 'p', "port", "PORT", "the balancer's port (a free one)", .number = &demo.plan.port, .max = 65535 },
        { 0, "upstreams", "N", "how many hosts (5)", .number = &demo.plan.hosts, .min = 1, .max = DEMO_MAX },
        { 0, "clients", "N", "how many clients (7)", .number = &demo.plan.clients, .min = 1, .max = DEMO_MAX },
        { 0, "interval", "SECONDS", "time between a client's connections (4)", .number = &demo.interval_s, .min = 1,
          .max = 3600 },
        { 0, "plain", NULL, "without TLS: clients are known by address", .flag = &plain },
    };
    static const char about[] =
        "Shows a balancer at work: makes a CA and certificates, starts hosts, clients and the\n"
        "balancer between them, in one process, on loopback. Needs nothing and leaves nothing.\n";
    const struct cli_page page = { "demo", "[OPTIONS]", about, options, 5, 0 };
    int status = cli_read(&page, argc, argv);
    if (status != CLI_GO_ON)
        return status;
    sigset_t signals;
    block_signals(&signals);
    make_plan(&demo, plain);
    status = start(&demo) == 0 ? EXIT_OK : EXIT_FAILED;
    if (status == EXIT_OK) {
        show_welcome(&demo);
        run(&demo, &signals);
    }
    stop(&demo);
    return status;
}
