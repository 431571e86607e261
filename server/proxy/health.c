/* SPDX-License-Identifier: Apache-2.0 */
#include "health.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/errors.h>

#include "../base/log.h"

#define EJECTION_MAX_NS (60 * UINT64_C(1000000000))

static struct weir_health_options options_of(const struct health_settings *settings)
{
    return (struct weir_health_options){
        .fall = settings->fall,
        .rise = settings->rise,
        .eject_after = settings->passive ? settings->fall : 0,
        .eject_ns = settings->interval_ns,
        .eject_max_ns = settings->interval_ns > EJECTION_MAX_NS ? settings->interval_ns : EJECTION_MAX_NS,
    };
}

/* Places */

static void free_place(struct kept *kept)
{
    struct place_health *health = (struct place_health *)kept;
    kept_unref(&health->upstream->kept);
    pthread_mutex_destroy(&health->mutex);
    free(health->key);
    free(health);
}

static int make_place(struct keep *keep, const char *key, const struct pool *pool, const struct upstream *upstream,
                      struct place_health **ret_health)
{
    const struct weir_health_options options = options_of(&pool->health);
    struct place_health *health = calloc(1, sizeof *health);
    if (health == NULL)
        return WEIR_ENOMEM;
    health->kept.free = free_place;
    health->upstream = upstream->record;
    kept_ref(&upstream->record->kept);
    health->address = upstream->address;
    pthread_mutex_init(&health->mutex, NULL);
    weir_health_init(&health->machine, &options);
    health->key = strdup(key);
    int err = health->key == NULL
                  ? WEIR_ENOMEM
                  : keep_add(keep, KEPT_PLACE, health->key, (uint32_t)strlen(health->key), &health->kept);
    if (err != 0)
        free_place(&health->kept);
    else
        *ret_health = health;
    return err;
}

static int get_place(struct keep *keep, const struct pool *pool, const struct upstream *upstream,
                     struct place_health **ret_health)
{
    char key[2 * (NAME_MAX_BYTES + 1) + WEIR_ADDRESS_TEXT_MAX];
    snprintf(key, sizeof key, "%s/%s/%s", pool->name, upstream->name, upstream->row->text);
    struct kept *found = keep_find(keep, KEPT_PLACE, key, (uint32_t)strlen(key));
    if (found == NULL)
        return make_place(keep, key, pool, upstream, ret_health);
    *ret_health = (struct place_health *)found;
    return 0;
}

int health_new(struct snapshot *snapshot, struct state *state)
{
    int err = 0;
    for (uint32_t n = 0; err == 0 && n < snapshot->pool_count; n++) {
        struct pool *pool = &snapshot->pools[n];
        struct place_health **places = calloc(pool->place_count, sizeof(struct place_health *));
        pool->health_state = places;
        err = places == NULL ? WEIR_ENOMEM : 0;
        for (uint32_t place = 0; err == 0 && place < pool->place_count; place++)
            err = get_place(&state->keep, pool, &snapshot->upstreams[pool->places[place].upstream], &places[place]);
    }
    if (err != 0)
        health_free(snapshot);
    return err;
}

void health_free(struct snapshot *snapshot)
{
    for (uint32_t n = 0; n < snapshot->pool_count; n++) {
        struct pool *pool = &snapshot->pools[n];
        struct place_health **places = pool->health_state;
        for (uint32_t place = 0; places != NULL && place < pool->place_count; place++)
            if (places[place] != NULL)
                kept_unref(&places[place]->kept);
        free(places);
        pool->health_state = NULL;
    }
}

struct place_health *health_of(const struct pool *pool, uint32_t place)
{
    return ((struct place_health **)pool->health_state)[place];
}

/* With the mutex held, before it can be chosen again. */
static void start_slowly(struct place_health *health, uint64_t duration_ns, uint64_t now_ns)
{
    health->slow_until_ns = now_ns + duration_ns;
    weir_pool_slow_start(health->pool->balancing, health->place, duration_ns, now_ns);
}

/* A place that nobody looked after for a while begins anew. `begins_ns`: until when it then starts slowly. */
static void show(struct place_health *health, const struct pool *pool, uint32_t place, uint64_t begins_ns)
{
    const struct weir_health_options options = options_of(&pool->health);
    pthread_mutex_lock(&health->mutex);
    if (health->pool == NULL) {
        weir_health_init(&health->machine, &options);
        health->slow_until_ns = begins_ns;
    }
    health->machine.options = options;
    health->pool = pool;
    health->place = place;
    weir_pool_set_health(pool->balancing, place, weir_health_place(&health->machine));
    pthread_mutex_unlock(&health->mutex);
}

/* A slow start goes on in the new pool, whose others have by now what they have. */
static void go_on_slowly(struct place_health *health, uint64_t now_ns)
{
    pthread_mutex_lock(&health->mutex);
    uint64_t left_ns = health->slow_until_ns > now_ns ? health->slow_until_ns - now_ns : 0;
    if (left_ns > 0)
        start_slowly(health, left_ns < health->pool->slow_start_ns ? left_ns : health->pool->slow_start_ns, now_ns);
    pthread_mutex_unlock(&health->mutex);
}

static bool has_pool(const struct snapshot *snapshot, const char *name)
{
    for (uint32_t n = 0; snapshot != NULL && n < snapshot->pool_count; n++)
        if (strcmp(snapshot->pools[n].name, name) == 0)
            return true;
    return false;
}

static void show_pool(const struct pool *pool, const struct snapshot *before, uint64_t now_ns)
{
    uint64_t begins_ns = has_pool(before, pool->name) ? now_ns + pool->slow_start_ns : 0;
    for (uint32_t place = 0; place < pool->place_count; place++)
        show(health_of(pool, place), pool, place, begins_ns);
    for (uint32_t place = 0; place < pool->place_count; place++)
        go_on_slowly(health_of(pool, place), now_ns);
}

static bool is_of(const struct pool *pool, const struct snapshot *snapshot)
{
    return pool >= snapshot->pools && pool < snapshot->pools + snapshot->pool_count;
}

bool health_find(struct place_health *health, const struct snapshot *snapshot, uint32_t *ret_pool, uint32_t *ret_place)
{
    pthread_mutex_lock(&health->mutex);
    bool found = health->pool != NULL && is_of(health->pool, snapshot);
    if (found) {
        *ret_pool = (uint32_t)(health->pool - snapshot->pools);
        *ret_place = health->place;
    }
    pthread_mutex_unlock(&health->mutex);
    return found;
}

static void hide(struct place_health *health, const struct snapshot *snapshot)
{
    pthread_mutex_lock(&health->mutex);
    if (health->pool != NULL && !is_of(health->pool, snapshot))
        health->pool = NULL;
    pthread_mutex_unlock(&health->mutex);
}

void health_apply(struct snapshot *snapshot, const struct snapshot *before, uint64_t now_ns)
{
    for (uint32_t n = 0; n < snapshot->pool_count; n++)
        show_pool(&snapshot->pools[n], before, now_ns);
    for (uint32_t n = 0; before != NULL && n < before->pool_count; n++)
        for (uint32_t place = 0; place < before->pools[n].place_count; place++)
            hide(health_of(&before->pools[n], place), snapshot);
}

const char *health_certificate_expires(const struct place_health *health, char text[HEALTH_EXPIRY_BYTES])
{
    time_t expires = (time_t)atomic_load_explicit(&health->certificate_expires_s, memory_order_relaxed);
    struct tm utc;
    if (expires == 0 || gmtime_r(&expires, &utc) == NULL || strftime(text, HEALTH_EXPIRY_BYTES, "%FT%TZ", &utc) == 0)
        return NULL;
    return text;
}

static void log_change(const struct place_health *health, enum weir_health_change change, const char *cause)
{
    static const char *const messages[] = {
        [WEIR_HEALTH_WENT_DOWN] = "upstream down",
        [WEIR_HEALTH_CAME_UP] = "upstream up",
        [WEIR_HEALTH_EJECTED] = "upstream ejected",
        [WEIR_HEALTH_RETURNED] = "upstream returned",
    };
    const struct weir_health_options *options = &health->machine.options;
    char text[LOG_VALUE_MAX + 64] = "", expires[HEALTH_EXPIRY_BYTES];
    if (change == WEIR_HEALTH_WENT_DOWN)
        snprintf(text, sizeof text, "%" PRIu32 " of %" PRIu32 " checks failed: %s", options->fall, options->fall,
                 cause);
    else if (change == WEIR_HEALTH_EJECTED)
        snprintf(text, sizeof text, "%" PRIu32 " connections in a row failed: %s", health->machine.failure_streak,
                 cause);
    else if (change == WEIR_HEALTH_CAME_UP)
        snprintf(text, sizeof text, "%" PRIu32 " of %" PRIu32 " checks passed", options->rise, options->rise);
    else
        snprintf(text, sizeof text, "%s", cause);
    bool bad = change == WEIR_HEALTH_WENT_DOWN || change == WEIR_HEALTH_EJECTED;
    log_write(bad ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, messages[change],
              LOG_FIELDS(LOG_STR("pool", health->pool->name), LOG_STR("upstream", health->upstream->name),
                         LOG_STR("cause", text),
                         LOG_STR("certificate_expires", health_certificate_expires(health, expires))));
}

/* With the mutex held: what choosing sees follows the machine in the same order. */
static void publish(struct place_health *health, enum weir_health_change change, uint64_t now_ns, const char *cause)
{
    if (change == WEIR_HEALTH_SAME || health->pool == NULL)
        return;
    if (change == WEIR_HEALTH_CAME_UP || change == WEIR_HEALTH_RETURNED)
        start_slowly(health, health->pool->slow_start_ns, now_ns);
    weir_pool_set_health(health->pool->balancing, health->place, weir_health_place(&health->machine));
    if (change == WEIR_HEALTH_WENT_DOWN)
        snprintf(health->cause, sizeof health->cause, "%s", cause);
    log_change(health, change, cause);
    if (change == WEIR_HEALTH_EJECTED && health->ejected != NULL)
        health->ejected(health->ejected_context);
}

void health_on_ejection(struct place_health *health, void (*ejected)(void *context), void *context)
{
    pthread_mutex_lock(&health->mutex);
    health->ejected = ejected;
    health->ejected_context = context;
    pthread_mutex_unlock(&health->mutex);
}

void health_off_ejection(struct place_health *health, const void *context)
{
    pthread_mutex_lock(&health->mutex);
    if (health->ejected_context == context)
        health->ejected = NULL;
    pthread_mutex_unlock(&health->mutex);
}

static void come_back(const struct snapshot *snapshot, const struct upstream *upstream, uint64_t now_ns)
{
    for (uint32_t n = 0; n < snapshot->pool_count; n++) {
        const struct pool *pool = &snapshot->pools[n];
        for (uint32_t place = 0; place < pool->place_count; place++) {
            struct place_health *health = health_of(pool, place);
            if (&snapshot->upstreams[pool->places[place].upstream] != upstream)
                continue;
            pthread_mutex_lock(&health->mutex);
            if (health->pool != NULL)
                start_slowly(health, pool->slow_start_ns, now_ns);
            pthread_mutex_unlock(&health->mutex);
        }
    }
}

void health_set_state(const struct snapshot *snapshot, const struct upstream *upstream, enum weir_upstream_state state,
                      uint64_t now_ns)
{
    static const char *const messages[] = {
        [WEIR_UPSTREAM_ENABLED] = "upstream enabled",
        [WEIR_UPSTREAM_DRAIN] = "upstream draining",
        [WEIR_UPSTREAM_DISABLED] = "upstream disabled",
    };
    if (weir_upstreams_state(snapshot->table, upstream->id) == state)
        return;
    if (state == WEIR_UPSTREAM_ENABLED)
        come_back(snapshot, upstream, now_ns);
    weir_upstreams_set_state(snapshot->table, upstream->id, state);
    log_info(messages[state], LOG_STR("upstream", upstream->name), LOG_STR("cause", "set by hand"));
}

/* Spreads the ends of ejections without a source of randomness: places and moments differ. */
static uint32_t jitter_of(const struct place_health *health, uint64_t now_ns)
{
    return (uint32_t)((now_ns ^ (uint64_t)health->place << 20) * UINT64_C(0x9E3779B97F4A7C15) >> 32);
}

void health_traffic(struct place_health *health, bool good, uint64_t since_ns, uint64_t now_ns, const char *cause)
{
    uint64_t troubled_ns = atomic_load_explicit(&health->troubled_ns, memory_order_relaxed);
    if (good && (troubled_ns == 0 || since_ns <= troubled_ns))
        return;
    pthread_mutex_lock(&health->mutex);
    atomic_store_explicit(&health->troubled_ns, good ? 0 : now_ns, memory_order_relaxed);
    publish(health, weir_health_traffic(&health->machine, good, now_ns, jitter_of(health, now_ns)), now_ns, cause);
    pthread_mutex_unlock(&health->mutex);
}

void health_check(struct place_health *health, bool good, uint64_t now_ns, const char *cause)
{
    pthread_mutex_lock(&health->mutex);
    publish(health, weir_health_check(&health->machine, good, now_ns), now_ns, cause);
    pthread_mutex_unlock(&health->mutex);
}

void health_tick(struct place_health *health, uint64_t now_ns)
{
    pthread_mutex_lock(&health->mutex);
    publish(health, weir_health_tick(&health->machine, now_ns), now_ns, "its time is over");
    pthread_mutex_unlock(&health->mutex);
}

bool health_down_cause(struct place_health *health, char text[HEALTH_CAUSE_BYTES])
{
    pthread_mutex_lock(&health->mutex);
    bool down = health->machine.down;
    memcpy(text, health->cause, sizeof health->cause);
    pthread_mutex_unlock(&health->mutex);
    return down;
}

uint64_t health_ejected_until(struct place_health *health)
{
    pthread_mutex_lock(&health->mutex);
    uint64_t until_ns = health->machine.ejected ? health->machine.ejected_until_ns : 0;
    pthread_mutex_unlock(&health->mutex);
    return until_ns;
}
