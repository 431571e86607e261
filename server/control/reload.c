/* SPDX-License-Identifier: Apache-2.0 */
#include "reload.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "../tls/material.h"
#include "config.h"
#include "config_report.h"
#include "reload_changes.h"

struct reloader {
    struct balancer *balancer;
    struct state *state;
    const char *path;
    pthread_t control;
    pthread_mutex_t mutex; /* of all that follows */
    pthread_cond_t done;
    uint64_t asked, answered; /* questions are numbered; a reload answers all that came before it */
    bool stopped;
    struct reload_result *last;
    uint64_t counts[RELOAD_OUTCOMES];
};

/* Results */

const char *reload_outcome_label(enum reload_outcome outcome)
{
    static const char *const labels[] = {
        [RELOAD_DONE] = "done",
        [RELOAD_REFUSED] = "refused",
        [RELOAD_BUSY] = "busy",
        [RELOAD_FAILED] = "failed",
    };
    return labels[outcome];
}

static struct reload_result *result_ref(struct reload_result *result)
{
    if (result != NULL)
        atomic_fetch_add_explicit(&result->references, 1, memory_order_relaxed);
    return result;
}

void reload_result_unref(struct reload_result **presult)
{
    struct reload_result *result = *presult;
    *presult = NULL;
    if (result == NULL || atomic_fetch_sub_explicit(&result->references, 1, memory_order_acq_rel) > 1)
        return;
    struct config_errors texts = { result->lines, result->line_count, result->warnings, result->warning_count };
    config_errors_free(&texts);
    free(result);
}

/* One reload */

/* What runs is compared with what was read: the same material goes on, and with it what was made of it. */
static void keep_material(struct tls_material **pmaterial, struct tls_material *present)
{
    if (*pmaterial == NULL || present == NULL || !tls_material_equal(*pmaterial, present))
        return;
    tls_material_unref(pmaterial);
    *pmaterial = tls_material_ref(present);
}

static void keep_materials(struct snapshot *snapshot, const struct snapshot *present)
{
    for (uint32_t n = 0; n < snapshot->listener_count; n++)
        for (uint32_t old = 0; old < present->listener_count; old++)
            if (strcmp(snapshot->listeners[n].name, present->listeners[old].name) == 0)
                keep_material(&snapshot->listeners[n].material, present->listeners[old].material);
    for (uint32_t n = 0; n < snapshot->pool_count; n++)
        for (uint32_t old = 0; old < present->pool_count; old++)
            if (strcmp(snapshot->pools[n].name, present->pools[old].name) == 0)
                keep_material(&snapshot->pools[n].material, present->pools[old].material);
}

static int prepare(const struct reloader *reloader, struct snapshot **psnapshot, struct config_errors *errors)
{
    const struct snapshot *present = balancer_snapshot(reloader->balancer);
    int err = config_read(reloader->path, psnapshot, errors);
    if (err == 0)
        err = reload_check_restart(*psnapshot, present, errors);
    if (err != 0)
        return err;
    keep_materials(*psnapshot, present);
    err = snapshot_bind(*psnapshot, reloader->state, balancer_workers(reloader->balancer));
    return err == 0 ? config_expect(*psnapshot, errors) : err;
}

static int add_fault(const struct snapshot *snapshot, const struct fault *fault, struct config_errors *errors)
{
    if (fault->text[0] == '\0')
        return 0;
    return config_errors_add(errors, "%s:%u:%u: %s", snapshot->path, fault->at.line, fault->at.column, fault->text);
}

static void tell_ended(const struct balancer *balancer, struct config_errors *changes)
{
    struct ended ended = { 0 };
    for (uint32_t n = 0; n < balancer_workers(balancer); n++) {
        const struct review_row *rows = NULL;
        uint32_t count = balancer_reviewed(balancer, n, &rows);
        reload_count_ended(&ended, rows, count);
    }
    reload_tell_ended(&ended, changes);
}

/* Notes what changes, then changes it. */
static int exchange(const struct reloader *reloader, struct snapshot *snapshot, struct config_errors *errors,
                    struct config_errors *changes)
{
    struct fault fault = { 0 };
    int err = reload_changes(balancer_snapshot(reloader->balancer), snapshot, changes);
    if (err == 0)
        err = balancer_reload(reloader->balancer, snapshot, &fault);
    if (err == 0) {
        tell_ended(reloader->balancer, changes);
        return 0;
    }
    int other = add_fault(snapshot, &fault, errors);
    return other == 0 ? err : other;
}

static int reload(const struct reloader *reloader, struct config_errors *errors, struct config_errors *changes)
{
    struct snapshot *snapshot = NULL;
    int err = prepare(reloader, &snapshot, errors);
    if (err == 0)
        err = exchange(reloader, snapshot, errors, changes);
    if (err != 0) {
        snapshot_free(&snapshot);
        keep_sweep(&reloader->state->keep);
        return err;
    }
    const struct settings *settings = &balancer_snapshot(reloader->balancer)->settings;
    log_configure(settings->log_format, settings->log_level);
    return 0;
}

/* Telling */

static void log_refusal(const struct reloader *reloader, const struct config_errors *errors, int err)
{
    for (uint32_t n = 0; n < errors->count; n++)
        log_error("reload refused", LOG_STR("error", errors->lines[n]));
    if (errors->count == 0)
        log_error("reload refused", LOG_STR("file", reloader->path), LOG_STR("error", weir_strerror(err)));
}

static void log_done(const struct reload_result *result)
{
    for (uint32_t n = 0; n < result->warning_count; n++)
        log_warn("doubtful configuration", LOG_STR("warning", result->warnings[n]));
    char text[LOG_VALUE_MAX + 1] = "nothing has changed";
    size_t used = 0;
    for (uint32_t n = 0; n < result->line_count && used < sizeof text; n++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", n > 0 ? "; " : "", result->lines[n]);
    log_info("configuration reloaded", LOG_STR("changes", text), LOG_MS("duration_ms", result->duration_ns));
}

static enum reload_outcome outcome_of(int err, const struct config_errors *errors)
{
    if (err == 0)
        return RELOAD_DONE;
    return err == WEIR_ENOMEM && errors->count == 0 ? RELOAD_FAILED : RELOAD_REFUSED;
}

static enum reload_outcome run(struct reloader *reloader, struct reload_result *result)
{
    struct config_errors errors = { 0 }, changes = { 0 };
    uint64_t began_ns = clock_ns(CLOCK_MONOTONIC);
    bool draining = balancer_draining(reloader->balancer);
    if (draining)
        log_warn("reload refused", LOG_STR("error", "the balancer is draining"));
    int err = draining ? 0 : reload(reloader, &errors, &changes);
    enum reload_outcome outcome = draining ? RELOAD_BUSY : outcome_of(err, &errors);
    if (err != 0)
        log_refusal(reloader, &errors, err);
    struct config_errors *told = outcome == RELOAD_DONE ? &changes : &errors;
    result->outcome = outcome;
    result->lines = told->lines;
    result->line_count = told->count;
    *told = (struct config_errors){ .warnings = told->warnings, .warning_count = told->warning_count };
    if (outcome == RELOAD_DONE) {
        result->warnings = errors.warnings;
        result->warning_count = errors.warning_count;
        errors.warnings = NULL;
        errors.warning_count = 0;
    }
    result->wall_ns = clock_ns(CLOCK_REALTIME);
    result->duration_ns = clock_ns(CLOCK_MONOTONIC) - began_ns;
    config_errors_free(&errors);
    config_errors_free(&changes);
    if (outcome == RELOAD_DONE)
        log_done(result);
    return outcome;
}

/* Asking and answering */

int reloader_new(struct balancer *balancer, struct state *state, const char *path, struct reloader **ret_reloader)
{
    struct reloader *reloader = calloc(1, sizeof *reloader);
    if (reloader == NULL)
        return WEIR_ENOMEM;
    reloader->balancer = balancer;
    reloader->state = state;
    reloader->path = path;
    reloader->control = pthread_self();
    pthread_mutex_init(&reloader->mutex, NULL);
    pthread_cond_init(&reloader->done, NULL);
    *ret_reloader = reloader;
    return 0;
}

void reloader_free(struct reloader **preloader)
{
    struct reloader *reloader = *preloader;
    if (reloader == NULL)
        return;
    reload_result_unref(&reloader->last);
    pthread_cond_destroy(&reloader->done);
    pthread_mutex_destroy(&reloader->mutex);
    free(reloader);
    *preloader = NULL;
}

/* The signal wakes the control thread as anybody else's would. */
int reloader_reload(struct reloader *reloader, struct reload_result **ret_result)
{
    struct reload_result *result = NULL;
    pthread_mutex_lock(&reloader->mutex);
    uint64_t number = ++reloader->asked;
    if (!reloader->stopped)
        pthread_kill(reloader->control, SIGHUP);
    while (!reloader->stopped && reloader->answered < number)
        pthread_cond_wait(&reloader->done, &reloader->mutex);
    bool answered = reloader->answered >= number;
    if (answered)
        result = result_ref(reloader->last);
    pthread_mutex_unlock(&reloader->mutex);
    if (!answered)
        return WEIR_ECANCELED;
    if (result == NULL)
        return WEIR_ENOMEM;
    *ret_result = result;
    return 0;
}

void reloader_run(struct reloader *reloader)
{
    pthread_mutex_lock(&reloader->mutex);
    uint64_t asked = reloader->asked;
    pthread_mutex_unlock(&reloader->mutex);
    struct reload_result *result = calloc(1, sizeof *result);
    enum reload_outcome outcome = RELOAD_FAILED;
    if (result != NULL) {
        atomic_init(&result->references, 1);
        outcome = run(reloader, result);
    }
    pthread_mutex_lock(&reloader->mutex);
    reload_result_unref(&reloader->last);
    reloader->last = result;
    reloader->answered = asked;
    reloader->counts[outcome]++;
    pthread_cond_broadcast(&reloader->done);
    pthread_mutex_unlock(&reloader->mutex);
}

void reloader_stop(struct reloader *reloader)
{
    pthread_mutex_lock(&reloader->mutex);
    reloader->stopped = true;
    pthread_cond_broadcast(&reloader->done);
    pthread_mutex_unlock(&reloader->mutex);
}

struct reload_result *reloader_last(struct reloader *reloader)
{
    pthread_mutex_lock(&reloader->mutex);
    struct reload_result *result = result_ref(reloader->last);
    pthread_mutex_unlock(&reloader->mutex);
    return result;
}

uint64_t reloader_count(struct reloader *reloader, enum reload_outcome outcome)
{
    pthread_mutex_lock(&reloader->mutex);
    uint64_t count = reloader->counts[outcome];
    pthread_mutex_unlock(&reloader->mutex);
    return count;
}
