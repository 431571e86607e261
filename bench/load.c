/* SPDX-License-Identifier: Apache-2.0
 *
 * Load on a balancer, from one thread: weir-load MODE ADDRESS [OPTION...]; see usage() below.
 * Whatever comes back is compared byte by byte. Prints one line of JSON; `busy` is the share of the time that this
 * program itself was working: near 1, it measured itself. */
#include "protocol.h"
#include "stream.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)
#define EVENTS 256
#define MESSAGE_MAX (64u << 10)
#define OPENING_MAX 256u /* connections that wait for their first answer: fewer than a listener's queue holds */
#define STEPS_PER_OCTAVE 16
#define LATENCIES (64 * STEPS_PER_OCTAVE)
#define GRACE_NS (5 * SECOND_NS)

struct flow {
    struct stream stream;
    uint32_t id;
    bool answered;       /* something has come back on this connection */
    uint64_t round;      /* messages that came back, over all connections of this flow */
    uint32_t sent;       /* of the present message */
    uint32_t received;   /* of its echo */
    uint64_t offset;     /* of the pattern; of the verdict when `finished` */
    bool finished;       /* upload: all is sent */
    uint64_t started_ns; /* of the present message or connection */
};

/* A step function does what the socket allows at the moment. */
struct mode {
    const char *name;
    void (*step)(struct flow *flow);
    bool one_round; /* a new connection for each message */
    bool hold;      /* no work after the first message */
};

static struct {
    const struct mode *mode;
    struct sockaddr_in target;
    uint32_t connections;
    uint32_t size;
    double seconds;
    const char *certificate, *key, *ca; /* NULL: plain */
} options = { .connections = 64, .size = 64, .seconds = 2 };

static int epoll;
static struct flow *flows;
static uint32_t opened, opening, open_flows, holding;
static bool over; /* the time is up */
static uint64_t rounds, connections, bytes, errors;
static uint64_t latencies[LATENCIES];
static uint8_t buffer[PATTERN_WINDOW];

static void usage(void)
{
    fprintf(stderr, "usage: weir-load rtt|conns|down|up|idle ADDRESS [-c CONNECTIONS] [-s BYTES] [-t SECONDS]\n"
                    "                 [-C CERTIFICATE -K KEY -A CA]\n"
                    "  rtt    messages of -s bytes that come back, one after the other on each connection\n"
                    "  conns  a new connection for each message\n"
                    "  down   bytes from the upstream    up  bytes to the upstream\n"
                    "  idle   one message on each connection; then says `ready` and holds them until standard input "
                    "ends\n"
                    "  With -C, -K and -A: over TLS 1.3 with a client certificate, full handshakes only.\n");
    exit(2);
}

/* Latencies */

static uint32_t latency_bucket(uint64_t ns)
{
    uint32_t octave = 63u - (uint32_t)__builtin_clzll(ns | STEPS_PER_OCTAVE);
    return (octave - 3) * STEPS_PER_OCTAVE + (uint32_t)(ns >> (octave - 4)) % STEPS_PER_OCTAVE;
}

static double latency_us(double share)
{
    uint64_t rank = (uint64_t)((double)rounds * share), seen = 0;
    for (uint32_t n = 0; n < LATENCIES; n++) {
        seen += latencies[n];
        if (seen > rank)
            return (double)((STEPS_PER_OCTAVE + n % STEPS_PER_OCTAVE) * (UINT64_C(1) << (n / STEPS_PER_OCTAVE))) / 2000;
    }
    return 0;
}

/* Flows */

static void flow_open(struct flow *flow)
{
    stream_open(&flow->stream, &options.target, flow->id);
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = flow };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, flow->stream.fd, &event) != 0)
        die("epoll_ctl");
    flow->answered = false;
    flow->sent = flow->received = 0;
    flow->offset = 0;
    flow->started_ns = clock_ns();
    opening++;
    open_flows++;
    connections++;
}

static void flow_answered(struct flow *flow)
{
    if (flow->answered)
        return;
    flow->answered = true;
    opening--;
}

static void flow_close(struct flow *flow)
{
    flow_answered(flow);
    stream_close(&flow->stream);
    open_flows--;
}

static void flow_failed(struct flow *flow, const char *what)
{
    if (errors++ < 10)
        fprintf(stderr, "connection %u: %s\n", flow->id, what);
    flow_close(flow);
}

static void open_more(void)
{
    while (opened < options.connections && opening < OPENING_MAX)
        flow_open(&flows[opened++]);
}

/* Returns the bytes taken or given, or 0 when there is nothing to do now; a connection that broke or ended is closed.
 */
static size_t progress(struct flow *flow, ssize_t result)
{
    if (result > 0)
        return (size_t)result;
    if (result == 0)
        flow_failed(flow, "ended too soon");
    else if (errno != EAGAIN && errno != ENOTCONN)
        flow_failed(flow, strerror(errno));
    return 0;
}

/* Messages: each round of each flow has bytes of its own, so that nothing can be taken for another's. */

static const uint8_t *message(const struct flow *flow)
{
    static uint8_t text[MESSAGE_MAX];
    text[0] = ASK_ECHO;
    memcpy(text + 1, pattern_at(flow->id * UINT64_C(7919) + flow->round * 31), options.size - 1);
    return text;
}

static bool send_message(struct flow *flow)
{
    const uint8_t *text = message(flow);
    while (flow->sent < options.size) {
        size_t sent = progress(flow, stream_send(&flow->stream, text + flow->sent, options.size - flow->sent));
        if (sent == 0)
            return false;
        flow->sent += (uint32_t)sent;
    }
    return true;
}

static void next_round(struct flow *flow)
{
    uint64_t now_ns = clock_ns();
    latencies[latency_bucket(now_ns - flow->started_ns)]++;
    rounds++;
    flow->round++;
    flow_answered(flow);
    if (options.mode->hold) {
        holding++;
        return;
    }
    if (options.mode->one_round || over)
        flow_close(flow);
    if (over)
        return;
    if (options.mode->one_round)
        flow_open(flow);
    flow->sent = flow->received = 0;
    flow->started_ns = now_ns;
    if (!options.mode->one_round)
        send_message(flow);
}

/* Returns false when no more can come now. */
static bool receive_echo(struct flow *flow)
{
    size_t size = progress(flow, stream_receive(&flow->stream, buffer, sizeof buffer));
    if (size == 0)
        return false;
    if (size > options.size - flow->received || memcmp(buffer, message(flow) + flow->received, size) != 0) {
        flow_failed(flow, "wrong bytes came back");
        return false;
    }
    flow->received += (uint32_t)size;
    bytes += size;
    if (flow->received < options.size)
        return true;
    next_round(flow);
    return false;
}

static void step_echo(struct flow *flow)
{
    if (flow->sent < options.size && !send_message(flow))
        return;
    while (receive_echo(flow))
        ;
}

/* Bulk */

static bool ask(struct flow *flow, char what)
{
    if (flow->sent == 0)
        flow->sent = (uint32_t)progress(flow, stream_send(&flow->stream, &what, 1));
    return flow->sent != 0;
}

static void step_down(struct flow *flow)
{
    if (!ask(flow, ASK_DOWN))
        return;
    for (size_t size; flow->stream.fd >= 0 && !over; flow->offset += size, bytes += size) {
        size = progress(flow, stream_receive(&flow->stream, buffer, sizeof buffer));
        if (size == 0)
            return;
        flow_answered(flow);
        if (memcmp(buffer, pattern_at(flow->offset), size) != 0)
            flow_failed(flow, "wrong bytes came");
    }
    if (over && flow->stream.fd >= 0)
        flow_close(flow);
}

static void read_verdict(struct flow *flow)
{
    uint64_t verdict = 0;
    size_t size = progress(flow, stream_receive(&flow->stream, &verdict, sizeof verdict));
    if (size == 0)
        return;
    if (size != sizeof verdict || verdict != flow->offset)
        flow_failed(flow, "the upstream did not get what was sent");
    else
        flow_close(flow);
}

static void step_up(struct flow *flow)
{
    if (!ask(flow, ASK_UP))
        return;
    flow_answered(flow);
    while (!over || flow->stream.torn) {
        size_t size = progress(flow, stream_send(&flow->stream, pattern_at(flow->offset), PATTERN_WINDOW));
        if (size == 0)
            return;
        flow->offset += size;
        bytes += size;
    }
    if (!flow->finished)
        stream_end(&flow->stream);
    flow->finished = true;
    read_verdict(flow);
}

static const struct mode modes[] = {
    { .name = "rtt", .step = step_echo },
    { .name = "conns", .step = step_echo, .one_round = true },
    { .name = "idle", .step = step_echo, .hold = true },
    { .name = "down", .step = step_down },
    { .name = "up", .step = step_up },
};

/* The run */

static void time_is_up(void)
{
    over = true;
    if (options.mode->step == step_echo)
        return;
    for (uint32_t n = 0; n < opened; n++)
        if (flows[n].stream.fd >= 0)
            options.mode->step(&flows[n]);
}

static void turn(int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll, events, EVENTS, timeout_ms);
    for (int n = 0; n < count; n++) {
        struct flow *flow = events[n].data.ptr;
        if (flow->stream.fd >= 0)
            options.mode->step(flow);
    }
    open_more();
}

static void run(void)
{
    uint64_t end_ns = clock_ns() + (uint64_t)(options.seconds * 1e9);
    open_more();
    while (open_flows > 0 && clock_ns() < end_ns + (over ? GRACE_NS : 0)) {
        turn(10);
        if (!over && clock_ns() >= end_ns)
            time_is_up();
    }
    for (uint32_t n = 0; n < opened; n++)
        if (flows[n].stream.fd >= 0)
            flow_failed(&flows[n], "no answer");
}

static void hold(void)
{
    uint64_t end_ns = clock_ns() + (uint64_t)(options.seconds * 1e9);
    open_more();
    while (holding < options.connections && errors == 0 && clock_ns() < end_ns)
        turn(10);
    if (holding < options.connections)
        errors++;
    puts("ready");
    fflush(stdout);
    while (read(STDIN_FILENO, buffer, sizeof buffer) > 0)
        ;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void parse(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "c:s:t:C:K:A:")) != -1;) {
        if (option == 'c')
            options.connections = (uint32_t)strtoul(optarg, NULL, 10);
        else if (option == 's')
            options.size = (uint32_t)strtoul(optarg, NULL, 10);
        else if (option == 't')
            options.seconds = strtod(optarg, NULL);
        else if (option == 'C')
            options.certificate = optarg;
        else if (option == 'K')
            options.key = optarg;
        else if (option == 'A')
            options.ca = optarg;
        else
            usage();
    }
    if (argc - optind != 2 || options.connections == 0 || options.size == 0 || options.size > MESSAGE_MAX)
        usage();
    if ((options.certificate == NULL) != (options.key == NULL) || (options.key == NULL) != (options.ca == NULL))
        usage();
    for (size_t n = 0; n < sizeof modes / sizeof *modes; n++)
        if (strcmp(argv[optind], modes[n].name) == 0)
            options.mode = &modes[n];
    if (options.mode == NULL)
        usage();
    options.target = address_of(argv[optind + 1]);
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    pattern_init();
    if (options.certificate != NULL)
        stream_use_tls(options.certificate, options.key, options.ca);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    flows = calloc(options.connections, sizeof *flows);
    if (epoll < 0 || flows == NULL)
        die("start");
    for (uint32_t n = 0; n < options.connections; n++)
        flows[n] = (struct flow){ .stream.fd = -1, .id = n };

    uint64_t start_ns = clock_ns();
    if (options.mode->hold)
        hold();
    else
        run();
    double seconds = (double)(clock_ns() - start_ns) / 1e9;
    printf("{\"mode\": \"%s\", \"seconds\": %.3f, \"busy\": %.3f, \"connections\": %llu, \"rounds\": %llu, "
           "\"bytes\": %llu, \"p50_us\": %.1f, \"p99_us\": %.1f, \"errors\": %llu}\n",
           options.mode->name, seconds, cpu_seconds() / seconds, (unsigned long long)connections,
           (unsigned long long)rounds, (unsigned long long)bytes, latency_us(0.5), latency_us(0.99),
           (unsigned long long)errors);
    free(flows);
    return errors == 0 ? 0 : 1;
}
