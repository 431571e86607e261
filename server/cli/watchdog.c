/* SPDX-License-Identifier: Apache-2.0 */
#include "watchdog.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <weir/errors.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/notify.h"
#include "../base/thread.h"

struct watchdog {
    struct balancer *balancer;
    uint64_t period_ns;
    pthread_t thread;
    bool running;
    pthread_mutex_t mutex;
    pthread_cond_t stop;
    bool stopping;
};

static bool wait_period(struct watchdog *watchdog)
{
    struct timespec until = clock_timespec(clock_ns(CLOCK_MONOTONIC) + watchdog->period_ns);
    int err = 0;
    pthread_mutex_lock(&watchdog->mutex);
    while (!watchdog->stopping && err != ETIMEDOUT)
        err = pthread_cond_clockwait(&watchdog->stop, &watchdog->mutex, CLOCK_MONOTONIC, &until);
    bool go_on = !watchdog->stopping;
    pthread_mutex_unlock(&watchdog->mutex);
    return go_on;
}

static void *run(void *argument)
{
    struct watchdog *watchdog = argument;
    do {
        uint32_t stuck;
        if (balancer_feel_pulse(watchdog->balancer, &stuck))
            notify_alive();
        else
            log_error("a worker makes no progress", LOG_U64("worker", stuck), LOG_MS("for_ms", watchdog->period_ns));
    } while (wait_period(watchdog));
    return NULL;
}

int watchdog_start(struct balancer *balancer, struct watchdog **ret_watchdog)
{
    uint64_t interval_ns = notify_watchdog_ns();
    *ret_watchdog = NULL;
    if (interval_ns == 0)
        return 0;
    struct watchdog *watchdog = calloc(1, sizeof *watchdog);
    if (watchdog == NULL)
        return WEIR_ENOMEM;
    watchdog->balancer = balancer;
    watchdog->period_ns = interval_ns / 2;
    pthread_mutex_init(&watchdog->mutex, NULL);
    pthread_cond_init(&watchdog->stop, NULL);
    int err = thread_start(&watchdog->thread, run, watchdog);
    watchdog->running = err == 0;
    if (err != 0)
        watchdog_stop(&watchdog);
    else
        *ret_watchdog = watchdog;
    return err;
}

void watchdog_stop(struct watchdog **pwatchdog)
{
    struct watchdog *watchdog = *pwatchdog;
    if (watchdog == NULL)
        return;
    pthread_mutex_lock(&watchdog->mutex);
    watchdog->stopping = true;
    pthread_cond_signal(&watchdog->stop);
    pthread_mutex_unlock(&watchdog->mutex);
    if (watchdog->running)
        pthread_join(watchdog->thread, NULL);
    pthread_cond_destroy(&watchdog->stop);
    pthread_mutex_destroy(&watchdog->mutex);
    free(watchdog);
    *pwatchdog = NULL;
}
