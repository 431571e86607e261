/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <weir/errors.h>

#include "../base/log.h"
#include "../base/notify.h"
#include "../control/admin.h"
#include "../control/config.h"
#include "../control/confine.h"
#include "../control/reload.h"
#include "../proxy/balancer.h"
#include "commands.h"
#include "options.h"
#include "watchdog.h"

/* `weir run`: start, wait for signals, stop. */

#define DRAIN_LOOK_NS 20000000
#define TIDY_LOOK_NS 100000000
#define STOP_NS UINT64_C(10000000000) /* what ending takes at most, when nobody is waited for */

static const int handled_signals[] = { SIGHUP, SIGTERM, SIGINT, SIGUSR2 };

/* What is taken at start, in this order, and given back in the other. */
struct running {
    const char *path;
    struct config_errors errors; /* and warnings, until they are logged */
    struct snapshot *snapshot;
    struct state state;
    uint32_t workers;
    struct balancer *balancer;
    struct reloader *reloader;
    struct admin *admin;
    struct watchdog *watchdog;
};

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    for (size_t n = 0; n < sizeof handled_signals / sizeof handled_signals[0]; n++)
        sigaddset(set, handled_signals[n]);
    sigprocmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static uint32_t usable_processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? (uint32_t)count : 1;
}

static int bind_state(struct running *running)
{
    const struct settings *settings = &running->snapshot->settings;
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        return WEIR_EIO;
    running->workers = settings->workers != 0 ? settings->workers : usable_processors();
    int err = state_new(seed, &running->state);
    return err != 0 ? err : snapshot_bind(running->snapshot, &running->state, running->workers);
}

/* Returns an exit status; EXIT_OK: the configuration is good and bound. */
static int load(const char *path, struct running *running)
{
    struct config_errors *errors = &running->errors;
    int err = config_read(path, &running->snapshot, errors);
    if (err == 0)
        err = bind_state(running);
    if (err == 0)
        err = config_expect(running->snapshot, errors);
    if (err == 0)
        return EXIT_OK;
    print_config_errors(errors);
    if (errors->count == 0)
        fprintf(stderr, "weir: cannot load %s: %s\n", path, weir_strerror(err));
    return errors->count > 0 ? EXIT_USAGE : EXIT_FAILED;
}

static void log_warnings(const struct config_errors *errors)
{
    for (uint32_t i = 0; i < errors->warning_count; i++)
        log_warn("doubtful configuration", LOG_STR("warning", errors->warnings[i]));
}

/* Everything that needs rights which the process gives up in confine(). */
static int open_all(struct running *running)
{
    const struct settings *settings = &running->snapshot->settings;
    struct account account;
    notify_open();
    int err = privileges_find(settings->user, &account);
    if (err == 0)
        err = balancer_new(running->snapshot, &running->state, running->workers, &running->balancer);
    if (err == 0)
        err = reloader_new(running->balancer, &running->state, running->path, &running->reloader);
    if (err != 0)
        return err;
    if (settings->admin_socket != NULL)
        privileges_make_folder(&account, settings->admin_socket);
    privileges_borrow(&account);
    err = admin_open(running->balancer, running->reloader, &running->admin);
    privileges_return();
    bool io_uring = strcmp(balancer_backend_name(running->balancer), "io_uring") == 0;
    return err == 0 ? confine(running->snapshot, &account, io_uring) : err;
}

/* The first thread is made when there is nothing left to give up. */
static int start(struct running *running)
{
    const struct settings *settings = &running->snapshot->settings;
    log_configure(settings->log_format, settings->log_level);
    log_warnings(&running->errors);
    int err = open_all(running);
    if (err == 0)
        err = log_start(settings->log_format, settings->log_level);
    if (err == 0)
        err = admin_start(running->admin);
    if (err == 0)
        err = balancer_start(running->balancer);
    if (err == 0)
        err = watchdog_start(running->balancer, &running->watchdog);
    if (err == 0)
        notify_ready("Serving");
    else
        log_error("cannot start", LOG_STR("error", weir_strerror(err)));
    return err;
}

static int wait_for_signal(const sigset_t *set, const struct timespec *timeout)
{
    int number;
    do
        number = timeout == NULL ? sigwaitinfo(set, NULL) : sigtimedwait(set, NULL, timeout);
    while (number < 0 && errno == EINTR);
    return number;
}

/* Returns when the connections are done, the time is over, or somebody is tired of waiting. */
static void drain(struct running *running, const sigset_t *set)
{
    static const struct timespec look = { .tv_nsec = DRAIN_LOOK_NS };
    struct balancer *balancer = running->balancer;
    uint64_t timeout_ns = balancer_snapshot(balancer)->settings.drain_timeout_ns;
    uint64_t start_ns = balancer_uptime_ns(balancer);
    log_info("draining", LOG_U64("open", balancer_open_connections(balancer)), LOG_MS("drain_timeout_ms", timeout_ns));
    notify_stopping(timeout_ns + STOP_NS, "Waiting for open connections to end");
    balancer_drain(balancer);
    while (!balancer_drained(balancer) && balancer_uptime_ns(balancer) - start_ns < timeout_ns) {
        int number = wait_for_signal(set, &look);
        if (number == SIGHUP)
            reloader_run(running->reloader);
        if (number == SIGTERM || number == SIGINT)
            break;
    }
}

/* While something of an earlier configuration is in use, it is looked at again and again. */
static int wait_and_tidy(const struct running *running, const sigset_t *set)
{
    static const struct timespec look = { .tv_nsec = TIDY_LOOK_NS };
    int number = -1;
    while (number < 0 && !balancer_tidy(running->balancer))
        number = wait_for_signal(set, &look);
    return number >= 0 ? number : wait_for_signal(set, NULL);
}

static void reload(const struct running *running)
{
    notify_reloading();
    reloader_run(running->reloader);
    struct reload_result *last = reloader_last(running->reloader);
    bool refused = last != NULL && last->outcome != RELOAD_DONE;
    notify_ready(refused ? "Serving as before: the last reload was refused, the log says why" : "Serving");
    reload_result_unref(&last);
}

static void serve(struct running *running, const sigset_t *set)
{
    for (;;) {
        int number = wait_and_tidy(running, set);
        if (number == SIGHUP)
            reload(running);
        if (number == SIGTERM)
            drain(running, set);
        if (number == SIGTERM || number == SIGINT)
            return;
    }
}

static void stop(struct running *running)
{
    bool was_running = running->balancer != NULL;
    uint32_t open = was_running ? balancer_open_connections(running->balancer) : 0;
    if (was_running)
        notify_stopping(STOP_NS, "Ending");
    watchdog_stop(&running->watchdog);
    if (running->reloader != NULL)
        reloader_stop(running->reloader);
    admin_free(&running->admin);
    reloader_free(&running->reloader);
    if (running->balancer == NULL)
        snapshot_free(&running->snapshot); /* otherwise it is the balancer's */
    balancer_free(&running->balancer);
    if (was_running)
        log_info("stopped", LOG_U64("connections_ended", open));
    log_stop();
    notify_close();
    config_errors_free(&running->errors);
    state_free(&running->state);
}

int cmd_run(int argc, char **argv)
{
    const char *path = DEFAULT_CONFIG;
    const struct cli_option options[] = {
        { 'c', "config", "FILE", "the configuration (" DEFAULT_CONFIG ")", .text = &path },
    };
    static const char about[] = "Runs the balancer in the foreground, with its log on standard output. SIGTERM stops\n"
                                "accepting and lets connections finish for at most drain_timeout; a second one, or\n"
                                "SIGINT, ends them at once.\n";
    const struct cli_page page = { "run", "[-c FILE]", about, options, 1, 0 };
    int status = cli_read(&page, argc, argv);
    if (status != CLI_GO_ON)
        return status;
    sigset_t set;
    struct running running = { .path = path };
    block_signals(&set);
    status = load(path, &running);
    if (status == EXIT_OK && start(&running) != 0)
        status = EXIT_FAILED;
    if (status == EXIT_OK)
        serve(&running, &set);
    stop(&running);
    return status;
}
