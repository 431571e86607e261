/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clock.h"
#include "commands.h"
#include "options.h"
#include "screen.h"
#include "top_feed.h"
#include "top_view.h"

/* `weir top`: a running balancer, live. */

#define SECOND_MS INT64_C(1000)
#define SILENCE_MS (5 * SECOND_MS)

struct top {
    struct admin_client client;
    struct top_feed feed;
    struct top_view view;
    int64_t heard_ms, try_ms;
    bool over;
};

static volatile sig_atomic_t told_to_end, told_to_sleep;

static int64_t now_ms(void)
{
    return (int64_t)(clock_ns(CLOCK_MONOTONIC) / 1000000);
}

/* Signals come only while it waits. */

static void end_soon(int number)
{
    (void)number;
    told_to_end = 1;
}

static void sleep_soon(int number)
{
    (void)number;
    told_to_sleep = 1;
}

static void nothing(int number)
{
    (void)number;
}

static void catch_signals(sigset_t *ret_before)
{
    static const struct {
        int number;
        void (*handler)(int number);
    } caught[] = {
        { SIGINT, end_soon },    { SIGTERM, end_soon }, { SIGHUP, end_soon }, { SIGQUIT, end_soon },
        { SIGTSTP, sleep_soon }, { SIGWINCH, nothing }, { SIGCONT, nothing },
    };
    sigset_t set;
    sigemptyset(&set);
    for (size_t n = 0; n < sizeof caught / sizeof caught[0]; n++) {
        const struct sigaction action = { .sa_handler = caught[n].handler };
        sigaction(caught[n].number, &action, NULL);
        sigaddset(&set, caught[n].number);
    }
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, ret_before);
}

/* The link */

static void lose(struct top *top)
{
    top_feed_close(&top->feed);
    top->view.trouble = top->client.trouble;
    top->try_ms = now_ms() + SECOND_MS;
}

static void connect_again(struct top *top)
{
    if (top_feed_open(&top->feed, &top->client) != 0)
        lose(top);
    else
        top->heard_ms = now_ms();
}

static void listen_to(struct top *top)
{
    json_t *past = NULL, *figures = NULL;
    int err = top_feed_read(&top->feed, &top->client, &past, &figures);
    if (past != NULL)
        top_view_past(&top->view, past);
    json_decref(past);
    if (figures != NULL) {
        top_view_figures(&top->view, figures);
        top->view.trouble = NULL;
        top->heard_ms = now_ms();
    }
    if (err != 0)
        lose(top);
}

static void mind_silence(struct top *top)
{
    if (top->feed.fd >= 0 && now_ms() - top->heard_ms > SILENCE_MS)
        top->view.trouble = "the balancer is silent";
}

/* The screen */

/* In one piece, so that nothing flickers. */
static void draw(const struct top *top)
{
    char *text = NULL;
    size_t size = 0, done = 0;
    unsigned rows, columns;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return;
    screen_size(&rows, &columns);
    fputs("\033[H", out);
    top_view_draw(&top->view, rows, columns, out);
    bool whole = fclose(out) == 0;
    while (whole && done < size) {
        ssize_t written = write(STDOUT_FILENO, text + done, size - done);
        if (written <= 0 && errno != EINTR)
            break;
        done += written > 0 ? (size_t)written : 0;
    }
    free(text);
}

/* As the shell expects it of Ctrl-Z. */
static void sleep_now(void)
{
    told_to_sleep = 0;
    screen_leave();
    raise(SIGSTOP);
    screen_enter();
}

static void read_keys(struct top *top)
{
    char keys[64];
    ssize_t count = read(STDIN_FILENO, keys, sizeof keys);
    if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN))
        top->over = true;
    for (ssize_t n = 0; n < count; n++)
        top->over = top->over || keys[n] == 'q' || keys[n] == 'Q' || keys[n] == 4 /* Ctrl-D */;
}

static void wait_for_something(struct top *top, const sigset_t *signals)
{
    struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = top->feed.fd, .events = POLLIN } };
    const struct timespec second = { .tv_sec = 1 };
    if (ppoll(fds, 2, &second, signals) <= 0)
        return;
    if (fds[0].revents != 0)
        read_keys(top);
    if (fds[1].revents != 0)
        listen_to(top);
}

static void watch(struct top *top, const sigset_t *signals)
{
    while (!top->over && !told_to_end) {
        if (top->feed.fd < 0 && now_ms() >= top->try_ms)
            connect_again(top);
        mind_silence(top);
        draw(top);
        wait_for_something(top, signals);
        if (told_to_sleep)
            sleep_now();
    }
}

static void prepare(struct top *top)
{
    setlocale(LC_CTYPE, "");
    top->view.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    top->view.colour = cli_bold(stdout)[0] != '\0';
}

/* Whoever cannot be reached at the start is told of at once, where it can be read. */
static int run(struct top *top)
{
    sigset_t signals;
    prepare(top);
    if (top_feed_open(&top->feed, &top->client) != 0)
        return client_complain(&top->client, EXIT_FAILED);
    top->heard_ms = now_ms();
    catch_signals(&signals);
    if (screen_enter() == 0)
        watch(top, &signals);
    screen_leave();
    top_feed_close(&top->feed);
    top_view_free(&top->view);
    return EXIT_OK;
}

int cmd_top(int argc, char **argv)
{
    struct top top = { .client = { .command = "top", .config = DEFAULT_CONFIG }, .feed.fd = -1 };
    const struct cli_option options[] = { CLIENT_OPTIONS(&top.client) };
    static const char about[] = "Shows a running balancer live: its upstreams and clients, and why connections were\n"
                                "refused. q quits. What it shows comes from the balancer's admin socket.\n";
    const struct cli_page page = { "top", "[-c FILE]", about, options, sizeof options / sizeof options[0], 0 };
    int status = cli_read(&page, argc, argv);
    if (status != CLI_GO_ON)
        return status;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return cli_wrong("top", "this needs a terminal; \"weir status\" gives one look");
    status = client_find(&top.client);
    return status != EXIT_OK ? status : run(&top);
}
