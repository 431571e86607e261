/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <weir/errors.h>

#include "../control/admin.h"
#include "../control/config.h"
#include "../proxy/balancer.h"
#include "commands.h"
#include "demo_client.h"
#include "demo_hosts.h"
#include "demo_view.h"
#include "options.h"

/* `weir demo`: a balancer with everything around it, in one process, on real sockets. */

#define SECOND_NS UINT64_C(1000000000)
#define ANSWER_MAX 256

struct options {
    uint32_t port, hosts, clients, interval_s;
    bool plain;
};

/* What is taken at start, in this order, and given back in the other. */
struct demo {
    struct options options;
    char folder[32], file[64];
    struct demo_hosts *hosts;
    struct snapshot *snapshot;
    struct state state;
    struct balancer *balancer;
    struct admin *admin;
    struct demo_view view;
    uint64_t denied[DEMO_MAX + 1][CLOSE_REASONS]; /* that was shown, by client; the last are guests */
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* Configuration */

static void write_pool(FILE *file, const struct demo *demo)
{
    fprintf(file, "pools:\n  - name: hosts\n    upstreams:\n");
    for (uint32_t n = 0; n < demo->options.hosts; n++) {
        char text[WEIR_ADDRESS_TEXT_MAX];
        fprintf(file, "      - { name: host%" PRIu32 ", address: \"%s\" }\n", n + 1,
                weir_address_format(demo_hosts_address(demo->hosts, n), text, sizeof text));
    }
}

static void write_clients(FILE *file, const struct demo *demo)
{
    fprintf(file, "clients:\n");
    for (uint32_t n = 0; n < demo->options.clients; n++)
        fprintf(file, "  - { name: client%" PRIu32 ", identity: [\"cidr:" DEMO_CLIENT_ADDRESS "/32\"] }\n", n + 1,
                DEMO_CLIENT_FIRST + n);
}

static void write_policy(FILE *file, const struct demo *demo)
{
    fprintf(file, "policy:\n  - { allow: [\"*\"], to: [hosts] }\n");
    if (demo->options.hosts > 1)
        fprintf(file, "  - { deny: [client1], to: [hosts/host2] }\n"
                      "expect:\n  - client1 can hosts/host1\n  - client1 cannot hosts/host2\n");
}

static void write_configuration(FILE *file, const struct demo *demo)
{
    fprintf(file,
            "workers: 1\nlog: { format: text, level: error }\nadmin: { socket: admin.sock, http: \"127.0.0.1:0\" }\n"
            "listeners:\n  - { name: demo, address: \"127.0.0.1:%" PRIu32 "\", pool: hosts }\n",
            demo->options.port);
    write_pool(file, demo);
    write_clients(file, demo);
    write_policy(file, demo);
}

static int make_file(struct demo *demo)
{
    snprintf(demo->folder, sizeof demo->folder, "/tmp/weir-demo-XXXXXX");
    if (mkdtemp(demo->folder) == NULL) {
        demo->folder[0] = '\0';
        return weir_error_from_errno(errno);
    }
    snprintf(demo->file, sizeof demo->file, "%s/weir.yaml", demo->folder);
    FILE *file = fopen(demo->file, "wx");
    if (file == NULL)
        return weir_error_from_errno(errno);
    write_configuration(file, demo);
    return fclose(file) == 0 ? 0 : weir_error_from_errno(errno);
}

static int load(struct demo *demo)
{
    struct config_errors errors = { 0 };
    uint64_t seed = 0;
    int err = make_file(demo);
    if (err == 0)
        err = config_read(demo->file, &demo->snapshot, &errors);
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
    for (; host < demo->options.hosts; host++) {
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
        client == demo->options.clients ? demo->snapshot->other : demo->snapshot->clients[client].counters;
    for (unsigned reason = 0; reason < CLOSE_REASONS; reason++)
        if (counter_read(&counters->denied[reason]) > demo->denied[client][reason]) {
            demo->denied[client][reason]++;
            return (enum close_reason)reason;
        }
    return CLOSE_NONE;
}

static void show_client(struct demo *demo, uint32_t client)
{
    char answer[ANSWER_MAX] = "";
    struct weir_address to = balancer_listener_address(demo->balancer, 0);
    uint64_t start_ns = now_ns();
    int err = demo_client_ask(client, &to, answer, sizeof answer);
    uint32_t host = host_of(demo, answer);
    enum close_reason reason = err != 0 ? new_refusal(demo, client) : CLOSE_NONE;
    if (err == 0 && host < demo->options.hosts)
        demo_view_answer(&demo->view, client, host, answer, now_ns() - start_ns);
    else if (reason != CLOSE_NONE)
        demo_view_refused(&demo->view, client, reason);
    else
        demo_view_silent(&demo->view, client, err != 0 ? weir_strerror(err) : answer);
}

/* Connections of a host that are no client's are those of people. */
static void show_guests(struct demo *demo)
{
    struct demo_view *view = &demo->view;
    for (uint32_t host = 0; host < demo->options.hosts; host++)
        while (counter_read(&demo->snapshot->upstreams[host].counters->connections) >
               view->sent[host] + view->guests[host])
            demo_view_guest(view, host);
    enum close_reason reason;
    while ((reason = new_refusal(demo, demo->options.clients)) != CLOSE_NONE)
        demo_view_guest_refused(view, reason);
}

static void show_welcome(const struct demo *demo)
{
    const char *bold = cli_bold(stdout), *plain = cli_plain(stdout);
    struct weir_address listener = balancer_listener_address(demo->balancer, 0);
    struct weir_address http = admin_http_address(demo->admin);
    char text[WEIR_ADDRESS_TEXT_MAX];
    printf("\n  %sWeir demo%s: %" PRIu32 " hosts, %" PRIu32 " clients, one balancer\n\n", bold, plain,
           demo->options.hosts, demo->options.clients);
    printf("  port           %u\n", weir_address_port(&listener));
    printf("  admin          http://%s/   (metrics, status, health)\n", weir_address_format(&http, text, sizeof text));
    printf("  configuration  %s\n", demo->file);
    if (demo->view.has_rule)
        printf("  rule           client1 may never talk to host2\n");
    printf("  join in        %stelnet 127.0.0.1 %u%s   (and type a line)\n\n", bold, weir_address_port(&listener),
           plain);
    printf("  Every %" PRIu32 " s each client connects, says %s, and is sent to the host with the fewest\n"
           "  connections of those that it may reach. Ctrl-C ends.\n\n",
           demo->options.interval_s, DEMO_CLIENT_SAYS);
}

/* Start, run, stop */

static int start(struct demo *demo)
{
    int err = demo_hosts_start(demo->options.hosts, &demo->hosts);
    if (err == 0)
        err = load(demo);
    if (err == 0)
        err = log_start(demo->snapshot->settings.log_format, demo->snapshot->settings.log_level);
    if (err == 0)
        err = balancer_new(demo->snapshot, &demo->state, demo->snapshot->settings.workers, &demo->balancer);
    if (err == 0)
        err = admin_start(demo->balancer, &demo->admin);
    if (err == 0)
        err = balancer_start(demo->balancer);
    if (err != 0)
        fprintf(stderr, "weir: cannot start the demo: %s\n", weir_strerror(err));
    return err;
}

static void stop(struct demo *demo)
{
    admin_free(&demo->admin);
    balancer_free(&demo->balancer);
    log_stop();
    snapshot_free(&demo->snapshot);
    state_free(&demo->state);
    demo_hosts_stop(&demo->hosts);
    if (demo->file[0] != '\0')
        unlink(demo->file);
    if (demo->folder[0] != '\0')
        rmdir(demo->folder);
}

/* Returns true when a signal ends the demo. */
static bool wait_until(uint64_t until_ns, const sigset_t *signals)
{
    uint64_t now = now_ns(), left_ns = until_ns > now ? until_ns - now : 0;
    const struct timespec timeout = { .tv_sec = (time_t)(left_ns / SECOND_NS), .tv_nsec = (long)(left_ns % SECOND_NS) };
    return sigtimedwait(signals, NULL, &timeout) > 0;
}

/* Clients take turns, evenly over the interval; ends on a signal or when nobody reads any more. */
static void run(struct demo *demo, const sigset_t *signals)
{
    uint64_t start_ns = now_ns(), next_ns = start_ns;
    uint64_t step_ns = demo->options.interval_s * SECOND_NS / demo->options.clients;
    for (uint32_t turn = 0; !wait_until(next_ns, signals) && !ferror(stdout); turn++) {
        uint32_t client = turn % demo->options.clients;
        show_client(demo, client);
        show_guests(demo);
        if (client == demo->options.clients - 1)
            demo_view_round(&demo->view, turn / demo->options.clients + 1);
        next_ns += step_ns;
    }
    demo_view_summary(&demo->view, now_ns() - start_ns);
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

int cmd_demo(int argc, char **argv)
{
    struct demo demo = { .options = { .hosts = 5, .clients = 7, .interval_s = 4 } };
    struct options *to = &demo.options;
    const struct cli_option options[] = {
        { 'p', "port", "PORT", "the balancer's port (a free one)", .number = &to->port, .max = 65535 },
        { 0, "upstreams", "N", "how many hosts (5)", .number = &to->hosts, .min = 1, .max = DEMO_MAX },
        { 0, "clients", "N", "how many clients (7)", .number = &to->clients, .min = 1, .max = DEMO_MAX },
        { 0, "interval", "SECONDS", "time between a client's connections (4)", .number = &to->interval_s, .min = 1,
          .max = 3600 },
        { 0, "plain", NULL, "without TLS: clients are known by address", .flag = &to->plain },
    };
    static const char about[] = "Shows a balancer at work: starts hosts, clients and the balancer between them, in\n"
                                "one process, on loopback. Needs nothing and leaves nothing.\n";
    const struct cli_page page = { "demo", "--plain [OPTIONS]", about, options, 5, 0 };
    int status = cli_read(&page, argc, argv);
    if (status != CLI_GO_ON)
        return status;
    if (!demo.options.plain)
        return cli_wrong("demo", "for now the demo runs without TLS only: weir demo --plain");
    sigset_t signals;
    block_signals(&signals);
    demo_view_init(&demo.view, demo.options.hosts, demo.options.clients);
    status = start(&demo) == 0 ? EXIT_OK : EXIT_FAILED;
    if (status == EXIT_OK) {
        show_welcome(&demo);
        run(&demo, &signals);
    }
    stop(&demo);
    return status;
}
